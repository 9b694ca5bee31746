/* crowd.c COUNT: so many threads, each with thread-local memory, a name and a mask of its own, all waiting for their turn. */
#include "subject.h"
#include <linux/futex.h>
#include <pthread.h>

static __thread uint64_t local;
static struct member {
	pthread_t handle;
	volatile pid_t id;
} *members;
static int count;
static volatile int turn, answered, wrong;

static void *body(void *argument)
{
	struct member *self = argument;
	int number = self - members, seen = 0;
	char name[16], now[16];
	sigset_t mask = set_of(SIGUSR1, ANSWER, SIGRTMIN + 8 + number % 20, 0), got;

	self->id = gettid();
	local = number * 2654435761u;
	snprintf(name, sizeof(name), "member %d", number);
	prctl(PR_SET_NAME, name);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	__atomic_add_fetch(&answered, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		while (turn == seen)
			syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
		seen = turn;
		prctl(PR_GET_NAME, now);
		pthread_sigmask(SIG_SETMASK, NULL, &got);
		if (local != number * 2654435761u || gettid() != self->id || strcmp(name, now) || memcmp(&mask, &got, 8))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&answered, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void wait_for_all(void)
{
	for (int n = 0; n < 15000 && answered < count; n++)
		usleep(1000);
}

static void check(void)
{
	answered = wrong = 0;
	turn++;
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
	wait_for_all();
	CHECK(answered == count, "%d of %d threads answered", answered, count);
	CHECK(wrong == 0, "%d threads have changed", wrong);
}

int main(int argc, char **argv)
{
	pthread_attr_t attributes;

	subject_begin();
	count = argc > 1 ? atoi(argv[1]) : 1000;
	members = calloc(count, sizeof(*members));
	pthread_attr_init(&attributes);
	NEED(members && pthread_attr_setstacksize(&attributes, 32768) == 0);
	for (int i = 0; i < count; i++)
		NEED(pthread_create(&members[i].handle, &attributes, body, &members[i]) == 0);
	wait_for_all();
	NEED(answered == count);
	subject_rounds(check);
}
