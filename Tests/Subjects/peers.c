/* peers.c FOLDER: Unix connections made by several users, some of whom have gone; each end tells who made it. */
#include "subject.h"
#include <grp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static char folder[80];
static int own[2], theirs[2], packets[2], listener, client, server, late_client, late_server, orphan, deaf, deaf_client, told_of[2];
static int waiting, late_listener;
static pid_t maker, half_maker, connector, listening_child, child, sender, late_listening_child;

static socklen_t address(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%.79s/%.20s", folder, name);
	return offsetof(struct sockaddr_un, sun_path) + strlen(a->sun_path) + 1;
}

static int bound(int type, const char *name)
{
	struct sockaddr_un a;
	socklen_t n = address(&a, name);
	int fd = socket(AF_UNIX, type, 0);

	NEED(fd >= 0 && bind(fd, (void *)&a, n) == 0 && chmod(a.sun_path, 0666) == 0);
	return fd;
}

static int connect_to(int fd, const char *name)
{
	struct sockaddr_un a;
	socklen_t n = address(&a, name);

	return connect(fd, (void *)&a, n);
}

static void become(uid_t user)
{
	gid_t groups[2] = { 5, 7 };

	/* The real user remains: a child tells its parent how it is by signals. */
	NEED(setgroups(user ? 2 : 0, groups) == 0 && setresgid(-1, user, -1) == 0 && setresuid(-1, user, -1) == 0);
}

/* A child with the same descriptors becomes a user, does something, and ends; its pid. */
static pid_t as(uid_t user, void (*work)(void))
{
	pid_t pid = syscall(SYS_clone, 0x400 /* CLONE_FILES */ | SIGCHLD, 0, 0, 0, 0);
	int status;

	NEED(pid >= 0);
	if (pid == 0) {
		become(user);
		work();
		_exit(0);
	}
	NEED(waitpid(pid, &status, 0) == pid && status == 0);
	return pid;
}

/* The new descriptors get known numbers, as the memory is not shared. */
static void make_theirs(void)
{
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, theirs) == 0 && dup2(theirs[0], 100) == 100 && dup2(theirs[1], 101) == 101);
	close(theirs[0]);
	close(theirs[1]);
}

static void make_half(void)
{
	make_theirs();
	NEED(dup2(100, 102) == 102);
	close(100);
	close(101);
}

static void listen_late(void)
{
	NEED(listen(late_listener, 4) == 0);
}

static void listen_here(void)
{
	NEED(listen(listener, 4) == 0);
}

static void connect_here(void)
{
	NEED(connect_to(client, "listen") == 0);
}

static void send_here(void)
{
	NEED(setresuid(1234, 1234, 1234) == 0 && send(told_of[0], "who", 3, 0) == 3);
}

static void is(int fd, const char *what, pid_t pid, uid_t user)
{
	struct ucred who = { 0 };
	socklen_t n = sizeof(who);
	gid_t groups[8];

	CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 && who.pid == pid && who.uid == user && who.gid == user, "%s: process %d of user %d and group %d, not %d of %d", what, who.pid, who.uid, who.gid, pid, user);
	n = sizeof(groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0) {
		CHECK(errno == ENOPROTOOPT, "%s: groups: %s", what, strerror(errno));
		return;
	}
	if (user)
		CHECK(n == 8 && groups[0] == 5 && groups[1] == 7, "%s: %d bytes of groups", what, (int)n);
}

static void check_child(void)
{
	/* Its connection was accepted: it makes another. */
	close(waiting);
	waiting = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(connect_to(waiting, "listen") == 0, "child: connect: %s", strerror(errno));
}

static void check_message(void)
{
	char control[64] __attribute__((aligned(8))), text[8];
	struct iovec io = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct ucred who = { 0 };

	CHECK(recvmsg(told_of[1], &m, MSG_DONTWAIT) == 3 && CMSG_FIRSTHDR(&m), "message of one that has gone: %s", strerror(errno));
	if (CMSG_FIRSTHDR(&m))
		memcpy(&who, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(who));
	CHECK(who.pid == sender && who.uid == 1234, "message of process %d of user %d, not %d", who.pid, who.uid, sender);
	sender = as(1234, send_here);
}

static void check(void)
{
	int fd;

	is(own[0], "own pair", getpid(), 0);
	is(own[1], "own pair", getpid(), 0);
	is(theirs[0], "pair", maker, 33);
	is(theirs[1], "pair", maker, 33);
	is(packets[1], "packets", getpid(), 0);
	is(orphan, "pair of which one is left", half_maker, 33);
	is(listener, "listening", listening_child, 33);
	is(client, "client", listening_child, 33);
	is(server, "accepted", connector, 1000);
	is(late_client, "client without listening socket", late_listening_child, 1000);
	is(late_server, "accepted without listening socket", getpid(), 0);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	CHECK(fd >= 0, "no connection waits: %s", strerror(errno));
	is(fd, "waiting", child, 4321);
	close(fd);
	ask_child(child, "child");
	/* It was shut down for reading while it listened. */
	deaf_client = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(connect_to(deaf_client, "deaf") < 0 && errno == ECONNREFUSED, "a connection to one that was shut down");
	close(deaf_client);
	check_message();
}

static void set_up_child(void)
{
	child = fork();
	if (child == 0) {
		become(4321);
		waiting = socket(AF_UNIX, SOCK_STREAM, 0);
		NEED(connect_to(waiting, "listen") == 0);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
}

int main(int argc, char **argv)
{
	struct sockaddr_un a;
	int one = 1;

	NEED(argc == 2);
	snprintf(folder, sizeof(folder), "%s", argv[1]);
	NEED((mkdir(folder, 0755) == 0 || errno == EEXIST) && chmod(folder, 0755) == 0);
	subject_begin();
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
	half_maker = as(33, make_half);
	orphan = 102;
	maker = as(33, make_theirs);
	theirs[0] = 100;
	theirs[1] = 101;
	listener = bound(SOCK_STREAM, "listen");
	listening_child = as(33, listen_here);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	connector = as(1000, connect_here);
	NEED((server = accept(listener, NULL, NULL)) >= 0);
	late_listener = bound(SOCK_STREAM, "late");
	late_listening_child = as(1000, listen_late);
	late_client = socket(AF_UNIX, SOCK_STREAM, 0);
	NEED(connect_to(late_client, "late") == 0 && (late_server = accept(late_listener, NULL, NULL)) >= 0);
	address(&a, "late");
	NEED(close(late_listener) == 0 && unlink(a.sun_path) == 0);
	deaf = bound(SOCK_STREAM, "deaf");
	NEED(listen(deaf, 2) == 0 && shutdown(deaf, SHUT_RD) == 0);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, told_of) == 0);
	NEED(setsockopt(told_of[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) == 0);
	sender = as(1234, send_here);
	set_up_child();
	subject_rounds(check);
}
