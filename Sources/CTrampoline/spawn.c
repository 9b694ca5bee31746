// Making the first process of a restore, and one that a dump needs beside it. This is C because of what may run between
// clone3(2) and execveat(2) in a copy of a program with a runtime of its own: system calls, and nothing else.
#define _GNU_SOURCE
#include "CTrampoline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLONE_PARENT_FLAG 0x8000u

struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

int apus_spawn_husk(int husk, int pid, uint64_t flags)
{
	static char *const arguments[] = {"apus-husk", NULL};
	static char *const environment[] = {NULL};
	int wanted = pid;
	struct clone_arguments clone = {
		.flags = flags,
		// With CLONE_PARENT the child has the exit signal of its maker, and clone3 wants none named.
		.exit_signal = flags & CLONE_PARENT_FLAG ? 0 : SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&wanted,
		.set_tid_size = 1,
	};
	sigset_t all, before;
	long result;

	// The husk keeps this mask: no signal reaches it while it has no handlers yet.
	sigfillset(&all);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
	result = syscall(SYS_clone3, &clone, sizeof(clone));
	if (result == 0) {
		syscall(SYS_execveat, husk, "", arguments, environment, AT_EMPTY_PATH);
		syscall(SYS_exit_group, 127);
	}
	if (result < 0)
		result = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	return (int)result;
}

int apus_spawn_bystander(int file, int lifeline, uint32_t user, uint32_t group)
{
	static char *const arguments[] = {"apus-bystander", NULL};
	static char *const environment[] = {NULL};
	sigset_t all, before;
	long result;

	sigfillset(&all);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
	result = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (result == 0) {
		// The change of user makes this copy of Apus' memory inaccessible to that user; the program that follows has
		// none of it. A user that it is already needs no right.
		syscall(SYS_setgroups, 0, NULL);
		if (syscall(SYS_setresgid, group, group, group) == 0 && syscall(SYS_setresuid, user, user, user) == 0 &&
		    syscall(SYS_dup3, lifeline, 0, 0) == 0 && syscall(SYS_close_range, 1, file - 1, 0) == 0 &&
		    syscall(SYS_close_range, file + 1, ~0u, 0) == 0)
			syscall(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH);
		syscall(SYS_exit_group, 127);
	}
	if (result < 0)
		result = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	return (int)result;
}
