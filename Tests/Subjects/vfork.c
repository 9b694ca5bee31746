/*
 * vfork.c MS [others]: a parent that waits, unkillably, for its vfork child to exit: it is nearly always in the kernel when
 * the dump comes. "others": it has a forked child, and one that shares its memory, from before.
 */
#include "subject.h"
#include <sched.h>

static volatile unsigned long counted;

static int count_for_ever(void *unused)
{
	struct timespec a_moment = { .tv_nsec = 1000000 };

	(void)unused;
	for (;;) {
		counted++;
		syscall(SYS_nanosleep, &a_moment, NULL);
	}
	return 0;
}

static void make_others(void)
{
	static char stack[64 << 10] __attribute__((aligned(64)));

	if (fork() == 0)
		for (;;)
			pause();
	NEED(clone(count_for_ever, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) > 0);
}

int main(int argc, char **argv)
{
	long milliseconds = argc >= 2 ? atol(argv[1]) : 0;
	struct timespec a_while = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	NEED(milliseconds > 0);
	subject_begin();
	if (argc == 3)
		make_others();
	say("ready");
	for (;;) {
		sigset_t set = set_of(SIGUSR1, 0);
		siginfo_t info;
		int status;
		/* The child shares the memory of the parent until it exits. */
		pid_t pid = vfork();

		if (pid == 0) {
			nanosleep(&a_while, NULL);
			_exit(5);
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5, "the vfork child");
		if (argc == 3) {
			unsigned long before = counted;

			for (int i = 0; i < 5000 && counted == before; i++)
				usleep(1000);
			CHECK(counted > before, "the one that shares the memory does not run");
		}
		if (sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGUSR1) {
			say(failures ? "BAD" : "OK");
			failures = 0;
		}
	}
}
