/* lockwaits.c FOLDER: processes that wait for locks and for a lease which their parent holds, and a table of descriptors
   with a lock that two processes share. */
#include "subject.h"
#include <sched.h>
#include <sys/file.h>

enum { FLOCK, POSIX, DESCRIPTION, LEASE, WAITERS };

static const char *const names[WAITERS] = { "flock", "posix", "description", "lease" };
static char folder[200];
static int fds[WAITERS], common;
static pid_t waiters[WAITERS], sharer;
/* In shared memory: how often each has got what it waits for, and how often it may have begun to wait. */
static volatile struct {
	int got[WAITERS], may[WAITERS];
} *shared;

static int open_file(const char *name, int flags)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open(path, flags | O_CLOEXEC, 0600);
}

static int set(int fd, int command, int type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 7, .l_len = 3 };

	return fcntl(fd, command, &lock);
}

/* Takes what a waiter waits for, or waits for it; gives it up again. */
static int take(int i, int fd, int wait)
{
	switch (i) {
	case FLOCK: return flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	case POSIX: return set(fd, wait ? F_SETLKW : F_SETLK, F_WRLCK);
	case DESCRIPTION: return set(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, F_WRLCK);
	default: return wait ? open_file(names[i], O_WRONLY) : fcntl(fd, F_SETLEASE, F_RDLCK);
	}
}

static void give(int i, int fd)
{
	if (i == LEASE)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	else if (i == FLOCK)
		flock(fd, LOCK_UN);
	else
		set(fd, i == POSIX ? F_SETLK : F_OFD_SETLK, F_UNLCK);
}

static void waiter(int i)
{
	/* A description of its own. */
	int fd = i == LEASE ? -1 : open_file(names[i], O_RDWR);

	for (int turn = 1;; turn++) {
		int result;

		while (shared->may[i] < turn)
			usleep(1000);
		do
			result = take(i, fd, 1);
		while (result == -1 && errno == EINTR);
		shared->got[i] = result < 0 ? -errno : turn;
		if (i == LEASE)
			close(result);
		else
			give(i, fd);
	}
}

/* Whether a process sleeps in the call that it waits by. */
static int waits(int i)
{
	static const long calls[WAITERS] = { SYS_flock, SYS_fcntl, SYS_fcntl, SYS_openat };
	char path[40], text[16] = "";
	int file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", waiters[i]);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0 || read(file, text, sizeof(text) - 1) <= 0)
		text[0] = 0;
	close(file);
	return atol(text) == calls[i] && text[0] != 'r';
}

/* Waits for at most ten seconds. */
static int comes(int (*what)(int), int i)
{
	for (int n = 0; n < 10000; n++) {
		if (what(i))
			return 1;
		usleep(1000);
	}
	return 0;
}

static int may_have(int i)
{
	return shared->got[i] == shared->may[i];
}

/* Takes everything and has all wait for it. */
static int begin(int i)
{
	/* The waiter is about to give it up. */
	for (int n = 0; take(i, fds[i], 0); n++) {
		if (n == 5000)
			return 0;
		usleep(1000);
	}
	shared->may[i]++;
	return comes(waits, i);
}

/* Who has the lock that two processes hold together, as a third one is told. */
static pid_t holder(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 7, .l_len = 1 };
	volatile pid_t *found = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t result;

	if (fork() == 0) {
		*found = fcntl(fd, F_GETLK, &lock) ? -1 : lock.l_type == F_UNLCK ? 0 : lock.l_pid;
		_exit(0);
	}
	while (wait(NULL) == -1 && errno == EINTR)
		;
	result = *found;
	munmap((void *)found, 4096);
	return result;
}

static void check_sharer(void)
{
	CHECK(set(common, F_SETLK, F_WRLCK) == 0, "sharer: the lock that it has with its parent");
}

static void check(void)
{
	CHECK(holder(common) == sharer, "the lock of a table that is shared: %d has it", holder(common));
	CHECK(set(common, F_SETLK, F_WRLCK) == 0, "the lock that the other one took");
	for (int i = 0; i < WAITERS; i++) {
		CHECK(comes(waits, i), "%s: its waiter does not wait", names[i]);
		CHECK(shared->got[i] == shared->may[i] - 1, "%s: got it already: %d", names[i], shared->got[i]);
		give(i, fds[i]);
		CHECK(comes(may_have, i), "%s: is not given on: %d", names[i], shared->got[i]);
		CHECK(begin(i), "%s: does not begin anew: %s", names[i], strerror(errno));
	}
	ask_child(sharer, "sharer");
}

int main(int argc, char **argv)
{
	NEED(argc == 2);
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	NEED(mkdir(folder, 0755) == 0 || errno == EEXIST);
	subject_begin();
	/* The lease tells by it. */
	signal(SIGIO, SIG_IGN);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(shared != MAP_FAILED);
	for (int i = 0; i < WAITERS; i++) {
		int made = open_file(names[i], O_RDWR | O_CREAT);

		NEED(made >= 0 && ftruncate(made, 100) == 0);
		fds[i] = i == LEASE ? open_file(names[i], O_RDONLY) : made;
		if (i == LEASE)
			close(made);
	}
	common = open_file("common", O_RDWR | O_CREAT);
	for (int i = 0; i < WAITERS; i++) {
		waiters[i] = fork();
		NEED(waiters[i] >= 0);
		if (waiters[i] == 0) {
			/* The descriptors of its parent would keep what the parent gives up. */
			close_range(3, ~0U, 0);
			waiter(i);
		}
		NEED(begin(i));
	}
	sharer = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (sharer == 0) {
		NEED(set(common, F_SETLK, F_WRLCK) == 0);
		child_is_ready();
		child_rounds(check_sharer);
	}
	need_child(sharer);
	subject_rounds(check);
}
