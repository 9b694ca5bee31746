/* locks.c FOLDER: locks of every kind on files, of two processes and of a description that they share. */
#include "subject.h"
#include <sys/file.h>

static char folder[200];
static int whole, shared, records, described, childs, awkward[3], passed, own;
static pid_t child;

static int make(const char *name)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	NEED(fd >= 0 && ftruncate(fd, 1000) == 0);
	return fd;
}

static int set(int fd, int command, int type, off_t start, off_t length)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

	return fcntl(fd, command, &lock);
}

/* Who has a record lock there, asked through a descriptor of another process; 0 for nobody, -1 for a description. */
static pid_t holder(int fd, int type, off_t start)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 1 };
	int result[2];
	pid_t found = -2;

	if (pipe(result))
		return -3;
	if (fork() == 0) {
		found = fcntl(fd, F_GETLK, &lock) ? -4 : lock.l_type == F_UNLCK ? 0 : lock.l_pid;
		_exit(write(result[1], &found, sizeof(found)) != sizeof(found));
	}
	wait(NULL);
	if (read(result[0], &found, sizeof(found)) != sizeof(found))
		found = -5;
	close(result[0]);
	close(result[1]);
	return found;
}

static int can_lock(const char *name, int how)
{
	char path[300];
	int fd, can;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR);
	can = flock(fd, how | LOCK_NB) == 0;
	close(fd);
	return can;
}

static void check_child(void)
{
	CHECK(set(childs, F_SETLK, F_WRLCK, 5, 5) == 0, "child: its own lock");
	CHECK(set(records, F_SETLK, F_WRLCK, 10, 1) == -1, "child: the parent's lock");
	CHECK(flock(whole, LOCK_EX | LOCK_NB) == 0, "child: the lock of the description that it shares");
	CHECK(flock(passed, LOCK_EX | LOCK_NB) == 0, "child: the lock that it took for both");
	CHECK(set(own, F_SETLK, F_WRLCK, 1, 1) == 0, "child: the lock through a descriptor of its own");
}

static void check(void)
{
	CHECK(!can_lock("whole", LOCK_SH) && flock(whole, LOCK_EX | LOCK_NB) == 0, "exclusive flock");
	CHECK(can_lock("shared", LOCK_SH) && !can_lock("shared", LOCK_EX), "shared flock");
	CHECK(holder(records, F_WRLCK, 10) == getpid() && holder(records, F_RDLCK, 10) == getpid(), "write lock: %d", holder(records, F_WRLCK, 10));
	CHECK(holder(records, F_WRLCK, 19) == getpid() && holder(records, F_WRLCK, 20) == 0, "end of the write lock");
	CHECK(holder(records, F_WRLCK, 500) == getpid() && holder(records, F_RDLCK, 5000) == 0, "read lock to the end");
	CHECK(holder(described, F_WRLCK, 3) == -1 && holder(described, F_WRLCK, 7) == 0, "lock of a description: %d", holder(described, F_WRLCK, 3));
	CHECK(holder(childs, F_WRLCK, 5) == child, "the child's lock: %d", holder(childs, F_WRLCK, 5));
	CHECK(holder(awkward[2], F_WRLCK, 2) == getpid(), "the lock among descriptors of other modes: %d", holder(awkward[2], F_WRLCK, 2));
	CHECK(!can_lock("passed", LOCK_SH) && flock(passed, LOCK_EX | LOCK_NB) == 0, "the lock that the child took for both");
	ask_child(child, "child");
}

int main(int argc, char **argv)
{
	char path[300];

	NEED(argc == 2);
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	NEED(mkdir(folder, 0755) == 0 || errno == EEXIST);
	subject_begin();
	whole = make("whole");
	shared = make("shared");
	records = make("records");
	described = make("described");
	childs = make("childs");
	passed = make("passed");
	/* A lock shows in every descriptor of its file, also in those that could not take it. */
	snprintf(path, sizeof(path), "%s/awkward", folder);
	NEED(close(make("awkward")) == 0);
	awkward[0] = open(path, O_PATH);
	awkward[1] = open(path, O_RDONLY);
	awkward[2] = open(path, O_RDWR);
	NEED(set(awkward[2], F_SETLK, F_WRLCK, 2, 2) == 0);
	NEED(flock(whole, LOCK_EX) == 0 && flock(shared, LOCK_SH) == 0);
	child = fork();
	if (child == 0) {
		NEED(set(childs, F_SETLK, F_WRLCK, 5, 5) == 0);
		own = make("own");
		NEED(set(own, F_SETLK, F_WRLCK, 1, 1) == 0 && flock(passed, LOCK_EX) == 0);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED(set(records, F_SETLK, F_WRLCK, 10, 10) == 0 && set(records, F_SETLK, F_RDLCK, 400, 0) == 0);
	NEED(set(described, F_OFD_SETLK, F_WRLCK, 3, 4) == 0);
	subject_rounds(check);
}
