/*
 * sleeper.c MILLISECONDS: sleeps, and says "slept", or how much was left when a signal ended it. The place for the rest is
 * another than that of the time.
 */
#include "subject.h"

static void on_signal(int number) { (void)number; }

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct timespec asked, left = { 0 };
	long time;

	NEED(argc == 2);
	sigaction(SIGUSR1, &action, NULL);
	time = atol(argv[1]);
	asked = (struct timespec){ time / 1000, time % 1000 * 1000000 };
	say("ready");
	if (nanosleep(&asked, &left) == 0)
		say("slept");
	else
		say("%s left %ld", errno == EINTR ? "interrupted" : "failed", left.tv_sec * 1000 + left.tv_nsec / 1000000);
	pause();
}
