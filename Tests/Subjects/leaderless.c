/* leaderless.c: the first thread has ended (pthread_exit in main), others live on, with a child that fears for its parent. */
#include "subject.h"
#include <pthread.h>
#include <sys/resource.h>

static pthread_t handles[3];
static volatile pid_t ids[3];
static volatile int turn, answered;
static pid_t child;
static int channel[2];
static timer_t timer;

static char state_of_leader(void)
{
	char path[64], line[512] = "";
	int fd, n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n < 0 ? 0 : n] = 0;
	return strrchr(line, ')') ? strrchr(line, ')')[2] : '-';
}

static void check_child(void)
{
	int signal_number = 0;

	CHECK(prctl(PR_GET_PDEATHSIG, &signal_number) == 0 && signal_number == SIGTERM, "child: death signal %d", signal_number);
}

static void check(void)
{
	struct itimerspec left;
	char text[8] = "";

	CHECK(state_of_leader() == 'Z', "the first thread is in state %c", state_of_leader());
	CHECK(gettid() == ids[0], "thread id %d, not %d", gettid(), ids[0]);
	answered = 0;
	turn++;
	for (int n = 0; n < 5000 && answered < 2; n++)
		usleep(1000);
	CHECK(answered == 2, "%d of 2 threads answered", answered);
	ask_child(child, "child");
	CHECK(write(channel[1], "abc", 4) == 4 && read(channel[0], text, 4) == 4 && !strcmp(text, "abc"), "pipe");
	CHECK(timer_gettime(timer, &left) == 0 && left.it_value.tv_sec > 1000, "timer");
	CHECK(umask(0137) == 0137, "umask");
}

static void *other(void *argument)
{
	int number = (int)(intptr_t)argument, seen = 0;

	prctl(PR_SET_NAME, number == 1 ? "one" : "two");
	ids[number] = gettid();
	for (;;) {
		while (turn == seen)
			usleep(2000);
		seen = turn;
		if (gettid() == ids[number])
			__atomic_add_fetch(&answered, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void *speaker(void *argument)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };

	(void)argument;
	ids[0] = gettid();
	prctl(PR_SET_NAME, "speaker");
	while (state_of_leader() != 'Z' || !ids[1] || !ids[2])
		usleep(1000);
	NEED(pipe(channel) == 0);
	NEED(timer_create(CLOCK_MONOTONIC, &none, &timer) == 0);
	NEED(timer_settime(timer, 0, &(struct itimerspec){ .it_value.tv_sec = 100000 }, NULL) == 0);
	umask(0137);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	subject_rounds(check);
	return NULL;
}

int main(void)
{
	subject_begin();
	NEED(pthread_create(&handles[1], NULL, other, (void *)1) == 0);
	NEED(pthread_create(&handles[2], NULL, other, (void *)2) == 0);
	NEED(pthread_create(&handles[0], NULL, speaker, NULL) == 0);
	pthread_exit(NULL);
}
