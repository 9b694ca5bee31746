/*
 * What all subjects share.
 *
 * A subject blocks SIGUSR1 (subject_begin), sets its state up, and calls subject_rounds with the function that checks
 * that state. It then says "ready", and at each SIGUSR1 one "FAIL what" line for each difference and at last "OK" or "BAD".
 * SIGTERM ends it. Children are told by the same signal (ask_child) and answer by a signal with the number of failures,
 * so that the answer needs no object that is itself under test.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How a child answers: a real-time signal, of which several can be pending. */
#define ANSWER (SIGRTMIN + 7)

/* What the kernel adds to the flags of every file opened by a 64-bit program; zero in the C library's headers. */
#define KERNEL_LARGEFILE 0100000

static int failures;
static int round_number;
static volatile sig_atomic_t told;

/* One write for each line, so that lines of several processes never mix. */
static void say(const char *format, ...)
{
	char line[1024];
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	if (write(1, line, n) != n)
		_exit(3);
}

/* The state could not be set up: nothing is learned from this subject here. */
#define NEED(condition)                                                          \
	do {                                                                     \
		if (!(condition)) {                                              \
			say("SETUP %s: %s", #condition, strerror(errno));        \
			_exit(2);                                                \
		}                                                                \
	} while (0)

#define CHECK(condition, ...)                        \
	do {                                         \
		if (!(condition)) {                  \
			failures++;                  \
			say("FAIL " __VA_ARGS__);    \
		}                                    \
	} while (0)

static void on_told(int signal_number)
{
	(void)signal_number;
	told = 1;
}

static sigset_t set_of(int first, ...)
{
	sigset_t set;
	va_list rest;
	int number;

	sigemptyset(&set);
	va_start(rest, first);
	for (number = first; number > 0; number = va_arg(rest, int))
		sigaddset(&set, number);
	va_end(rest);
	return set;
}

/* Room for all that follows: a stack that grows a page later on would look like a change. */
static void stack_room(void)
{
	volatile char deep[64 * 1024];

	for (size_t i = 0; i < sizeof(deep); i += 1024)
		deep[i] = 0;
}

static void subject_begin(void)
{
	struct sigaction action = { .sa_handler = on_told };
	sigset_t set = set_of(SIGUSR1, ANSWER, 0);

	stack_room();
	/* A heap that gives a page back would look like a change. */
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Sleeps until SIGUSR1, which is blocked outside of this wait. */
static void wait_until_told(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGUSR1);
	while (!told)
		sigsuspend(&mask);
	told = 0;
}

static void check_once(void (*check)(void))
{
	round_number++;
	failures = 0;
	check();
	say(failures ? "BAD" : "OK");
}

static void subject_rounds(void (*check)(void))
{
	say("ready");
	for (;;) {
		wait_until_told();
		check_once(check);
	}
}

/* A child's rounds: the failures go to the parent as the value of its answer. */
static void child_rounds(void (*check)(void))
{
	for (;;) {
		wait_until_told();
		round_number++;
		failures = 0;
		check();
		sigqueue(getppid(), ANSWER, (union sigval){ .sival_int = failures });
	}
}

/*
 * Waits until a process sleeps in a call: what has just answered is on its way into its wait, which changes its mask.
 * For a moment only, where the kernel does not tell.
 */
static void wait_until_asleep(pid_t pid)
{
	char path[40], text[8];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (int i = 0; i < 2000; i++) {
		int file = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = file < 0 ? -1 : read(file, text, sizeof(text));

		if (file >= 0)
			close(file);
		/* "running", or -1 for a wait that is no system call. */
		if (n <= 0 || (text[0] != 'r' && text[0] != '-'))
			return;
		usleep(100);
	}
}

/* Waits at most five seconds for an answer; the sender's pid, its value in *value; 0 when nothing came. */
static pid_t answer(int *value)
{
	sigset_t set = set_of(ANSWER, 0);
	struct timespec limit = { .tv_sec = 5 };
	siginfo_t info;

	if (sigtimedwait(&set, &info, &limit) != ANSWER)
		return 0;
	*value = info.si_value.sival_int;
	wait_until_asleep(info.si_pid);
	return info.si_pid;
}

/* A child that is set up says so, as its answer number 0. */
static void child_is_ready(void)
{
	sigqueue(getppid(), ANSWER, (union sigval){ .sival_int = 0 });
}

static void need_child(pid_t pid)
{
	int value;

	NEED(answer(&value) == pid);
}

static void ask_child(pid_t pid, const char *who)
{
	int value = -1;

	if (kill(pid, SIGUSR1)) {
		CHECK(0, "%s: pid %d is gone: %s", who, pid, strerror(errno));
		return;
	}
	CHECK(answer(&value) == pid, "%s: no answer from pid %d", who, pid);
	CHECK(value == 0, "%s: %d failures", who, value);
}

/* The value of a line "name:<tab>value" of a file in /proc, without leading space; empty where there is none. */
static const char *proc_field(const char *path, const char *name)
{
	static char line[4096];
	FILE *file = fopen(path, "re");
	size_t length = strlen(name);
	char *value = NULL;

	while (file && !value && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && line[length] == ':')
			value = line + length + 1;
	if (file)
		fclose(file);
	if (!value)
		return "";
	value += strspn(value, " \t");
	value[strcspn(value, "\n")] = 0;
	return value;
}

/* The pattern that fills `size` bytes for a seed, and whether it is still there. */
static void fill(void *start, size_t size, uint32_t seed)
{
	uint32_t *word = start;

	for (size_t i = 0; i < size / 4; i++)
		word[i] = (seed + i) * 2654435761u;
}

static int filled(const void *start, size_t size, uint32_t seed)
{
	const uint32_t *word = start;

	for (size_t i = 0; i < size / 4; i++)
		if (word[i] != (uint32_t)((seed + i) * 2654435761u))
			return 0;
	return 1;
}

#endif
