/* churn.c: threads that start and end all the while, made by several others; each must do its work once. */
#include "subject.h"
#include <pthread.h>

#define MAKERS 4

static volatile uint64_t made, done;
static volatile int pauses;
static volatile int resting;

static void *brief(void *argument)
{
	if ((uintptr_t)argument % 3 == 0)
		sched_yield();
	if ((uintptr_t)argument % 64 == 0)
		usleep(300);
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *maker(void *argument)
{
	pthread_attr_t attributes;
	pthread_t handle;

	(void)argument;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 32768);
	for (uintptr_t i = 0;; i++) {
		if (pauses) {
			__atomic_add_fetch(&resting, 1, __ATOMIC_SEQ_CST);
			while (pauses)
				usleep(500);
			__atomic_sub_fetch(&resting, 1, __ATOMIC_SEQ_CST);
		}
		/* On a busy machine they would be more and more. */
		while (made - done > 50)
			usleep(100);
		__atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
		if (pthread_create(&handle, &attributes, brief, (void *)i)) {
			__atomic_sub_fetch(&made, 1, __ATOMIC_SEQ_CST);
			usleep(1000);
		}
	}
	return NULL;
}

static void check(void)
{
	uint64_t before = done;

	for (int n = 0; n < 5000 && done == before; n++)
		usleep(1000);
	CHECK(done > before, "no thread comes to its end any more");
	pauses = 1;
	for (int n = 0; n < 5000 && (resting < MAKERS || done != made); n++)
		usleep(1000);
	CHECK(resting == MAKERS, "%d of %d makers answer", resting, MAKERS);
	CHECK(done == made, "%lu threads were made and %lu have done their work", (unsigned long)made, (unsigned long)done);
	pauses = 0;
}

int main(void)
{
	pthread_t handle;

	subject_begin();
	for (int i = 0; i < MAKERS; i++)
		NEED(pthread_create(&handle, NULL, maker, NULL) == 0);
	subject_rounds(check);
}
