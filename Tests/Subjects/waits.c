/*
 * Children that wait in system calls which a checkpoint interrupts: none may come back early, with EINTR, or not at all.
 * Each is in its call when it is dumped and tells how it ended.
 *
 * waits.c [NAME...]: without the waits of these names.
 */
#include "subject.h"
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/select.h>

static int pipes[24][2], number;
/* Made once: what lies outside of the processes is not carried with them. */
static int queue, semaphore;
static int word;

/* Every wait ends by a byte in the child's own pipe, except the sleeps, which end by time. */
static int in_read(void) { char c; return read(pipes[number][0], &c, 1) == 1; }

static int in_poll(void)
{
	struct pollfd one = { .fd = pipes[number][0], .events = POLLIN };
	return poll(&one, 1, 60000) == 1 && in_read();
}

static int in_ppoll(void)
{
	struct pollfd one = { .fd = pipes[number][0], .events = POLLIN };
	sigset_t mask = set_of(SIGUSR1, SIGWINCH, 0);
	return ppoll(&one, 1, &(struct timespec){ 60, 0 }, &mask) == 1 && in_read();
}

static int in_select(void)
{
	struct timeval limit = { 60, 0 };
	fd_set set;
	FD_ZERO(&set);
	FD_SET(pipes[number][0], &set);
	return select(pipes[number][0] + 1, &set, NULL, NULL, &limit) == 1 && in_read();
}

static int in_nanosleep(void)
{
	struct timespec left = { 0 };
	return nanosleep(&(struct timespec){ 0, 150000000 }, &left) == 0 && in_read();
}

static int in_absolute_sleep(void)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 150000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0 && in_read();
}

static int in_sigtimedwait(void)
{
	sigset_t set = set_of(SIGRTMIN + 2, 0);
	siginfo_t info;
	return sigtimedwait(&set, &info, &(struct timespec){ 60, 0 }) == SIGRTMIN + 2 && in_read();
}

static int in_sigsuspend(void)
{
	sigset_t mask = set_of(SIGUSR1, 0), now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	/* The mask of the wait must not be taken for the task's own. */
	int ended = sigsuspend(&mask) == -1 && errno == EINTR;
	sigset_t after;
	sigprocmask(SIG_SETMASK, NULL, &after);
	return ended && !memcmp(&now, &after, 8) && in_read();
}

static int in_futex(void)
{
	struct timespec limit = { 60, 0 };
	/* Woken by nobody: it ends when the handler of a signal has run. */
	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit, NULL, 0) == -1 && errno == EINTR && in_read();
}

static int in_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int set = epoll_create1(0);
	int ok = epoll_ctl(set, EPOLL_CTL_ADD, pipes[number][0], &event) == 0 && epoll_wait(set, &event, 1, 60000) == 1;
	return close(set) == 0 && ok && in_read();
}

static int in_pause(void) { return pause() == -1 && errno == EINTR && in_read(); }

/* Somebody else gives what these wait for: a child that waits for the byte. */
static pid_t helper(void (*give)(int), int object)
{
	pid_t pid = fork();
	char c;

	if (pid)
		return pid;
	if (read(pipes[number][0], &c, 1) != 1)
		_exit(1);
	give(object);
	_exit(0);
}

static int helped(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void give_event(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, 8) != 8)
		_exit(2);
}

static int in_eventfd(void)
{
	int fd = eventfd(0, 0);
	pid_t pid = helper(give_event, fd);
	uint64_t value;
	int ok = read(fd, &value, 8) == 8 && value == 1;
	return close(fd) == 0 && helped(pid) && ok;
}

static void give_message(int unused)
{
	struct { long type; char text[4]; } message = { 5, "abc" };

	(void)unused;
	if (msgsnd(queue, &message, 4, 0))
		_exit(2);
}

static int in_msgrcv(void)
{
	struct { long type; char text[4]; } message;
	pid_t pid = helper(give_message, 0);
	int ok = msgrcv(queue, &message, 4, 5, 0) == 4 && !strcmp(message.text, "abc");
	return helped(pid) && ok;
}

static void give_byte(int fd)
{
	if (write(fd, "y", 1) != 1)
		_exit(2);
}

/* With and without a time limit, which makes the kernel end the call when its thread is merely stopped. */
static int receive(time_t limit)
{
	struct timeval time = { .tv_sec = limit };
	int both[2], ok;
	pid_t pid;
	char c;

	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
	NEED(!limit || setsockopt(both[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
	pid = helper(give_byte, both[1]);
	ok = recv(both[0], &c, 1, 0) == 1 && c == 'y';
	return close(both[0]) == 0 && close(both[1]) == 0 && helped(pid) && ok;
}

static int in_recv(void) { return receive(0); }
static int in_limited_recv(void) { return receive(60); }

static struct sockaddr_un name;
static socklen_t length;

static void give_connection(int unused)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)unused;
	if (connect(fd, (struct sockaddr *)&name, length))
		_exit(2);
}

static int in_accept(void)
{
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	pid_t pid;

	/* A name that the kernel chooses: in another pid namespace another subject may have this pid. */
	name.sun_family = AF_UNIX;
	length = sizeof(name);
	NEED(bind(listener, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0 && listen(listener, 4) == 0);
	NEED(getsockname(listener, (struct sockaddr *)&name, &length) == 0);
	pid = helper(give_connection, 0);
	fd = accept(listener, NULL, NULL);
	return close(listener) == 0 && close(fd) == 0 && helped(pid);
}

static void give_semaphore(int unused)
{
	(void)unused;
	if (semop(semaphore, &(struct sembuf){ .sem_op = 1 }, 1))
		_exit(2);
}

static int in_semop(void)
{
	pid_t pid = helper(give_semaphore, 0);
	int ok = semtimedop(semaphore, &(struct sembuf){ .sem_op = -1 }, 1, &(struct timespec){ 60, 0 }) == 0;
	return helped(pid) && ok;
}

static int in_wait(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		_exit(read(pipes[number][0], &c, 1) == 1 ? 9 : 1);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9;
}

static int in_write(void)
{
	static char block[65536 * 2];
	int both[2], status;
	pid_t pid;
	NEED(pipe(both) == 0);
	pid = fork();
	if (pid == 0) {
		char c;
		size_t left = sizeof(block);
		if (read(pipes[number][0], &c, 1) != 1)
			_exit(1);
		while (left) {
			ssize_t n = read(both[0], block, sizeof(block));
			if (n <= 0)
				_exit(2);
			left -= n;
		}
		_exit(0);
	}
	/* Whatever interrupts a write of which a part is done, SIGSTOP for instance, lets it end with that part. */
	for (size_t done = 0; done < sizeof(block);) {
		ssize_t n = write(both[1], block, sizeof(block) - done);
		if (n <= 0)
			return 0;
		done += n;
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void ignore(int signal_number) { (void)signal_number; }

static struct { const char *name; int (*wait)(void); pid_t pid; } waits[] = {
	{ "read", in_read, 0 },           { "poll", in_poll, 0 },
	{ "ppoll", in_ppoll, 0 },         { "select", in_select, 0 },
	{ "nanosleep", in_nanosleep, 0 }, { "clock_nanosleep", in_absolute_sleep, 0 },
	{ "sigtimedwait", in_sigtimedwait, 0 }, { "sigsuspend", in_sigsuspend, 0 },
	{ "futex", in_futex, 0 },         { "wait4", in_wait, 0 },
	{ "write", in_write, 0 },         { "epoll_wait", in_epoll, 0 },
	{ "pause", in_pause, 0 },         { "eventfd", in_eventfd, 0 },
	{ "msgrcv", in_msgrcv, 0 },       { "semtimedop", in_semop, 0 },
	{ "recv", in_recv, 0 },           { "recv with SO_RCVTIMEO", in_limited_recv, 0 },
	{ "accept", in_accept, 0 },
};
#define COUNT (int)(sizeof(waits) / sizeof(waits[0]))

/* Whoever looks at them next finds all in their calls, with the masks that these have set for the time being. */
static void let_all_fall_asleep(void)
{
	for (int i = 0; i < COUNT; i++) {
		char path[64], line[512];

		snprintf(path, sizeof(path), "/proc/%d/stat", waits[i].pid);
		for (int tries = 0, asleep = 0; waits[i].pid && tries < 3000 && asleep < 3; tries++) {
			FILE *file = fopen(path, "re");
			const char *state = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;

			if (file)
				fclose(file);
			asleep = state && state[2] == 'S' ? asleep + 1 : 0;
			usleep(1000);
		}
	}
}

static void check(void)
{
	int left = 0, value, answered[COUNT] = { 0 };
	pid_t pid;

	/* A signal that comes before a task has begun its call again runs its handler and ends nothing: so it is everywhere. */
	let_all_fall_asleep();
	for (int i = 0; i < COUNT; i++) {
		if (!waits[i].pid)
			continue;
		left++;
		if (waits[i].wait == in_sigtimedwait)
			kill(waits[i].pid, SIGRTMIN + 2);
		if (waits[i].wait == in_sigsuspend || waits[i].wait == in_futex || waits[i].wait == in_pause)
			kill(waits[i].pid, SIGWINCH);
	}
	usleep(20000);
	for (int i = 0; i < COUNT; i++)
		if (waits[i].pid)
			CHECK(write(pipes[i][1], "x", 1) == 1, "%s: write", waits[i].name);
	for (; left && (pid = answer(&value)) != 0; left--)
		for (int i = 0; i < COUNT; i++)
			if (waits[i].pid == pid) {
				CHECK(value == 0, "%s: it ended in another way than it should", waits[i].name);
				answered[i] = 1;
			}
	for (int i = 0; i < COUNT; i++)
		CHECK(!waits[i].pid || answered[i], "%s did not answer", waits[i].name);
	let_all_fall_asleep();
}

static int is_named(const char *wait, char **names)
{
	while (*names && strcmp(*names, wait))
		names++;
	return *names != NULL;
}

int main(int argc, char **argv)
{
	(void)argc;
	struct sigaction action = { .sa_handler = ignore };

	subject_begin();
	sigaction(SIGWINCH, &action, NULL);
	NEED(COUNT <= 24);
	NEED((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (semaphore = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	for (int i = 0; i < COUNT; i++) {
		NEED(pipe(pipes[i]) == 0);
		if (is_named(waits[i].name, argv + 1))
			continue;
		number = i;
		waits[i].pid = fork();
		if (waits[i].pid == 0) {
			sigset_t set = set_of(SIGRTMIN + 2, 0);
			sigprocmask(SIG_BLOCK, &set, NULL);
			for (;;) {
				int content = waits[i].wait();
				if (!content)
					say("FAIL %s ended with errno %d", waits[i].name, errno);
				sigqueue(getppid(), ANSWER, (union sigval){ .sival_int = !content });
			}
		}
	}
	let_all_fall_asleep();
	subject_rounds(check);
}
