/* unixsockets.c FOLDER: Unix sockets of every kind and state, within a process and between two, with data under way. */
#include "subject.h"
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char folder[80], block[50000], back[50000];
static int stream[2], packets[2], datagrams[2], half[2], orphan, passing[2], sender_known[2], large[2];
static int listener, client, server, waiting[3], abstract, one_way, receiver, mutual[2], unbound, gone, late_server, late_client;
static int loop[2], from_name[2];
static pid_t child;
static int to_child, to_parent;

static socklen_t address(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (name[0] == '@') {
		/* Several of these may run at the same time, each in a folder of its own, with the same pids. */
		snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "%.79s-%.15s", folder, name + 1);
		return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a->sun_path + 1);
	}
	if (name[0] == '.')
		snprintf(a->sun_path, sizeof(a->sun_path), "%.20s", name + 2);
	else
		snprintf(a->sun_path, sizeof(a->sun_path), "%.79s/%.20s", folder, name);
	return offsetof(struct sockaddr_un, sun_path) + strlen(a->sun_path) + 1;
}

static int bound(int type, const char *name)
{
	struct sockaddr_un a;
	socklen_t length = address(&a, name);
	int fd = socket(AF_UNIX, type, 0);

	NEED(fd >= 0 && bind(fd, (void *)&a, length) == 0);
	return fd;
}

static int connect_to(int fd, const char *name)
{
	struct sockaddr_un a;
	socklen_t length = address(&a, name);

	return connect(fd, (void *)&a, length);
}

static int is_called(int fd, const char *name, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_un a, wanted;
	socklen_t n = sizeof(a), length = name ? address(&wanted, name) : offsetof(struct sockaddr_un, sun_path);

	if (get(fd, (void *)&a, &n) || n != length)
		return 0;
	return !name || !memcmp(&a, &wanted, n);
}

static void put(int fd, const char *text)
{
	ssize_t n = send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);

	CHECK(n == (ssize_t)strlen(text), "send \"%s\" to %d: %s", text, fd, strerror(errno));
}

static int gets_(int fd, const char *text)
{
	ssize_t n = recv(fd, back, sizeof(back), MSG_DONTWAIT);

	if (n == (ssize_t)strlen(text) && !memcmp(back, text, n))
		return 1;
	say("  received %zd bytes \"%.*s\", not \"%s\"", n, n > 0 ? (int)n : 0, back, text);
	return 0;
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	getsockopt(fd, SOL_SOCKET, name, &value, &length);
	return value;
}

/* Sends bytes with descriptors. */
static void pass(int over, const char *text, const int *fds, int count)
{
	char control[CMSG_SPACE(sizeof(int) * 4)] __attribute__((aligned(8))) = { 0 };
	struct iovec io = { (void *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * count) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
	CHECK(sendmsg(over, &m, MSG_DONTWAIT) == (ssize_t)strlen(text), "pass: %s", strerror(errno));
}

/* Receives bytes with descriptors, or with credentials. */
static int take(int from, const char *text, int *fds, int most, struct ucred *who)
{
	char control[256] __attribute__((aligned(8)));
	struct iovec io = { back, sizeof(back) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n = recvmsg(from, &m, MSG_DONTWAIT);
	int count = 0;

	CHECK(n == (ssize_t)strlen(text) && !memcmp(back, text, n), "message \"%s\": %zd bytes \"%.*s\"", text, n, n > 0 ? (int)n : 0, back);
	if (n < 0)
		return 0;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == SCM_RIGHTS) {
			count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), sizeof(int) * (count < most ? count : most));
		} else if (c->cmsg_type == SCM_CREDENTIALS && who) {
			memcpy(who, CMSG_DATA(c), sizeof(*who));
		}
	}
	return count;
}

/* Takes a datagram, whose sender has to have a name. */
static int from(int fd, const char *text, const char *name)
{
	struct sockaddr_un a, wanted;
	socklen_t n = sizeof(a), length = address(&wanted, name);
	ssize_t got = recvfrom(fd, back, sizeof(back), MSG_DONTWAIT, (void *)&a, &n);

	return got == (ssize_t)strlen(text) && !memcmp(back, text, got) && n == length && !memcmp(&a, &wanted, n);
}

/* What is queued at each dump. */
static void queue(void)
{
	int fds[3], pair[2], offset = 2, fd;
	struct sockaddr_un a;
	socklen_t n = address(&a, "@named");

	CHECK(sendto(from_name[1], "by name", 7, MSG_DONTWAIT, (void *)&a, n) == 7, "sendto");
	/* A sender that has gone, and whose name nobody has any more. */
	fd = bound(SOCK_DGRAM, "@passer-by");
	CHECK(sendto(fd, "by one gone", 11, MSG_DONTWAIT, (void *)&a, n) == 11, "sendto");
	close(fd);
	CHECK(setsockopt(stream[1], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0, "SO_PEEK_OFF");

	put(stream[0], "to the second, ");
	put(stream[0], "in two parts");
	put(stream[1], "to the first");
	put(packets[1], "packet one");
	put(packets[1], "packet two is longer");
	put(datagrams[0], "one");
	put(datagrams[0], "two two");
	put(datagrams[1], "back");
	put(one_way, "abstract datagram");
	put(one_way, "and another");
	put(mutual[0], "to you");
	put(mutual[1], "to me");
	put(client, "request");
	put(server, "reply");
	put(late_client, "late request");
	put(sender_known[0], "who am I");
	put(loop[0], "through myself");
	CHECK(send(large[0], block, sizeof(block), MSG_DONTWAIT) == sizeof(block), "large: send");

	/* Bytes before, a file and one end of a pair with some, bytes after. */
	fds[0] = open("/proc/self/exe", O_RDONLY);
	NEED(fds[0] >= 0 && lseek(fds[0], 1, SEEK_SET) == 1);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	fds[1] = pair[1];
	fds[2] = memfd_create("passed", 0);
	NEED(fds[2] >= 0 && write(fds[2], "in memory", 9) == 9);
	put(pair[0], "inside");
	put(passing[0], "before ");
	pass(passing[0], "with", fds, 3);
	put(passing[0], "after");
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
	close(pair[0]);
}

static void check_passed(void)
{
	int fds[3] = { -1, -1, -1 };
	char magic[3];

	/* A reader that asks for as much as there is gets the first two together: they end where descriptors begin. */
	CHECK(recv(passing[1], back, 7, MSG_DONTWAIT) == 7 && !memcmp(back, "before ", 7), "before the descriptors");
	CHECK(take(passing[1], "with", fds, 3, NULL) == 3, "descriptors under way");
	CHECK(fds[0] >= 0 && read(fds[0], magic, 3) == 3 && !memcmp(magic, "ELF", 3), "file under way");
	CHECK(fds[1] >= 0 && gets_(fds[1], "inside") && recv(fds[1], back, 1, MSG_DONTWAIT) == 0, "socket under way");
	CHECK(pread(fds[2], back, 20, 0) == 9 && !memcmp(back, "in memory", 9), "shared memory under way");
	CHECK(gets_(passing[1], "after"), "after the descriptors");
	close(fds[0]);
	close(fds[1]);
	close(fds[2]);
}

static void check_listening(void)
{
	int fd, other;

	CHECK(gets_(server, "request") && gets_(client, "reply"), "accepted connection");
	CHECK(is_called(server, "listen", getsockname) && is_called(client, "listen", getpeername), "names of the connection");
	CHECK(is_called(client, NULL, getsockname), "the client has a name");
	CHECK(gets_(late_server, "late request"), "connection without its listening socket");
	CHECK(is_called(late_server, "late", getsockname), "name of the connection without its listening socket");
	CHECK(option(listener, SO_ACCEPTCONN) == 1 && is_called(listener, "listen", getsockname), "listening socket");
	/* Those that wait are accepted in their order, and wait again. */
	for (int i = 0; i < 3; i++) {
		char name[16];

		fd = accept4(abstract, NULL, NULL, SOCK_NONBLOCK);
		CHECK(fd >= 0, "connection %d does not wait", i);
		put(waiting[i], "late");
		CHECK(gets_(fd, "late"), "connection %d that waited", i);
		close(fd);
		close(waiting[i]);
		snprintf(name, sizeof(name), "@wait");
		waiting[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK(connect_to(waiting[i], name) == 0, "connect again");
	}
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(connect_to(fd, "listen") == 0, "connect to the listening socket: %s", strerror(errno));
	other = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	CHECK(other >= 0, "accept");
	close(fd);
	close(other);
}

static void check_child(void)
{
	CHECK(gets_(to_parent, "to the child"), "child: what the parent had sent");
	put(to_parent, "to the parent");
}

static void check(void)
{
	struct sockaddr_un a, wanted;
	socklen_t n = sizeof(a);
	struct ucred who = { 0 };
	struct stat status;
	struct timeval time;
	char path[300];

	CHECK(option(stream[1], SO_PEEK_OFF) == 2, "SO_PEEK_OFF of its own %d", option(stream[1], SO_PEEK_OFF));
	CHECK(option(datagrams[0], SO_TIMESTAMP) == 1 && option(datagrams[1], SO_TIMESTAMP) == 0, "SO_TIMESTAMP");
	CHECK(from(from_name[0], "by name", "sender") && from(from_name[0], "by one gone", "@passer-by"), "names of senders");
	CHECK(gets_(stream[1], "to the second, in two parts") && gets_(stream[0], "to the first"), "stream");
	CHECK(gets_(packets[0], "packet one") && gets_(packets[0], "packet two is longer"), "packets");
	CHECK(gets_(datagrams[1], "one") && gets_(datagrams[1], "two two") && gets_(datagrams[0], "back"), "datagrams");
	CHECK(gets_(receiver, "abstract datagram") && gets_(receiver, "and another"), "datagrams by name");
	CHECK(gets_(mutual[1], "to you"), "bound datagram sockets, first");
	CHECK(recvfrom(mutual[0], back, 99, MSG_DONTWAIT, (void *)&a, &n) == 5 && !memcmp(back, "to me", 5), "bound datagram sockets, second");
	CHECK(n == address(&wanted, "mutual-1") && !memcmp(&a, &wanted, n), "sender of a datagram");
	CHECK(gets_(loop[0], "through myself"), "socket connected to itself");
	CHECK(recv(large[1], back, sizeof(back), MSG_DONTWAIT) == sizeof(block) && !memcmp(back, block, sizeof(block)), "large: content");
	check_listening();
	check_passed();
	CHECK(take(sender_known[1], "who am I", NULL, 0, &who) == 0 && who.pid == getpid() && who.uid == geteuid(), "sender: pid %d uid %d", who.pid, who.uid);
	if (round_number == 1)
		CHECK(gets_(orphan, "last words"), "orphan: content");
	CHECK(recv(orphan, back, 1, MSG_DONTWAIT) == 0 && send(orphan, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "orphan: no end");
	if (round_number == 1)
		CHECK(gets_(half[1], "last"), "half-closed: content");
	CHECK(recv(half[1], back, 1, MSG_DONTWAIT) == 0, "half-closed: no end");
	CHECK(send(half[0], "z", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "half-closed: it can be written to");
	put(half[1], "z");
	CHECK(gets_(half[0], "z"), "half-closed: other direction");
	CHECK(is_called(unbound, NULL, getsockname) && send(unbound, "x", 1, MSG_NOSIGNAL) < 0 && errno == ENOTCONN, "unconnected");
	CHECK(is_called(gone, "gone", getsockname), "deleted name");
	snprintf(path, sizeof(path), "%s/gone", folder);
	CHECK(stat(path, &status) && errno == ENOENT, "the deleted name is there");
	snprintf(path, sizeof(path), "%s/listen", folder);
	CHECK(stat(path, &status) == 0 && S_ISSOCK(status.st_mode) && (status.st_mode & 0777) == 0640 && status.st_uid == 33, "file: mode %o owner %d", status.st_mode, status.st_uid);

	CHECK(option(stream[0], SO_SNDBUF) == 60000 && option(stream[0], SO_RCVBUF) == 212992, "buffers %d %d", option(stream[0], SO_SNDBUF), option(stream[0], SO_RCVBUF));
	CHECK(option(sender_known[1], SO_PASSCRED) == 1 && option(sender_known[0], SO_PASSCRED) == 0, "SO_PASSCRED");
	n = sizeof(time);
	CHECK(getsockopt(packets[0], SOL_SOCKET, SO_RCVTIMEO, &time, &n) == 0 && time.tv_sec == 7 && time.tv_usec == 500000, "SO_RCVTIMEO");
	CHECK((fcntl(packets[0], F_GETFL) & O_NONBLOCK) && !(fcntl(packets[1], F_GETFL) & O_NONBLOCK), "O_NONBLOCK");
	CHECK(fcntl(stream[0], F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC");
	CHECK(option(stream[0], SO_PEEK_OFF) == -1 && option(packets[0], SO_PEEK_OFF) == -1, "SO_PEEK_OFF");

	ask_child(child, "child");
	CHECK(gets_(to_child, "to the parent"), "what the child sent");
	put(to_child, "to the child");
	queue();
}

static void set_up_options(void)
{
	int one = 1, size = 30000;
	struct timeval time = { 7, 500000 };

	NEED(setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	NEED(setsockopt(sender_known[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0);
	NEED(setsockopt(datagrams[0], SOL_SOCKET, SO_TIMESTAMP, &one, sizeof(one)) == 0);
	NEED(setsockopt(packets[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
	NEED(fcntl(packets[0], F_SETFL, O_RDWR | O_NONBLOCK) == 0 && fcntl(stream[0], F_SETFD, FD_CLOEXEC) == 0);
}

static void set_up_listening(void)
{
	char path[300];
	int fd;

	listener = bound(SOCK_STREAM, "listen");
	snprintf(path, sizeof(path), "%s/listen", folder);
	NEED(listen(listener, 5) == 0 && chmod(path, 0640) == 0 && chown(path, 33, 33) == 0);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(connect_to(client, "listen") == 0 && (server = accept(listener, NULL, NULL)) >= 0);
	fd = bound(SOCK_STREAM, "late");
	late_client = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(listen(fd, 1) == 0 && connect_to(late_client, "late") == 0 && (late_server = accept(fd, NULL, NULL)) >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/late", folder);
	NEED(unlink(path) == 0);
	abstract = bound(SOCK_STREAM, "@wait");
	NEED(listen(abstract, 8) == 0);
	for (int i = 0; i < 3; i++) {
		waiting[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		NEED(connect_to(waiting[i], "@wait") == 0);
	}
}

static void set_up_child(void)
{
	int pair[2];

	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	child = fork();
	if (child == 0) {
		/* It shares all others with its parent. */
		close(pair[0]);
		to_parent = pair[1];
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	close(pair[1]);
	to_child = pair[0];
	put(to_child, "to the child");
}

int main(int argc, char **argv)
{
	char path[300];
	int pair[2];

	NEED(argc == 2);
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	NEED(mkdir(folder, 0755) == 0 || errno == EEXIST);
	subject_begin();
	fill(block, sizeof(block), 5);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
	NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, passing) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sender_known) == 0);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, large) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	put(pair[0], "last words");
	close(pair[0]);
	orphan = pair[1];
	put(half[0], "last");
	NEED(shutdown(half[0], SHUT_WR) == 0);
	set_up_options();
	set_up_listening();
	receiver = bound(SOCK_DGRAM, "@receiver");
	one_way = socket(AF_UNIX, SOCK_DGRAM, 0);
	NEED(connect_to(one_way, "@receiver") == 0);
	mutual[0] = bound(SOCK_DGRAM, "mutual-0");
	mutual[1] = bound(SOCK_DGRAM, "mutual-1");
	NEED(connect_to(mutual[0], "mutual-1") == 0 && connect_to(mutual[1], "mutual-0") == 0);
	loop[0] = bound(SOCK_DGRAM, "@loop");
	NEED(connect_to(loop[0], "@loop") == 0);
	from_name[0] = bound(SOCK_DGRAM, "@named");
	from_name[1] = bound(SOCK_DGRAM, "sender");
	unbound = socket(AF_UNIX, SOCK_STREAM, 0);
	gone = bound(SOCK_STREAM, "gone");
	NEED(listen(gone, 2) == 0);
	snprintf(path, sizeof(path), "%s/gone", folder);
	NEED(unlink(path) == 0);
	set_up_child();
	queue();
	NEED(failures == 0);
	subject_rounds(check);
}
