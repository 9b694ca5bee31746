/*
 * unaccepted.c: Unix connections that nobody has accepted yet, with what was sent on them: little and much, with bounds,
 * with descriptors, by clients that have ended their direction, or closed it all.
 */
#include "subject.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MUCH 150000
#define PACKET 60000

static int service[2], plain, large, ended, silent, packets, passing, passed;
static unsigned char block[MUCH], back[MUCH];
static pid_t other;

static int client_of(int fd, int type)
{
	struct sockaddr_un name;
	socklen_t n = sizeof(name);
	int made = socket(AF_UNIX, type, 0);

	CHECK(getsockname(fd, (void *)&name, &n) == 0 && connect(made, (void *)&name, n) == 0, "connect: %s", strerror(errno));
	return made;
}

static void put(int fd, const void *what, size_t n)
{
	CHECK(send(fd, what, n, MSG_DONTWAIT) == (ssize_t)n, "send %zu: %s", n, strerror(errno));
}

static void pass(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec io = { "with", 4 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	CHECK(sendmsg(to, &m, MSG_DONTWAIT) == 4, "sendmsg: %s", strerror(errno));
}

/* Another process connects, writes, closes and ends. */
static pid_t leave(void)
{
	pid_t child = fork();

	if (child == 0) {
		int fd = client_of(service[0], SOCK_STREAM);
		if (setgid(34) || setuid(33))
			_exit(1);
		_exit(send(fd, "last words", 10, 0) == 10 ? 0 : 1);
	}
	CHECK(child > 0 && waitpid(child, NULL, 0) == child, "fork");
	return child;
}

static void queue(void)
{
	plain = client_of(service[0], SOCK_STREAM);
	put(plain, "one ", 4);
	put(plain, "two", 3);
	other = leave();
	large = client_of(service[0], SOCK_STREAM);
	put(large, block, MUCH);
	ended = client_of(service[0], SOCK_STREAM);
	put(ended, "the end", 7);
	CHECK(shutdown(ended, SHUT_WR) == 0, "shutdown");
	silent = client_of(service[0], SOCK_STREAM);
	passing = client_of(service[0], SOCK_STREAM);
	put(passing, "before ", 7);
	pass(passing, passed);
	/* A message that holds its own socket. */
	pass(passing, passing);
	put(passing, "after", 5);
	packets = client_of(service[1], SOCK_SEQPACKET);
	put(packets, "first", 5);
	put(packets, block, PACKET);
	put(packets, "", 0);
	put(packets, "third", 5);
}

static int accepted(int number, const char *what)
{
	int one = 1, fd = accept4(service[number], NULL, NULL, SOCK_NONBLOCK);

	CHECK(fd >= 0, "%s does not wait: %s", what, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	return fd;
}

/* Takes a message, of which it is checked who sent it. */
static void take(int fd, const void *text, size_t n, pid_t pid, int *got, const char *what)
{
	char control[256] __attribute__((aligned(8)));
	size_t sum = 0;

	while (sum <= n) {
		struct iovec io = { back + sum, n > sum ? n - sum : 1 };
		struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		struct ucred who = { 0 };
		ssize_t now = recvmsg(fd, &m, 0);

		CHECK(now >= 0, "%s: %zu of %zu bytes: %s", what, sum, n, strerror(errno));
		if (now < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_type == SCM_RIGHTS && got)
				memcpy(got, CMSG_DATA(c), sizeof(int));
			if (c->cmsg_type == SCM_CREDENTIALS)
				memcpy(&who, CMSG_DATA(c), sizeof(who));
		}
		CHECK(who.pid == pid, "%s: from process %d, not %d", what, who.pid, pid);
		sum += now;
		if (sum >= n || now == 0)
			break;
	}
	CHECK(sum == n && !memcmp(back, text, n), "%s: content", what);
}

static void is_from(int fd, pid_t pid, const char *what)
{
	struct ucred who = { 0 };
	socklen_t n = sizeof(who);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == pid, "%s: connected by %d, not %d", what, who.pid, pid);
}

static void is_at_end(int fd, const char *what)
{
	CHECK(recv(fd, back, 1, MSG_DONTWAIT) == 0, "%s does not end", what);
}

static void is_open(int fd, const char *what)
{
	CHECK(recv(fd, back, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "%s has more, or an end", what);
}

static void check_passed(int fd)
{
	struct stat wanted, found;
	int got = -1, own = -1;

	take(fd, "before ", 7, getpid(), NULL, "before a descriptor");
	take(fd, "with", 4, getpid(), &got, "a descriptor");
	CHECK(got >= 0 && fstat(got, &found) == 0 && fstat(passed, &wanted) == 0 && found.st_ino == wanted.st_ino, "another file was passed");
	/* One description, so one place in the file. */
	CHECK(lseek(got, 3, SEEK_SET) == 3 && lseek(passed, 0, SEEK_CUR) == 3 && lseek(passed, 0, SEEK_SET) == 0, "another description was passed");
	take(fd, "with", 4, getpid(), &own, "the socket itself");
	put(own, "through the copy", 16);
	take(fd, "after", 5, getpid(), NULL, "after a descriptor");
	take(fd, "through the copy", 16, getpid(), NULL, "through the copy");
	close(got);
	close(own);
	is_open(fd, "the one that passes");
}

static void check(void)
{
	int fd = accepted(0, "the plain one"), all[6], n = 0;

	is_from(fd, getpid(), "the plain one");
	take(fd, "one two", 7, getpid(), NULL, "the plain one");
	is_open(fd, "the plain one");
	put(fd, "answer", 6);
	CHECK(recv(plain, back, 99, MSG_DONTWAIT) == 6 && !memcmp(back, "answer", 6), "the answer");
	all[n++] = fd;
	all[n++] = fd = accepted(0, "the one that left");
	is_from(fd, other, "the one that left");
	take(fd, "last words", 10, other, NULL, "the one that left");
	is_at_end(fd, "the one that left");
	all[n++] = fd = accepted(0, "the large one");
	take(fd, block, MUCH, getpid(), NULL, "the large one");
	is_open(fd, "the large one");
	all[n++] = fd = accepted(0, "the one that ended");
	take(fd, "the end", 7, getpid(), NULL, "the one that ended");
	is_at_end(fd, "the one that ended");
	all[n++] = fd = accepted(0, "the silent one");
	is_open(fd, "the silent one");
	put(silent, "at last", 7);
	take(fd, "at last", 7, getpid(), NULL, "the silent one");
	all[n++] = fd = accepted(0, "the one that passes");
	check_passed(fd);
	CHECK(accept4(service[0], NULL, NULL, SOCK_NONBLOCK) < 0 && errno == EAGAIN, "one more waits");
	fd = accepted(1, "that of packets");
	take(fd, "first", 5, getpid(), NULL, "packet 1");
	take(fd, block, PACKET, getpid(), NULL, "packet 2");
	take(fd, "", 0, getpid(), NULL, "packet 3");
	take(fd, "third", 5, getpid(), NULL, "packet 4");
	is_open(fd, "that of packets");
	close(fd);
	while (n > 0)
		close(all[--n]);
	close(plain);
	close(large);
	close(ended);
	close(silent);
	close(packets);
	close(passing);
	queue();
}

int main(void)
{
	struct sockaddr_un name = { AF_UNIX, "" };

	subject_begin();
	for (size_t i = 0; i < MUCH; i++)
		block[i] = i * 7 + i / 251;
	for (int i = 0; i < 2; i++) {
		service[i] = socket(AF_UNIX, (i ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_NONBLOCK, 0);
		/* A name that the kernel chooses: in another pid namespace another subject may have this pid. */
		NEED(bind(service[i], (void *)&name, sizeof(sa_family_t)) == 0 && listen(service[i], 9) == 0);
	}
	passed = open("/proc/self/exe", O_RDONLY);
	NEED(passed >= 0);
	queue();
	NEED(failures == 0);
	subject_rounds(check);
}
