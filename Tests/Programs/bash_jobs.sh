# Background jobs, traps, process substitution, here documents and pipelines of a shell.
trap 'count=$((count + 1))' USR1
count=0
work() {
	for i in $(seq 60); do
		sleep 0.05
		echo "$1 $i" >>"jobs.$1"
	done
	return "$2"
}
rm -f jobs.*
work a 3 &
first=$!
work b 0 &
second=$!
for i in $(seq 60); do
	kill -USR1 $$
	while read -r one; do line=$one; done < <(printf '%s\n' "$i" | tr 0-9 a-j | sed 's/^/line /')
	echo "$line"
	sleep 0.1
done
wait $first
echo "first $?"
wait $second
echo "second $?"
echo "signals $count"
cat jobs.a jobs.b | sort | cksum
