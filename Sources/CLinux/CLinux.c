// What has to be C because of what may run in a copy of a program with a runtime of its own: system calls, and nothing else.
#include "CLinux.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static void end_as(int end)
{
	struct {
		void (*handler)(int);
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} usual = {0, 0, 0, 0};
	const struct rlimit none = {0, 0};
	const int number = end & 0x7f;
	const uint64_t set = number ? 1ull << (number - 1) : 0;

	if (number) {
		// One that dumped core does not do so again.
		syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, 0);
		syscall(SYS_rt_sigaction, number, &usual, 0, 8);
		syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, 0, 8);
		syscall(SYS_kill, syscall(SYS_getpid), number);
	}
	syscall(SYS_exit_group, end >> 8 & 0xff);
}

int apus_placeholder(int pid, int end)
{
	int wanted = pid;
	struct clone_arguments clone = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&wanted,
		.set_tid_size = pid ? 1 : 0,
	};
	const uint64_t all = ~0ull;
	uint64_t before;
	const long parent = syscall(SYS_getpid);
	long result;

	if (!pid)
		clone.set_tid = 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
	result = syscall(SYS_clone3, &clone, sizeof(clone));
	if (result == 0) {
		syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
		if (syscall(SYS_getppid) != parent)
			syscall(SYS_exit_group, 1);
		if (end >= 0)
			end_as(end);
		for (;;)
			syscall(SYS_rt_sigsuspend, &all, 8);
	}
	if (result < 0)
		result = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, 8);
	return (int)result;
}
