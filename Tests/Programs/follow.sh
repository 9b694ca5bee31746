# A file that grows, followed by tail and watched by inotifywait where there is one: neither misses a line.
rm -rf grown seen
mkdir grown
: >grown/log
tail -n +1 -f grown/log >followed &
follower=$!
if [ -n "$(command -v inotifywait)" ]; then
	inotifywait -q -m -e create --format '%f' grown >watched 2>&1 &
	watcher=$!
	sleep 0.5
fi
for i in $(seq 50); do
	echo "line $i" >>grown/log
	: >"grown/file $i"
	echo "alive $i"
	sleep 0.1
done
sleep 1.5
kill $follower ${watcher:-}
wait $follower ${watcher:-} 2>/dev/null
echo "followed $(sha256sum <followed) $(wc -l <followed)"
[ -z "${watcher:-}" ] || echo "watched $(sort watched | sha256sum)"
