/* files.c DIR: regular files with positions, flags, duplicates and shared positions; directories; O_PATH. */
#include "subject.h"
#include <dirent.h>

static int plain, append, shared, twice[2], read_only, direct_path, directory, listing, write_only, noatime;
static off_t plain_at = 100, shared_at = 7;
static off_t append_size;
static pid_t child;
static char long_name[256];

static void check_flags(const char *name, int fd, int flags, int descriptor_flags)
{
	int now = fcntl(fd, F_GETFL);

	CHECK(now == flags, "%s: flags %#x, not %#x", name, now, flags);
	CHECK(fcntl(fd, F_GETFD) == descriptor_flags, "%s: descriptor flags %d", name, fcntl(fd, F_GETFD));
}

static void check_child(void)
{
	/* Parent and child have one position: what one moves the other sees. */
	CHECK(lseek(shared, 0, SEEK_CUR) == shared_at + round_number * 10, "child: shared position %ld",
	      (long)lseek(shared, 0, SEEK_CUR));
	lseek(shared, 5, SEEK_CUR);
	CHECK(lseek(plain, 0, SEEK_CUR) == 33, "child: a position of its own");
}

static void check(void)
{
	char text[32];
	struct stat status;
	struct dirent *entry;
	int seen = 0;

	check_flags("plain", plain, O_RDWR | KERNEL_LARGEFILE, FD_CLOEXEC);
	CHECK(lseek(plain, 0, SEEK_CUR) == plain_at, "plain: position %ld", (long)lseek(plain, 0, SEEK_CUR));
	CHECK(read(plain, text, 4) == 4, "plain: read");
	plain_at += 4;

	check_flags("append", append, O_WRONLY | O_APPEND | KERNEL_LARGEFILE, 0);
	CHECK(write(append, "more", 4) == 4 && fstat(append, &status) == 0, "append: write");
	append_size += 4;
	CHECK(status.st_size == append_size, "append: size %ld", (long)status.st_size);
	check_flags("write only", write_only, O_WRONLY | O_NONBLOCK | O_SYNC | KERNEL_LARGEFILE, 0);
	check_flags("no access time", noatime, O_RDONLY | O_NOATIME | KERNEL_LARGEFILE, 0);

	CHECK(lseek(twice[0], 0, SEEK_CUR) == lseek(twice[1], 0, SEEK_CUR), "duplicates: two positions");
	lseek(twice[0], 3, SEEK_CUR);
	CHECK(lseek(twice[0], 0, SEEK_CUR) == lseek(200, 0, SEEK_CUR), "duplicates: 200 has a position of its own");
	check_flags("duplicate 200", 200, O_RDWR | KERNEL_LARGEFILE, FD_CLOEXEC);

	lseek(shared, shared_at + round_number * 10, SEEK_SET);
	ask_child(child, "child");
	CHECK(lseek(shared, 0, SEEK_CUR) == shared_at + round_number * 10 + 5, "shared position %ld",
	      (long)lseek(shared, 0, SEEK_CUR));

	check_flags("read only", read_only, O_RDONLY | KERNEL_LARGEFILE, 0);
	CHECK(write(read_only, "x", 1) == -1, "read only: written");
	CHECK((fcntl(direct_path, F_GETFL) & O_PATH) && read(direct_path, text, 1) == -1 && errno == EBADF, "O_PATH");
	check_flags("directory", directory, O_RDONLY | O_DIRECTORY | KERNEL_LARGEFILE, 0);
	CHECK(faccessat(directory, "plain", R_OK, 0) == 0, "directory: plain is not in it");
	lseek(listing, 0, SEEK_SET);
	DIR *list = fdopendir(dup(listing));
	while (list && (entry = readdir(list)))
		seen++;
	closedir(list);
	CHECK(seen == 7, "directory: %d entries", seen);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", plain);
	CHECK(readlink(text, long_name, sizeof(long_name)) > 0, "no name of plain");
}

static int make(int at, const char *name, int flags)
{
	int fd = openat(at, name, flags | O_CREAT, 0640);

	NEED(fd >= 0);
	return fd;
}

int main(int argc, char **argv)
{
	char text[1000];

	NEED(argc == 2);
	subject_begin();
	memset(text, 'a', sizeof(text));
	mkdir(argv[1], 0755);
	directory = open(argv[1], O_RDONLY | O_DIRECTORY);
	listing = open(argv[1], O_RDONLY | O_DIRECTORY);
	plain = make(directory, "plain", O_RDWR | O_CLOEXEC | O_TRUNC);
	append = make(directory, "append\xff\xfe name", O_WRONLY | O_APPEND | O_TRUNC);
	write_only = make(directory, "write only\nwith a line break", O_WRONLY | O_NONBLOCK | O_SYNC);
	shared = make(directory, "shared", O_RDWR | O_EXCL);
	twice[0] = make(directory, "twice (deleted)", O_RDWR);
	NEED(write(plain, text, 1000) == 1000 && write(append, text, 10) == 10 && write(shared, text, 900) == 900);
	NEED(write(twice[0], text, 50) == 50);
	append_size = 10;
	noatime = openat(directory, "plain", O_RDONLY | O_NOATIME);
	read_only = openat(directory, "plain", O_RDONLY);
	direct_path = openat(directory, "plain", O_PATH);
	NEED(noatime >= 0 && read_only >= 0 && direct_path >= 0);
	twice[1] = dup(twice[0]);
	NEED(dup3(twice[0], 200, O_CLOEXEC) == 200);
	lseek(plain, plain_at, SEEK_SET);
	child = fork();
	if (child == 0) {
		close(plain);
		plain = openat(directory, "plain", O_RDWR);
		lseek(plain, 33, SEEK_SET);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	subject_rounds(check);
}
