# A copy of many files by tar, slowed down in the middle, and by rsync where there is one; the copies have to be the same.
rm -rf from by-tar by-rsync
mkdir from by-tar
for n in $(seq 60); do
	seq $((n * 50)) $((n * 950)) >"from/file $n"
	ln "from/file $n" "from/link $n"
done
sum() {
	(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
}
(
	for i in $(seq 40); do
		echo "alive $i"
		sleep 0.1
	done
) &
tar -C from -cf - . | while dd bs=128k count=1 iflag=fullblock status=none of=piece && [ -s piece ]; do
	cat piece
	sleep 0.05
done | tar -C by-tar -xf -
[ -z "$(command -v rsync)" ] || rsync -a --bwlimit=8m from/ by-rsync
wait
echo "from $(sum from)"
echo "tar $(sum by-tar)"
[ -z "$(command -v rsync)" ] || echo "rsync $(sum by-rsync)"
