#!/bin/bash
# Two hosts on this machine: each has its own root file system, of different releases of Debian, its own network, pids,
# mounts, name and sshd. They are joined by a cable (veth), know each other as `one` and `two`, and root of each may log
# in to the other. The folder /shared is one on both. As root:
#
#   hosts.sh up FOLDER [RELEASE RELEASE]    make them; FOLDER is made, too (bookworm and trixie if nothing is said)
#   hosts.sh run FOLDER one|two COMMAND...  run something there; its input, output and status are passed on
#   hosts.sh down FOLDER                    end all that runs there, and remove FOLDER
#
# Root file systems are made by debootstrap(8) once, which needs the network and a minute for each, and kept below
# APUS_HOSTS (/var/cache/apus-hosts). Every host gets a copy. APUS names the program that they get (.build/apus), and
# APUS_HOSTS_PACKAGES more packages of Debian, with commas.
# Status 77 says that the hosts cannot be made here, for want of something that stands in the message.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cache=${APUS_HOSTS:-/var/cache/apus-hosts}
mirror=${APUS_HOSTS_MIRROR:-http://deb.debian.org/debian}
packages=openssh-server,openssh-client,iproute2,procps,python3,python3-numpy,perl,locales,zstd${APUS_HOSTS_PACKAGES:+,$APUS_HOSTS_PACKAGES}
locale=en_US.UTF-8

# What the caller has open besides would lead out of the hosts.
for descriptor in /proc/self/fd/*; do
	descriptor=${descriptor##*/}
	[ "$descriptor" -le 2 ] || [ "$descriptor" = 255 ] || eval "exec $descriptor>&-"
done

cannot() { echo "the hosts cannot be made: $*" >&2; exit 77; }

# The root file system of a release, made if need be; prints where it is.
base() {
	local release=$1 place
	place=$cache/$release-$(cksum <<<"$packages $locale" | cut -d' ' -f1)
	if [ -e "$place" ]; then echo "$place"; return; fi
	command -v debootstrap >/dev/null || cannot 'debootstrap is missing'
	echo "making a root file system of $release in $place" >&2
	rm -rf "$place.new"
	if ! debootstrap --variant=minbase --include="$packages" "$release" "$place.new" "$mirror" >"$place.log" 2>&1; then
		tail -n 3 "$place.log" >&2
		cannot "debootstrap of $release has failed, see $place.log"
	fi
	# In the archive, as libc-bin has it on most installed systems: the file whose size differs between any two hosts.
	chroot "$place.new" localedef -i "${locale%.*}" -f "${locale#*.}" "$locale" >&2
	rm -rf "$place.new"/var/cache/apt/archives/*.deb "$place.new"/var/lib/apt/lists/*
	mv "$place.new" "$place"
	echo "$place"
}

# Puts Apus into a root, with the libraries that it is linked to where it is no static one.
equip() {
	local root=$1 library
	install -D -m 0755 "$apus" "$root/usr/local/bin/apus"
	for library in $(ldd "$apus" 2>/dev/null | awk '$3 ~ /^\// { print $3 }'); do
		[ -e "$root$library" ] || install -D -m 0755 "$library" "$root$library"
	done
}

# Makes one host and waits until its sshd is there.
lift() {
	local name=$1 address=$2 base=$3 pids=$4 place=$folder/$1 root=$folder/$1/root
	mkdir -p "$place"
	cp -a --reflink=auto "$base" "$root"
	equip "$root"
	mkdir -p "$root/root/.ssh" "$root/.old" "$root/shared"
	cp "$folder/key" "$root/root/.ssh/id_ed25519"
	cp "$folder/key.pub" "$root/root/.ssh/authorized_keys"
	printf 'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' >"$root/root/.ssh/config"
	chmod -R go= "$root/root/.ssh"
	echo "$name" >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n10.87.0.1 one\n10.87.0.2 two\n' >"$root/etc/hosts"
	# A bash as init: it waits for whoever has lost its parent. Pids begin elsewhere on each host, so that those of a
	# process that comes from the other are free.
	cat >"$root/init" <<-TEXT
		#!/bin/bash
		hostname $name
		ip link set lo up
		echo $pids >/proc/sys/kernel/ns_last_pid
		mkdir -p /run/sshd
		/usr/sbin/sshd -E /var/log/sshd.log
		touch /ready
		while true; do sleep 3600 & wait \$!; done
	TEXT
	setsid unshare --net --pid --mount --uts --ipc --fork --kill-child \
		bash "$here/scripts/hosts.sh" boot "$root" </dev/null >"$place/log" 2>&1 &
	echo $! >"$place/keeper"
	local patience=200
	until [ -e "$root/ready" ]; do
		patience=$((patience - 1))
		if [ $patience = 0 ] || ! kill -0 "$(cat "$place/keeper")" 2>/dev/null; then
			cat "$place/log" >&2
			cannot "host $name has not come up"
		fi
		sleep 0.1
	done
	cat "/proc/$(cat "$place/keeper")/task/$(cat "$place/keeper")/children" >"$place/init"
}

# The first process of a host, in its namespaces: gives itself its root and becomes its init.
boot() {
	local root=$1 name
	mount --make-rprivate /
	mount --bind "$root" "$root"
	mount --bind "$root/../../shared" "$root/shared"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t tmpfs tmpfs "$root/run"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
	mount -t tmpfs tmpfs "$root/dev/shm"
	mknod -m 666 "$root/dev/null" c 1 3
	mknod -m 666 "$root/dev/zero" c 1 5
	mknod -m 666 "$root/dev/full" c 1 7
	mknod -m 666 "$root/dev/random" c 1 8
	mknod -m 666 "$root/dev/urandom" c 1 9
	mknod -m 666 "$root/dev/tty" c 5 0
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	for name in in:0 out:1 err:2; do ln -s "/proc/self/fd/${name#*:}" "$root/dev/std${name%:*}"; done
	cd "$root"
	pivot_root . .old
	cd /
	umount -l /.old
	exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/bash /init
}

# Plugs the cable in.
connect() {
	local one two
	one=$(tr -d ' ' <"$folder/one/init")
	two=$(tr -d ' ' <"$folder/two/init")
	ip link add eth0 netns "$one" type veth peer name eth0 netns "$two"
	nsenter -t "$one" -n ip address add 10.87.0.1/24 dev eth0
	nsenter -t "$two" -n ip address add 10.87.0.2/24 dev eth0
	nsenter -t "$one" -n ip link set eth0 up
	nsenter -t "$two" -n ip link set eth0 up
}

up() {
	local first second
	[ "$(id -u)" = 0 ] || cannot 'it takes root'
	for tool in unshare nsenter pivot_root ip ssh-keygen; do
		command -v $tool >/dev/null || cannot "$tool is missing"
	done
	apus=${APUS:-$here/.build/apus}
	[ -x "$apus" ] || { echo "there is no $apus yet: make build" >&2; exit 1; }
	mkdir -p "$cache"
	exec 8>"$cache/lock"
	flock 8
	first=$(base "${1:-bookworm}")
	second=$(base "${2:-trixie}")
	exec 8>&-
	mkdir "$folder" "$folder/shared"
	trap down ERR EXIT
	ssh-keygen -q -t ed25519 -N '' -f "$folder/key"
	lift one 10.87.0.1 "$first" 1000
	lift two 10.87.0.2 "$second" 20000
	connect
	trap - ERR EXIT
}

enter() {
	local name=$1
	shift
	exec nsenter -t "$(tr -d ' ' <"$folder/$name/init")" -n -p -m -u -i -- env -i HOME=/root LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin env -C /root "$@"
}

down() {
	local place keeper
	trap - ERR EXIT
	for place in "$folder"/one "$folder"/two; do
		[ -e "$place/keeper" ] || continue
		keeper=$(cat "$place/keeper")
		# The namespace ends with its init, and that with its keeper.
		kill -KILL "$keeper" 2>/dev/null || true
		while [ -e "$place/init" ] && kill -0 "$(tr -d ' ' <"$place/init")" 2>/dev/null; do sleep 0.05; done
	done
	rm -rf --one-file-system "$folder"
}

verb=${1:-} folder=${2:-}
[ -n "$folder" ] || { sed -n '2,/^set/ s/^# \{0,1\}//p' "$0" >&2; exit 1; }
shift 2
case $verb in
up) up "$@" ;;
run) enter "$@" ;;
down) down ;;
boot) boot "$folder" ;;
*) echo "hosts.sh does not know '$verb'" >&2; exit 1 ;;
esac
