/*
 * sleeper.c MILLISECONDS [CALL]: waits in a system call, and says "slept", or how much was left when a signal ended it. The
 * place for the rest is another than that of the time. CALL is one of nanosleep, clock_nanosleep, poll and futex, made without
 * asking for the rest, by instructions of its own, after which no register may have changed but those that the kernel changes.
 */
#include "subject.h"
#include <linux/futex.h>
#include <poll.h>

static void on_signal(int number) { (void)number; }

#define MAKE(name)                                                                                   \
	do {                                                                                         \
		register long r10 asm("r10") = given[3];                                             \
		asm volatile("mov %[number], %%eax\n\tsyscall"                                       \
			     : "=a"(result), "+D"(now[0]), "+S"(now[1]), "+d"(now[2]), "+r"(r10)     \
			     : [number] "i"(SYS_##name)                                              \
			     : "rcx", "r11", "memory");                                              \
		now[3] = r10;                                                                        \
	} while (0)

static void wait_in(const char *call, long time, struct timespec *asked)
{
	static int word;
	struct pollfd one = { .events = POLLIN };
	int ends[2];
	long given[4] = { 0 }, now[4], result, expected = 0;

	NEED(pipe(ends) == 0);
	one.fd = ends[0];
	if (!strcmp(call, "nanosleep"))
		given[0] = (long)asked;
	else if (!strcmp(call, "clock_nanosleep"))
		given[0] = CLOCK_MONOTONIC, given[2] = (long)asked;
	else if (!strcmp(call, "poll"))
		given[0] = (long)&one, given[1] = 1, given[2] = time;
	else
		given[0] = (long)&word, given[1] = FUTEX_WAIT_PRIVATE, given[3] = (long)asked, expected = -ETIMEDOUT;
	memcpy(now, given, sizeof(now));
	say("ready");
	if (!strcmp(call, "nanosleep"))
		MAKE(nanosleep);
	else if (!strcmp(call, "clock_nanosleep"))
		MAKE(clock_nanosleep);
	else if (!strcmp(call, "poll"))
		MAKE(poll);
	else
		MAKE(futex);
	if (memcmp(now, given, sizeof(now)))
		say("registers have changed");
	say(result == expected ? "slept" : result == -EINTR ? "interrupted" : "failed");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct timespec asked, left = { 0 };
	long time;

	NEED(argc == 2 || argc == 3);
	sigaction(SIGUSR1, &action, NULL);
	time = atol(argv[1]);
	asked = (struct timespec){ time / 1000, time % 1000 * 1000000 };
	if (argc == 3) {
		wait_in(argv[2], time, &asked);
		for (;;)
			pause();
	}
	say("ready");
	if (nanosleep(&asked, &left) == 0)
		say("slept");
	else
		say("%s left %ld", errno == EINTR ? "interrupted" : "failed", left.tv_sec * 1000 + left.tv_nsec / 1000000);
	pause();
}
