/*
 * Threads, each with a name, a mask, an alternate stack, thread-local memory, pending signals and a wait of its own; the last
 * one lives in a signal handler on its alternate stack.
 */
#include "subject.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

#define COUNT 6
#define ON_STACK 5

static __thread uint64_t local[64];
static struct thread {
	pthread_t handle;
	pid_t id;
	char name[16];
	sigset_t mask;
	char stack[32768];
	volatile int go, done, ready;
	int robust_found;
	uintptr_t tls;
} threads[COUNT];
static pthread_mutex_t robust, plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;

static uintptr_t robust_head(void)
{
	void *head = NULL;
	size_t size = 0;

	syscall(SYS_get_robust_list, 0, &head, &size);
	return (uintptr_t)head + size;
}

static void check_thread(struct thread *self, int number, uintptr_t head)
{
	char name[16];
	sigset_t mask;
	stack_t stack;
	struct sched_param priority;
	sigset_t one = set_of(SIGRTMIN + 4, 0);
	siginfo_t info;

	CHECK(gettid() == self->id, "thread %d: id %d, not %d", number, gettid(), self->id);
	CHECK((uintptr_t)&local == self->tls, "thread %d: thread-local memory has moved", number);
	CHECK(filled(local, sizeof(local), number + 1), "thread %d: thread-local memory", number);
	prctl(PR_GET_NAME, name);
	CHECK(!strcmp(name, self->name), "thread %d: name %s", number, name);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	CHECK(!memcmp(&mask, &self->mask, 8), "thread %d: mask", number);
	sigaltstack(NULL, &stack);
	CHECK(stack.ss_sp == self->stack && stack.ss_size == sizeof(self->stack), "thread %d: alternate stack", number);
	CHECK(!(stack.ss_flags & SS_ONSTACK) == (number != ON_STACK), "thread %d: flags %d of its alternate stack", number,
	      stack.ss_flags);
	CHECK(((char *)&stack > self->stack && (char *)&stack < self->stack + sizeof(self->stack)) == (number == ON_STACK),
	      "thread %d: is on another stack", number);
	CHECK(robust_head() == head, "thread %d: robust list", number);
	CHECK(sched_getscheduler(0) == (number == 2 ? SCHED_BATCH : SCHED_OTHER), "thread %d: scheduler", number);
	sched_getparam(0, &priority);
	CHECK(__rseq_size == 0 || (int)((struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset))->cpu_id >= 0,
	      "thread %d: rseq is no longer registered", number);
	CHECK(sigtimedwait(&one, &info, &(struct timespec){ 0 }) == SIGRTMIN + 4 && info.si_value.sival_int == 40 + number,
	      "thread %d: its pending signal", number);
	NEED(pthread_sigqueue(pthread_self(), SIGRTMIN + 4, (union sigval){ .sival_int = 40 + number }) == 0);
}

/* Each waits in another way. */
static void wait_for_turn(struct thread *self, int number)
{
	while (!self->go) {
		switch (number) {
		case 0: usleep(10000); break;
		case 1: poll(NULL, 0, 10); break;
		case 2: syscall(SYS_futex, &self->go, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); break;
		case 3:
			pthread_mutex_lock(&plain);
			while (!self->go)
				pthread_cond_wait(&wake, &plain);
			pthread_mutex_unlock(&plain);
			break;
		case ON_STACK: usleep(5000); break;
		default: sched_yield(); break;
		}
	}
	self->go = 0;
}

static void serve(struct thread *self, uintptr_t head)
{
	for (;;) {
		wait_for_turn(self, self - threads);
		check_thread(self, self - threads, head);
		self->done = 1;
	}
}

static void serve_on_stack(int signal_number)
{
	(void)signal_number;
	pthread_sigmask(SIG_SETMASK, NULL, &threads[ON_STACK].mask);
	serve(&threads[ON_STACK], robust_head());
}

static void *body(void *argument)
{
	struct thread *self = argument;
	int number = self - threads;
	stack_t stack = { .ss_sp = self->stack, .ss_size = sizeof(self->stack) };
	uintptr_t head = robust_head();

	self->id = gettid();
	self->tls = (uintptr_t)&local;
	fill(local, sizeof(local), number + 1);
	snprintf(self->name, sizeof(self->name), "thread number %d", number);
	prctl(PR_SET_NAME, self->name);
	self->mask = set_of(SIGUSR1, ANSWER, SIGRTMIN + 4, SIGRTMIN + 10 + number, 0);
	pthread_sigmask(SIG_SETMASK, &self->mask, NULL);
	NEED(sigaltstack(&stack, NULL) == 0);
	if (number == 2)
		NEED(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }) == 0);
	if (number == 3)
		pthread_mutex_lock(&robust);
	NEED(pthread_sigqueue(pthread_self(), SIGRTMIN + 4, (union sigval){ .sival_int = 40 + number }) == 0);
	pthread_barrier_wait(&barrier);
	if (number == ON_STACK)
		pthread_kill(pthread_self(), SIGRTMIN + 9);
	serve(self, head);
	return NULL;
}

static void check(void)
{
	for (int i = 0; i < COUNT; i++) {
		threads[i].done = 0;
		pthread_mutex_lock(&plain);
		threads[i].go = 1;
		pthread_cond_broadcast(&wake);
		pthread_mutex_unlock(&plain);
		syscall(SYS_futex, &threads[i].go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		for (int n = 0; n < 5000 && !threads[i].done; n++)
			usleep(1000);
		CHECK(threads[i].done, "thread %d: no answer", i);
	}
	CHECK(pthread_mutex_trylock(&robust) == EBUSY, "the mutex that thread 3 holds");
}

int main(void)
{
	pthread_mutexattr_t attributes;

	subject_begin();
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attributes);
	sigaction(SIGRTMIN + 9, &(struct sigaction){ .sa_handler = serve_on_stack, .sa_flags = SA_ONSTACK }, NULL);
	pthread_barrier_init(&barrier, NULL, COUNT + 1);
	for (int i = 0; i < COUNT; i++)
		NEED(pthread_create(&threads[i].handle, NULL, body, &threads[i]) == 0);
	pthread_barrier_wait(&barrier);
	subject_rounds(check);
}
