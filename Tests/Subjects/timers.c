/* Interval timers and POSIX timers, armed and not, with their numbers, intervals and what is left of their time. */
#include "subject.h"
#include <pthread.h>
#include <sys/time.h>

#define COUNT 8

static timer_t timers[COUNT];
static volatile int ticks;

static void on_tick(int signal_number)
{
	(void)signal_number;
	ticks++;
}

static void interval_timer(int which, long seconds, long interval)
{
	struct itimerval timer = { .it_value = { .tv_sec = seconds }, .it_interval = { .tv_sec = interval } };

	NEED(setitimer(which, &timer, NULL) == 0);
}

static void check_interval_timer(int which, long seconds, long interval)
{
	struct itimerval now;

	CHECK(getitimer(which, &now) == 0 && now.it_interval.tv_sec == interval, "interval timer %d: interval %ld", which,
	      (long)now.it_interval.tv_sec);
	CHECK(now.it_value.tv_sec <= seconds && now.it_value.tv_sec >= seconds - 60, "interval timer %d: %ld s left", which,
	      (long)now.it_value.tv_sec);
}

static void make(int number, clockid_t clock, int notify, int signal_number, long seconds)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = signal_number };
	struct itimerspec timer = { .it_value = { .tv_sec = seconds }, .it_interval = { .tv_sec = seconds * 2 } };

	if (notify == SIGEV_THREAD_ID)
		event._sigev_un._tid = gettid();
	event.sigev_value.sival_int = 70 + number;
	NEED(timer_create(clock, &event, &timers[number]) == 0);
	NEED(timer_settime(timers[number], 0, &timer, NULL) == 0);
}

static void check_timer(int number, long seconds)
{
	struct itimerspec now;

	CHECK(timer_gettime(timers[number], &now) == 0, "timer %d does not exist", number);
	CHECK(now.it_interval.tv_sec == seconds * 2, "timer %d: interval %ld", number, (long)now.it_interval.tv_sec);
	CHECK(now.it_value.tv_sec <= seconds && now.it_value.tv_sec >= (seconds > 60 ? seconds - 60 : 0),
	      "timer %d: %ld s left", number, (long)now.it_value.tv_sec);
}

static void check(void)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
	sigset_t set = set_of(SIGRTMIN + 1, 0);
	siginfo_t info;
	int before = ticks;

	check_interval_timer(ITIMER_REAL, 1000, 2000);
	check_interval_timer(ITIMER_VIRTUAL, 3000, 0);
	check_interval_timer(ITIMER_PROF, 4000, 5);
	check_timer(0, 500);
	check_timer(2, 0);
	check_timer(3, 600);
	check_timer(4, 300);
	check_timer(5, 400);
	check_timer(6, 500);
	check_timer(7, 700);
	/* Two goes off once: the signal and the value are still its own. */
	NEED(timer_settime(timers[2], 0, &soon, NULL) == 0);
	CHECK(sigtimedwait(&set, &info, &(struct timespec){ 2, 0 }) == SIGRTMIN + 1 && info.si_code == SI_TIMER &&
		      info.si_value.sival_int == 72, "timer 2: its signal");
	NEED(timer_settime(timers[2], 0, &(struct itimerspec){ 0 }, NULL) == 0);
	CHECK(ticks == before, "a timer that is far away has gone off");
}

int main(void)
{
	sigset_t set = set_of(SIGRTMIN + 1, 0);
	struct sigaction action = { .sa_handler = on_tick };
	clockid_t own;

	subject_begin();
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGVTALRM, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	interval_timer(ITIMER_REAL, 1000, 2000);
	interval_timer(ITIMER_VIRTUAL, 3000, 0);
	interval_timer(ITIMER_PROF, 4000, 5);
	make(0, CLOCK_MONOTONIC, SIGEV_NONE, 0, 500);
	make(1, CLOCK_MONOTONIC, SIGEV_NONE, 0, 500);
	make(2, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 0);
	make(3, CLOCK_REALTIME, SIGEV_SIGNAL, SIGALRM, 600);
	/* Of the process, of the thread, of the thread by its number, of the boot: to the thread. */
	make(4, CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGALRM, 300);
	make(5, CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGALRM, 400);
	NEED(pthread_getcpuclockid(pthread_self(), &own) == 0);
	make(6, own, SIGEV_NONE, 0, 500);
	make(7, CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGALRM, 700);
	NEED(timer_delete(timers[1]) == 0);
	subject_rounds(check);
}
