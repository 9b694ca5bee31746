/*
 * Children that are stopped by each signal of job control, each in a process group of its own: their parent is told by
 * which, they can be continued, and stopped again. One has two threads.
 *
 * stops.c [single]: without that one.
 */
#include "subject.h"
#include <pthread.h>
#include <stdatomic.h>

static struct {
	int signal;
	pid_t pid;
} stopped[] = { { SIGSTOP, 0 }, { SIGTSTP, 0 }, { SIGTTIN, 0 }, { SIGTTOU, 0 }, { SIGTSTP, 0 } };
#define COUNT (int)(sizeof(stopped) / sizeof(stopped[0]))
static int count = COUNT;

static atomic_int begun;

static void *wait_for_ever(void *unused)
{
	begun = 1;
	for (;;)
		pause();
	return unused;
}

static void stop(int i)
{
	siginfo_t info;

	CHECK(kill(stopped[i].pid, stopped[i].signal) == 0, "signal %d is not sent", stopped[i].signal);
	CHECK(waitid(P_PID, (id_t)stopped[i].pid, &info, WSTOPPED | WNOWAIT) == 0 && info.si_status == stopped[i].signal,
	      "child %d is not stopped", i);
}

static void check(void)
{
	for (int i = 0; i < count; i++) {
		siginfo_t info = { 0 };

		CHECK(waitid(P_PID, (id_t)stopped[i].pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == stopped[i].pid,
		      "child %d is not stopped", i);
		CHECK(info.si_code == CLD_STOPPED && info.si_status == stopped[i].signal, "child %d: stopped by %d instead of %d",
		      i, info.si_status, stopped[i].signal);
		CHECK(getpgid(stopped[i].pid) == stopped[i].pid, "child %d: its group", i);
		/* Once is enough to go on, whatever stopped it. */
		info.si_pid = 0;
		CHECK(kill(stopped[i].pid, SIGCONT) == 0, "child %d", i);
		for (int tries = 0; tries < 3000 && info.si_pid == 0; tries++) {
			if (waitid(P_PID, (id_t)stopped[i].pid, &info, WCONTINUED | WNOHANG) != 0)
				break;
			usleep(1000);
		}
		CHECK(info.si_code == CLD_CONTINUED, "child %d does not go on", i);
		usleep(2000);
		CHECK(waitid(P_PID, (id_t)stopped[i].pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0,
		      "child %d is stopped again", i);
		stop(i);
	}
}

int main(int argc, char **argv)
{
	subject_begin();
	if (argc > 1 && !strcmp(argv[1], "single"))
		count--;
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		NEED(pid >= 0);
		if (pid == 0) {
			pthread_t thread;

			setpgid(0, 0);
			/* A thread that is stopped before it has begun has all its signals blocked, and not after. */
			if (i == COUNT - 1) {
				NEED(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
				while (!begun)
					usleep(1000);
			}
			child_is_ready();
			wait_for_ever(NULL);
		}
		stopped[i].pid = pid;
		need_child(pid);
		stop(i);
	}
	subject_rounds(check);
}
