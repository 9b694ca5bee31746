#!/bin/bash
# Runs a command as root in a virtual machine with another kernel. Its root is that of this host, so that all programs and
# files are there under the same names; whatever it changes is gone when it ends, but for the folders given with --share.
#
#   scripts/vm.sh [OPTION...] -- COMMAND [ARGUMENT...]
#     --kernel VERSION   the kernel, as unpacked by scripts/deps-vm.sh, such as 6.12 (default: the oldest there is)
#     --cpu MODEL        the processor (default: max,mpx=off)
#     --smp N            how many of them (default: 2)
#     --memory SIZE      (default: 3G)
#     --numa N           the memory split over N nodes
#     --append ARGS      more arguments for the kernel
#     --share FOLDER     a folder of this host that can be written to, under the same name; may be given again
#     --forward PORT     a network with this host alone, which is 10.0.2.2 there; who connects to the port of 127.0.0.1 here
#                        reaches the same port there
#     --env NAME=VALUE   for the command's environment; APUS, APUS_*, PATH, HOME and LANG come from here
#     --timeout SECONDS  for all of it (default: 600); then the status is 124
#     --console FILE     where to write what the kernel says (shown where the machine fails to start)
#
# The command runs in the current folder, with what it prints going to the standard output; its status is that of vm.sh.
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
kernel='' cpu=max,mpx=off smp=2 memory=3G numa='' append='' timeout=600 console='' forward=''
shares=() environment=()

fail() { echo "vm.sh: $*" >&2; exit 125; }

while [ $# -gt 0 ]; do
	case $1 in
	--) shift; break ;;
	--kernel | --cpu | --smp | --memory | --numa | --append | --share | --forward | --env | --timeout | --console)
		[ $# -gt 1 ] || fail "$1 needs a value"
		case $1 in
		--share) shares+=("$(realpath -e "$2")") || fail "no folder $2" ;;
		--env) environment+=("$2") ;;
		*) printf -v "${1#--}" %s "$2" ;;
		esac
		shift 2
		;;
	-*) fail "unknown option $1; see the head of $0" ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || fail 'no command given'

# 6.12, 6.12-amd64 and linux-image-6.12-amd64 are the same.
kernel=${kernel#linux-image-} kernel=${kernel%-amd64}
kernels=$("$here/scripts/kernels.sh")
# A whole version (6.1.0-57) is a package of its own.
case $kernel in
*-*) "$here/scripts/deps-vm.sh" "linux-image-$kernel-amd64" ;;
*) "$here/scripts/deps-vm.sh" ${kernel:+"$kernel"} ;;
esac >&2 || fail 'no kernel to start'
if [ -z "$kernel" ]; then
	kernel=$(cd "$kernels" && ls -d */ready | sort -V | head -n 1)
else
	kernel=$(cd "$kernels" && ls -d "$kernel"-*/ready "$kernel".*/ready 2>/dev/null | sort -V | tail -n 1)
fi
kernel=${kernel%/ready}
[ -n "$kernel" ] || fail 'no such kernel'
files=$kernels/$kernel

run=$(mktemp -d /tmp/apus-vm.XXXXXX) || fail 'no temporary folder'
machine=
cleanup() {
	[ -z "$machine" ] || kill -KILL "$machine" 2>/dev/null
	rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# The first root: busybox, the modules that the real one needs, and scripts/vm-init.sh.
first_root() {
	local root=$run/first module path
	mkdir -p "$root"/{bin,modules,proc,sys,dev,new}
	cp "$(command -v busybox)" "$root/bin/busybox"
	for module in virtio_pci 9p 9pnet_virtio overlay ${forward:+virtio_net}; do
		modprobe --dirname "$run/lib" --set-version "$kernel" --show-depends "$module" 2>/dev/null
	done | while read -r verb path _; do
		# What is built in needs no file.
		[ "$verb" = insmod ] || continue
		grep -qsx "${path##*/}" "$root/modules/order" && continue
		cp "$path" "$root/modules/"
		echo "${path##*/}" >>"$root/modules/order"
	done
	install -m 755 "$here/scripts/vm-init.sh" "$root/init"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$run/initrd" || fail 'no first root'
	rm -rf "$root"
}

# The command, as a script that the machine runs.
command_script() {
	local name
	printf 'cd %q || exit 125\n' "$PWD"
	for name in PATH HOME LANG $(compgen -e | grep '^APUS' || true); do
		[ -z "${!name+set}" ] || printf 'export %s=%q\n' "$name" "${!name}"
	done
	for name in ${environment[@]+"${environment[@]}"}; do printf 'export %q\n' "$name"; done
	printf 'exec'
	printf ' %q' "$@"
	printf '\n'
}

mkdir -p "$run/lib/lib" "$run/exchange"
ln -s "$files/modules" "$run/lib/lib/modules"
first_root
command_script "$@" >"$run/exchange/command"
echo "$files/modules" >"$run/exchange/modules"

if [ -n "$numa" ]; then
	# The nodes are of one size, and each of whole huge pages.
	node_memory=$(($(numfmt --from=iec "$memory") / numa / 2097152 * 2))
	memory=$((node_memory * numa))M
fi
arguments=(-nodefaults -nographic -no-reboot -accel tcg,thread=multi -cpu "$cpu" -m "$memory" -smp "$smp")
if [ -n "$forward" ]; then
	arguments+=(-netdev "user,id=network,hostfwd=tcp:127.0.0.1:$forward-:$forward")
	# Nothing is started from it.
	arguments+=(-device virtio-net-pci,netdev=network,romfile=)
else
	arguments+=(-nic none)
fi
share() { # TAG FOLDER OPTIONS
	arguments+=(-fsdev "local,id=$1,path=$2,security_model=passthrough,multidevs=remap$3")
	arguments+=(-device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}
share root / ,readonly=on
share exchange "$run/exchange" ''
for index in ${shares[@]+"${!shares[@]}"}; do
	share "share$index" "${shares[$index]}" ''
	echo "share$index ${shares[$index]}" >>"$run/exchange/shares"
done
if [ -n "$numa" ]; then
	for ((node = 0; node < numa; node++)); do
		arguments+=(-object "memory-backend-ram,id=memory$node,size=${node_memory}M")
		processors=''
		for ((number = node; number < smp; number += numa)); do processors+=",cpus=$number"; done
		arguments+=(-numa "node,nodeid=$node,memdev=memory$node$processors")
	done
fi
# The kernel speaks at the first serial line, the command at the second.
arguments+=(-kernel "$files/vmlinuz" -initrd "$run/initrd")
arguments+=(-append "console=ttyS0 quiet loglevel=4 panic=-1 rdinit=/init $append")
arguments+=(-serial "file:$run/console" -serial "file:$run/exchange-output")

: >"$run/exchange-output"
qemu-system-x86_64 "${arguments[@]}" </dev/null >"$run/emulator" 2>&1 &
machine=$!
tail --pid="$machine" --follow --bytes=+1 "$run/exchange-output" 2>/dev/null &
reader=$!
begun=$SECONDS expired=
while kill -0 "$machine" 2>/dev/null; do
	if [ $((SECONDS - begun)) -ge "$timeout" ]; then
		expired=yes
		kill -KILL "$machine"
		break
	fi
	sleep 0.3
done
wait "$machine" 2>/dev/null
machine=
wait "$reader"

[ -z "$console" ] || cp "$run/console" "$console"
if [ -n "$expired" ]; then
	echo "vm.sh: the time of $timeout s is over" >&2
	exit 124
fi
if ! [ -s "$run/exchange/status" ]; then
	cat "$run/emulator" "$run/console" >&2
	fail 'the machine ended without a status of the command'
fi
exit "$(cat "$run/exchange/status")"
