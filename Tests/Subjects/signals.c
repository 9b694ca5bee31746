/* Handlers with all their flags, ignored signals, the mask, pending signals with their values, the alternate stack. */
#include "subject.h"
#include <sys/resource.h>

static char stack[65536] __attribute__((aligned(4096)));
static volatile int got_value, got_code, on_stack, plain_count;
static struct sigaction expected[65];
static sigset_t mask;

static void on_info(int number, siginfo_t *info, void *context)
{
	char here;

	(void)number;
	(void)context;
	got_value = info->si_value.sival_int;
	got_code = info->si_code;
	on_stack = &here >= stack && &here < stack + sizeof(stack);
}

static void on_plain(int number)
{
	(void)number;
	plain_count++;
}

static void set(int number, int flags, void (*handler)(int), sigset_t during)
{
	struct sigaction action = { .sa_flags = flags, .sa_handler = handler, .sa_mask = during };

	NEED(sigaction(number, &action, NULL) == 0);
}

/* How many signals may wait: fewer than do. */
static void limit_waiting(int lower)
{
	struct rlimit limit;

	NEED(getrlimit(RLIMIT_SIGPENDING, &limit) == 0);
	limit.rlim_cur = lower ? 1 : limit.rlim_max;
	NEED(setrlimit(RLIMIT_SIGPENDING, &limit) == 0);
}

/* Blocked and pending: two queued real-time signals with values, a standard one with a value, one by kill. */
static void queue_pending(void)
{
	NEED(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 1000 + round_number }) == 0);
	NEED(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 2000 + round_number }) == 0);
	NEED(sigqueue(getpid(), SIGURG, (union sigval){ .sival_ptr = (void *)0x123456789abcdef0 }) == 0);
	NEED(kill(getpid(), SIGHUP) == 0);
	/* To the thread, not to the process. */
	NEED(syscall(SYS_tgkill, getpid(), gettid(), SIGRTMIN + 5) == 0);
	limit_waiting(1);
}

static void check_one_pending(int number, int code, uintptr_t value)
{
	sigset_t one = set_of(number, 0);
	struct timespec now = { 0 };
	siginfo_t info;

	if (sigtimedwait(&one, &info, &now) != number) {
		CHECK(0, "signal %d is not pending", number);
		return;
	}
	CHECK(info.si_code == code, "signal %d: code %d, not %d", number, info.si_code, code);
	CHECK(info.si_pid == getpid(), "signal %d: from %d", number, info.si_pid);
	if (code == SI_QUEUE)
		CHECK((uintptr_t)info.si_value.sival_ptr == value, "signal %d: value %p", number, info.si_value.sival_ptr);
}

static void check(void)
{
	struct sigaction now;
	sigset_t mask_now, pending;
	stack_t alternate;

	limit_waiting(0);
	for (int i = 1; i <= 64; i++) {
		if (i == 32 || i == 33 || sigaction(i, NULL, &now))
			continue;
		CHECK(now.sa_flags == expected[i].sa_flags, "signal %d: flags %#x", i, now.sa_flags);
		CHECK(now.sa_handler == expected[i].sa_handler, "signal %d: handler", i);
		CHECK(!memcmp(&now.sa_mask, &expected[i].sa_mask, 8), "signal %d: mask", i);
	}
	sigprocmask(SIG_SETMASK, NULL, &mask_now);
	CHECK(!memcmp(&mask_now, &mask, 8), "mask %#lx", *(unsigned long *)&mask_now);
	sigaltstack(NULL, &alternate);
	CHECK(alternate.ss_sp == stack && alternate.ss_size == sizeof(stack) && alternate.ss_flags == 0, "alternate stack");
	check_one_pending(SIGRTMIN + 3, SI_QUEUE, 1000 + round_number - 1);
	check_one_pending(SIGRTMIN + 3, SI_QUEUE, 2000 + round_number - 1);
	check_one_pending(SIGURG, SI_QUEUE, 0x123456789abcdef0);
	check_one_pending(SIGHUP, SI_USER, 0);
	check_one_pending(SIGRTMIN + 5, SI_USER, 0); /* the C library says so for SI_TKILL */
	sigpending(&pending);
	for (int i = 1; i <= 64; i++)
		CHECK(sigismember(&pending, i) != 1, "signal %d is pending, too", i);
	sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 4711 });
	CHECK(got_value == 4711 && got_code == SI_QUEUE, "handler: value %d", got_value);
	CHECK(on_stack, "handler: not on the alternate stack");
	plain_count = 0;
	raise(SIGWINCH);
	CHECK(plain_count == 1, "plain handler: %d", plain_count);
	raise(SIGPIPE);
	queue_pending();
}

int main(void)
{
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	subject_begin();
	NEED(sigaltstack(&alternate, NULL) == 0);
	set(SIGRTMIN + 1, SA_SIGINFO | SA_ONSTACK | SA_RESTART, (void (*)(int))(void *)on_info, set_of(SIGINT, SIGRTMIN + 9, 0));
	set(SIGWINCH, SA_NODEFER, on_plain, set_of(0));
	set(SIGALRM, SA_RESETHAND | SA_NOCLDSTOP, on_plain, set_of(SIGQUIT, 0));
	set(SIGCHLD, SA_NOCLDWAIT, on_plain, set_of(0));
	set(SIGPIPE, 0, SIG_IGN, set_of(0));
	set(SIGTTOU, 0, SIG_IGN, set_of(0));
	set(SIGQUIT, 0, SIG_DFL, set_of(SIGUSR1, 0));
	mask = set_of(SIGUSR1, ANSWER, SIGHUP, SIGURG, SIGRTMIN + 3, SIGRTMIN + 5, SIGRTMAX, 0);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	for (int i = 1; i <= 64; i++)
		sigaction(i, NULL, &expected[i]);
	queue_pending();
	subject_rounds(check);
}
