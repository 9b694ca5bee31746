/*
 * tcp.c: TCP connections of which both ends are in the process, in every state that goes on, with data in both queues
 * and all options. Each round checks state, options and bytes, goes on with the bytes, and puts all in order again.
 */
#include "sockopt.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

enum { PLAIN, SIX, MAPPED };

struct pair {
	const char *name;
	int end[2];
	struct sockaddr_in6 address[2];
	socklen_t length[2];
	/* How many bytes have gone from end 0 to end 1 and back, for the pattern. */
	uint32_t sent[2], received[2];
};

static struct pair plain = { .name = "plain" }, six = { .name = "IPv6" }, mapped = { .name = "mapped" }, full = { .name = "full" };
/* The end 0 in these states; end 1 in the one that goes with it. */
static struct { struct pair pair; int state[2]; } half[] = {
	{ { .name = "FIN_WAIT2" }, { TCP_FIN_WAIT2, TCP_CLOSE_WAIT } },
	{ { .name = "FIN_WAIT2 with data" }, { TCP_FIN_WAIT2, TCP_CLOSE_WAIT } },
};
/* Ends 0 whose window is closed, with bytes and their FIN unsent behind it; ends 1 in the state that goes with that. */
static struct { struct pair pair; int state[2]; } stuck[] = {
	{ { .name = "FIN_WAIT1" }, { TCP_FIN_WAIT1, TCP_ESTABLISHED } },
	{ { .name = "LAST_ACK" }, { TCP_LAST_ACK, TCP_FIN_WAIT2 } },
	{ { .name = "CLOSING" }, { TCP_CLOSING, TCP_FIN_WAIT2 } },
};
/* Ends that do not want to read any more, and that have nothing to read any more. */
static struct pair deaf = { .name = "shut for reading" };
static int over;
/* Its bytes are sent from the memory of the process, which is told when it has that back; the numbers of the sends begin anew. */
static struct pair lent = { .name = "zero copy" };
static unsigned char lent_bytes[9000];
static int listening[2];

static unsigned char pattern(uint32_t position) { return (unsigned char)(position * 7 + position / 251); }

/* What segments of each connection may hold, which is no less after a restore. */
static int largest[2];

static void wait_for_state(int fd, unsigned wanted)
{
	for (int i = 0; i < 400 && state(fd) != wanted; i++)
		usleep(5000);
}

static int listener(int version)
{
	struct sockaddr_in6 a;
	socklen_t n;

	loopback(version == PLAIN ? AF_INET : AF_INET6, &a, &n);
	if (version == MAPPED)
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr);
	return listening_at(&a, n, 8);
}

/* A connection: end 0 asked for it. */
static void join(struct pair *pair, int from)
{
	struct sockaddr_in6 a;
	socklen_t n = sizeof(a);

	NEED(getsockname(from, (void *)&a, &n) == 0);
	pair->end[0] = socket(a.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(pair->end[0] >= 0 && connect(pair->end[0], (void *)&a, n) == 0);
	pair->end[1] = accept4(from, NULL, NULL, SOCK_CLOEXEC);
	NEED(pair->end[1] >= 0);
	for (int i = 0; i < 2; i++) {
		pair->length[i] = sizeof(pair->address[i]);
		NEED(getsockname(pair->end[i], (void *)&pair->address[i], &pair->length[i]) == 0);
	}
}

/* Sends without waiting, as much as goes. */
static uint32_t put(struct pair *pair, int from, uint32_t count)
{
	unsigned char bytes[4096];
	uint32_t done = 0;

	while (done < count) {
		uint32_t want = count - done < sizeof(bytes) ? count - done : sizeof(bytes);
		ssize_t n;

		for (uint32_t i = 0; i < want; i++)
			bytes[i] = pattern(pair->sent[from] + i);
		n = send(pair->end[from], bytes, want, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		pair->sent[from] += n;
		done += n;
	}
	return done;
}

/* Reads what the other end has sent, up to `most`, waiting at most ten seconds for it. */
static void take(struct pair *pair, int at, uint32_t most)
{
	unsigned char bytes[4096];
	uint32_t missing = pair->sent[!at] - pair->received[at];

	if (missing > most)
		missing = most;
	while (missing > 0) {
		struct pollfd wait = { pair->end[at], POLLIN, 0 };
		ssize_t n;

		if (poll(&wait, 1, 10000) <= 0) {
			CHECK(0, "%s: end %d: %u bytes do not come", pair->name, at, missing);
			return;
		}
		n = recv(pair->end[at], bytes, missing < sizeof(bytes) ? missing : sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0) {
			CHECK(0, "%s: end %d: recv %zd: %s", pair->name, at, n, strerror(errno));
			return;
		}
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != pattern(pair->received[at] + i)) {
				CHECK(0, "%s: end %d: byte %u is wrong", pair->name, at, (unsigned)(pair->received[at] + i));
				return;
			}
		pair->received[at] += n;
		missing -= n;
	}
}

static int queued(int fd, unsigned long what)
{
	int value = -1;

	ioctl(fd, what, &value);
	return value;
}

static void check_names(struct pair *pair)
{
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in6 a;
		socklen_t n = sizeof(a);

		CHECK(getsockname(pair->end[i], (void *)&a, &n) == 0 && n == pair->length[i] && !memcmp(&a, &pair->address[i], n), "%s: name of end %d", pair->name, i);
		n = sizeof(a);
		CHECK(getpeername(pair->end[i], (void *)&a, &n) == 0 && n == pair->length[!i] && !memcmp(&a, &pair->address[!i], n), "%s: peer of end %d", pair->name, i);
	}
}

/* Bytes that wait unread in both directions, read and sent anew. */
static void exchange(struct pair *pair)
{
	check_names(pair);
	for (int i = 0; i < 2; i++) {
		CHECK(state(pair->end[i]) == TCP_ESTABLISHED, "%s: state of end %d: %u", pair->name, i, state(pair->end[i]));
		/* A restored connection begins slowly: what was sent a moment ago may be on its way. */
		for (int tries = 0; tries < 3000 && queued(pair->end[i], SIOCINQ) != (int)(pair->sent[!i] - pair->received[i]) && pair != &six; tries++)
			usleep(1000);
		/* What is corked may still be on its way. */
		CHECK(pair == &six || queued(pair->end[i], SIOCINQ) == (int)(pair->sent[!i] - pair->received[i]), "%s: end %d: %d bytes wait", pair->name, i, queued(pair->end[i], SIOCINQ));
		take(pair, i, -1);
	}
	put(pair, 0, 5000 + round_number);
	put(pair, 1, 15);
}

/* One direction is full to the brim, with bytes that were not sent. */
static void check_full(void)
{
	check_names(&full);
	take(&full, 1, 200000);
	/* There is room again, in a while: the ends have to tell each other. */
	for (int i = 0; i < 100 && put(&full, 0, 100000) == 0; i++)
		usleep(20000);
	take(&full, 1, -1);
	put(&full, 1, 10);
	take(&full, 0, -1);
	while (put(&full, 0, 1 << 20) > 0)
		usleep(10000);
}

static void check_options(void)
{
	char name[16] = "";
	socklen_t n = sizeof(name);
	struct tcp_info i = info(plain.end[0]);

	CHECK(option(plain.end[0], IPPROTO_TCP, TCP_NODELAY) == 1 && option(plain.end[1], IPPROTO_TCP, TCP_NODELAY) == 0, "TCP_NODELAY");
	CHECK(option(plain.end[0], IPPROTO_TCP, TCP_KEEPIDLE) == 321 && option(plain.end[0], IPPROTO_TCP, TCP_KEEPINTVL) == 12 && option(plain.end[0], IPPROTO_TCP, TCP_KEEPCNT) == 4, "keepalive");
	CHECK(option(plain.end[0], SOL_SOCKET, SO_KEEPALIVE) == 1, "SO_KEEPALIVE");
	CHECK(option(plain.end[0], IPPROTO_TCP, TCP_USER_TIMEOUT) == 54321, "TCP_USER_TIMEOUT %d", option(plain.end[0], IPPROTO_TCP, TCP_USER_TIMEOUT));
	CHECK(option(plain.end[0], IPPROTO_TCP, TCP_SYNCNT) == 3 && option(plain.end[0], IPPROTO_TCP, TCP_LINGER2) == 17, "TCP_SYNCNT, TCP_LINGER2");
	CHECK(option(plain.end[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT) == 7777, "TCP_NOTSENT_LOWAT");
	CHECK(getsockopt(plain.end[0], IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0 && !strcmp(name, "reno"), "TCP_CONGESTION %s", name);
	CHECK(option(plain.end[0], SOL_SOCKET, SO_MARK) == 77, "SO_MARK");
	CHECK(option(plain.end[1], SOL_SOCKET, SO_REUSEADDR) == 1 && option(plain.end[0], SOL_SOCKET, SO_REUSEADDR) == 0, "SO_REUSEADDR");
	CHECK(option(plain.end[0], IPPROTO_IP, IP_TOS) == 0x10 && option(plain.end[0], IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_DONT, "IP options");
	CHECK(option(six.end[0], IPPROTO_TCP, TCP_CORK) == 1, "TCP_CORK");
	CHECK(option(six.end[0], IPPROTO_IPV6, IPV6_TCLASS) == 0x20, "IPV6_TCLASS %d", option(six.end[0], IPPROTO_IPV6, IPV6_TCLASS));
	CHECK((i.tcpi_options & 7) == 7, "timestamps, SACK, window scale: %x", i.tcpi_options);
	CHECK(fcntl(six.end[1], F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
}

/* Both ways of a half-closed connection: the end that has not closed may still send. */
static void check_half(int index)
{
	struct pair *pair = &half[index].pair;
	unsigned char byte;

	check_names(pair);
	for (int i = 0; i < 2; i++)
		CHECK(state(pair->end[i]) == (unsigned)half[index].state[i], "%s: end %d is in state %u", pair->name, i, state(pair->end[i]));
	if (index == 1) {
		/* Bytes before the end of the stream; sent anew by a new connection. */
		take(pair, 1, -1);
		CHECK(recv(pair->end[1], &byte, 1, MSG_DONTWAIT) == 0, "%s: no end of the stream", pair->name);
		put(pair, 1, 100);
		take(pair, 0, -1);
		close(pair->end[1]);
		CHECK(recv(pair->end[0], &byte, 1, 0) == 0, "%s: no end of the other stream", pair->name);
		close(pair->end[0]);
		pair->sent[0] = pair->sent[1] = pair->received[0] = pair->received[1] = 0;
		join(pair, listening[0]);
		put(pair, 0, 3333);
		shutdown(pair->end[0], SHUT_WR);
		wait_for_state(pair->end[0], TCP_FIN_WAIT2);
		return;
	}
	CHECK(recv(pair->end[1], &byte, 1, MSG_DONTWAIT) == 0, "%s: no end of the stream", pair->name);
	CHECK(send(pair->end[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "%s: the closed direction sends", pair->name);
	put(pair, 1, 1000);
	take(pair, 0, -1);
}

static void make_stuck(int index)
{
	struct pair *pair = &stuck[index].pair;

	pair->sent[0] = pair->sent[1] = pair->received[0] = pair->received[1] = 0;
	join(pair, listening[0]);
	set(pair->end[0], SOL_SOCKET, SO_SNDBUF, 100000);
	if (index == 1) {
		shutdown(pair->end[1], SHUT_WR);
		wait_for_state(pair->end[0], TCP_CLOSE_WAIT);
	}
	while (put(pair, 0, 1 << 20) > 0)
		usleep(10000);
	shutdown(pair->end[0], SHUT_WR);
	if (index == 2) {
		shutdown(pair->end[1], SHUT_WR);
		wait_for_state(pair->end[1], TCP_FIN_WAIT2);
	}
}

static void check_stuck(int index)
{
	struct pair *pair = &stuck[index].pair;
	unsigned char byte;

	check_names(pair);
	for (int i = 0; i < 2; i++)
		CHECK(state(pair->end[i]) == (unsigned)stuck[index].state[i], "%s: end %d is in state %u", pair->name, i, state(pair->end[i]));
	CHECK(queued(pair->end[0], SIOCOUTQNSD) > 1, "%s: nothing is unsent", pair->name);
	take(pair, 1, -1);
	wait_for_state(pair->end[0], stuck[index].state[1] == TCP_ESTABLISHED ? TCP_FIN_WAIT2 : TCP_CLOSE);
	CHECK(recv(pair->end[1], &byte, 1, 0) == 0, "%s: no end of the stream", pair->name);
	close(pair->end[1]);
	close(pair->end[0]);
	make_stuck(index);
}

static void check_lent(void)
{
	char control[128];
	struct msghdr m = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct pollfd wait = { lent.end[0], 0, 0 };

	check_names(&lent);
	CHECK(option(lent.end[0], SOL_SOCKET, SO_ZEROCOPY) == 1 && option(lent.end[1], SOL_SOCKET, SO_ZEROCOPY) == 0, "SO_ZEROCOPY");
	for (size_t i = 0; i < sizeof(lent_bytes); i++)
		lent_bytes[i] = pattern(lent.sent[0] + i);
	CHECK(send(lent.end[0], lent_bytes, sizeof(lent_bytes), MSG_ZEROCOPY) == sizeof(lent_bytes), "MSG_ZEROCOPY: %s", strerror(errno));
	lent.sent[0] += sizeof(lent_bytes);
	take(&lent, 1, -1);
	/* What is not given back refuses the dump. */
	CHECK(poll(&wait, 1, 10000) == 1 && (wait.revents & POLLERR) && recvmsg(lent.end[0], &m, MSG_ERRQUEUE | MSG_DONTWAIT) == 0, "the memory is not given back");
}

static void check_shut(void)
{
	char byte;

	check_names(&deaf);
	CHECK(state(deaf.end[0]) == TCP_ESTABLISHED && recv(deaf.end[0], &byte, 1, MSG_DONTWAIT) == 0, "shut for reading: it is not: %s", strerror(errno));
	CHECK(state(over) == TCP_CLOSE && recv(over, &byte, 1, MSG_DONTWAIT) == 0, "closed: reading: %s", strerror(errno));
	CHECK(send(over, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "closed: writing: %s", strerror(errno));
}

static int few;

/* As the program has set it, or as it has grown. */
static void check_sizes(void)
{
	struct pair *pairs[2] = { &plain, &six };

	for (int i = 0; i < 2; i++) {
		/* The window of the other end bounds it too, so that it may differ by little. */
		CHECK((int)info(pairs[i]->end[0]).tcpi_snd_mss >= largest[i] * 9 / 10, "%s: segments of %u bytes, %d before", pairs[i]->name, info(pairs[i]->end[0]).tcpi_snd_mss, largest[i]);
		CHECK(option(pairs[i]->end[1], IPPROTO_TCP, TCP_WINDOW_CLAMP) >= option(pairs[i]->end[1], SOL_SOCKET, SO_RCVBUF) / 4, "%s: the window is closed", pairs[i]->name);
	}
	CHECK(option(deaf.end[1], IPPROTO_TCP, TCP_WINDOW_CLAMP) == 7000, "TCP_WINDOW_CLAMP %d", option(deaf.end[1], IPPROTO_TCP, TCP_WINDOW_CLAMP));
}

static void check(void)
{
	if (few) {
		exchange(&plain);
		check_full();
		return;
	}
	for (int i = 0; i < 3; i++)
		check_stuck(i);
	check_shut();
	check_lent();
	check_sizes();
	exchange(&plain);
	exchange(&six);
	exchange(&mapped);
	check_full();
	check_options();
	for (size_t i = 0; i < sizeof(half) / sizeof(*half); i++)
		check_half(i);
}

static void set_options(void)
{
	set(plain.end[0], IPPROTO_TCP, TCP_NODELAY, 1);
	set(plain.end[0], IPPROTO_TCP, TCP_KEEPIDLE, 321);
	set(plain.end[0], IPPROTO_TCP, TCP_KEEPINTVL, 12);
	set(plain.end[0], IPPROTO_TCP, TCP_KEEPCNT, 4);
	set(plain.end[0], SOL_SOCKET, SO_KEEPALIVE, 1);
	set(plain.end[0], IPPROTO_TCP, TCP_USER_TIMEOUT, 54321);
	set(plain.end[0], IPPROTO_TCP, TCP_SYNCNT, 3);
	set(plain.end[0], IPPROTO_TCP, TCP_LINGER2, 17);
	set(plain.end[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, 7777);
	NEED(setsockopt(plain.end[0], IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
	set(plain.end[0], SOL_SOCKET, SO_MARK, 77);
	set(plain.end[0], IPPROTO_IP, IP_TOS, 0x10);
	set(plain.end[0], IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	set(six.end[0], IPPROTO_TCP, TCP_CORK, 1);
	set(six.end[0], IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	fcntl(six.end[1], F_SETFL, O_NONBLOCK);
}

/* tcp [few]: only two of the connections. */
int main(int argc, char **argv)
{
	int mixed;

	(void)argv;
	few = argc > 1;
	subject_begin();
	listening[0] = listener(PLAIN);
	if (few) {
		join(&plain, listening[0]);
		exchange(&plain);
		join(&full, listening[0]);
		while (put(&full, 0, 1 << 20) > 0)
			usleep(10000);
		usleep(50000);
		subject_rounds(check);
	}
	mixed = listener(MAPPED);
	listening[1] = listener(SIX);
	join(&plain, listening[0]);
	join(&six, listening[1]);
	join(&mapped, mixed);
	join(&full, listening[0]);
	join(&half[1].pair, listening[0]);
	put(&half[1].pair, 0, 3333);
	shutdown(half[1].pair.end[0], SHUT_WR);
	set_options();
	exchange(&plain);
	/* Corked: what is below a whole segment waits, unsent. */
	put(&six, 1, 20);
	put(&six, 0, 70000);
	exchange(&mapped);
	while (put(&full, 0, 1 << 20) > 0)
		usleep(10000);
	for (int i = 0; i < 3; i++)
		make_stuck(i);
	join(&lent, listening[0]);
	set(lent.end[0], SOL_SOCKET, SO_ZEROCOPY, 1);
	check_lent();
	join(&deaf, listening[1]);
	shutdown(deaf.end[0], SHUT_RD);
	set(deaf.end[1], IPPROTO_TCP, TCP_WINDOW_CLAMP, 7000);
	/* Closed by both, the other end first. */
	join(&half[0].pair, listening[0]);
	over = half[0].pair.end[0];
	close(half[0].pair.end[1]);
	wait_for_state(over, TCP_CLOSE_WAIT);
	shutdown(over, SHUT_WR);
	wait_for_state(over, TCP_CLOSE);
	join(&half[0].pair, listening[0]);
	shutdown(half[0].pair.end[0], SHUT_WR);
	usleep(50000);
	largest[0] = info(plain.end[0]).tcpi_snd_mss;
	largest[1] = info(six.end[0]).tcpi_snd_mss;
	subject_rounds(check);
}
