/* unsupported.c KIND FOLDER: holds something that cannot be carried; a dump has to refuse it or name the loss. */
#include "subject.h"
#include <linux/userfaultfd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static int fd = -1, talks;

/* The program takes its vdso away. */
static int unmap_vdso(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start = 0, end = 0;
	char line[512];
	int found = 0;

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2;
	if (maps)
		fclose(maps);
	return found ? munmap((void *)start, end - start) : -1;
}

static int wait_for_ever(void *unused)
{
	(void)unused;
	while (pause())
		;
	return 0;
}

static void set_up(const char *kind, const char *folder)
{
	char path[300];
	int pair[2];

	snprintf(path, sizeof(path), "%s/unsupported", folder);
	if (!strcmp(kind, "socket")) {
		/* A TCP connection. */
		struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
		socklen_t length = sizeof(name);
		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, length) == 0 && listen(pair[0], 3) == 0);
		NEED(getsockname(pair[0], (void *)&name, &length) == 0);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		NEED(connect(fd, (void *)&name, length) == 0 && accept(pair[0], NULL, NULL) >= 0);
	} else if (!strcmp(kind, "socket-outside")) {
		/* The other end is in a process that leaves the tree. */
		NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		fd = pair[0];
		if (fork() == 0) {
			if (fork() == 0)
				for (;;)
					pause();
			_exit(0);
		}
		NEED(wait(NULL) > 0 && close(pair[1]) == 0);
	} else if (!strcmp(kind, "socket-service")) {
		/* Connected to a service that is outside of the tree. */
		talks = 1;
		struct sockaddr_un name = { AF_UNIX, "" };
		char text[8];
		snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/service", folder);
		pair[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		NEED(bind(pair[0], (void *)&name, sizeof(name)) == 0 && connect(fd, (void *)&name, sizeof(name)) == 0);
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				close(fd);
				for (;;)
					if (recv(pair[0], text, sizeof(text), 0) < 0)
						_exit(1);
			}
			_exit(0);
		}
		NEED(wait(NULL) > 0 && close(pair[0]) == 0);
	} else if (!strcmp(kind, "socket-early")) {
		/* Data on a connection that is not accepted yet. */
		struct sockaddr_un name = { AF_UNIX, "" };
		snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "%.90s", folder);
		pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, sizeof(name)) == 0 && listen(pair[0], 3) == 0);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		NEED(connect(fd, (void *)&name, sizeof(name)) == 0 && send(fd, "early", 5, 0) == 5);
	} else if (!strcmp(kind, "userfaultfd")) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	} else if (!strcmp(kind, "linked")) {
		char other[320];
		snprintf(other, sizeof(other), "%s.other", path);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		NEED(link(path, other) == 0 && unlink(path) == 0);
	} else if (!strcmp(kind, "deleted-directory")) {
		NEED(mkdir(path, 0700) == 0);
		fd = open(path, O_RDONLY | O_DIRECTORY);
		NEED(rmdir(path) == 0);
	} else if (!strcmp(kind, "lock")) {
		fd = open(path, O_RDWR | O_CREAT, 0600);
		NEED(flock(fd, LOCK_EX) == 0);
	} else if (!strcmp(kind, "pidfd")) {
		fd = syscall(SYS_pidfd_open, getpid(), 0);
	} else if (!strcmp(kind, "shared-memory")) {
		/* A process that shares the memory and is no thread: it waits on a stack of its own. */
		static char stack[16384] __attribute__((aligned(16)));
		fd = open("/dev/null", O_RDWR);
		NEED(clone(wait_for_ever, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL) > 0);
	} else if (!strcmp(kind, "shared-sisters")) {
		/* Two whose common table of descriptors came from a parent that has ended. */
		fd = open("/dev/null", O_RDWR);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		if (fork() == 0) {
			for (int i = 0; i < 2; i++)
				if (syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0)
					wait_for_ever(NULL);
			_exit(0);
		}
		NEED(wait(NULL) > 0);
	} else if (!strcmp(kind, "no-vdso")) {
		fd = open("/dev/null", O_RDWR);
		NEED(unmap_vdso() == 0);
	} else if (!strcmp(kind, "namespace")) {
		fd = open("/dev/null", O_RDWR);
		NEED(unshare(CLONE_NEWUTS) == 0);
	}
	NEED(fd >= 0);
}

static void check(void)
{
	CHECK(fcntl(fd, F_GETFD) >= 0, "the object is gone");
	if (talks)
		CHECK(send(fd, "hello", 5, 0) == 5, "the service is gone: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	NEED(argc == 3);
	subject_begin();
	set_up(argv[1], argv[2]);
	subject_rounds(check);
}
