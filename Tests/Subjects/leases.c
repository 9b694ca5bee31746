/* leases.c FOLDER: leases of every kind (F_SETLEASE), some of which somebody has asked for already. */
#include "subject.h"

/* With details; a lease that names no signal sends SIGIO. */
#define TOLD (SIGRTMIN + 1)

enum { READING, WRITING, EXCLUSIVE_READING, OWNERLESS, BROKEN_READING, BROKEN_WRITING, LOWERED, LEASES };

static const struct {
	const char *name;
	int flags, type;
	/* How it has been asked for, -1 for not at all, and what F_GETLEASE says of it. */
	int asked, now;
} leases[LEASES] = {
	{ "reading", O_RDONLY, F_RDLCK, -1, F_RDLCK },
	{ "writing", O_RDWR, F_WRLCK, -1, F_WRLCK },
	{ "exclusive-reading", O_RDONLY, F_WRLCK, -1, F_WRLCK },
	{ "ownerless", O_RDONLY, F_RDLCK, -1, F_RDLCK },
	{ "broken-reading", O_RDONLY, F_RDLCK, O_WRONLY, F_UNLCK },
	{ "broken-writing", O_RDWR, F_WRLCK, O_WRONLY, F_UNLCK },
	{ "lowered", O_RDWR, F_WRLCK, O_RDONLY, F_RDLCK },
};
static char folder[200];
static int fds[LEASES], copy;
static pid_t child;

/* Opens a file as somebody else would, who does not wait; -1 with EWOULDBLOCK where a lease is in the way. */
static int ask(int lease, int flags)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, leases[lease].name);
	return open(path, flags | O_NONBLOCK | O_CLOEXEC);
}

/* What has been told of a lease: its descriptor, 0 for a signal without details, -1 for nothing. */
static int told_of(void)
{
	sigset_t set = set_of(TOLD, SIGIO, 0);
	struct timespec now = { 0 };
	siginfo_t info;
	int number = sigtimedwait(&set, &info, &now);

	return number == TOLD ? info.si_fd : number == SIGIO ? 0 : -1;
}

/* Some send a signal of their own, one sends none. To give a lease up takes these settings away. */
static int configure(int i)
{
	if (i != WRITING && i != LOWERED && fcntl(fds[i], F_SETSIG, TOLD))
		return -1;
	return i == OWNERLESS ? fcntl(fds[i], F_SETOWN, 0) : 0;
}

static void set_up(int i)
{
	char path[300];
	int made, fd;

	snprintf(path, sizeof(path), "%s/%s", folder, leases[i].name);
	made = open(path, O_RDWR | O_CREAT, 0600);
	NEED(made >= 0 && ftruncate(made, 100) == 0 && close(made) == 0);
	fds[i] = fd = open(path, leases[i].flags);
	NEED(fd >= 0 && fcntl(fd, F_SETLEASE, leases[i].type) == 0);
	NEED(configure(i) == 0);
	if (leases[i].asked >= 0) {
		NEED(ask(i, leases[i].asked) == -1 && errno == EWOULDBLOCK);
		NEED(told_of() == (i == LOWERED ? 0 : fd));
	}
	NEED(told_of() == -1 && fcntl(fd, F_GETLEASE) == leases[i].now);
}

static void check_child(void)
{
	CHECK(fcntl(fds[WRITING], F_GETLEASE) == F_WRLCK, "child: the lease of the description that it shares");
}

/* A lease works as ever: who asks for it waits, and the holder is told. */
static void check_asking(int i, int told_by)
{
	int fd = ask(i, O_WRONLY), told = told_of();

	CHECK(fd == -1 && errno == EWOULDBLOCK, "%s: can be opened", leases[i].name);
	CHECK(told == told_by, "%s: told of %d, not %d", leases[i].name, told, told_by);
	CHECK(fcntl(fds[i], F_SETLEASE, F_UNLCK) == 0, "%s: cannot be given up: %s", leases[i].name, strerror(errno));
	fd = ask(i, O_WRONLY);
	CHECK(fd >= 0, "%s: cannot be opened when given up: %s", leases[i].name, strerror(errno));
	close(fd);
	CHECK(fcntl(fds[i], F_SETLEASE, leases[i].type) == 0, "%s: cannot be had again: %s", leases[i].name, strerror(errno));
	CHECK(configure(i) == 0, "%s: its signal cannot be set", leases[i].name);
}

static void check(void)
{
	int told = told_of();

	CHECK(told == -1, "told of %d, which nobody has asked for", told);
	for (int i = 0; i < LEASES; i++) {
		int owner = fcntl(fds[i], F_GETOWN), type = fcntl(fds[i], F_GETLEASE);
		int sent = fcntl(fds[i], F_GETSIG);

		CHECK(type == leases[i].now, "%s: lease %d, not %d", leases[i].name, type, leases[i].now);
		CHECK(owner == (i == OWNERLESS ? 0 : getpid()), "%s: owner %d", leases[i].name, owner);
		CHECK(sent == (i == WRITING || i == LOWERED ? 0 : TOLD), "%s: signal %d", leases[i].name, sent);
		if (leases[i].asked >= 0) {
			int fd = ask(i, leases[i].asked);

			told = told_of();
			CHECK(fd == -1 && errno == EWOULDBLOCK, "%s: is not in the way any more", leases[i].name);
			CHECK(told == -1, "%s: told once more, of %d", leases[i].name, told);
		}
	}
	CHECK(fcntl(copy, F_GETLEASE) == F_RDLCK, "the lease through a second descriptor");
	check_asking(READING, fds[READING]);
	check_asking(WRITING, 0);
	check_asking(EXCLUSIVE_READING, fds[EXCLUSIVE_READING]);
	check_asking(OWNERLESS, -1);
	ask_child(child, "child");
}

int main(int argc, char **argv)
{
	sigset_t set;

	NEED(argc == 2);
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	NEED(mkdir(folder, 0755) == 0 || errno == EEXIST);
	subject_begin();
	set = set_of(TOLD, SIGIO, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < LEASES; i++)
		set_up(i);
	copy = dup(fds[READING]);
	child = fork();
	if (child == 0) {
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	subject_rounds(check);
}
