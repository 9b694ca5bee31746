#!/bin/bash
# Checks what the build and the tests need and installs what is missing, where that can be done.
set -eu

# What is called, and the Debian package that has it.
needs='
gcc gcc
ld binutils
make make
git git
tar tar
expr coreutils
unshare util-linux
nsenter util-linux
setsid util-linux
script bsdutils
pgrep procps
awk mawk
'
# Programs that some tests run; without one its test is skipped.
wishes='
python3 python3
perl perl-base
xz xz-utils
xxh128sum xxhash
age age
sqlite3 sqlite3
redis-server redis-server
nginx nginx-light
curl curl
ip iproute2
wrk wrk
memcached memcached
iperf3 iperf3
ssh openssh-client
/usr/sbin/sshd openssh-server
nft nftables
pg_ctlcluster postgresql
mariadbd mariadb-server
stress-ng stress-ng
rsync rsync
inotifywait inotify-tools
tmux tmux
screen screen
vim vim
less less
htop htop
debootstrap debootstrap
'
missing=
while read -r command package; do
	[ -n "$command" ] || continue
	command -v "$command" >/dev/null || missing="$missing $package"
done <<<"$needs"
# Some tests are of 32-bit programs.
if [ "$(uname -m)" = x86_64 ] && ! [ -e /usr/include/x86_64-linux-gnu/gnu/stubs-32.h ] && ! [ -e /usr/include/gnu/stubs-32.h ]; then
	missing="$missing gcc-multilib"
fi
# What bundles are compressed with.
[ -e /usr/include/zstd.h ] || missing="$missing libzstd-dev"
[ -e /usr/include/lz4frame.h ] || missing="$missing liblz4-dev"
# What images are compared with their manifest by.
[ -e /usr/include/xxhash.h ] || missing="$missing libxxhash-dev"
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
command -v g++ >/dev/null || ls /usr/lib/gcc/*/*/libstdc++.so >/dev/null 2>&1 || missing="$missing g++"

if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null; then
		echo "please install with your package manager:$missing" >&2
		exit 1
	fi
	sudo=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || { echo "please run as root: apt-get install$missing" >&2; exit 1; }
		sudo=sudo
	fi
	echo "installing:$missing"
	$sudo apt-get update -qq
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
fi

missing=
while read -r command package; do
	[ -n "$command" ] || continue
	command -v "$command" >/dev/null || missing="$missing $package"
done <<<"$wishes"
if [ -n "$missing" ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
	echo "installing for the tests of real programs:$missing"
	apt-get update -qq || true
	# RUNLEVEL keeps the packages from starting servers.
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing ||
		echo "some could not be installed; their tests are skipped" >&2
fi

if ! command -v "${SWIFT:-swift}" >/dev/null; then
	cat >&2 <<'TEXT'
There is no Swift toolchain. Install Swift 6.2 or newer and make sure that `swift` is in the PATH:
  https://www.swift.org/install/linux/     (swiftly, or the archive for your distribution)
The libraries that the toolchain itself needs on Debian:
  apt-get install binutils gcc g++ git libc6-dev libcurl4 libedit2 libsqlite3-0 libxml2 tzdata zlib1g-dev
TEXT
	exit 1
fi
