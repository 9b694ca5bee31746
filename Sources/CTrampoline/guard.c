// The guard of TCP connections: a copy of Apus that waits for its end. This is C because a copy of a program with a
// runtime of its own may make system calls, and nothing else.
#define _GNU_SOURCE
#include "CTrampoline.h"

#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// linux/tcp.h: the mode, and its values.
#define REPAIR 19
#define REPAIR_ON 1
#define REPAIR_OFF 0

#define LEVEL_TCP 6

static void set(int socket, int level, int option, int value)
{
	syscall(SYS_setsockopt, socket, level, option, &value, sizeof(value));
}

static void leave(const struct apus_guarded *one)
{
	set(one->socket, LEVEL_TCP, REPAIR, REPAIR_OFF);
	// The kernel has cleared it together with the mode.
	if (one->shares_address)
		set(one->socket, SOL_SOCKET, SO_REUSEADDR, 1);
}

static void close_all_but(const int32_t *kept, size_t count)
{
	unsigned first = 0;

	for (size_t i = 0; i < count; i++) {
		if ((unsigned)kept[i] > first)
			syscall(SYS_close_range, first, kept[i] - 1, 0);
		first = kept[i] + 1;
	}
	syscall(SYS_close_range, first, ~0u, 0);
}

static void send_to_filter(const uint8_t *message, size_t length)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	long socket = syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	if (socket >= 0)
		syscall(SYS_sendto, socket, message, length, 0, &kernel, sizeof(kernel));
}

static void watch(const struct apus_guard *guard)
{
	char byte;
	long got;
	unsigned outcome, actions;

	close_all_but(guard->kept, guard->kept_count);
	do
		got = syscall(SYS_read, guard->lifeline, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got == 0) {
		outcome = __atomic_load_n(guard->outcome, __ATOMIC_ACQUIRE) != 0;
		actions = guard->actions[outcome];
		if (actions & APUS_GUARD_KILLS)
			for (size_t i = 0; i < guard->victim_count; i++)
				syscall(SYS_pidfd_send_signal, guard->victims[i], SIGKILL, 0, 0);
		if (actions & APUS_GUARD_LEAVES_CURRENT) {
			uint32_t current = __atomic_load_n(guard->current, __ATOMIC_ACQUIRE);

			if (current > 0 && current <= guard->socket_count)
				leave(&guard->sockets[current - 1]);
		}
		for (size_t i = 0; i < guard->socket_count; i++) {
			if (actions & APUS_GUARD_ENTERS)
				set(guard->sockets[i].socket, LEVEL_TCP, REPAIR, REPAIR_ON);
			if (actions & APUS_GUARD_LEAVES)
				leave(&guard->sockets[i]);
		}
		if (guard->length[outcome])
			send_to_filter(guard->message[outcome], guard->length[outcome]);
	}
	syscall(SYS_exit_group, 0);
}

int apus_start_guard(const struct apus_guard *guard)
{
	sigset_t all, before;
	long result;

	sigfillset(&all);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
	result = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (result == 0)
		watch(guard);
	if (result < 0)
		result = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	return (int)result;
}
