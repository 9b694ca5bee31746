/*
 * early.c MS: a client whose descriptor waits MS milliseconds on a connection that nobody has accepted yet, where no dump
 * can take it out; then the connection is accepted, it arrives, and as much later there is a new one.
 */
#include "subject.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Sends a number with a descriptor of a file that nobody else has open. */
static void pass(int to, uint32_t number)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec io = { &number, sizeof(number) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = memfd_create("passed", MFD_CLOEXEC);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	CHECK(sendmsg(to, &m, 0) == sizeof(number), "send: %s", strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_un name = { AF_UNIX, "" };
	socklen_t length = sizeof(name);
	long milliseconds = argc == 2 ? atol(argv[1]) : 0;
	int service;

	NEED(milliseconds > 0);
	subject_begin();
	service = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A name that the kernel chooses: in another pid namespace another subject may have this pid. */
	NEED(bind(service, (void *)&name, sizeof(sa_family_t)) == 0 && listen(service, 3) == 0);
	NEED(getsockname(service, (void *)&name, &length) == 0);
	say("ready");
	for (uint32_t round = 1;; round++) {
		sigset_t set = set_of(SIGUSR1, 0);
		siginfo_t info;
		uint32_t said = 0;
		int there = -1, here = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		CHECK(connect(here, (void *)&name, length) == 0, "connect: %s", strerror(errno));
		pass(here, round);
		usleep(milliseconds * 1000);
		there = accept(service, NULL, NULL);
		CHECK(there >= 0, "accept: %s", strerror(errno));
		CHECK(recv(there, &said, sizeof(said), 0) == sizeof(said) && said == round, "%u arrived in round %u", said, round);
		close(there);
		close(here);
		usleep(milliseconds * 1000);
		if (sigtimedwait(&set, &info, &(struct timespec){ 0 }) == SIGUSR1) {
			say(failures ? "BAD" : "OK");
			failures = 0;
		}
	}
}
