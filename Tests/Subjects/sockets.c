/* sockets.c: TCP sockets that listen or are new, UDP sockets, and a netlink socket, with their options. */
#include "sockopt.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>

static int listening[2], fresh, bound_only, udp[2], talker, netlink;
static struct sockaddr_in6 address[2], udp_address, bound_address;
static struct sockaddr_nl netlink_name;
static socklen_t length[2];

static int has_address(int fd, const void *wanted, socklen_t n)
{
	struct sockaddr_in6 a;
	socklen_t m = sizeof(a);

	return getsockname(fd, (void *)&a, &m) == 0 && m == n && !memcmp(&a, wanted, n);
}

/* A client of its own comes, is served, and has gone before the next dump. */
static void check_listening(int six)
{
	struct linger abort = { 1, 0 };
	struct tcp_info info;
	socklen_t n = sizeof(info);
	char text[8];
	int client, server;

	CHECK(getsockopt(listening[six], IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_state == TCP_LISTEN, "%d does not listen", six);
	CHECK(info.tcpi_sacked == 5u + six, "%d: backlog %u", six, info.tcpi_sacked);
	CHECK(has_address(listening[six], &address[six], length[six]), "%d: address", six);
	client = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	CHECK(connect(client, (void *)&address[six], length[six]) == 0, "%d: connect: %s", six, strerror(errno));
	server = accept(listening[six], NULL, NULL);
	CHECK(server >= 0 && send(client, "hello", 5, 0) == 5 && recv(server, text, 8, 0) == 5, "%d: connection", six);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	close(client);
	close(server);
}

static void check_netlink(void)
{
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
	} question = { { sizeof(question), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };
	struct sockaddr_nl name;
	socklen_t n = sizeof(name);
	char answer[32768];
	struct pollfd wait = { netlink, POLLIN, 0 };

	CHECK(getsockname(netlink, (void *)&name, &n) == 0 && name.nl_pid == netlink_name.nl_pid && name.nl_groups == RTMGRP_LINK, "netlink: port %u groups %x", name.nl_pid, name.nl_groups);
	CHECK(send(netlink, &question, sizeof(question), 0) == sizeof(question) && recv(netlink, answer, sizeof(answer), 0) > 0, "netlink: no answer");
	while (poll(&wait, 1, 50) > 0)
		recv(netlink, answer, sizeof(answer), MSG_DONTWAIT);
}

static void check(void)
{
	struct sockaddr_in6 peer;
	socklen_t n = sizeof(peer);
	char text[8];

	check_listening(0);
	check_listening(1);
	CHECK(option(listening[0], SOL_SOCKET, SO_REUSEADDR) == 1 && option(listening[1], SOL_SOCKET, SO_REUSEADDR) == 0, "SO_REUSEADDR");
	CHECK(option(listening[0], IPPROTO_TCP, TCP_NODELAY) == 1 && option(listening[0], IPPROTO_TCP, TCP_KEEPIDLE) == 1234, "TCP options");
	CHECK(option(listening[1], IPPROTO_IPV6, IPV6_V6ONLY) == 1 && option(udp[1], IPPROTO_IPV6, IPV6_V6ONLY) == 0, "IPV6_V6ONLY");
	CHECK(option(fresh, SOL_SOCKET, SO_KEEPALIVE) == 1 && (fcntl(fresh, F_GETFL) & O_NONBLOCK), "new TCP socket");
	CHECK(getsockname(bound_only, (void *)&peer, &n) == 0 && !memcmp(&peer, &bound_address, n), "bound TCP socket");
	CHECK(option(udp[0], SOL_SOCKET, SO_BROADCAST) == 1 && option(udp[0], IPPROTO_IP, IP_TTL) == 7 && option(udp[0], IPPROTO_IP, IP_TOS) == 0x10, "UDP options");
	n = sizeof(peer);
	CHECK(getpeername(talker, (void *)&peer, &n) == 0 && !memcmp(&peer, &udp_address, n), "connected UDP socket");
	CHECK(send(talker, "datagram", 8, 0) == 8 && recv(udp[0], text, 8, 0) == 8 && !memcmp(text, "datagram", 8), "datagram");
	check_netlink();
}

int main(void)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	socklen_t n;

	subject_begin();
	for (int six = 0; six < 2; six++) {
		loopback(six ? AF_INET6 : AF_INET, &address[six], &length[six]);
		listening[six] = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
		if (six)
			set(listening[six], IPPROTO_IPV6, IPV6_V6ONLY, 1);
		else
			set(listening[six], SOL_SOCKET, SO_REUSEADDR, 1);
		NEED(bind(listening[six], (void *)&address[six], length[six]) == 0 && listen(listening[six], 5 + six) == 0);
		NEED(getsockname(listening[six], (void *)&address[six], &length[six]) == 0);
	}
	set(listening[0], IPPROTO_TCP, TCP_NODELAY, 1);
	set(listening[0], IPPROTO_TCP, TCP_KEEPIDLE, 1234);
	fresh = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	set(fresh, SOL_SOCKET, SO_KEEPALIVE, 1);
	bound_only = socket(AF_INET, SOCK_STREAM, 0);
	loopback(AF_INET, &bound_address, &n);
	NEED(bind(bound_only, (void *)&bound_address, n) == 0 && getsockname(bound_only, (void *)&bound_address, &n) == 0);
	udp[0] = socket(AF_INET, SOCK_DGRAM, 0);
	loopback(AF_INET, &udp_address, &n);
	NEED(bind(udp[0], (void *)&udp_address, n) == 0 && getsockname(udp[0], (void *)&udp_address, &n) == 0);
	set(udp[0], SOL_SOCKET, SO_BROADCAST, 1);
	set(udp[0], IPPROTO_IP, IP_TTL, 7);
	set(udp[0], IPPROTO_IP, IP_TOS, 0x10);
	talker = socket(AF_INET, SOCK_DGRAM, 0);
	NEED(connect(talker, (void *)&udp_address, n) == 0);
	udp[1] = socket(AF_INET6, SOCK_DGRAM, 0);
	netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	/* Several of these may run at the same time, each in a pid namespace of its own: the kernel chooses the port. */
	NEED(bind(netlink, (void *)&name, sizeof(name)) == 0);
	n = sizeof(netlink_name);
	NEED(getsockname(netlink, (void *)&netlink_name, &n) == 0);
	subject_rounds(check);
}
