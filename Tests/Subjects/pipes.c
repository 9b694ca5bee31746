/* Pipes within one process and between parent and child, with what is queued in them, both ends everywhere. */
#include "subject.h"

static int own[2], down[2], up[2], half[2], large[2], full[2];
static char block[70000], back[70000];
static pid_t child;
static size_t full_size;

static void queue_own(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "queued in round %d", round_number);

	NEED(write(own[1], text, n) == n);
}

static void check_own(int number)
{
	char text[64], wanted[64];
	int n = snprintf(wanted, sizeof(wanted), "queued in round %d", number);

	CHECK(read(own[0], text, sizeof(text)) == n && !memcmp(text, wanted, n), "own pipe: content");
	CHECK(fcntl(own[0], F_GETFL) == (O_RDONLY | O_NONBLOCK), "own pipe: flags %#x", fcntl(own[0], F_GETFL));
	CHECK(fcntl(own[1], F_GETFL) == O_WRONLY, "own pipe: flags %#x", fcntl(own[1], F_GETFL));
	CHECK(read(own[0], text, 1) == -1 && errno == EAGAIN, "own pipe: more than was queued");
}

/* The child reads `down` and answers on `up`. */
static void check_child(void)
{
	char text[8];

	CHECK(read(down[0], text, 6) == 6 && !memcmp(text, "to you", 6), "child: what the parent had queued");
	CHECK(write(up[1], "answer", 6) == 6, "child: write");
}

static void check(void)
{
	char text[16];
	struct stat a, b;

	check_own(round_number - 1);
	queue_own();
	ask_child(child, "child");
	CHECK(read(up[0], text, 16) == 6 && !memcmp(text, "answer", 6), "what the child wrote");
	CHECK(write(down[1], "to you", 6) == 6, "write to the child");

	CHECK(fcntl(large[1], F_GETPIPE_SZ) == 1 << 20, "large pipe: size %d", fcntl(large[1], F_GETPIPE_SZ));
	CHECK(read(large[0], back, 70000) == 70000 && !memcmp(back, block, 70000), "large pipe: content");
	CHECK(write(large[1], block, 70000) == 70000, "large pipe: write");

	for (size_t done = 0; done < full_size; done += 4096)
		CHECK(read(full[0], back, 4096) == 4096 && !memcmp(back, block, 4096), "full pipe: content at %zu", done);
	for (size_t done = 0; done < full_size; done += 4096)
		CHECK(write(full[1], block, 4096) == 4096, "full pipe: it takes %zu only", done);
	CHECK(write(full[1], "x", 1) == -1 && errno == EAGAIN, "full pipe: takes more than before");

	/* No writer any more: what is left can be read once, and then comes the end. */
	CHECK(fstat(half[0], &a) == 0 && S_ISFIFO(a.st_mode), "pipe without a writer");
	if (round_number == 1)
		CHECK(read(half[0], text, 16) == 4 && !memcmp(text, "rest", 4), "pipe without a writer: content");
	CHECK(read(half[0], text, 16) == 0, "pipe without a writer: no end");

	/* 100 is a duplicate of own[0], 101 of down[1], close-on-exec. */
	CHECK(fstat(100, &a) == 0 && fstat(own[0], &b) == 0 && a.st_ino == b.st_ino, "duplicate");
	CHECK(fcntl(101, F_GETFD) == FD_CLOEXEC, "close on exec");
}

int main(void)
{
	subject_begin();
	fill(block, sizeof(block), 9);
	NEED(pipe(own) == 0 && pipe(down) == 0 && pipe(up) == 0 && pipe(half) == 0 && pipe(large) == 0 && pipe(full) == 0);
	NEED(fcntl(own[0], F_SETFL, O_NONBLOCK) == 0 && dup2(own[0], 100) == 100 && dup3(down[1], 101, O_CLOEXEC) == 101);
	queue_own();
	NEED(write(half[1], "rest", 4) == 4 && close(half[1]) == 0);
	child = fork();
	if (child == 0) {
		close(down[1]);
		close(101);
		close(up[0]);
		close(half[0]);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	close(down[0]);
	close(up[1]);
	NEED(write(down[1], "to you", 6) == 6);
	NEED(fcntl(large[1], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
	NEED(write(large[1], block, 70000) == 70000);
	NEED(fcntl(full[1], F_SETFL, O_NONBLOCK) == 0);
	while (write(full[1], block, 4096) == 4096)
		full_size += 4096;
	subject_rounds(check);
}
