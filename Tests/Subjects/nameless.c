/*
 * nameless.c FOLDER [replaced]: directories, named pipes and hard-linked files that have lost the names by which they were
 * opened. With "replaced" others have taken these names.
 */
#include "subject.h"

static int outer, inner, inner_again, inner_path, reader, writer, pipe_path, file, file_too, reading, other_name = -1, new_folder = -1;
static char *mapping;
static char folder[200], wanted_outer[400], wanted_inner[400], kept[300];
static pid_t child;

static const char *name(int fd)
{
	static char text[400];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

static ino_t inode(int fd)
{
	struct stat status;

	NEED(fstat(fd, &status) == 0);
	return status.st_ino;
}

static void check_directories(void)
{
	struct stat status, parent;
	char text[300] = "";

	if (new_folder < 0) {
		CHECK(!strcmp(name(outer), wanted_outer), "outer is %s", name(outer));
		CHECK(!strcmp(name(inner), wanted_inner), "inner is %s", name(inner));
	}
	NEED(fstat(outer, &status) == 0);
	CHECK(status.st_mode == (S_IFDIR | 0751) && status.st_uid == 11 && status.st_gid == 22 && status.st_nlink == 0,
	      "outer: mode %o, owner %d:%d, %d links", status.st_mode, status.st_uid, status.st_gid, (int)status.st_nlink);
	CHECK(status.st_mtim.tv_sec == 1100000000, "outer: changed at %ld", (long)status.st_mtim.tv_sec);
	CHECK(fstatat(inner, "..", &parent, 0) == 0 && parent.st_ino == status.st_ino, "the inner is in another than the outer");
	CHECK(inode(inner) == inode(inner_again) && inode(inner) == inode(inner_path), "two inner ones");
	CHECK(fcntl(inner_path, F_GETFL) == (O_PATH | O_DIRECTORY), "flags %o", fcntl(inner_path, F_GETFL));
	CHECK(openat(inner, "x", O_WRONLY | O_CREAT, 0600) == -1 && errno == ENOENT, "a file in what is deleted");
	CHECK(stat(".", &parent) == 0 && parent.st_ino == inode(inner), "the working directory is another");
	CHECK(getcwd(text, sizeof(text)) == NULL && errno == ENOENT, "the working directory is %s", text);
}

static void check_pipes(void)
{
	char text[8] = "";
	struct stat status;

	NEED(fstat(reader, &status) == 0);
	CHECK(S_ISFIFO(status.st_mode) && status.st_nlink == 0 && (status.st_mode & 0777) == 0620, "pipe: mode %o, %d links",
	      status.st_mode, (int)status.st_nlink);
	CHECK(inode(reader) == inode(writer) && inode(reader) == inode(pipe_path), "pipe: several");
	CHECK(read(reader, text, 8) == 6 && !memcmp(text, "queued", 6), "pipe: content");
	CHECK(read(reader, text, 8) == -1 && errno == EAGAIN, "pipe: more than was queued");
	CHECK(write(writer, "queued", 6) == 6, "pipe: write");
}

static void check_files(void)
{
	struct stat status, other;
	char byte = (char)('a' + round_number), seen = 0;

	NEED(fstat(file, &status) == 0);
	CHECK(stat(kept, &other) == 0 && other.st_ino == status.st_ino, "its other name leads elsewhere");
	/* A dump that lets it run on leaves the name that it has given. */
	CHECK(status.st_nlink >= 1, "%d names", (int)status.st_nlink);
	CHECK(inode(file) == inode(file_too) && inode(file) == inode(reading), "several files");
	CHECK(lseek(file, 0, SEEK_CUR) == 3 && lseek(reading, 0, SEEK_CUR) == 5, "positions");
	CHECK(pwrite(file, &byte, 1, 10) == 1 && mapping[10] == byte, "the mapping is of another");
	CHECK(pread(file_too, &seen, 1, 10) == 1 && seen == byte, "the second name is of another");
	mapping[11] = byte;
	CHECK(pread(reading, &seen, 1, 11) == 1 && seen == byte, "what the mapping has got is not seen");
	if (new_folder < 0)
		CHECK(strstr(name(file), "/first (deleted)") && strstr(name(file_too), "/second (deleted)"), "named %s",
		      name(file));
	if (other_name >= 0)
		CHECK(pread(other_name, &seen, 1, 0) == 1 && seen == 'N', "who has taken the name");
}

static void check_child(void)
{
	check_directories();
	check_files();
}

static void check(void)
{
	check_directories();
	check_pipes();
	check_files();
	ask_child(child, "child");
}

static void lose_directories(int replaced)
{
	struct timespec times[2] = { { 1000000000, 0 }, { 1100000000, 0 } };
	char path[300];

	snprintf(path, sizeof(path), "%s/outer", folder);
	NEED(mkdir(path, 0751) == 0 && chmod(path, 0751) == 0 && (outer = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
	snprintf(wanted_outer, sizeof(wanted_outer), "%s (deleted)", path);
	snprintf(wanted_inner, sizeof(wanted_inner), "%s/in\xffner (deleted)", path);
	NEED(mkdirat(outer, "in\xffner", 0700) == 0 && (inner = openat(outer, "in\xffner", O_RDONLY | O_DIRECTORY)) >= 0);
	NEED((inner_again = openat(outer, "in\xffner", O_RDONLY | O_CLOEXEC)) >= 0);
	NEED((inner_path = openat(outer, "in\xffner", O_PATH | O_DIRECTORY)) >= 0 && fchdir(inner) == 0);
	NEED(unlinkat(outer, "in\xffner", AT_REMOVEDIR) == 0 && rmdir(path) == 0);
	NEED(fchown(outer, 11, 22) == 0 && futimens(outer, times) == 0);
	if (replaced)
		NEED(mkdir(path, 0700) == 0 && (new_folder = open(path, O_RDONLY | O_DIRECTORY)) >= 0);
}

static void lose_pipe(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/pipe", folder);
	NEED(mkfifo(path, 0620) == 0 && chmod(path, 0620) == 0 && (reader = open(path, O_RDONLY | O_NONBLOCK)) >= 0);
	NEED((writer = open(path, O_WRONLY)) >= 0 && (pipe_path = open(path, O_PATH)) >= 0 && unlink(path) == 0);
	NEED(write(writer, "queued", 6) == 6);
}

static void lose_names(int replaced)
{
	char first[300], second[300];

	snprintf(first, sizeof(first), "%s/first", folder);
	snprintf(second, sizeof(second), "%s/second", folder);
	snprintf(kept, sizeof(kept), "%s/elsewhere", folder);
	NEED(mkdir(kept, 0700) == 0);
	strcat(kept, "/kept");
	NEED((file = open(first, O_RDWR | O_CREAT | O_EXCL, 0640)) >= 0 && ftruncate(file, 4096) == 0);
	NEED(link(first, second) == 0 && link(first, kept) == 0);
	NEED((file_too = open(second, O_RDWR)) >= 0 && (reading = open(first, O_RDONLY)) >= 0);
	NEED(lseek(file, 3, SEEK_SET) == 3 && lseek(reading, 5, SEEK_SET) == 5);
	mapping = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	NEED(mapping != MAP_FAILED && unlink(first) == 0 && unlink(second) == 0);
	if (replaced) {
		NEED((other_name = open(first, O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0 && write(other_name, "N", 1) == 1);
	}
}

int main(int argc, char **argv)
{
	int replaced = argc > 2;

	NEED(argc >= 2);
	snprintf(folder, sizeof(folder), "%s/nameless", argv[1]);
	NEED(mkdir(folder, 0755) == 0);
	subject_begin();
	lose_directories(replaced);
	lose_pipe();
	lose_names(replaced);
	child = fork();
	NEED(child >= 0);
	if (child == 0) {
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	subject_rounds(check);
}
