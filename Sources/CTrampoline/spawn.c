// Making the first process of a restore. This is C because of what may run between clone3(2) and execveat(2) in a
// copy of a program with a runtime of its own: two system calls, and nothing else.
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
