/*
 * backlog.c: TCP connections that nobody has accepted yet, over IPv4, IPv6 and IPv4 in IPv6: with data, little and much, with
 * the end of the other side, and with nothing. Each round accepts them all, goes on with them, and has others come.
 */
#include "sockopt.h"
#include <poll.h>

#define MUCH 40000

enum { PLAIN, LARGE, ENDED, SILENT, LEFT, COUNT };

static const char *names[COUNT] = { "plain", "large", "ended", "silent", "left" };
static int listening[3], client[3][COUNT];
static struct sockaddr_in6 place[3], own[3][COUNT];
static unsigned char block[MUCH], back[MUCH];

static void put(int fd, const void *what, size_t n)
{
	CHECK(send(fd, what, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n, "send %zu: %s", n, strerror(errno));
}

static void take(int fd, const void *what, size_t n, int version, const char *name)
{
	size_t sum = 0;

	while (sum < n) {
		struct pollfd wait = { fd, POLLIN, 0 };
		ssize_t now = poll(&wait, 1, 10000) == 1 ? recv(fd, back + sum, n - sum, MSG_DONTWAIT) : -1;

		CHECK(now > 0, "%d, %s: %zu of %zu bytes", version, name, sum, n);
		if (now <= 0)
			return;
		sum += now;
	}
	CHECK(!memcmp(back, what, n), "%d, %s: content", version, name);
}

static void ends(int fd, int version, const char *name)
{
	struct pollfd wait = { fd, POLLIN, 0 };

	CHECK(poll(&wait, 1, 10000) == 1 && recv(fd, back, 1, MSG_DONTWAIT) == 0, "%d, %s: it does not end: %s", version, name, strerror(errno));
}

static void come(int version)
{
	for (int i = 0; i < COUNT; i++) {
		int fd = client[version][i] = socket(place[version].sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		socklen_t n = sizeof(own[version][i]), length = sizeof(place[version]);

		CHECK(connect(fd, (void *)&place[version], length) == 0, "%d, %s: connect: %s", version, names[i], strerror(errno));
		memset(&own[version][i], 0, sizeof(own[version][i]));
		CHECK(getsockname(fd, (void *)&own[version][i], &n) == 0, "getsockname");
	}
	put(client[version][PLAIN], "one ", 4);
	put(client[version][PLAIN], "two", 3);
	put(client[version][LARGE], block, MUCH);
	put(client[version][ENDED], "the end", 7);
	shutdown(client[version][ENDED], SHUT_WR);
	put(client[version][LEFT], "last words", 10);
	close(client[version][LEFT]);
	/* What was sent has to have been acknowledged. */
	usleep(60000);
}

static void go_on(int version, int i, int fd)
{
	const char *name = names[i];
	int other = client[version][i];

	CHECK((info(fd).tcpi_options & 7) == 7, "%d, %s: timestamps, SACK, window scale: %x", version, name, info(fd).tcpi_options);
	switch (i) {
	case PLAIN:
		take(fd, "one two", 7, version, name);
		break;
	case LARGE:
		take(fd, block, MUCH, version, name);
		break;
	case ENDED:
		take(fd, "the end", 7, version, name);
		ends(fd, version, name);
		break;
	case LEFT:
		take(fd, "last words", 10, version, name);
		ends(fd, version, name);
		close(fd);
		return;
	}
	if (i != ENDED) {
		CHECK(recv(fd, back, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "%d, %s: there is more, or an end", version, name);
		put(other, "further", 7);
		take(fd, "further", 7, version, name);
	}
	put(fd, block, MUCH);
	take(other, block, MUCH, version, name);
	close(fd);
	ends(other, version, name);
	close(other);
}

static void check(void)
{
	for (int version = 0; version < 3; version++) {
		int there[COUNT];

		for (int i = 0; i < COUNT; i++) {
			struct sockaddr_in6 a;
			socklen_t n = sizeof(a);

			memset(&a, 0, sizeof(a));
			there[i] = accept4(listening[version], (void *)&a, &n, SOCK_CLOEXEC);
			CHECK(there[i] >= 0, "%d, %s: does not wait: %s", version, names[i], strerror(errno));
			CHECK(!memcmp(&a, &own[version][i], sizeof(a)), "%d, %s: another comes", version, names[i]);
		}
		CHECK(accept(listening[version], NULL, NULL) < 0 && errno == EAGAIN, "%d: one more waits", version);
		for (int i = 0; i < COUNT; i++)
			if (there[i] >= 0)
				go_on(version, i, there[i]);
		come(version);
	}
}

int main(void)
{
	subject_begin();
	for (size_t i = 0; i < MUCH; i++)
		block[i] = i * 7 + i / 251;
	for (int version = 0; version < 3; version++) {
		socklen_t n;

		loopback(version ? AF_INET6 : AF_INET, &place[version], &n);
		if (version == 2)
			inet_pton(AF_INET6, "::ffff:127.0.0.1", &place[version].sin6_addr);
		listening[version] = listening_at(&place[version], n, 20);
		fcntl(listening[version], F_SETFL, O_NONBLOCK);
		come(version);
	}
	NEED(failures == 0);
	subject_rounds(check);
}
