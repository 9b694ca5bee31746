#!/bin/bash
# demo.sh APUS: a counting script is dumped, its images are carried elsewhere, and the count goes on. In this terminal.
set -u
apus=$(realpath "${1:?which apus?}")
here=$(cd "$(dirname "$0")" && pwd)

if [ "$(id -u)" != 0 ]; then
	echo 'The demo freezes and rebuilds a process, which needs root. Run it as: sudo make demo' >&2
	exit 1
fi
# Descriptors that whoever called this happens to hold, those of make for instance, are no business of the demo.
for fd in "/proc/$$/fd"/*; do
	fd=${fd##*/}
	case $fd in 0 | 1 | 2 | 255) ;; *) eval "exec $fd>&-" ;; esac
done

# The script is to run in a terminal, as it would before a person. Where there is none, one is made.
if ! [ -t 0 ] || ! [ -t 1 ]; then
	[ -z "${APUS_DEMO_INSIDE:-}" ] || { echo 'no terminal' >&2; exit 1; }
	APUS_DEMO_INSIDE=1 exec script --quiet --return --command "'$0' '$apus'" /dev/null </dev/null
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/apus-demo.XXXXXX")
pid=
clean() {
	trap - EXIT
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; }
fail() { echo "The demo failed: $*" >&2; cat "$work"/*.log 2>/dev/null | grep -a Error >&2; exit 1; }

# Jobs get process groups of their own, as in an interactive shell.
set -m
cp "$here/count.sh" "$work/count.sh"
cd "$work" || exit 1

say 'A script that counts. Nothing in it knows about Apus:'
tail -n 1 count.sh
show 'bash ./count.sh'
bash ./count.sh &
pid=$!
sleep 4.5

say "Frozen in the middle of its work (process $pid), written to a directory, and gone:"
show "apus dump -t $pid --images-dir images --shell-job"
mkdir images
"$apus" dump -t "$pid" --images-dir images --shell-job -v4 --log-file "$work/dump.log" || fail 'the dump'
{ wait "$pid"; } 2>/dev/null
kill -0 "$pid" 2>/dev/null && fail 'the process is still there'
du -sh images | awk '{ print "images: " $1 }'
sleep 1

say 'The directory can be carried anywhere by any means:'
show 'tar -cf job.tar images; rm -r images; mkdir elsewhere; tar -C elsewhere -xf job.tar'
tar -cf job.tar images && rm -r images && mkdir elsewhere && tar -C elsewhere -xf job.tar || fail 'tar'
sleep 1

say 'Brought back to life, in the same terminal. The count goes on where it stopped. After five seconds comes a Ctrl-C:'
show 'apus restore --images-dir elsewhere/images --shell-job'
( sleep 5; kill -INT "-$pid" ) &
timer=$!
"$apus" restore --images-dir elsewhere/images --shell-job -v4 --log-file "$work/restore.log"
status=$?
kill "$timer" 2>/dev/null
pid=
[ "$status" = 130 ] || fail "the restored script ended with status $status instead of 130, that of a Ctrl-C"
say 'Ended by the Ctrl-C (exit status 130), like any script of this shell. That was the demo.'
