/* What subjects with sockets of TCP share: options, states and names. */
#ifndef SOCKOPT_H
#define SOCKOPT_H

#include "subject.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* An option that is a number; the negative error where it cannot be read. */
static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	return getsockopt(fd, level, name, &value, &n) ? -errno : value;
}

static void set(int fd, int level, int name, int value)
{
	NEED(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static struct tcp_info info(int fd)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	memset(&info, 0, sizeof(info));
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n);
	return info;
}

static unsigned state(int fd) { return info(fd).tcpi_state; }

/* The address of the loopback device, of the family that is asked for. */
static void loopback(int family, struct sockaddr_in6 *a, socklen_t *n)
{
	struct sockaddr_in *four = (void *)a;

	memset(a, 0, sizeof(*a));
	a->sin6_family = family;
	if (family == AF_INET6)
		a->sin6_addr = in6addr_loopback;
	else
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*n = family == AF_INET6 ? sizeof(*a) : sizeof(*four);
}

/* A socket that listens at an address, whose port the kernel chooses and the address then holds. */
static int listening_at(void *address, socklen_t n, int backlog)
{
	struct sockaddr *a = address;
	int one = 1, fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	NEED(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	NEED(bind(fd, address, n) == 0 && listen(fd, backlog) == 0 && getsockname(fd, address, &n) == 0);
	return fd;
}
#endif
