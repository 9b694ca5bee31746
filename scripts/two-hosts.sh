#!/bin/bash
# Carries programs between two hosts of different releases of Debian (scripts/hosts.sh): another C library, another bash,
# another locale archive. As root: two-hosts.sh; APUS names the program (.build/apus). Takes some minutes, and the first
# time the network. The last line tells how many of its parts passed and failed.
set -u
cd "$(dirname "$0")/.." || exit 1

folder=$(mktemp -d "${TMPDIR:-/var/tmp}/apus-two-hosts.XXXXXX")
trap 'scripts/hosts.sh down "$folder/hosts"; rm -rf "$folder"' EXIT
scripts/hosts.sh up "$folder/hosts"
case $? in
0) ;;
77) echo 'skipped: two hosts'; exit 0 ;;
*) exit 1 ;;
esac

on() { timeout 120 scripts/hosts.sh run "$folder/hosts" "$@"; }
PARTS_LOG=$folder/log
. scripts/parts.sh
# A part of its own leaves nothing behind on the hosts.
on_both() {
	part "$@"
	for host in one two; do on $host pkill -KILL -f '^(bash|python3|perl|\./)' >>"$PARTS_LOG" 2>&1; done
}
other() { [ "$1" = one ] && echo two || echo one; }

# How many lines of a file there are on a host.
lines() { on "$1" bash -c "cat $2 2>/dev/null | wc -l"; }

# Waits until a file has so many lines.
await() {
	local host=$1 file=$2 count=$3 patience=300
	until [ "$(lines "$host" "$file")" -ge "$count" ]; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "$host: $file has not come to $count lines: $(on "$host" tail -n 3 "$file")"
		sleep 0.1
	done
}

# Starts a program in the background with its output in a file; prints its pid.
begin() {
	local host=$1 output=$2
	shift 2
	on "$host" bash -c 'output=$1; shift; setsid "$@" </dev/null >"$output" 2>&1 & echo $!' begin "$output" "$@"
}

# The script of the founding scenario. Its shell maps the locale archive.
count() {
	on "$1" bash -c 'cat >count.sh; mkdir -p work; rm -f count.out' <<-'TEXT'
		i=0; while true; do echo $i; i=$(expr $i + 1); sleep 0.05; done
	TEXT
	begin "$1" count.out env LANG=en_US.UTF-8 bash count.sh
}

# The count goes on, and no number was lost or said twice.
counts() {
	local host=$1 pid=$2 before
	on "$host" kill -0 "$pid"
	before=$(lines "$host" count.out)
	await "$host" count.out $((before + 5))
	on "$host" awk '$1 != NR - 1 { print "line " NR ": " $0; bad = 1 } END { exit bad }' count.out
}

# What stands in the way of a restore is said, all at once.
refused() {
	local host=$1 images=$2 file
	shift 2
	on "$host" apus check "$images" >"$folder/check" 2>&1 && fail "it would be restored: $(cat "$folder/check")"
	for file in "$@"; do
		grep -q -- "$file" "$folder/check" || fail "nothing is said of $file: $(cat "$folder/check")"
	done
}

# Dump, tar, copy, restore; and what is said without copies of the files.
by_hand() {
	local pid before
	pid=$(count one)
	await one count.out 5
	on one grep -q locale-archive "/proc/$pid/maps" || fail 'the shell does not map the locale archive'
	on one bash -c "mkdir -p bare images && apus dump -t $pid -D bare -R && tar -cf bare.tar bare count.out && scp -q bare.tar two:"
	on two tar -xf bare.tar
	refused two bare /bash libc.so.6 locale-archive
	on one apus dump -t "$pid" -D images --ship auto
	on one kill -0 "$pid" 2>/dev/null && fail 'the original is still there'
	on one bash -c 'tar -cf images.tar images count.out && scp -q images.tar two:'
	on two tar -xf images.tar
	on two apus check images
	on two apus restore -D images -d
	counts two "$pid"
	before=$(lines one count.out)
	sleep 0.5
	[ "$(lines one count.out)" = "$before" ] || fail 'something still counts on the first host'
}

# There and back: what the script writes to goes with it.
there_and_back() {
	local pid
	pid=$(count one)
	on two rm -f count.out
	await one count.out 5
	carry one two "$pid"
	counts two "$pid"
	carry two one "$pid"
	counts one "$pid"
}

# A dump on one host goes by ssh into a restore on the other; or the tree moves while it runs.
carry() {
	if [ "${means:-bundle}" = migration ]; then
		on "$1" apus migrate "$3" "$2" --ship all --overwrite-files || exit 1
	else
		on "$2" bash -o pipefail -c "ssh $1 apus dump -t $3 -o - --ship all | apus restore - -d --overwrite-files"
	fi
	on "$1" kill -0 "$3" 2>/dev/null && fail 'the original is still there'
	return 0
}
by_migration() { means=migration; "$@"; }

# The founding failure: the locale archive of one host, before and after an update of it.
changed_archive() {
	local pid before after
	pid=$(count one)
	await one count.out 5
	on one apus dump -t "$pid" -o bare.apus -R --overwrite
	before=$(on one stat -c %s /usr/lib/locale/locale-archive)
	on one apus dump -t "$pid" -o job.apus --ship auto
	on one localedef -i de_DE -f UTF-8 de_DE.UTF-8
	after=$(on one stat -c %s /usr/lib/locale/locale-archive)
	[ "$before" != "$after" ] || fail 'the archive has the size that it had'
	refused one bare.apus locale-archive
	grep -q libc.so.6 "$folder/check" && fail "more is refused: $(cat "$folder/check")"
	on one apus restore job.apus -d
	counts one "$pid"
	[ "$(on one stat -c %s /usr/lib/locale/locale-archive)" = "$after" ] || fail "the host's own file was changed"
}

# Three moves in the midst of work whose result is known: it is what it is undisturbed.
to_and_fro() {
	local output=$1 host=one pid move patience=600
	shift
	on two mkdir -p work
	on two rm -f "$output"
	pid=$(begin one "$output" "$@")
	for move in 1 2 3; do
		await $host "$output" $((6 * move))
		carry $host "$(other $host)" "$pid"
		host=$(other $host)
	done
	while on $host kill -0 "$pid" 2>/dev/null; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail 'it does not end'
		sleep 0.1
	done
	on $host cat "$output" >"$folder/moved"
	diff "$folder/$output.whole" "$folder/moved" || fail 'the result differs'
}

# Waits until a file on a host has a text in it.
appears() { # HOST FILE TEXT
	local patience=300
	until on "$1" grep -qsaF -- "$3" "$2"; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "$1: \"$3\" does not appear in $2: $(on "$1" tail -c 600 "$2")"
		sleep 0.1
	done
}

# An interactive shell with a job moves with its user, who types on in the terminal from which it was moved.
kept_attached() {
	local pid
	on one bash -c 'cat >outer_terminal.py; rm -f old.* new.*' <Tests/Programs/outer_terminal.py
	on one bash -c 'setsid python3 outer_terminal.py run old 24 80 env "PS1=ready> " bash --norc --noprofile -i </dev/null >old.pid 2>&1 &'
	appears one old.out 'ready> '
	pid=$(on one cat old.pid)
	on one bash -c 'echo "word=kept; sleep 1000 &" >old.in'
	appears one old.out '[1] '
	on one bash -c 'setsid python3 outer_terminal.py run new 24 80 apus migrate --attach "$1" two --ship auto </dev/null >new.pid 2>&1 &' begin "$pid"
	appears one new.out 'Ctrl-] d'
	on one kill -0 "$pid" 2>/dev/null && fail 'the original is still there'
	# The window has another size for a moment, so that programs draw their screens anew.
	sleep 1
	on one bash -c 'echo "echo at \$(uname -n): \$word; jobs; stty size" >new.in'
	appears one new.out 'at two: kept'
	appears one new.out 'Running'
	appears one new.out '24 80'
	on one bash -c 'echo "kill %1; exit 3" >new.in'
	appears one new.out 'has ended'
	on two kill -0 "$pid" 2>/dev/null && fail 'it is still there'
	return 0
}

# A program of Tests/Programs, slowed down so that three moves by ssh fall into the midst of it.
slowly() {
	sed "s/$2/$3/" "Tests/Programs/$1" >"$folder/$1"
	! cmp -s "Tests/Programs/$1" "$folder/$1" || { echo "there is no $2 in $1" >&2; exit 1; }
}
# It runs on while it moves.
slowly numpy_loop.py 'sleep(0.02)' 'sleep(0.4)'
slowly perl_forks.pl 'undef, 0.1;' 'undef, 0.4;'
slowly Concurrency.swift 30_000_000 300_000_000
# What they say where nothing disturbs them, and at their usual speed.
on one python3 - <Tests/Programs/numpy_loop.py >"$folder/numpy.out.whole"
on one perl - <Tests/Programs/perl_forks.pl >"$folder/perl.out.whole"
for program in numpy_loop.py perl_forks.pl; do on one bash -c "cat >$program" <"$folder/$program"; done

on_both 'the founding scenario by hand, from bookworm to trixie' by_hand
on_both 'the same as a bundle through a pipe, there and back' there_and_back
on_both 'the same by migration, while it counts' by_migration there_and_back
on_both 'an interactive shell moves with its user, through ssh' kept_attached
on_both 'a locale archive that was changed meanwhile' changed_archive
on_both 'python3 with numpy, three moves' to_and_fro numpy.out python3 numpy_loop.py
on_both 'python3 with numpy, three migrations' by_migration to_and_fro numpy.out python3 numpy_loop.py
on_both 'perl, three moves' to_and_fro perl.out perl perl_forks.pl
if command -v swiftc >/dev/null; then
	# Its libraries are on the first host alone.
	program=$folder/hosts/one/root/root/concurrency
	swiftc -O -parse-as-library -o "$folder/undisturbed" Tests/Programs/Concurrency.swift || exit 1
	"$folder/undisturbed" >"$folder/swift.out.whole"
	swiftc -O -parse-as-library -o "$program" "$folder/Concurrency.swift" || exit 1
	for library in $(ldd "$program" | awk '$3 ~ /^\// { print $3 }'); do
		root=$folder/hosts/one/root
		[ -e "$root$library" ] || install -D -m 0755 "$library" "$root$library"
	done
	on_both 'a dynamically linked Swift program, three moves' to_and_fro swift.out ./concurrency
else
	echo 'skipped: a dynamically linked Swift program (there is no swiftc)'
fi
report_parts
