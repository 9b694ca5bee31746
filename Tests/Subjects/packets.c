/* packets.c FOLDER: pipes in packet mode, named and unnamed; pages given to pipes; processes within splice(2) and tee(2). */
#include "subject.h"
#include <sys/uio.h>

static int plain[2], stream[2], gifted[2], source[2], target[2], tee_source[2], tee_target[2], named;
static char block[4096], *page;
static pid_t splicer, copier;

static void queue(int fd)
{
	NEED(write(fd, "one", 3) == 3 && write(fd, "three", 5) == 5 && write(fd, "x", 1) == 1);
	NEED(write(fd, block, sizeof(block)) == sizeof(block));
}

static void check_packets(int fd, const char *which)
{
	char text[8192];

	CHECK(read(fd, text, sizeof(text)) == 3 && !memcmp(text, "one", 3), "%s: first packet", which);
	/* What does not fit is lost. */
	CHECK(read(fd, text, 2) == 2 && !memcmp(text, "th", 2), "%s: second packet", which);
	CHECK(read(fd, text, sizeof(text)) == 1 && *text == 'x', "%s: third packet", which);
	CHECK(read(fd, text, sizeof(text)) == sizeof(block) && !memcmp(text, block, sizeof(block)), "%s: last packet", which);
	CHECK(read(fd, text, sizeof(text)) == -1 && errno == EAGAIN, "%s: more than was queued", which);
}

static ssize_t read_soon(int fd, char *text, size_t size)
{
	ssize_t n = -1;

	for (int i = 0; i < 2000 && (n = read(fd, text, size)) == -1 && errno == EAGAIN; i++)
		usleep(1000);
	return n;
}

static void check(void)
{
	char text[8192];

	check_packets(plain[0], "pipe");
	CHECK(fcntl(plain[1], F_GETFL) == (O_WRONLY | O_NONBLOCK | O_DIRECT), "flags %o", fcntl(plain[1], F_GETFL));
	queue(plain[1]);
	check_packets(named, "named pipe");
	queue(named);
	CHECK(read(stream[0], text, sizeof(text)) == 6 && !memcmp(text, "stream", 6), "one that was none when it was written");
	CHECK(write(stream[1], "str", 3) == 3 && write(stream[1], "eam", 3) == 3, "write");
	NEED(fcntl(stream[1], F_SETFL, O_DIRECT) == 0);
	CHECK(read(gifted[0], text, 4096) == 4096 && filled(text, 4096, 5), "a page that was given");
	NEED(vmsplice(gifted[1], &(struct iovec){ page, 4096 }, 1, 0) == 4096);
	NEED(write(source[1], "spliced", 7) == 7);
	CHECK(read_soon(target[0], text, 64) == 7 && !memcmp(text, "spliced", 7), "splice: %.7s", text);
	NEED(write(tee_source[1], "copied", 6) == 6);
	CHECK(read_soon(tee_target[0], text, 64) == 6 && !memcmp(text, "copied", 6), "tee: %.6s", text);
	CHECK(kill(splicer, 0) == 0 && kill(copier, 0) == 0, "who copies is gone");
	NEED(fcntl(stream[1], F_SETFL, 0) == 0);
	wait_until_asleep(splicer);
	wait_until_asleep(copier);
}

static pid_t copy(int copies)
{
	pid_t pid = fork();
	char text[64];

	if (pid)
		return pid;
	for (;;) {
		ssize_t n = copies ? tee(tee_source[0], tee_target[1], 64, 0) : splice(source[0], NULL, target[1], NULL, 64, 0);
		if (n <= 0 || (copies && read(tee_source[0], text, (size_t)n) != n)) {
			say("FAIL %s: %zd %s", copies ? "tee" : "splice", n, strerror(errno));
			_exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	char path[300];

	NEED(argc == 2);
	subject_begin();
	fill(block, sizeof(block), 9);
	NEED(pipe2(plain, O_DIRECT | O_NONBLOCK) == 0 && pipe2(stream, O_NONBLOCK) == 0);
	NEED(pipe(gifted) == 0 && pipe(source) == 0 && pipe(tee_source) == 0);
	NEED(pipe2(target, 0) == 0 && pipe2(tee_target, 0) == 0);
	NEED(fcntl(target[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(tee_target[0], F_SETFL, O_NONBLOCK) == 0);
	queue(plain[1]);
	NEED(write(stream[1], "str", 3) == 3 && write(stream[1], "eam", 3) == 3);
	snprintf(path, sizeof(path), "%s/packets", argv[1]);
	NEED(mkfifo(path, 0600) == 0 && (named = open(path, O_RDWR | O_NONBLOCK)) >= 0);
	NEED(fcntl(named, F_SETFL, O_NONBLOCK | O_DIRECT) == 0);
	queue(named);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(page != MAP_FAILED);
	fill(page, 4096, 5);
	NEED(vmsplice(gifted[1], &(struct iovec){ page, 4096 }, 1, SPLICE_F_GIFT) == 4096);
	splicer = copy(0);
	copier = copy(1);
	NEED(splicer > 0 && copier > 0);
	wait_until_asleep(splicer);
	wait_until_asleep(copier);
	subject_rounds(check);
}
