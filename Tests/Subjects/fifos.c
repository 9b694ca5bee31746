/* fifos.c FOLDER: named pipes with both ends in the tree, with one end alone, and with something queued. */
#include "subject.h"
#include <sys/ioctl.h>

static int reader, writer, second_writer, both, alone, full_reader, full_writer;
static char block[3000], back[3000];
static pid_t child;

static int make(const char *folder, const char *name, int flags)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	NEED(mkfifo(path, 0600) == 0 || errno == EEXIST);
	fd = open(path, flags);
	NEED(fd >= 0);
	return fd;
}

static void queue(void)
{
	CHECK(write(writer, "queued", 6) == 6 && write(both, "to myself", 9) == 9, "write");
}

static void check_child(void)
{
	CHECK(write(second_writer, "child", 5) == 5, "child: write");
}

static void check(void)
{
	char text[32];

	CHECK(read(reader, text, 32) == 6 && !memcmp(text, "queued", 6), "content");
	CHECK(read(reader, text, 32) == -1 && errno == EAGAIN, "more than was queued");
	ask_child(child, "child");
	CHECK(read(reader, text, 32) == 5 && !memcmp(text, "child", 5), "what the child wrote");
	CHECK(fcntl(reader, F_GETFL) == (O_RDONLY | O_NONBLOCK | KERNEL_LARGEFILE), "flags %o", fcntl(reader, F_GETFL));
	CHECK(fcntl(writer, F_GETFL) == (O_WRONLY | KERNEL_LARGEFILE), "flags %o", fcntl(writer, F_GETFL));
	CHECK(read(both, text, 32) == 9 && !memcmp(text, "to myself", 9), "one that is both ends");
	CHECK(read(alone, text, 32) == 0, "one without a writer: no end");
	CHECK(fcntl(full_writer, F_GETPIPE_SZ) == 8192, "size %d", fcntl(full_writer, F_GETPIPE_SZ));
	CHECK(read(full_reader, back, 3000) == 3000 && !memcmp(back, block, 3000), "large content");
	CHECK(write(full_writer, block, 3000) == 3000, "large content: write");
	queue();
}

int main(int argc, char **argv)
{
	NEED(argc == 2 && (mkdir(argv[1], 0755) == 0 || errno == EEXIST));
	subject_begin();
	fill(block, sizeof(block), 3);
	reader = make(argv[1], "pipe", O_RDONLY | O_NONBLOCK);
	writer = make(argv[1], "pipe", O_WRONLY);
	second_writer = make(argv[1], "pipe", O_WRONLY);
	both = make(argv[1], "both", O_RDWR);
	alone = make(argv[1], "alone", O_RDONLY | O_NONBLOCK);
	full_reader = make(argv[1], "full", O_RDONLY | O_NONBLOCK);
	full_writer = make(argv[1], "full", O_WRONLY);
	NEED(fcntl(full_writer, F_SETPIPE_SZ, 8192) == 8192 && write(full_writer, block, 3000) == 3000);
	queue();
	child = fork();
	if (child == 0) {
		close(reader);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	close(second_writer);
	subject_rounds(check);
}
