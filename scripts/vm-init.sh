#!/bin/busybox sh
# The init of the virtual machine of scripts/vm.sh: first in its first root, then, as the same process, in the real one.
busybox() { /bin/busybox "$@"; }
stop() {
	busybox sync
	busybox reboot -f
}
give_up() {
	echo "vm-init: $*"
	stop
}
nine=trans=virtio,version=9p2000.L,msize=512000

busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs dev /dev
while read -r module; do busybox insmod "/modules/$module" || give_up "no module $module"; done </modules/order

# The host's root cannot be written to; what is written goes to memory.
busybox mkdir -p /lower /upper
busybox mount -t tmpfs -o mode=755 upper /upper
busybox mkdir /upper/files /upper/work
busybox mount -t 9p -o "$nine,ro,cache=loose" root /lower || give_up 'no root'
busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /new || give_up 'no overlay'

cd /new || give_up 'no root'
for folder in tmp run var/tmp dev/shm; do busybox mkdir -p "$folder"; done
busybox mount --move /proc proc
busybox mount --move /sys sys
busybox mount --move /dev dev
busybox mount -t tmpfs -o mode=1777 tmp tmp
busybox mount -t tmpfs -o mode=1777 tmp var/tmp
busybox mount -t tmpfs -o mode=755 run run
busybox mkdir -p dev/pts dev/shm dev/mqueue run/vm run/lock
busybox mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
busybox mount -t tmpfs -o mode=1777 shm dev/shm
busybox mount -t mqueue mqueue dev/mqueue
busybox mount -t securityfs securityfs sys/kernel/security
busybox mount -t cgroup2 cgroup2 sys/fs/cgroup
busybox ln -sf /proc/self/fd dev/fd
for number in 0:stdin 1:stdout 2:stderr; do busybox ln -sf "/proc/self/fd/${number%:*}" "dev/${number#*:}"; done
busybox mount -t 9p -o "$nine,cache=none" exchange run/vm || give_up 'no exchange'
if [ -e run/vm/shares ]; then
	while read -r tag folder; do
		busybox mkdir -p ".$folder"
		busybox mount -t 9p -o "$nine,cache=mmap" "$tag" ".$folder" || give_up "no $folder"
	done <run/vm/shares
fi
# So that the kernel finds the modules that it wants.
busybox mkdir -p lib/modules
busybox mount --bind ".$(busybox cat run/vm/modules)" lib/modules
busybox ip link set lo up
if [ -e sys/class/net/eth0 ]; then
	busybox ip address add 10.0.2.15/24 dev eth0
	busybox ip link set eth0 up
fi
busybox hostname vm

# The second life of this process: it waits for the command, and for all who have lost their parents.
busybox cat >run/vm/init <<'TEXT'
stty raw -echo </dev/ttyS1
setsid bash /run/vm/command </dev/null >/dev/ttyS1 2>&1 &
command=$!
wait $command
echo $? >/run/vm/status
# What is on its way through the serial line.
sleep 0.2
sync
echo b >/proc/sysrq-trigger
sleep 10
TEXT
exec /bin/busybox switch_root /new /bin/bash /run/vm/init
