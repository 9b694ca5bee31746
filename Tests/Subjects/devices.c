/* The devices that every program uses, opened several ways, and mapped. */
#include "subject.h"
#include <sys/sysmacros.h>

static struct { const char *path; int flags, minor, fd; } devices[] = {
	{ "/dev/null", O_RDWR, 3, -1 },
	{ "/dev/null", O_WRONLY | O_APPEND, 3, -1 },
	{ "/dev/zero", O_RDONLY, 5, -1 },
	{ "/dev/full", O_RDWR | O_NONBLOCK, 7, -1 },
	{ "/dev/random", O_RDONLY, 8, -1 },
	{ "/dev/urandom", O_RDONLY, 9, -1 },
};
#define COUNT (sizeof(devices) / sizeof(devices[0]))
static char *zeroes;

static void check(void)
{
	struct stat status;
	char bytes[16];

	for (size_t i = 0; i < COUNT; i++) {
		CHECK(fstat(devices[i].fd, &status) == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) == 1 &&
			      (int)minor(status.st_rdev) == devices[i].minor, "%s: another device", devices[i].path);
		CHECK((fcntl(devices[i].fd, F_GETFL) & ~KERNEL_LARGEFILE) == devices[i].flags, "%s: flags %#x", devices[i].path,
		      fcntl(devices[i].fd, F_GETFL));
	}
	memset(bytes, 1, sizeof(bytes));
	CHECK(read(devices[2].fd, bytes, 16) == 16 && bytes[0] == 0 && bytes[15] == 0, "/dev/zero");
	CHECK(write(devices[3].fd, "x", 1) == -1 && errno == ENOSPC, "/dev/full");
	CHECK(read(devices[5].fd, bytes, 16) == 16, "/dev/urandom");
	CHECK(filled(zeroes, 8192, 77), "mapping of /dev/zero");
	CHECK(zeroes[8192] == 0 && zeroes[16383] == 0, "mapping of /dev/zero: untouched pages");
}

int main(void)
{
	subject_begin();
	for (size_t i = 0; i < COUNT; i++)
		NEED((devices[i].fd = open(devices[i].path, devices[i].flags)) >= 0);
	zeroes = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE, devices[2].fd, 0);
	NEED(zeroes != MAP_FAILED);
	fill(zeroes, 8192, 77);
	subject_rounds(check);
}
