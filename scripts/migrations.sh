#!/bin/bash
# Moves servers with their clients between two hosts (scripts/hosts.sh) while they work, each with the address that its
# clients know: redis with 1 GiB, written to and asked each millisecond; nginx in the midst of a download. The clients are a
# third host on the same segment. As root: migrations.sh; APUS names the program (.build/apus), SIZE the memory of
# redis in MiB (1024), and OPTIONS what `apus migrate` is given besides. Takes some minutes, and the first time the
# network. The last line tells how many of its parts passed and failed.
set -u
cd "$(dirname "$0")/.." || exit 1
size=${SIZE:-1024}

folder=$(mktemp -d "${TMPDIR:-/var/tmp}/apus-migrations.XXXXXX")
client=
cleanup() {
	[ -z "$client" ] || kill -KILL "$client" 2>/dev/null
	scripts/hosts.sh down "$folder/hosts"
	rm -rf "$folder"
}
trap cleanup EXIT
APUS_HOSTS_PACKAGES=redis-server,nginx-light scripts/hosts.sh up "$folder/hosts"
case $? in
0) ;;
77) echo 'skipped: migrations between two hosts'; exit 0 ;;
*) exit 1 ;;
esac
PARTS_LOG=$folder/log
. scripts/parts.sh
on() { timeout 300 scripts/hosts.sh run "$folder/hosts" "$@"; }
init() { tr -d ' ' <"$folder/hosts/$1/init"; }

# A network of its own with the clients on a bridge; both hosts have a second device there.
segment() {
	local name
	unshare --net sleep infinity &
	client=$!
	sleep 0.2
	nsenter -t $client -n sh -c 'ip link set lo up; ip link add br0 type bridge; ip addr add 10.88.0.9/24 dev br0; ip link set br0 up'
	for name in one two; do
		nsenter -t $client -n ip link add to-$name type veth peer name eth1 netns "$(init $name)"
		nsenter -t $client -n ip link set to-$name master br0 up
	done
	nsenter -t "$(init one)" -n sh -c 'ip addr add 10.88.0.1/24 dev eth1; ip link set eth1 up'
	nsenter -t "$(init two)" -n sh -c 'ip addr add 10.88.0.2/24 dev eth1; ip link set eth1 up'
}
as_client() { timeout 300 nsenter -t $client -n "$@"; }
served_at() { on one ip addr replace "$1/24" dev eth1; }

# Moves a tree with its address; prints what it came to.
move() { # FROM TO PID ADDRESS OPTION...
	local from=$1 to=$2 pid=$3 address=$4
	shift 4
	# shellcheck disable=SC2086
	on "$from" apus migrate "$pid" "$to" --tcp-established --move-address "$address@eth1" --json "$@" ${OPTIONS:-} >"$folder/events" ||
		{ cat "$folder/events" >&2; exit 1; }
	tail -n 1 "$folder/events"
}
listens() { # PORT ADDRESS
	local patience=100
	until as_client python3 -c "import socket; socket.create_connection(('$2', $1), 1)" 2>/dev/null; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "nothing listens at $2:$1"
		sleep 0.1
	done
}

# Written to all the while, and asked each millisecond.
redis() {
	local pid writer rate=$1 host
	# Of a part that has failed something may be left.
	for host in one two; do on $host pkill -KILL redis-server || true; done
	served_at 10.88.0.7
	on one bash -c 'setsid redis-server --bind 10.88.0.7 --port 6379 --save "" --appendonly no --protected-mode no --enable-debug-command yes \
		--dir /tmp </dev/null >/dev/null 2>/dev/null & echo $! >/root/redis.pid'
	pid=$(on one cat redis.pid)
	listens 6379 10.88.0.7
	on one redis-cli -h 10.88.0.7 DEBUG POPULATE $((size * 1024)) filled 960
	as_client python3 "$PWD/Tests/Programs/redis_writer.py" 10.88.0.7 6379 "${SECONDS_OF_WORK:-25}" "$rate" >"$folder/writer" 2>&1 &
	writer=$!
	sleep 3
	move one two "$pid" 10.88.0.7 >"$folder/summary"
	wait $writer || fail "the client: $(cat "$folder/writer")"
	cat "$folder/summary" "$folder/writer"
	on two kill -0 "$pid"
	! on one kill -0 "$pid" 2>/dev/null || fail 'the original is still there'
	cp "$folder/summary" "$folder/redis-$rate.summary"
	cp "$folder/writer" "$folder/redis-$rate.writer"
	on two kill -KILL "$pid"
	on two ip addr del 10.88.0.7/24 dev eth1
}

# A download that the move falls into: not a byte is missing.
nginx() {
	local pid download
	served_at 10.88.0.8
	on one bash -c 'head -c 96M /dev/urandom >/shared/large
		printf "daemon on; worker_processes 2; pid /run/nginx.pid; error_log stderr; events {}\nhttp { access_log off; sendfile on; server { listen 10.88.0.8:80; root /shared; } }\n" >/root/nginx.conf
		setsid nginx -c /root/nginx.conf </dev/null >/dev/null 2>&1'
	pid=$(on one cat /run/nginx.pid)
	listens 80 10.88.0.8
	as_client curl -sS --limit-rate 8M -o "$folder/large" http://10.88.0.8/large 2>"$folder/curl" &
	download=$!
	sleep 3
	move one two "$pid" 10.88.0.8 --ship all >"$folder/nginx.summary"
	kill -0 $download || fail 'the download was over before the move'
	wait $download || fail "curl: $(cat "$folder/curl")"
	cmp "$folder/large" "$folder/hosts/shared/large"
	as_client curl -sS -o "$folder/again" http://10.88.0.8/large
	cmp "$folder/again" "$folder/large"
	on two kill -0 "$pid"
	on two kill -QUIT "$pid"
	on two ip addr del 10.88.0.8/24 dev eth1
}

segment
part "redis with $size MiB, 2,000 writes a second, asked each millisecond" redis 2000
part "redis with $size MiB, 20,000 writes a second" redis 20000
part 'nginx with a download in progress' nginx

# What it came to, for docs/benchmarks.md.
python3 - "$folder" <<'TEXT'
import glob, json, os, sys
for path in sorted(glob.glob(sys.argv[1] + "/*.summary")):
    name = os.path.basename(path)[: -len(".summary")]
    text = open(path).read().strip()
    if not text:
        continue
    print(name + ": " + text)
    seen = path[: -len("summary")] + "writer"
    if os.path.exists(seen):
        print("    seen by the client: " + open(seen).read().strip().splitlines()[-1])
TEXT
report_parts
