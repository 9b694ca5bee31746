/*
 * tcpbound.c: TCP sockets that are bound in unusual ways: to a device, to an address that is not the host's, several to one
 * port, and one that is still being connected.
 */
#include "sockopt.h"
#include <poll.h>

/* A group of listening sockets; one for an address of somebody else; a connection through a device; one on its way to nowhere. */
static int group[3], foreign, ends[2], connecting;
static struct sockaddr_in shared, elsewhere;

static struct sockaddr_in name_of(int fd)
{
	struct sockaddr_in name;
	socklen_t n = sizeof(name);

	memset(&name, 0, sizeof(name));
	CHECK(getsockname(fd, (void *)&name, &n) == 0, "getsockname");
	return name;
}

static void check_device(int fd, const char *what)
{
	char device[16] = "";
	socklen_t n = sizeof(device);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &n) == 0 && !strcmp(device, "lo"), "%s: device '%s'", what, device);
}

/* Connections to the port of the group go to any of its sockets, and to all of them in the end. */
static void check_group(void)
{
	unsigned seen = 0;

	for (int i = 0; i < 3; i++) {
		struct sockaddr_in name = name_of(group[i]);

		CHECK(name.sin_port == shared.sin_port && state(group[i]) == TCP_LISTEN, "group: socket %d", i);
		CHECK(option(group[i], SOL_SOCKET, SO_REUSEPORT) == 1, "SO_REUSEPORT");
		CHECK(option(group[i], SOL_SOCKET, SO_MARK) == 100 + i, "SO_MARK %d", option(group[i], SOL_SOCKET, SO_MARK));
	}
	for (int tries = 0; tries < 200 && seen != 7; tries++) {
		struct pollfd wait[3] = { { group[0], POLLIN, 0 }, { group[1], POLLIN, 0 }, { group[2], POLLIN, 0 } };
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		CHECK(connect(client, (void *)&shared, sizeof(shared)) == 0 && poll(wait, 3, 5000) > 0, "group: no connection");
		for (int i = 0; i < 3; i++)
			if (wait[i].revents & POLLIN) {
				int server = accept4(group[i], NULL, NULL, SOCK_CLOEXEC);
				/* Without the wait for what is left of it. */
				struct linger now = { 1, 0 };

				setsockopt(server, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
				close(server);
				seen |= 1u << i;
			}
		close(client);
	}
	CHECK(seen == 7, "the group: only sockets %x get connections", seen);
}

static void check(void)
{
	struct sockaddr_in name;
	char byte = 'a' + round_number % 20;

	check_group();
	name = name_of(foreign);
	CHECK(name.sin_addr.s_addr == elsewhere.sin_addr.s_addr && state(foreign) == TCP_LISTEN, "an address of somebody else");
	CHECK(option(foreign, IPPROTO_IP, IP_TRANSPARENT) == 1, "IP_TRANSPARENT");
	for (int i = 0; i < 2; i++) {
		char got = 0;

		check_device(ends[i], "connection");
		CHECK(send(ends[i], &byte, 1, MSG_NOSIGNAL) == 1 && recv(ends[!i], &got, 1, 0) == 1 && got == byte, "the connection of a device: %s", strerror(errno));
	}
	check_device(connecting, "connecting");
	CHECK(state(connecting) == TCP_SYN_SENT, "connecting: state %u", state(connecting));
	CHECK(fcntl(connecting, F_GETFL) & O_NONBLOCK, "O_NONBLOCK");
}

int main(void)
{
	struct sockaddr_in here = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" }, nowhere = { AF_INET, htons(9), { 0 }, "" };
	socklen_t n = sizeof(shared);
	int listening;

	subject_begin();
	shared = here;
	for (int i = 0; i < 3; i++) {
		group[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		set(group[i], SOL_SOCKET, SO_REUSEPORT, 1);
		set(group[i], SOL_SOCKET, SO_MARK, 100 + i);
		NEED(bind(group[i], (void *)&shared, sizeof(shared)) == 0 && listen(group[i], 20) == 0);
		NEED(getsockname(group[i], (void *)&shared, &n) == 0);
	}
	elsewhere = here;
	elsewhere.sin_addr.s_addr = inet_addr("192.0.2.77");
	foreign = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set(foreign, IPPROTO_IP, IP_TRANSPARENT, 1);
	NEED(bind(foreign, (void *)&elsewhere, sizeof(elsewhere)) == 0 && listen(foreign, 5) == 0);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(setsockopt(listening, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
	NEED(bind(listening, (void *)&here, sizeof(here)) == 0 && listen(listening, 5) == 0);
	NEED(getsockname(listening, (void *)&here, &n) == 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(setsockopt(ends[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
	NEED(connect(ends[0], (void *)&here, sizeof(here)) == 0);
	ends[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	NEED(ends[1] >= 0 && close(listening) == 0);
	/* Addresses of examples, through a device that leads nowhere (RFC 5737): nobody answers. */
	connecting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	here.sin_port = 0;
	nowhere.sin_addr.s_addr = inet_addr("192.0.2.1");
	NEED(setsockopt(connecting, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0 && bind(connecting, (void *)&here, sizeof(here)) == 0);
	NEED(connect(connecting, (void *)&nowhere, sizeof(nowhere)) < 0 && errno == EINPROGRESS);
	subject_rounds(check);
}
