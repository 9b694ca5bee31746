/* openfiles.c FOLDER: files in every manner that open(2) knows, of every size and with every name. */
#include "subject.h"
#include <sys/socket.h>
#include <sys/un.h>

#define FAR (5ll << 30)
#define TOLD_THREAD (SIGRTMIN + 1)
#define TOLD_GROUP (SIGRTMIN + 2)
#define TOLD_OTHER (SIGRTMIN + 3)

static int far, far_ghost, temporary, direct, synced, data_synced, link_path, socket_path, pipe_path, dir_path, renamed;
static int to_thread[2], to_group[2], to_process[2], to_other[2], mapped_fd, none;
static char folder[200], *mapped, newline_folder[300];
static int linked;

static void check_flags(const char *which, int fd, int flags)
{
	int now = fcntl(fd, F_GETFL);

	CHECK(now == flags, "%s: flags %#o, not %#o", which, now, flags);
}

static void check_sizes(void)
{
	struct stat status;
	char text[8] = "";

	CHECK(lseek(far, 0, SEEK_CUR) == FAR + 3, "far: at %lld", (long long)lseek(far, 0, SEEK_CUR));
	CHECK(pread(far, text, 3, FAR) == 3 && !memcmp(text, "far", 3), "far: content");
	NEED(fstat(far_ghost, &status) == 0);
	CHECK(status.st_size == FAR + 3 && status.st_blocks < 256 && status.st_nlink == 0, "far ghost: %lld bytes, %ld blocks",
	      (long long)status.st_size, (long)status.st_blocks);
	CHECK(pread(far_ghost, text, 3, FAR) == 3 && !memcmp(text, "end", 3), "far ghost: content");
	CHECK(pread(far_ghost, text, 3, FAR / 2) == 3 && !memcmp(text, "\0\0", 3), "far ghost: hole");
	CHECK(lseek(far_ghost, 0, SEEK_CUR) == FAR - 1, "far ghost: at %lld", (long long)lseek(far_ghost, 0, SEEK_CUR));
}

/* A file without a name can be given one, each round another. */
static void check_temporary(void)
{
	char from[64], to[300], text[8] = "";
	struct stat status;

	check_flags("temporary", temporary, O_RDWR | O_TMPFILE | O_APPEND | KERNEL_LARGEFILE);
	CHECK(pread(temporary, text, 4, 0) == 4 && !memcmp(text, "temp", 4), "temporary: content");
	CHECK(lseek(temporary, 0, SEEK_CUR) == 2, "temporary: at %ld", (long)lseek(temporary, 0, SEEK_CUR));
	NEED(fstat(temporary, &status) == 0);
	CHECK(status.st_mode == (S_IFREG | 0612) && status.st_nlink == 0, "temporary: mode %o", status.st_mode);
	if (round_number % 3 || linked)
		return;
	linked = 1;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", temporary);
	snprintf(to, sizeof(to), "%s/linked", folder);
	CHECK(linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0, "temporary: no name: %s", strerror(errno));
	close(temporary);
	temporary = open(folder, O_TMPFILE | O_RDWR, 0612);
	NEED(temporary >= 0 && fchmod(temporary, 0612) == 0 && write(temporary, "temp", 4) == 4);
	NEED(lseek(temporary, 2, SEEK_SET) == 2 && fcntl(temporary, F_SETFL, O_APPEND) == 0 && unlink(to) == 0);
}

static void check_paths(void)
{
	struct stat status;
	char text[16] = "";

	check_flags("symbolic link", link_path, O_PATH | O_NOFOLLOW);
	CHECK(readlinkat(link_path, "", text, 16) == 7 && !memcmp(text, "nowhere", 7), "symbolic link: %s", text);
	CHECK(fstat(socket_path, &status) == 0 && S_ISSOCK(status.st_mode), "socket: mode %o", status.st_mode);
	CHECK(fstat(pipe_path, &status) == 0 && S_ISFIFO(status.st_mode), "pipe: mode %o", status.st_mode);
	check_flags("directory", dir_path, O_PATH | O_DIRECTORY);
	CHECK(faccessat(dir_path, "far", F_OK, 0) == 0, "directory: what is in it");
	CHECK(getcwd(newline_folder, sizeof(newline_folder)) && strstr(newline_folder, "/new\nline \xfe"), "working directory");
	CHECK(mapped[0] == 'm' && pread(mapped_fd, text, 1, 0) == 1 && text[0] == 'm', "mapped");
	mapped[1] = (char)round_number;
	CHECK(pread(mapped_fd, text, 2, 0) == 2 && text[1] == (char)round_number, "the mapping is of another file");
	CHECK(pread(renamed, text, 7, 0) == 7 && !memcmp(text, "renamed", 7), "renamed");
	check_flags("neither read nor write", none, O_ACCMODE | KERNEL_LARGEFILE);
}

static void check_owner(const char *which, int fd, int kind, pid_t pid, int number, uint32_t real, uint32_t effective)
{
	struct f_owner_ex owner = { 0 };
	uint32_t ids[2] = { 9, 9 };

	CHECK(fcntl(fd, F_GETOWN_EX, &owner) == 0 && (int)owner.type == kind && owner.pid == pid, "%s: owner %d of kind %d",
	      which, owner.pid, owner.type);
	CHECK(fcntl(fd, F_GETSIG) == number, "%s: signal %d", which, fcntl(fd, F_GETSIG));
	CHECK(fcntl(fd, F_GETFL) & O_ASYNC, "%s: tells nobody", which);
	/* F_GETOWNER_UIDS, where the kernel has it. */
	if (fcntl(fd, 17, ids) == 0)
		CHECK(ids[0] == real && ids[1] == effective, "%s: set by %u, %u", which, ids[0], ids[1]);
}

static void check_told(const char *which, int pair[2], int number, int how)
{
	sigset_t set = set_of(number, 0);
	struct timespec limit = { .tv_sec = 3 };
	siginfo_t info = { 0 };
	char byte;

	NEED(write(pair[1], "x", 1) == 1);
	CHECK(sigtimedwait(&set, &info, &limit) == number, "%s: not told", which);
	CHECK(!how || info.si_fd == pair[0], "%s: told of descriptor %d", which, info.si_fd);
	NEED(read(pair[0], &byte, 1) == 1);
}

static void check(void)
{
	const struct timespec none_left = { 0 };
	sigset_t set = set_of(TOLD_OTHER, 0);
	char byte;

	check_sizes();
	check_temporary();
	check_paths();
	if (direct >= 0)
		check_flags("direct", direct, O_RDWR | O_DIRECT | KERNEL_LARGEFILE);
	check_flags("synchronous", synced, O_WRONLY | O_SYNC | O_APPEND | KERNEL_LARGEFILE);
	check_flags("synchronous data", data_synced, O_WRONLY | O_DSYNC | KERNEL_LARGEFILE);
	check_owner("thread", to_thread[0], F_OWNER_TID, getpid(), TOLD_THREAD, 0, 0);
	check_owner("group", to_group[0], F_OWNER_PGRP, getpgrp(), TOLD_GROUP, 0, 0);
	check_owner("process", to_process[0], F_OWNER_PID, getpid(), 0, 0, 0);
	/* One who may send it nothing. */
	check_owner("another user", to_other[0], F_OWNER_PID, getpid(), TOLD_OTHER, 123, 456);
	check_told("thread", to_thread, TOLD_THREAD, 1);
	check_told("group", to_group, TOLD_GROUP, 1);
	check_told("process", to_process, SIGIO, 0);
	NEED(write(to_other[1], "x", 1) == 1 && read(to_other[0], &byte, 1) == 1);
	CHECK(sigtimedwait(&set, NULL, &none_left) == -1 && errno == EAGAIN, "another user: told");
}

static int make(const char *name, int flags)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CREAT | O_EXCL, 0600);
	NEED(fd >= 0 || flags & O_DIRECT);
	return fd;
}

static void own(int pair[2], int kind, pid_t pid, int number)
{
	struct f_owner_ex owner = { kind, pid };

	NEED(pipe(pair) == 0 && fcntl(pair[0], F_SETOWN_EX, &owner) == 0);
	NEED(fcntl(pair[0], F_SETSIG, number) == 0 && fcntl(pair[0], F_SETFL, O_ASYNC) == 0);
}

static void open_paths(void)
{
	struct sockaddr_un name = { AF_UNIX, "socket" };
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/new\nline \xfe", folder);
	NEED(mkdir(path, 0700) == 0 && chdir(path) == 0);
	NEED(symlink("nowhere", "link") == 0 && (link_path = open("link", O_PATH | O_NOFOLLOW)) >= 0);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	NEED(bind(fd, (void *)&name, sizeof(name)) == 0 && close(fd) == 0 && (socket_path = open("socket", O_PATH)) >= 0);
	NEED(mkfifo("pipe", 0600) == 0 && (pipe_path = open("pipe", O_PATH)) >= 0);
	NEED((dir_path = open(folder, O_PATH | O_DIRECTORY)) >= 0);
	NEED((mapped_fd = open("map\nped\xff", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0 && write(mapped_fd, "mapped", 6) == 6);
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped_fd, 0);
	NEED(mapped != MAP_FAILED);
	NEED((renamed = open("before", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0 && write(renamed, "renamed", 7) == 7);
	NEED(rename("before", "after \"quoted\"\t\\") == 0);
	NEED((none = open("link", O_PATH | O_NOFOLLOW)) >= 0 && close(none) == 0 && (none = open("map\nped\xff", O_ACCMODE)) >= 0);
}

int main(int argc, char **argv)
{
	sigset_t set;

	NEED(argc == 2);
	snprintf(folder, sizeof(folder), "%s/open", argv[1]);
	NEED(mkdir(folder, 0755) == 0);
	subject_begin();
	set = set_of(TOLD_THREAD, TOLD_GROUP, TOLD_OTHER, SIGIO, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	far = make("far", O_RDWR);
	far_ghost = make("ghost", O_RDWR);
	NEED(pwrite(far, "far", 3, FAR) == 3 && lseek(far, FAR + 3, SEEK_SET) == FAR + 3);
	NEED(pwrite(far_ghost, "end", 3, FAR) == 3 && lseek(far_ghost, FAR - 1, SEEK_SET) == FAR - 1);
	open_paths();
	NEED(unlinkat(dir_path, "ghost", 0) == 0);
	temporary = open(folder, O_TMPFILE | O_RDWR, 0612);
	NEED(temporary >= 0 && fchmod(temporary, 0612) == 0 && write(temporary, "temp", 4) == 4);
	NEED(lseek(temporary, 2, SEEK_SET) == 2 && fcntl(temporary, F_SETFL, O_APPEND) == 0);
	direct = make("direct", O_RDWR | O_DIRECT);
	synced = make("synchronous", O_WRONLY | O_SYNC | O_APPEND);
	data_synced = make("data", O_WRONLY | O_DSYNC);
	own(to_thread, F_OWNER_TID, getpid(), TOLD_THREAD);
	own(to_group, F_OWNER_PGRP, getpgrp(), TOLD_GROUP);
	own(to_process, F_OWNER_PID, getpid(), 0);
	NEED(setresuid(123, 456, 0) == 0);
	own(to_other, F_OWNER_PID, getpid(), TOLD_OTHER);
	NEED(setresuid(0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	subject_rounds(check);
}
