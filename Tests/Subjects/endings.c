/*
 * Threads that end after the restore, and what the kernel does for them then: it clears the word by which they are
 * joined (set_tid_address(2)), marks the robust mutexes that they hold, and hands a mutex that inherits priorities to who
 * waits for it. Each check ends them and starts new ones.
 */
#include "subject.h"
#include <pthread.h>

static pthread_mutex_t robust, inheriting, gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static pthread_t holder, waiter;
static int told_to_end, *own_word;
static volatile pid_t holder_id, waiter_id;
static volatile int waiter_has_it;

static int *word_of_tid(void)
{
	int *word = NULL;

	return prctl(PR_GET_TID_ADDRESS, &word) ? NULL : word;
}

static void *hold(void *unused)
{
	NEED(pthread_mutex_lock(&robust) == 0 && pthread_mutex_lock(&inheriting) == 0);
	holder_id = gettid();
	pthread_mutex_lock(&gate);
	while (!told_to_end)
		pthread_cond_wait(&opened, &gate);
	pthread_mutex_unlock(&gate);
	CHECK(pthread_mutex_unlock(&inheriting) == 0, "the mutex that inherits priorities cannot be given up");
	/* The robust one it takes with it. */
	return unused;
}

static void *wait_for_it(void *unused)
{
	waiter_id = gettid();
	CHECK(pthread_mutex_lock(&inheriting) == 0, "the mutex that inherits priorities cannot be taken");
	waiter_has_it = 1;
	pthread_mutex_unlock(&inheriting);
	return unused;
}

static void start(void)
{
	told_to_end = holder_id = waiter_id = waiter_has_it = 0;
	NEED(pthread_create(&holder, NULL, hold, NULL) == 0);
	while (!holder_id)
		usleep(500);
	NEED(pthread_create(&waiter, NULL, wait_for_it, NULL) == 0);
	while (!waiter_id)
		usleep(500);
	wait_until_asleep(holder_id);
	wait_until_asleep(waiter_id);
}

static int ends(pthread_t thread)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 10;
	return pthread_timedjoin_np(thread, NULL, &limit) == 0;
}

static void check(void)
{
	CHECK(word_of_tid() == own_word, "clear_child_tid is %p, was %p", (void *)word_of_tid(), (void *)own_word);
	CHECK(!waiter_has_it && pthread_mutex_trylock(&inheriting) == EBUSY, "the mutex that inherits priorities is free");
	CHECK(pthread_mutex_trylock(&robust) == EBUSY, "the robust mutex is free");
	pthread_mutex_lock(&gate);
	told_to_end = 1;
	pthread_cond_broadcast(&opened);
	pthread_mutex_unlock(&gate);
	/* Who could not be joined is there for ever: new ones would not be told from it. */
	if (!ends(holder) || !ends(waiter)) {
		CHECK(0, "a thread has not ended");
		return;
	}
	CHECK(waiter_has_it, "the mutex that inherits priorities was not handed on");
	CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD, "nobody was told that the owner of the robust mutex has died");
	pthread_mutex_consistent(&robust);
	pthread_mutex_unlock(&robust);
	start();
}

int main(void)
{
	pthread_mutexattr_t attributes;

	subject_begin();
	own_word = word_of_tid();
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	NEED(pthread_mutex_init(&robust, &attributes) == 0);
	pthread_mutexattr_init(&attributes);
	NEED(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
	NEED(pthread_mutex_init(&inheriting, &attributes) == 0);
	start();
	subject_rounds(check);
}
