/* A parent that waits, unkillably, for its vfork child to exit: it is nearly always in the kernel when the dump comes. */
#include "subject.h"

int main(void)
{
	struct timespec a_while = { 0, 100000000 };

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
