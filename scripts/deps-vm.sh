#!/bin/bash
# Gets what scripts/vm.sh needs: an emulator and the kernel of Debian, unpacked into .build/vm/VERSION and not installed;
# and CRIU, which CriuInteropTests compares with in that machine.
# deps-vm.sh [PACKAGE]: another kernel than that of Debian's linux-image-amd64, such as linux-image-6.12-amd64.
set -eu
cd "$(dirname "$0")/.."
package=${1:-linux-image-amd64}
cache=.build/vm

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
# Without it these tests are skipped. Not every release of Debian has it.
if ! command -v criu >/dev/null && [ "$(id -u)" = 0 ]; then
	echo 'installing for CriuInteropTests: criu'
	apt-get update -qq || true
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends criu ||
		echo 'criu could not be installed; its tests are skipped' >&2
fi

# linux-image-amd64 is but a name for the newest.
image=$package
for _ in 1 2; do
	next=$(apt-cache depends "$image" 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }')
	[ -n "$next" ] || break
	image=$next
done
version=${image#linux-image-}
if [ -e "$cache/$version/ready" ]; then exit 0; fi

echo "getting $image"
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$image")
dpkg-deb --extract "$work"/linux-image-*.deb "$work/root"
depmod --basedir "$work/root" "$version"
rm -rf "${cache:?}/$version"
mkdir "$cache/$version"
mv "$work/root/boot/vmlinuz-$version" "$cache/$version/vmlinuz"
mv "$work/root/lib/modules" "$cache/$version/modules"
: >"$cache/$version/ready"
echo "unpacked $image to $cache/$version"
