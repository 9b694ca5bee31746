#!/bin/bash
# Carries programs between the kernel of this machine and two of Debian's, 6.1 and 6.12, in virtual machines with emulated
# processors (scripts/vm.sh): there, back again, and from there to here, by dumps and by migration. The processor of the first
# has no AVX. As root: two-kernels.sh; APUS names the program (.build/apus). Takes some minutes, and the first time the network. The last line
# tells how many of its parts passed and failed.
set -u
cd "$(dirname "$0")/.." || exit 1
here=$PWD
export APUS=${APUS:-$here/.build/apus}

# That of the system, with the system's numpy, where there are several.
python=python3
! /usr/bin/python3 -c 'import numpy' 2>/dev/null || python=/usr/bin/python3

. "$here/scripts/parts.sh"
lines() { cat "$1" 2>/dev/null | wc -l; }
apus() { timeout 120 "$APUS" "$@"; }

# Waits until a file has so many lines.
await() {
	local file=$1 count=$2 patience=600
	until [ "$(lines "$file")" -ge "$count" ]; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "$file has not come to $count lines: $(tail -n 3 "$file")"
		sleep 0.2
	done
}
# Waits until a process has ended.
ended() {
	local patience=600
	while kill -0 "$1" 2>/dev/null; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "process $1 does not end"
		sleep 0.2
	done
}

# What the programs are told besides, so that they keep to x86-64-v2: these ask the processor themselves (docs/run.md).
# So does numpy, which the machines are told of, too.
modest=(OPENBLAS_CORETYPE=NEHALEM OPENSSL_ia32cap='~0x7e40100200000000:0')
[ -z "${numpy_features:-}" ] || modest+=("NPY_DISABLE_CPU_FEATURES=$numpy_features")

# Starts a program in $folder/work, with its output in a file there; its pid is in another. It has one that is taken
# nowhere else: those of the kernel's own threads are low, and each program of each side begins with another number.
begin() { # NAME FIRST-PID COMMAND...
	local name=$1 first=$2 patience=100
	shift 2
	echo "$first" >/proc/sys/kernel/ns_last_pid
	(cd "$folder/work" && env "${modest[@]}" ${without:+setpriv --bounding-set "$without"} "$APUS" run ${level:+--cpu-level "$level"} --pidfile "$name.pid" -- "$@" \
		</dev/null >"$name.out" 2>"$name.errors" &)
	until [ -s "$folder/work/$name.pid" ]; do
		patience=$((patience - 1))
		[ $patience -gt 0 ] || fail "$name has not started: $(cat "$folder/work/$name.errors")"
		sleep 0.1
	done
}
pid() { cat "$folder/work/$1.pid"; }
command_of() { # NAME PLACE-OF-PROGRAMS
	case $1 in
	count) echo bash "$2/count.sh" ;;
	python3) echo "$python" "$2/numpy_loop.py" ;;
	perl) echo perl "$2/perl_forks.pl" ;;
	swift) echo env LD_LIBRARY_PATH="$2/lib" "$2/concurrency" ;;
	esac
}

# Which files come along: all; but not the many of python3, which an emulated processor would read for minutes. They are the
# same on both sides.
shipping() { if [ "$1" = python3 ]; then echo none; else echo all; fi; }

# A program begins on the one side, and is dumped in the midst of its work.
leaves() { # NAME IMAGES FIRST-PID PLACE-OF-PROGRAMS
	begin "$2" "$3" $(command_of "$1" "$4")
	await "$folder/work/$2.out" 6
	apus dump --timeout 60 -t "$(pid "$2")" -o "$folder/$2.apus" --ship "$(shipping "$1")"
	! kill -0 "$(pid "$2")" 2>/dev/null || fail 'the original is still there'
}
# It comes to another kernel and works on. The machines have only just been started: without --continue-clocks whoever
# waits for a point of time (python3 does to sleep) would wait until they are as old as this one.
arrives() { # IMAGES
	local before
	before=$(lines "$folder/work/$1.out")
	apus check "$folder/$1.apus" >"$TMPDIR/said" || { cat "$TMPDIR/said"; exit 1; }
	apus restore "$folder/$1.apus" -d --continue-clocks
	await "$folder/work/$1.out" $((before + 5))
}
# It goes on to where it came from.
goes_back() { # NAME
	arrives "$1"
	apus dump --timeout 60 -t "$(pid "$1")" -o "$folder/$1.apus" --overwrite --ship "$(shipping "$1")"
	! kill -0 "$(pid "$1")" 2>/dev/null || fail 'the original is still there'
}
# It comes to its end with the result that it has where nothing disturbs it.
finishes() { # NAME PROGRAM
	if [ "$1" = count ]; then
		kill -KILL -- "-$(pid "$2")"
		awk '$1 != NR - 1 { print "line " NR ": " $0; bad = 1 } END { exit bad }' "$folder/work/$2.out"
		return
	fi
	ended "$(pid "$2")"
	diff "$folder/$1.whole" "$folder/work/$2.out"
}
# The same, when it has arrived.
ends() { # NAME IMAGES
	arrives "$2"
	finishes "$1" "$2"
}

# A program that may use all of this processor is refused by one that can do less, before anything is made.
refused() {
	local said
	! said=$(apus check "$folder/unbound.apus" 2>&1) || fail "it would be restored: $said"
	# Lines end where the screen does.
	said=$(tr -s ' \n' ' ' <<<"$said")
	grep -E 'lacks what that of the dump .* had: [^.]*\bavx,.*apus run --cpu-level' <<<"$said" || fail "AVX is not named: $said"
	! apus restore "$folder/unbound.apus" -d || fail 'it was restored'
}

# CRIU restores what Apus has dumped, with what it does not know beside its images.
by_criu() {
	begin criu 50000 bash "$folder/programs/count.sh"
	await "$folder/work/criu.out" 5
	mkdir "$folder/criu"
	apus dump --timeout 60 -t "$(pid criu)" -D "$folder/criu" --ship all
	[ -e "$folder/criu/manifest.json" ] && ls "$folder"/criu/files/* >/dev/null
	timeout 120 criu restore -D "$folder/criu" -d -o restore.log || { tail -n 30 "$folder/criu/restore.log"; exit 1; }
	before=$(lines "$folder/work/criu.out")
	await "$folder/work/criu.out" $((before + 5))
	kill -KILL -- "-$(pid criu)"
	awk '$1 != NR - 1 { bad = 1 } END { exit bad }' "$folder/work/criu.out"
}

# In the virtual machine.
there() {
	local kernel name names first=40000
	export TMPDIR=/tmp PARTS_LOG=/tmp/log
	kernel=$(uname -r)
	names=$(cat "$folder/names")
	echo 4194304 >/proc/sys/kernel/pid_max
	# What this side is not allowed to (in a container, for example), no program that is to come here may be.
	without=$(for ((number = 0; number <= $(cat /proc/sys/kernel/cap_last_cap); number++)); do
		[ $((0x$capabilities >> number & 1)) = 1 ] || echo "-cap_$number"
	done | paste -sd ,)
	for name in $names; do part "$name, to Linux $kernel" goes_back "$name"; done
	if ! grep -qw avx /proc/cpuinfo; then part "a program without --cpu-level, to a processor without AVX" refused; fi
	# To be taken along: this place is in no other machine.
	cp -a "$folder/programs" /tmp/programs
	for name in $names; do
		part "$name, begun under Linux $kernel" leaves "$name" "$name-2" $((first += 500)) /tmp/programs
	done
	if [ "${criu:-}" != no ]; then
		if criu check >/dev/null 2>&1; then
			part "CRIU $(criu --version | awk '{ print $2; exit }') restores a dump with its files" by_criu
		else
			echo 'skipped: CRIU (it is not installed, or does not work with this kernel)'
		fi
	fi
}

# One round: to a kernel and back.
round() { # KERNEL PROCESSOR
	local name kernel=$1 processor=$2 elsewhere begun='' first=20000 status
	elsewhere=$(mktemp -d /var/tmp/apus-programs.XXXXXX)
	cp -a "$folder/programs/." "$elsewhere/"
	rm -rf "$folder/work"
	mkdir "$folder/work"
	: >"$folder/names"
	for name in $names; do
		part "$name, dumped here for Linux $kernel" leaves "$name" "$name" $((first += 500)) "$elsewhere"
		[ ! -e "$folder/$name.apus" ] || begun="$begun $name"
	done
	echo "$begun" >"$folder/names"
	level='' part 'a program without --cpu-level, dumped here' leaves count unbound 25000 "$folder/programs"
	rm -rf "$elsewhere"
	criu=no
	[ "$kernel" != 6.1 ] || criu=
	scripts/vm.sh --kernel "$kernel" --cpu "$processor" --share "$folder" --timeout 900 --env criu=$criu \
		--env folder="$folder" --env level="$level" --env capabilities="$(awk '/^CapBnd/ { print $2 }' /proc/self/status)" \
		--env numpy_features="${numpy_features:-}" -- bash "$here/scripts/two-kernels.sh" there | tee "$folder/report"
	status=${PIPESTATUS[0]}
	passed=$((passed + $(grep -c '^passed: ' "$folder/report")))
	failed=$((failed + $(grep -c '^FAILED: ' "$folder/report")))
	# Without it nothing has come back.
	[ "$status" = 0 ] || { failed=$((failed + 1)); echo "FAILED: the machine with Linux $kernel"; begun=; }
	for name in $begun; do
		part "$name, back from Linux $kernel" ends "$name" "$name"
		part "$name, begun under Linux $kernel, here" ends "$name" "$name-2"
	done
	rm -rf "$folder"/*.apus "$folder/criu"
}

# Migration, by TLS over the network between a machine and this host. By which ports each reaches the other:
port_there=12787 port_here=12788
from_there=10.0.2.2

# In the virtual machine: takes trees, and sends them back when it is asked to.
receiving() {
	local request
	export TMPDIR=/tmp
	echo 4194304 >/proc/sys/kernel/pid_max
	"$APUS" receive --init >"$folder/token.there" || exit 1
	"$APUS" receive --listen "0.0.0.0:$port_there" >"$folder/receiver.there" 2>&1 &
	until [ -s "$folder/token.here" ]; do sleep 0.2; done
	"$APUS" migrate --pair "$from_there:$port_here" <"$folder/token.here" || exit 1
	: >"$folder/ready"
	until [ -e "$folder/over" ]; do
		for request in "$folder"/back.*; do
			[ -e "$request" ] || continue
			(timeout 240 "$APUS" migrate "$(cat "$request")" "$from_there:$port_here" --to tls --continue-clocks --timeout 60 2>&1
			echo "status $?") >"$folder/answer"
			rm "$request"
			mv "$folder/answer" "$folder/answer.${request##*.}"
		done
		sleep 0.2
	done
}

# It moves there in the midst of its work, goes on there, and comes back.
migrates() { # NAME FIRST-PID
	local before patience work=$folder/work/$1.out
	begin "$1" "$2" $(command_of "$1" "$folder/programs")
	await "$work" 3
	before=$(lines "$work")
	timeout 240 "$APUS" migrate "$(pid "$1")" "127.0.0.1:$port_there" --to tls --state-dir "$TMPDIR/state" \
		--continue-clocks --timeout 60 || { tail -n 20 "$folder/receiver.there"; exit 1; }
	! kill -0 "$(pid "$1")" 2>/dev/null || fail 'the original is still there'
	await "$work" $((before + 2))
	pid "$1" >"$TMPDIR/request"
	mv "$TMPDIR/request" "$folder/back.$1"
	before=$(lines "$work")
	for ((patience = 1500; patience > 0; patience--)); do
		[ ! -e "$folder/answer.$1" ] || break
		sleep 0.2
	done
	[ -e "$folder/answer.$1" ] || fail 'the machine does not answer'
	cat "$folder/answer.$1"
	grep -qx 'status 0' "$folder/answer.$1" || fail 'it has not come back'
	kill -0 "$(pid "$1")" 2>/dev/null || fail 'it is not here'
	await "$work" $((before + 2))
}

# Each program moves to a kernel and back, while it works.
migrations() { # KERNEL PROCESSOR
	local name machine receiver patience=600 first=60000
	rm -rf "$folder/work" "$folder"/{ready,over,token.*,back.*,answer*}
	mkdir "$folder/work"
	"$APUS" receive --init --state-dir "$TMPDIR/state" >"$TMPDIR/token" || exit 1
	"$APUS" receive --listen "127.0.0.1:$port_here" --state-dir "$TMPDIR/state" >"$TMPDIR/receiver" 2>&1 &
	receiver=$!
	scripts/vm.sh --kernel "$1" --cpu "$2" --share "$folder" --timeout 900 --forward "$port_there" --env folder="$folder" \
		-- bash "$here/scripts/two-kernels.sh" receiving >"$TMPDIR/machine" 2>&1 &
	machine=$!
	mv "$TMPDIR/token" "$folder/token.here"
	until [ -e "$folder/ready" ] || [ $patience = 0 ] || ! kill -0 $machine 2>/dev/null; do
		sleep 0.2
		patience=$((patience - 1))
	done
	if [ -e "$folder/ready" ] && "$APUS" migrate --pair "127.0.0.1:$port_there" --state-dir "$TMPDIR/state" <"$folder/token.there"; then
		for name in $names; do
			part "$name migrates to Linux $1 and back while it works" migrates "$name" $((first += 500))
			part "$name has its result after that" finishes "$name" "$name"
		done
	else
		failed=$((failed + 1))
		echo "FAILED: a receiver under Linux $1"
		tail -n 40 "$TMPDIR/machine" | sed 's/^/    /'
	fi
	: >"$folder/over"
	wait $machine
	kill $receiver 2>/dev/null
	wait $receiver 2>/dev/null
}

# A program of Tests/Programs, slowed down so that its moves fall into the midst of it, and its undisturbed result.
slowly() { # NAME FILE WHAT FOR
	sed "s/$3/$4/" "Tests/Programs/$2" >"$folder/programs/$2"
	! cmp -s "Tests/Programs/$2" "$folder/programs/$2" || { echo "there is no $3 in $2" >&2; exit 1; }
}

programs() {
	mkdir -p "$folder/programs/lib"
	names=count
	echo 'i=0; while true; do echo $i; i=$(expr $i + 1); sleep 0.5; done' >"$folder/programs/count.sh"
	if "$python" -c 'import numpy' 2>/dev/null; then
		names="$names python3"
		# All that it has variants for, by the names that its version has for them.
		numpy_features=$(
			"$python" - <<-'TEXT'
				import numpy
				core = numpy._core if hasattr(numpy, "_core") else numpy.core
				print(*core._multiarray_umath.__cpu_dispatch__)
			TEXT
		)
		modest+=("NPY_DISABLE_CPU_FEATURES=$numpy_features")
		slowly python3 numpy_loop.py 'sleep(0.02)' 'sleep(0.3)'
		"$python" Tests/Programs/numpy_loop.py >"$folder/python3.whole"
	else
		echo 'skipped: python3 with numpy (they are not installed)'
	fi
	if command -v perl >/dev/null; then
		names="$names perl"
		slowly perl perl_forks.pl 'undef, 0.1;' 'undef, 1;'
		perl Tests/Programs/perl_forks.pl >"$folder/perl.whole"
	fi
	if command -v swiftc >/dev/null; then
		names="$names swift"
		slowly swift Concurrency.swift 30_000_000 1_000_000_000
		local program=$folder/programs/concurrency
		swiftc -O -parse-as-library -o "$program" Tests/Programs/Concurrency.swift || exit 1
		"$program" >"$folder/swift.whole"
		swiftc -O -parse-as-library -o "$program" "$folder/programs/Concurrency.swift" || exit 1
		# Its libraries go where no other machine has them.
		for library in $(ldd "$program" | awk '$3 ~ /swift/ { print $3 }'); do cp "$library" "$folder/programs/lib/"; done
	else
		echo 'skipped: a dynamically linked Swift program (there is no swiftc)'
	fi
}

inside() {
	export TMPDIR=$folder/scratch PARTS_LOG=$folder/scratch/log
	mkdir "$TMPDIR"
	programs
	round 6.1 Nehalem
	round 6.12 max,mpx=off,pku=off
	migrations 6.1 Nehalem
	migrations 6.12 max,mpx=off,pku=off
	report_parts
}

case ${1:-} in
there) there ;;
receiving) receiving ;;
inside) inside ;;
*)
	skip() { echo "skipped: two kernels ($*)"; exit 0; }
	[ "$(id -u)" = 0 ] || skip 'it takes root'
	[ -x "$APUS" ] || { echo "there is no $APUS yet: make build" >&2; exit 1; }
	for kernel in 6.1 6.12; do
		scripts/deps-vm.sh "$kernel" || skip "what stands above is missing: qemu-system-x86, busybox-static or the kernel $kernel"
	done
	folder=$(mktemp -d /var/tmp/apus-two-kernels.XXXXXX)
	trap 'rm -rf "$folder"' EXIT
	# Wherever it is, the machines have this folder.
	cp "$APUS" "$folder/apus"
	export APUS=$folder/apus
	# Pids of this side are those of a namespace of its own, in which hardly any is taken; all that is left in it ends with it.
	folder=$folder level=x86-64-v2 unshare --pid --mount --fork --kill-child --mount-proc bash scripts/two-kernels.sh inside
	;;
esac
