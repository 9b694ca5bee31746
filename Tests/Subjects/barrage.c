/*
 * barrage.c: counts the real-time signals that it gets, and whether they come in their order: none lost, none twice.
 * barrage.c send PID COUNT: sends them, each with its number, and at last how many there were.
 */
#include "subject.h"

#define NUMBERED (SIGRTMIN + 3)
#define TOTAL (SIGRTMIN + 4)

static volatile int received, astray, total = -1;

static void on_number(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (number == TOTAL)
		total = info->si_value.sival_int;
	else if (info->si_value.sival_int != received++)
		astray++;
}

static void check(void)
{
	/* On a busy machine the last of them take their time: as long as some come, more are waited for. */
	for (int i = 0, seen = -1; i < 5000 && received != total; i++) {
		if (seen != received)
			i = 0;
		seen = received;
		usleep(1000);
	}
	CHECK(total > 0, "the sender has not come to its end");
	CHECK(received == total, "%d signals came of %d", received, total);
	CHECK(!astray, "%d came out of their order", astray);
}

static int send(pid_t pid, int count)
{
	for (int i = 0; i <= count; i++) {
		union sigval value = { .sival_int = i };
		while (sigqueue(pid, i < count ? NUMBERED : TOTAL, value)) {
			if (errno != EAGAIN)
				return 1;
			usleep(200);
		}
		if (i % 16 == 0)
			usleep(500);
	}
	say("sent");
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_number, .sa_flags = SA_SIGINFO | SA_RESTART };

	if (argc == 4)
		return send(atoi(argv[2]), atoi(argv[3]));
	subject_begin();
	sigaction(NUMBERED, &action, NULL);
	sigaction(TOTAL, &action, NULL);
	subject_rounds(check);
}
