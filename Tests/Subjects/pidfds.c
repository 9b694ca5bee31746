/* pidfds.c: descriptors that mean processes, files of /proc about them, and namespaces; of the living and of the dead. */
#include "subject.h"
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define OF_THREAD O_EXCL

static int of_child, of_child_too, of_self, of_zombie, of_dead, of_dead_too, of_killed, of_thread = -1, set;
static int status_of_child, folder_of_child, status_of_dead, folder_of_dead, maps_of_self, link_of_self, task_of_self;
static int network, hosts, tunable;
static int told_of_self, told_of_child, told_of_closed, told_of_dead, link_of_number;
static char name_of_dead[40];
static pid_t child, zombie, dead;
static ino_t network_inode;

static int open_pidfd(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

/* The value of a field of fdinfo; -2 where there is none. */
static int meant(int fd)
{
	char path[64];
	const char *value;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	value = proc_field(path, "Pid");
	return *value ? atoi(value) : -2;
}

static int has_ended(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };

	return poll(&entry, 1, 0) == 1 && entry.revents & POLLIN;
}

/* How a process has ended that nobody can wait for; 0 in *known where the kernel does not keep it. */
static unsigned ended_as(int fd, int *known)
{
	uint64_t info[8] = { 1 << 3 };

	*known = ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, 64), info) == 0 && info[0] & 1 << 3;
	return (unsigned)(info[7] >> 32);
}

static const char *name(int fd)
{
	static char text[300];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

static void check_name(int fd, const char *format, ...)
{
	char wanted[300];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(wanted, sizeof(wanted), format, arguments);
	va_end(arguments);
	CHECK(!strcmp(name(fd), wanted), "descriptor %d is %s, not %s", fd, name(fd), wanted);
}

static void check_pidfds(void)
{
	siginfo_t info = { 0 };
	struct epoll_event event = { 0 };
	struct stat one, other;
	int known;
	unsigned end;

	CHECK(meant(of_child) == child && meant(of_child_too) == child, "the child: %d, %d", meant(of_child),
	      meant(of_child_too));
	CHECK(meant(of_self) == getpid(), "itself: %d", meant(of_self));
	CHECK(meant(of_zombie) == zombie && has_ended(of_zombie), "the zombie: %d", meant(of_zombie));
	CHECK(meant(of_dead) == -1 && meant(of_dead_too) == -1 && meant(of_killed) == -1, "the dead: %d", meant(of_dead));
	CHECK(has_ended(of_dead) && has_ended(of_killed) && !has_ended(of_child) && !has_ended(of_self), "who has ended");
	CHECK(syscall(SYS_pidfd_send_signal, of_child, 0, NULL, 0) == 0, "signal to the child");
	CHECK(syscall(SYS_pidfd_send_signal, of_dead, 0, NULL, 0) == -1 && errno == ESRCH, "signal to the dead");
	CHECK(waitid((idtype_t)3, of_zombie, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == zombie && info.si_status == 7,
	      "wait for the zombie: %d", info.si_status);
	CHECK(waitid((idtype_t)3, of_child, &info, WEXITED) == -1 && errno == EAGAIN, "not blocking: %s", strerror(errno));
	CHECK(fcntl(of_child, F_GETFL) == (O_RDWR | O_NONBLOCK) && fcntl(of_child_too, F_GETFL) == O_RDWR, "flags %o",
	      fcntl(of_child, F_GETFL));
	CHECK(fcntl(of_child, F_GETFD) == FD_CLOEXEC && fcntl(300, F_GETFD) == 0 && meant(300) == child, "a duplicate");
	CHECK(of_thread < 0 || fcntl(of_thread, F_GETFL) == (O_RDWR | OF_THREAD), "of a thread: %o",
	      fcntl(of_thread, F_GETFL));
	CHECK(fstat(of_dead, &one) == 0 && fstat(of_dead_too, &other) == 0 && one.st_ino == other.st_ino, "one of the dead");
	if (end = ended_as(of_dead, &known), known)
		CHECK(end == 3 << 8, "the dead: %x", end);
	if (end = ended_as(of_killed, &known), known)
		CHECK((end & 0x7f) == SIGUSR2, "the killed: %x", end);
	CHECK(epoll_wait(set, &event, 1, 0) == 1 && event.data.u32 == 77, "the set");
}

static void check_files(void)
{
	char text[4000] = "", path[64];
	struct stat status;
	ssize_t n;

	check_name(status_of_child, "/proc/%d/status", child);
	snprintf(path, sizeof(path), "\nPid:\t%d\n", child);
	CHECK(pread(status_of_child, text, sizeof(text) - 1, 0) > 0 && strstr(text, path), "status of the child: %s", text);
	check_name(folder_of_child, "/proc/%d", child);
	CHECK(faccessat(folder_of_child, "status", F_OK, 0) == 0, "folder of the child");
	check_name(folder_of_dead, "/proc/%d (deleted)", dead);
	CHECK(!strcmp(name(status_of_dead), name_of_dead), "%s was %s", name(status_of_dead), name_of_dead);
	CHECK(read(status_of_dead, text, 10) == -1 && errno == ESRCH, "status of the dead: %s", strerror(errno));
	CHECK(faccessat(folder_of_dead, "status", F_OK, 0) == -1, "folder of the dead");
	CHECK(lseek(maps_of_self, 0, SEEK_CUR) == 50, "maps: at %ld", (long)lseek(maps_of_self, 0, SEEK_CUR));
	n = pread(maps_of_self, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = 0;
	CHECK(strchr(text, '-') && strstr(text, "r-xp"), "maps: %s", text);
	check_name(link_of_self, "/proc/%d/exe", getpid());
	CHECK(fcntl(link_of_self, F_GETFL) == (O_PATH | O_NOFOLLOW), "the link: flags %o", fcntl(link_of_self, F_GETFL));
	CHECK(fstat(link_of_self, &status) == 0 && S_ISLNK(status.st_mode), "the link: mode %o", status.st_mode);
	check_name(task_of_self, "/proc/%d/task/%d/comm", getpid(), getpid());
	CHECK(pread(task_of_self, text, 6, 0) == 6 && !memcmp(text, "pidfds", 6), "name of the thread");
	CHECK(fstat(network, &status) == 0 && status.st_ino == network_inode, "network namespace: %s", name(network));
	CHECK(stat("/proc/self/ns/net", &status) == 0 && setns(network, CLONE_NEWNET) == 0, "setns: %s", strerror(errno));
	CHECK(pread(tunable, text, 5, 0) == 5 && !memcmp(text, "Linux", 5), "tunable");
	CHECK(pread(hosts, text, sizeof(text), 0) > 0, "sysfs");
}

/* What /proc says about descriptors: by whom, and under which number, is asked at each reading. */
static void check_numbers(void)
{
	char text[400] = "", wanted[40];
	int fd;

	check_name(told_of_self, "/proc/%d/fdinfo/%d", getpid(), of_child);
	snprintf(wanted, sizeof(wanted), "\nPid:\t%d\n", child);
	CHECK(pread(told_of_self, text, sizeof(text) - 1, 0) > 0 && strstr(text, wanted), "fdinfo of the pidfd: %s", text);
	memset(text, 0, sizeof(text));
	snprintf(wanted, sizeof(wanted), "\nPid:\t%d\n", getpid());
	CHECK(pread(told_of_child, text, sizeof(text) - 1, 0) > 0 && strstr(text, wanted), "fdinfo of the child's: %s", text);
	CHECK(pread(told_of_dead, text, sizeof(text) - 1, 0) == -1 && errno == ENOENT, "the dead: %s", strerror(errno));
	CHECK(pread(told_of_closed, text, sizeof(text) - 1, 0) == -1 && errno == ENOENT, "closed: %s", strerror(errno));
	NEED((fd = dup2(of_self, 170)) == 170);
	memset(text, 0, sizeof(text));
	CHECK(pread(told_of_closed, text, sizeof(text) - 1, 0) > 0 && strstr(text, wanted), "open again: %s", text);
	NEED(close(fd) == 0);
	check_name(link_of_number, "/proc/%d/fd/%d", getpid(), tunable);
	memset(text, 0, sizeof(text));
	CHECK(readlinkat(link_of_number, "", text, sizeof(text) - 1) > 0 && !strcmp(text, "/proc/sys/kernel/ostype"),
	      "the link: %s", text);
}

static void check_child(void)
{
	/* What it has from its parent, and that does not close with it. */
	CHECK(meant(of_self) == getppid() && meant(of_dead) == -1, "child: the parent is %d", meant(of_self));
	check_name(maps_of_self, "/proc/%d/maps", getppid());
	CHECK(lseek(maps_of_self, 0, SEEK_CUR) == 50, "child: maps at %ld", (long)lseek(maps_of_self, 0, SEEK_CUR));
}

static void check(void)
{
	check_pidfds();
	check_files();
	check_numbers();
	ask_child(child, "child");
}

static int open_path(int flags, const char *format, pid_t pid, int number)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), format, pid, number);
	NEED((fd = open(path, flags)) >= 0);
	return fd;
}

static void open_numbers(void)
{
	NEED(dup2(of_self, 170) == 170);
	told_of_closed = open_path(O_RDONLY, "/proc/%d/fdinfo/%d", getpid(), 170);
	NEED(close(170) == 0);
	told_of_self = open_path(O_RDONLY, "/proc/%d/task/../fdinfo/%d", getpid(), of_child);
	told_of_child = open_path(O_RDONLY, "/proc/%d/fdinfo/%d", child, of_self);
	link_of_number = open_path(O_PATH | O_NOFOLLOW, "/proc/%d/fd/%d", getpid(), tunable);
}

static pid_t start(int end)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (end < 0)
			pause();
		_exit(end);
	}
	return pid;
}

static void lose_some(void)
{
	char path[64];
	pid_t other;

	dead = start(-1);
	snprintf(path, sizeof(path), "/proc/%d", dead);
	NEED((folder_of_dead = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	strcat(path, "/status");
	NEED((status_of_dead = open(path, O_RDONLY)) >= 0);
	told_of_dead = open_path(O_RDONLY, "/proc/%d/fdinfo/%d", dead, folder_of_dead - 1);
	NEED(kill(dead, SIGKILL) == 0 && waitpid(dead, NULL, 0) == dead);
	strcpy(name_of_dead, name(status_of_dead));
	other = start(3);
	of_dead = open_pidfd(other, 0);
	of_dead_too = open_pidfd(other, O_NONBLOCK);
	NEED(of_dead >= 0 && of_dead_too >= 0 && waitpid(other, NULL, 0) == other);
	other = start(-1);
	NEED((of_killed = open_pidfd(other, 0)) >= 0 && kill(other, SIGUSR2) == 0 && waitpid(other, NULL, 0) == other);
}

static void open_files(void)
{
	char path[64];
	struct stat status;

	of_self = open_pidfd(getpid(), 0);
	NEED(of_self >= 0 && (maps_of_self = open("/proc/self/maps", O_RDONLY)) >= 0);
	NEED(lseek(maps_of_self, 50, SEEK_SET) == 50);
	NEED((link_of_self = open("/proc/self/exe", O_PATH | O_NOFOLLOW)) >= 0);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", getpid());
	NEED((task_of_self = open(path, O_RDWR)) >= 0);
	NEED((network = open("/proc/self/ns/net", O_RDONLY)) >= 0 && fstat(network, &status) == 0);
	network_inode = status.st_ino;
	NEED((tunable = open("/proc/sys/kernel/ostype", O_RDONLY)) >= 0);
	NEED((hosts = open("/sys/kernel/profiling", O_RDONLY)) >= 0 ||
	     (hosts = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY)) >= 0);
}

int main(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = 77 };
	siginfo_t info;
	char path[64];

	subject_begin();
	lose_some();
	open_files();
	child = fork();
	if (child == 0) {
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED((of_child = open_pidfd(child, O_NONBLOCK)) >= 0 && (of_child_too = open_pidfd(child, 0)) >= 0);
	NEED(fcntl(of_child_too, F_SETFD, 0) == 0 && dup2(of_child, 300) == 300);
	of_thread = open_pidfd(child, OF_THREAD);
	open_numbers();
	zombie = start(7);
	NEED((of_zombie = open_pidfd(zombie, 0)) >= 0);
	NEED(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT) == 0);
	snprintf(path, sizeof(path), "/proc/%d/status", child);
	NEED((status_of_child = open(path, O_RDONLY)) >= 0);
	snprintf(path, sizeof(path), "/proc/%d", child);
	NEED((folder_of_child = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	NEED((set = epoll_create1(0)) >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, of_zombie, &event) == 0);
	subject_rounds(check);
}
