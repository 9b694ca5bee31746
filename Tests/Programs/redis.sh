# A server under load through a Unix socket, with its clients in the same tree.
rm -f redis.socket
redis-server --port 0 --unixsocket "$PWD/redis.socket" --save '' --daemonize no --dir "$PWD" >redis.log 2>&1 &
server=$!
until redis-cli -s redis.socket ping >/dev/null 2>&1; do sleep 0.1; done
(
	for i in $(seq 90); do
		echo "alive $i"
		sleep 0.1
	done
) &
beat=$!
redis-benchmark -s redis.socket -c 12 -n 120000 -q INCR counter >/dev/null &
redis-benchmark -s redis.socket -c 4 -n 40000 -q LPUSH list element >/dev/null &
wait $beat
wait %3 %4
echo "benchmarks $?"
redis-cli -s redis.socket get counter
redis-cli -s redis.socket llen list
redis-cli -s redis.socket shutdown nosave
wait $server
echo "server $?"
