/*
 * guest.c: lives on descriptors that it was given and that lead outside. At each check it reads the next number, a line,
 * from descriptor 10, writes "round N" to descriptor 11, and expects an answer "N" to what it sends through the socket
 * 12; whichever of the three there are.
 */
#include "subject.h"
#include <sys/socket.h>

static int rounds, flags[3];

/* O_LARGEFILE says how a file was opened, and means nothing for a pipe: what stands in for one may have it or not. */
static int flags_of(int fd) { return fcntl(fd, F_GETFL) & ~KERNEL_LARGEFILE; }

static int is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static int read_number(int fd)
{
	char text[16];
	size_t length = 0;

	/* Byte by byte: what follows is for the next rounds. */
	while (length < sizeof(text) - 1 && read(fd, text + length, 1) == 1 && text[length] != '\n')
		length++;
	text[length] = 0;
	return length ? atoi(text) : -1;
}

static void check(void)
{
	int number;

	rounds++;
	alarm(10);
	for (int i = 0; i < 3; i++)
		CHECK(flags_of(10 + i) == flags[i], "the flags of %d are %o", 10 + i, flags_of(10 + i));
	if (is_open(10)) {
		number = read_number(10);
		CHECK(number == rounds, "read %d in round %d", number, rounds);
	}
	if (is_open(11))
		CHECK(dprintf(11, "round %d\n", rounds) > 0, "cannot write: %s", strerror(errno));
	if (is_open(12)) {
		CHECK(dprintf(12, "round %d\n", rounds) > 0, "cannot send: %s", strerror(errno));
		number = read_number(12);
		CHECK(number == rounds, "received %d in round %d", number, rounds);
	}
	alarm(0);
}

int main(void)
{
	subject_begin();
	for (int i = 0; i < 3; i++)
		flags[i] = flags_of(10 + i);
	subject_rounds(check);
}
