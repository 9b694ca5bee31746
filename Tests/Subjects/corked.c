/*
 * corked.c: UDP sockets with a datagram that is being put together (UDP_CORK, MSG_MORE), and whose receivers are in the
 * process. Each round sends them off, looks at what arrives, and begins others.
 */
#include "sockopt.h"

#define MUCH 20000

/* By UDP_CORK, connected; by MSG_MORE, to an address; over IPv6, and large; from a socket of IPv6 to an address of IPv4. */
static int corked[4], receiver[2];
static struct sockaddr_in6 name[2], mapped;
static unsigned char block[2 * MUCH], back[2 * MUCH + 1];

static void put(int fd, const void *what, size_t n, int flags, const void *to, socklen_t length)
{
	CHECK(sendto(fd, what, n, flags, to, length) == (ssize_t)n, "send: %s", strerror(errno));
}

static void begin(void)
{
	set(corked[0], IPPROTO_UDP, 1 /* UDP_CORK */, 1);
	put(corked[0], "one ", 4, 0, NULL, 0);
	put(corked[0], "two", 3, 0, NULL, 0);
	put(corked[1], "to whom ", 8, MSG_MORE, &name[0], sizeof(struct sockaddr_in));
	set(corked[2], IPPROTO_UDP, 1, 1);
	put(corked[2], block, MUCH, 0, &name[1], sizeof(name[1]));
	put(corked[2], block + MUCH, MUCH, 0, &name[1], sizeof(name[1]));
	put(corked[3], "mapped ", 7, MSG_MORE, &mapped, sizeof(mapped));
}

static void arrives(int at, const void *what, size_t n, int from, const char *text)
{
	struct sockaddr_in6 sender, wanted;
	socklen_t length = sizeof(sender), wanted_length = sizeof(wanted);
	ssize_t got = -1;

	for (int tries = 0; tries < 100 && got < 0; tries++) {
		got = recvfrom(receiver[at], back, sizeof(back), MSG_DONTWAIT, (void *)&sender, &length);
		if (got < 0)
			usleep(5000);
	}
	CHECK(got == (ssize_t)n && !memcmp(back, what, n), "%s: %zd bytes: %s", text, got, got < 0 ? strerror(errno) : "");
	/* The ports are at the same place in both kinds of address. */
	CHECK(getsockname(corked[from], (void *)&wanted, &wanted_length) == 0 && sender.sin6_port == wanted.sin6_port, "%s: another sender", text);
}

static void check(void)
{
	for (int i = 0; i < 2; i++)
		CHECK(recv(receiver[i], back, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "something has arrived already");
	CHECK(option(corked[0], IPPROTO_UDP, 1) == 1 && option(corked[1], IPPROTO_UDP, 1) == 0, "UDP_CORK");
	put(corked[0], ", three", 7, 0, NULL, 0);
	set(corked[0], IPPROTO_UDP, 1, 0);
	arrives(0, "one two, three", 14, 0, "corked");
	put(corked[1], "it goes", 7, 0, &name[0], sizeof(struct sockaddr_in));
	arrives(0, "to whom it goes", 15, 1, "more to come");
	set(corked[2], IPPROTO_UDP, 1, 0);
	arrives(1, block, sizeof(block), 2, "large");
	put(corked[3], "address", 7, 0, &mapped, sizeof(mapped));
	arrives(0, "mapped address", 14, 3, "mapped");
	begin();
}

int main(void)
{
	socklen_t n;

	subject_begin();
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i * 7 + i / 251;
	for (int i = 0; i < 2; i++) {
		loopback(i ? AF_INET6 : AF_INET, &name[i], &n);
		receiver[i] = socket(i ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		NEED(bind(receiver[i], (void *)&name[i], n) == 0 && getsockname(receiver[i], (void *)&name[i], &n) == 0);
	}
	mapped.sin6_family = AF_INET6;
	mapped.sin6_port = name[0].sin6_port;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	for (int i = 0; i < 4; i++)
		corked[i] = socket(i < 2 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	NEED(connect(corked[0], (void *)&name[0], sizeof(struct sockaddr_in)) == 0);
	begin();
	NEED(failures == 0);
	subject_rounds(check);
}
