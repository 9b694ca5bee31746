/*
 * plenty FOLDER FILES PIPES CHILDREN [tight]: FILES open files and PIPES pipes in one process, each with a state of its own, and
 * CHILDREN processes that have them all and, at some of the numbers, others. Then all lower their limits below what
 * they have open; with "tight" so far that a child can open nothing more, whatever its soft limit.
 */
#include "subject.h"
#include <sys/epoll.h>
#include <sys/resource.h>

#define LOWERED 100
#define EXCHANGED 10

static int files, pipes, child_count, is_tight, *file, (*ends)[2], number, own[EXCHANGED], far, watch;
static pid_t *child;
static char folder[200];
static struct rlimit lowered;

/* At the first numbers each child has files of its own, and those of the parent in the opposite order behind them. */
static int expected(int i)
{
	if (!number || i >= 2 * EXCHANGED)
		return i;
	return i < EXCHANGED ? -1 : 3 * EXCHANGED - 1 - i;
}

static void check_file(int fd, int which)
{
	int there = -1;

	CHECK(lseek(fd, 0, SEEK_CUR) == which, "%d: descriptor %d is at %ld, not %d", number, fd, (long)lseek(fd, 0, SEEK_CUR),
	      which);
	CHECK(pread(fd, &there, sizeof(there), 4) == 4 && there == 123, "%d: descriptor %d reads %d", number, fd, there);
	CHECK(fcntl(fd, F_GETFD) == (which % 2 ? FD_CLOEXEC : 0), "%d: descriptor %d: close-on-exec", number, fd);
}

static void check_own(void)
{
	struct rlimit limit = { 0 };
	struct epoll_event event = { 0 };
	int there, ready;

	for (int i = 0; i < files; i++)
		if (expected(i) >= 0)
			check_file(file[i], expected(i));
	for (int i = 0; number && i < EXCHANGED; i++)
		CHECK(lseek(own[i], 0, SEEK_CUR) == 100000 * number + i, "%d: its own file %d is at %ld", number, i,
		      (long)lseek(own[i], 0, SEEK_CUR));
	for (int i = 0; i < pipes; i++) {
		NEED(number || write(ends[i][1], &i, sizeof(i)) == sizeof(i));
		CHECK(number || (read(ends[i][0], &there, sizeof(there)) == sizeof(there) && there == i), "pipe %d", i);
		CHECK(number || (read(ends[i][0], &there, sizeof(there)) == sizeof(there) && there == i), "pipe %d: second", i);
		NEED(number || write(ends[i][1], &i, sizeof(i)) == sizeof(i));
	}
	check_file(far, 1);
	getrlimit(RLIMIT_NOFILE, &limit);
	CHECK(limit.rlim_cur == lowered.rlim_cur && limit.rlim_max == lowered.rlim_max, "%d: limits %ld:%ld", number,
	      (long)limit.rlim_cur, (long)limit.rlim_max);
	CHECK(open("/dev/null", O_RDONLY) == -1 && errno == EMFILE, "%d: one more can be opened", number);
	ready = epoll_wait(watch, &event, 1, 0);
	CHECK(ready == (pipes ? 1 : 0) && (!ready || event.data.u64 == 77), "%d: %d ready, %lu", number, ready,
	      (unsigned long)event.data.u64);
}

static void check(void)
{
	check_own();
	for (int i = 0; i < child_count; i++)
		ask_child(child[i], "child");
}

static void lower(rlim_t soft, rlim_t hard)
{
	/* Where Apus has no right to raise it again, the hard limit stays. */
	getrlimit(RLIMIT_NOFILE, &lowered);
	lowered.rlim_cur = soft;
	if (hard)
		lowered.rlim_max = hard;
	NEED(setrlimit(RLIMIT_NOFILE, &lowered) == 0);
}

static void be_child(int i)
{
	int reversed[EXCHANGED];

	number = i + 1;
	for (int k = 0; k < EXCHANGED; k++) {
		int made = open(folder, O_RDONLY);

		NEED(made >= 0 && dup2(made, file[k]) == file[k] && close(made) == 0);
		own[k] = file[k];
		NEED(lseek(own[k], 100000 * number + k, SEEK_SET) > 0);
		reversed[k] = dup(file[2 * EXCHANGED - 1 - k]);
		NEED(reversed[k] >= 0);
	}
	for (int k = 0; k < EXCHANGED; k++) {
		int which = expected(EXCHANGED + k);

		NEED(dup3(reversed[k], file[EXCHANGED + k], which % 2 ? O_CLOEXEC : 0) == file[EXCHANGED + k]);
		NEED(close(reversed[k]) == 0);
	}
	/* The one at the far number lies above this hard limit. */
	lower(is_tight ? 50 : i % 2 ? 20 : LOWERED, is_tight ? 50 : i % 2 ? (rlim_t)(files + 2 * pipes + 100) : 0);
	child_is_ready();
	child_rounds(check_own);
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	struct epoll_event event = { .events = EPOLLIN, .data = { .u64 = 77 } };
	int content[2] = { 123, 123 };

	NEED(argc == 5 || argc == 6);
	is_tight = argc == 6;
	subject_begin();
	snprintf(folder, sizeof(folder), "%s/plenty", argv[1]);
	files = atoi(argv[2]);
	pipes = atoi(argv[3]);
	child_count = atoi(argv[4]);
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	file = calloc((size_t)files + 1, sizeof(*file));
	ends = calloc((size_t)pipes + 1, sizeof(*ends));
	child = calloc((size_t)child_count + 1, sizeof(*child));
	file[0] = open(folder, O_RDWR | O_CREAT | O_TRUNC, 0600);
	NEED(write(file[0], content, sizeof(content)) == sizeof(content) && lseek(file[0], 0, SEEK_SET) == 0);
	for (int i = 1; i < files; i++) {
		file[i] = open(folder, O_RDONLY | (i % 2 ? O_CLOEXEC : 0));
		NEED(file[i] >= 0 && lseek(file[i], i, SEEK_SET) == i);
	}
	watch = epoll_create1(0);
	NEED(watch >= 0);
	for (int i = 0; i < pipes; i++) {
		NEED(pipe(ends[i]) == 0);
		NEED(write(ends[i][1], &i, sizeof(i)) == sizeof(i));
	}
	if (pipes)
		NEED(epoll_ctl(watch, EPOLL_CTL_ADD, ends[pipes / 2][0], &event) == 0);
	far = fcntl(file[1], F_DUPFD_CLOEXEC, files + 2 * pipes + 500);
	NEED(far >= 0);
	for (int i = 0; i < child_count; i++) {
		child[i] = fork();
		NEED(child[i] >= 0);
		if (!child[i])
			be_child(i);
		need_child(child[i]);
	}
	lower(is_tight ? 50 : LOWERED, 0);
	subject_rounds(check);
}
