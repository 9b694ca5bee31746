#!/bin/bash
# Images for the fuzzer to damage, of Apus's own: scripts/fuzz-corpus.sh DIR dumps one subject of the tests after another.
# As root; APUS names the program.
set -eu
cd "$(dirname "$0")/.."
apus=${APUS:-$PWD/.build/apus}
target=$1
subjects='counter events unixsockets sockets fifos pipes locks deleted segments timers signals threads settings credentials
	attributes mappings aio seccomp zombies stops sharing daemons leaderless waits clocks family-memory pkeys numa'

dump() { # SUBJECT
	local images=$target/$1 folder
	folder=$(mktemp -d)
	mkdir -p "$images"
	# In a world of its own: what is left of it dies with its first process.
	NAME=$1 FOLDER=$folder IMAGES=$images APUS=$apus unshare --pid --mount --fork --mount-proc --kill-child bash -c '
		case $NAME in
		family-memory) arguments="2 1" ;;
		numa) arguments=1 ;;
		deleted) arguments=$FOLDER ;;
		segments) arguments= ;;
		attributes) arguments="$FOLDER/directory argument" ;;
		*) arguments=$FOLDER/files ;;
		esac
		# What was inherited by chance leads outside.
		for fd in /proc/$$/fd/*; do
			fd=${fd##*/}
			if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
		done
		setsid "Tests/Subjects/build/$NAME" $arguments </dev/null >"$FOLDER/out" 2>&1 &
		for _ in $(seq 100); do
			grep -q "^ready" "$FOLDER/out" && break
			sleep 0.05
		done
		"$APUS" dump -t $! -D "$IMAGES" --file-locks --no-default-config -v0' >"$folder/log" 2>&1 ||
		{ echo "fuzz-corpus: no images of $1 ($(head -c 200 "$folder/log" | tr '\n' ' '))" >&2; rm -rf "$images"; }
	rm -rf "$folder"
}

rm -rf "$target"
for subject in $subjects; do
	dump "$subject"
	# What the pages hold is of no interest, and copying them takes time.
	if [ "$(du -sk "$target/$subject" 2>/dev/null | cut -f1)" -gt 4096 ] 2>/dev/null; then rm -rf "${target:?}/$subject"; fi
done
count=$(find "$target" -name pstree.img | wc -l)
echo "$count image directories of Apus's own in $target"
[ "$count" -gt 5 ]
