/* dispatch.c: threads whose system calls are dispatched to themselves, each in another way (PR_SET_SYSCALL_USER_DISPATCH). */
#include "subject.h"
#include <linux/futex.h>
#include <pthread.h>
#include <ucontext.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define USER_DISPATCH 2 /* SYS_USER_DISPATCH of si_code. */
#define RESTORER 0x04000000ul
/* A call that no kernel has, and what it is answered. */
#define MAGIC 4711
#define ANSWERED 1234

enum { SELECTED, WITHOUT_SELECTOR, INCLUSIVE, NONE, WORKERS };

/* Code whose calls are made in any case, the return from handlers among it; and code whose calls alone are dispatched. */
asm(".pushsection .text\n"
    ".balign 4096\n"
    ".globl allowed, allowed_call, allowed_restorer, allowed_end, picked, picked_call, picked_end\n"
    "allowed:\n"
    "allowed_call:\n"
    "	movq %rdi, %rax\n	movq %rsi, %rdi\n	movq %rdx, %rsi\n	movq %rcx, %rdx\n	movq %r8, %r10\n"
    "	xorl %r8d, %r8d\n"
    "	syscall\n	ret\n"
    "allowed_restorer:\n"
    /* Where a call is made from is told by the instruction behind it. */
    "	movl $15, %eax\n	syscall\n	nop\n"
    "allowed_end:\n"
    ".balign 4096\n"
    "picked:\n"
    "picked_call:\n"
    "	movq %rdi, %rax\n	syscall\n	ret\n"
    "picked_end:\n"
    ".popsection\n");
extern char allowed[], allowed_end[], picked[], picked_end[];
extern void allowed_restorer(void);
extern long allowed_call(long number, volatile void *word, long operation, long value, long limit);
extern long picked_call(long number);

static struct worker {
	volatile char selector;
	int is_there;
	volatile int dispatched;
	/* Calls that it has not made. */
	volatile int astray;
	volatile long elsewhere, within;
} workers[WORKERS];
static volatile char own_selector;
/* No thread is without a selector: of such a one two calls of Apus can be dispatched if it is killed (docs/processes.md). */
static int is_governed;
static volatile int turn, done, own_dispatched, own_astray;
static __thread volatile int *counter, *astray;

/* Not by syscall(2) of the C library, which could answer it by errno. */
static __attribute__((noinline)) long call_from_elsewhere(long number)
{
	long result;

	asm volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}

static void on_dispatch(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *where = context;

	(void)signal_number;
	if (info->si_code != USER_DISPATCH || info->si_syscall != MAGIC) {
		(*astray)++;
		return;
	}
	(*counter)++;
	where->uc_mcontext.gregs[REG_RAX] = ANSWERED;
}

static void wait_for_turn(int seen)
{
	while (turn == seen)
		allowed_call(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, 0);
}

static void *work(void *argument)
{
	struct worker *own = argument;
	int kind = (int)(own - workers), seen = 0;
	long length = allowed_end - allowed;

	counter = &own->dispatched;
	astray = &own->astray;
	own->is_there = 1;
	own->selector = 1;
	if (kind == SELECTED)
		NEED(prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, allowed, length, &own->selector) == 0);
	else if (kind == WITHOUT_SELECTOR && !is_governed)
		NEED(prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, allowed, length, NULL) == 0);
	else if (kind == INCLUSIVE)
		/* Since Linux 6.17. */
		own->is_there = prctl(PR_SET_SYSCALL_USER_DISPATCH, 2, picked, picked_end - picked, &own->selector) == 0;
	for (;;) {
		__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
		allowed_call(SYS_futex, &done, FUTEX_WAKE_PRIVATE, 1, 0);
		wait_for_turn(seen);
		seen = turn;
		own->elsewhere = call_from_elsewhere(MAGIC);
		own->within = kind == INCLUSIVE || kind == NONE ? picked_call(MAGIC) : allowed_call(MAGIC, NULL, 0, 0, 0);
	}
}

static void wait_for_all(void)
{
	int seen;

	while ((seen = done) < WORKERS)
		syscall(SYS_futex, &done, FUTEX_WAIT_PRIVATE, seen, NULL);
	done = 0;
}

static void expect(const char *what, const struct worker *worker, long elsewhere, long within, int dispatched)
{
	CHECK(worker->elsewhere == elsewhere, "%s: a call from elsewhere gave %ld", what, worker->elsewhere);
	CHECK(worker->within == within, "%s: a call from the range gave %ld", what, worker->within);
	CHECK(worker->dispatched == dispatched, "%s: %d calls were dispatched", what, worker->dispatched);
	CHECK(worker->selector == 1, "%s: the selector is %d", what, worker->selector);
	CHECK(worker->astray == 0, "%s: dispatched %d calls of others", what, worker->astray);
}

static void check(void)
{
	long own;

	turn++;
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, WORKERS, NULL);
	wait_for_all();
	expect("selected", &workers[SELECTED], ANSWERED, -ENOSYS, round_number);
	expect("without selector", &workers[WITHOUT_SELECTOR], is_governed ? -ENOSYS : ANSWERED, -ENOSYS, is_governed ? 0 : round_number);
	if (workers[INCLUSIVE].is_there)
		expect("inclusive", &workers[INCLUSIVE], -ENOSYS, ANSWERED, round_number);
	expect("none", &workers[NONE], -ENOSYS, -ENOSYS, 0);
	CHECK(own_selector == 0, "the selector of the first thread is %d", own_selector);
	CHECK(call_from_elsewhere(MAGIC) == -ENOSYS, "a call was dispatched that was to be made");
	own_selector = 1;
	own = call_from_elsewhere(MAGIC);
	own_selector = 0;
	CHECK(own == ANSWERED, "a call was made that was to be dispatched: %ld", own);
	CHECK(own_astray == 0, "the first thread was told of %d calls of others", own_astray);
	CHECK(own_dispatched == round_number, "%d calls of the first thread were dispatched", own_dispatched);
}

int main(int argc, char **argv)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { on_dispatch, SA_SIGINFO | RESTORER, allowed_restorer, 0 };

	(void)argv;
	is_governed = argc > 1;
	subject_begin();
	counter = &own_dispatched;
	astray = &own_astray;
	NEED(syscall(SYS_rt_sigaction, SIGSYS, &action, NULL, 8) == 0);
	for (int i = 0; i < WORKERS; i++) {
		pthread_t thread;
		NEED(pthread_create(&thread, NULL, work, &workers[i]) == 0);
	}
	wait_for_all();
	NEED(prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, allowed, allowed_end - allowed, &own_selector) == 0);
	subject_rounds(check);
}
