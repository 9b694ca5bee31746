/*
 * deleted.c FOLDER [replaced]: files without a name. The program itself has none, nor has its directory; mapped files,
 * open ones, one that never had any. With "replaced" other files have taken some of the names.
 */
#include "subject.h"

#define PAGE 4096ul

static char *library, *shared;
static int reading = -1, writing = -1, sparse = -1, unnamed = -1;
static pid_t child;

static void copy_program(const char *path)
{
	char buffer[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t n;

	NEED(from >= 0 && to >= 0);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		NEED(write(to, buffer, n) == n);
	NEED(n == 0 && close(to) == 0 && close(from) == 0);
}

/* Goes on as a copy of itself that is removed at once, together with its directory. */
static void lose_the_program(char **argv, const char *folder)
{
	char path[320], directory[300];

	snprintf(directory, sizeof(directory), "%s/gone", folder);
	snprintf(path, sizeof(path), "%s/deleted", directory);
	if (!getenv("COPIED")) {
		NEED(mkdir(directory, 0700) == 0);
		copy_program(path);
		setenv("COPIED", "1", 1);
		execv(path, argv);
		NEED(!"execv");
	}
	NEED(unlink(path) == 0 && rmdir(directory) == 0);
}

static int make(const char *folder, const char *name, size_t pages, uint32_t seed, char *path)
{
	char *content = malloc(pages * PAGE);
	int fd;

	sprintf(path, "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	NEED(fd >= 0);
	fill(content, pages * PAGE, seed);
	NEED(write(fd, content, pages * PAGE) == (ssize_t)(pages * PAGE));
	free(content);
	return fd;
}

static void lose(const char *path, int replaced)
{
	char other[320];
	int fd;

	if (!replaced) {
		NEED(unlink(path) == 0);
		return;
	}
	snprintf(other, sizeof(other), "%s.new", path);
	fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	NEED(fd >= 0 && write(fd, "another", 7) == 7 && close(fd) == 0 && rename(other, path) == 0);
}

static void set_up(const char *folder, int replaced)
{
	struct timespec times[2] = { { 1000000000, 0 }, { 1100000000, 5000 } };
	char path[300];
	int fd;

	fd = make(folder, "library", 8, 1, path);
	library = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	NEED(library != MAP_FAILED && close(fd) == 0);
	fill(library + 3 * PAGE, PAGE, 2);
	NEED(mprotect(library, 8 * PAGE, PROT_READ) == 0);
	lose(path, replaced);
	writing = make(folder, "shared", 4, 3, path);
	NEED((reading = open(path, O_RDONLY | O_CLOEXEC)) >= 0);
	NEED(lseek(writing, 77, SEEK_SET) == 77 && lseek(reading, 99, SEEK_SET) == 99);
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, writing, 0);
	NEED(shared != MAP_FAILED);
	lose(path, 0);
	sprintf(path, "%s/sparse", folder);
	sparse = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0604);
	NEED(sparse >= 0 && pwrite(sparse, "begin", 5, 0) == 5 && pwrite(sparse, "end", 3, 600000) == 3);
	NEED(ftruncate(sparse, 1 << 20) == 0 && fchown(sparse, 12, 34) == 0 && futimens(sparse, times) == 0);
	lose(path, 0);
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	NEED(fd >= 0 && write(fd, "unnamed", 7) == 7);
	/* A description without O_TMPFILE among its flags: nothing but O_TMPFILE itself gives it these. */
	sprintf(path, "/proc/self/fd/%d", fd);
	NEED((unnamed = open(path, O_RDWR | O_CLOEXEC)) >= 0 && close(fd) == 0);
}

static void check_sparse(void)
{
	struct stat now;
	char bytes[8] = "";

	NEED(fstat(sparse, &now) == 0);
	CHECK(now.st_size == 1 << 20 && now.st_blocks * 512 <= 65536, "sparse: %ld bytes in %ld blocks", now.st_size,
	      now.st_blocks);
	CHECK(now.st_mode == (S_IFREG | 0604) && now.st_uid == 12 && now.st_gid == 34 && now.st_nlink == 0,
	      "sparse: mode %o, owner %d:%d, %d links", now.st_mode, now.st_uid, now.st_gid, (int)now.st_nlink);
	CHECK(now.st_mtim.tv_sec == 1100000000 && now.st_mtim.tv_nsec == 5000, "sparse: time of change");
	CHECK(pread(sparse, bytes, 5, 0) == 5 && !memcmp(bytes, "begin", 5), "sparse: begin");
	CHECK(pread(sparse, bytes, 3, 600000) == 3 && !memcmp(bytes, "end", 3), "sparse: end");
	CHECK(pread(sparse, bytes, 1, 300000) == 1 && bytes[0] == 0, "sparse: hole");
}

static void check_shared(void)
{
	char byte = (char)(round_number + (child ? 0 : 100)), seen = 0;

	CHECK(lseek(writing, 0, SEEK_CUR) == 77 && lseek(reading, 0, SEEK_CUR) == 99, "shared: positions");
	NEED(pwrite(writing, &byte, 1, PAGE) == 1);
	CHECK(shared[PAGE] == byte, "shared: a write is not seen in the mapping");
	shared[PAGE + 1] = byte;
	CHECK(pread(reading, &seen, 1, PAGE + 1) == 1 && seen == byte, "shared: the mapping's content is not read");
	CHECK(write(reading, "x", 1) == -1 && errno == EBADF, "shared: the reader writes");
	CHECK(filled(shared, PAGE, 3) && filled(shared + 2 * PAGE, 2 * PAGE, 3 + 2048), "shared: content");
}

static void check(void)
{
	char bytes[8] = "";

	for (int i = 0; i < 8; i++)
		CHECK(filled(library + i * PAGE, PAGE, i == 3 ? 2 : 1 + i * 1024), "library: page %d", i);
	check_sparse();
	check_shared();
	CHECK(pread(unnamed, bytes, 7, 0) == 7 && !memcmp(bytes, "unnamed", 7), "unnamed");
	CHECK(access("/proc/self/exe", X_OK) == 0, "the program cannot be executed");
	if (child) {
		ask_child(child, "child");
		CHECK(shared[PAGE] == (char)(round_number + 100), "the child's write is not seen");
	}
}

int main(int argc, char **argv)
{
	NEED(argc >= 2);
	lose_the_program(argv, argv[1]);
	subject_begin();
	set_up(argv[1], argc > 2);
	child = fork();
	NEED(child >= 0);
	if (!child) {
		child_is_ready();
		child_rounds(check);
	}
	need_child(child);
	subject_rounds(check);
}
