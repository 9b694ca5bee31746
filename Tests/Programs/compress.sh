# Two threads compress, a pipeline beside them does the same to a tar archive.
seq 1 1200000 >numbers
rm -rf tree
mkdir tree
for i in $(seq 40); do seq "$i" 3000 >tree/$i; done
(
	for i in $(seq 50); do
		echo "alive $i"
		sleep 0.1
	done
) &
xz -T2 -6 --block-size=1500000 -c numbers >numbers.xz
wait
sha256sum <numbers.xz
tar --sort=name --mtime=@0 --owner=0 --group=0 -c tree | xz -3 | sha256sum
xz -dc numbers.xz | cmp - numbers && echo same
