#!/bin/bash
# Gets what scripts/vm.sh needs: an emulator and a kernel of Debian, unpacked into APUS_KERNELS/VERSION and not installed
# (/var/cache/apus-hosts/kernels, or .build/vm where that cannot be written to); and CRIU, which CriuInteropTests
# compares with in that machine.
# deps-vm.sh [VERSION|PACKAGE]: another kernel than that of Debian's linux-image-amd64, such as 6.12 (the newest of its
# packages) or linux-image-6.12-amd64. What the package sources of this machine do not have comes from Debian 12.
set -eu
cd "$(dirname "$0")/.."
package=${1:-linux-image-amd64}
cache=$(scripts/kernels.sh)
mirror=${APUS_HOSTS_MIRROR:-http://deb.debian.org/debian}

# What is called, and the Debian package that has it.
needs='
qemu-system-x86_64 qemu-system-x86
busybox busybox-static
modprobe kmod
dpkg-deb dpkg
'
missing=
while read -r command name; do
	[ -n "$command" ] || continue
	command -v "$command" >/dev/null || missing="$missing $name"
done <<<"$needs"
# A busybox with libraries would be of no use in the first root.
if command -v busybox >/dev/null && ldd "$(command -v busybox)" >/dev/null 2>&1; then missing="$missing busybox-static"; fi
command -v apt-get >/dev/null || { echo 'scripts/deps-vm.sh gets the kernel from a Debian archive, with apt-get' >&2; exit 1; }
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || { echo "please run as root: apt-get install$missing" >&2; exit 1; }
	echo "installing:$missing"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
fi
# Without it these tests are skipped. Not every release of Debian has it. CRIU holds connections off with iptables, and
# the tests remove what it and Apus leave of that.
if ! { command -v criu && command -v iptables-restore && command -v nft; } >/dev/null && [ "$(id -u)" = 0 ]; then
	echo 'installing for CriuInteropTests: criu iptables nftables'
	apt-get update -qq || true
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends criu iptables nftables ||
		echo 'criu could not be installed; its tests are skipped' >&2
fi

case $package in
[0-9]*) if compgen -G "$cache/$package[.-]*/ready" >/dev/null; then exit 0; fi ;;
esac

sources=()
# The package of a kernel, empty where there is none. linux-image-amd64 is but a name for the newest.
image_of() {
	local image=$1 next
	case $image in
	[0-9]*)
		apt-cache "${sources[@]}" pkgnames "linux-image-$image" 2>/dev/null |
			grep -xE "linux-image-${image//./[.]}[.][0-9.+-]*(deb[0-9.+a-z]*-)?amd64" | sort -V | tail -n 1
		return
		;;
	esac
	for _ in 1 2; do
		next=$(apt-cache "${sources[@]}" depends "$image" 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')
		[ -n "$next" ] || break
		image=$next
	done
	if [ -n "$(apt-cache "${sources[@]}" pkgnames "$image" 2>/dev/null | grep -xF "$image")" ]; then echo "$image"; fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
image=$(image_of "$package")
if [ -z "$image" ]; then
	# Lists of its own: those of this machine stay as they are.
	mkdir -p "$work/lists/partial" "$work/archives/partial"
	printf 'deb %s %s main\n' "$mirror" bookworm "$mirror" bookworm-backports >"$work/sources.list"
	sources=(-o Dir::State::Lists="$work/lists" -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::Cache::Archives="$work/archives" -o Dir::Cache::PkgCache= -o Dir::Cache::SrcPkgCache= -o APT::Sandbox::User=root)
	apt-get "${sources[@]}" update -qq
	image=$(image_of "$package")
fi
[ -n "$image" ] || { echo "no kernel $package is found in Debian's archive" >&2; exit 1; }
version=${image#linux-image-}
if [ -e "$cache/$version/ready" ]; then exit 0; fi

echo "getting $image"
(cd "$work" && apt-get "${sources[@]}" download -qq -o APT::Sandbox::User=root "$image")
dpkg-deb --extract "$work"/linux-image-*.deb "$work/root"
depmod --basedir "$work/root" "$version"
rm -rf "${cache:?}/$version"
mkdir -p "$cache/$version"
mv "$work/root/boot/vmlinuz-$version" "$cache/$version/vmlinuz"
mv "$work/root/lib/modules" "$cache/$version/modules"
: >"$cache/$version/ready"
echo "unpacked $image to $cache/$version"
