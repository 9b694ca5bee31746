/* vfork.c MS: a parent that waits, unkillably, for its vfork child to exit: it is nearly always in the kernel when the dump comes. */
#include "subject.h"

int main(int argc, char **argv)
{
	long milliseconds = argc == 2 ? atol(argv[1]) : 0;
	struct timespec a_while = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

	NEED(milliseconds > 0);
	subject_begin();
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
		if (sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGUSR1) {
			say(failures ? "BAD" : "OK");
			failures = 0;
		}
	}
}
