/* unsupported.c KIND FOLDER: holds something that cannot be carried; a dump has to refuse it or name the loss. */
#include "subject.h"
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int fd = -1;

static void set_up(const char *kind, const char *folder)
{
	char path[300];
	int pair[2];

	snprintf(path, sizeof(path), "%s/unsupported", folder);
	if (!strcmp(kind, "socket")) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
	} else if (!strcmp(kind, "socketpair")) {
		NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		fd = pair[0];
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
	} else if (!strcmp(kind, "coredump_filter")) {
		fd = open("/proc/self/coredump_filter", O_WRONLY);
		NEED(write(fd, "0x51", 4) == 4 && close(fd) == 0);
		fd = open("/dev/null", O_RDWR);
	} else if (!strcmp(kind, "affinity")) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(0, &set);
		fd = open("/dev/null", O_RDWR);
		NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
	} else if (!strcmp(kind, "timerslack")) {
		fd = open("/dev/null", O_RDWR);
		NEED(prctl(PR_SET_TIMERSLACK, 1000) == 0);
	} else if (!strcmp(kind, "namespace")) {
		fd = open("/dev/null", O_RDWR);
		NEED(unshare(CLONE_NEWUTS) == 0);
	}
	NEED(fd >= 0);
}

static void check(void)
{
	CHECK(fcntl(fd, F_GETFD) >= 0, "the object is gone");
}

int main(int argc, char **argv)
{
	NEED(argc == 3);
	subject_begin();
	set_up(argv[1], argv[2]);
	subject_rounds(check);
}
