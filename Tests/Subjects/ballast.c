/*
 * ballast.c MIB [alone]: a process with so much memory, every page of it different. For benchmarks and for full disks.
 * "alone": of a user who may have no other process.
 */
#include "subject.h"
#include <sys/resource.h>

static char *memory;
static size_t size;

static void check(void)
{
	for (size_t page = 0; page < size; page += 4096)
		if (!filled(memory + page, 64, page / 4096 + 1)) {
			CHECK(0, "page %zu", page / 4096);
			break;
		}
}

int main(int argc, char **argv)
{
	NEED(argc == 2 || argc == 3);
	subject_begin();
	size = atol(argv[1]) << 20;
	if (size) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		NEED(memory != MAP_FAILED);
		for (size_t page = 0; page < size; page += 4096)
			fill(memory + page, 64, page / 4096 + 1);
	}
	if (argc == 3) {
		struct rlimit one = { 1, 1 };

		/* To become another user with too many processes is allowed; to make one more is not. */
		NEED(setrlimit(RLIMIT_NPROC, &one) == 0 && setresuid(65534, 65534, 65534) == 0);
		NEED(fork() == -1 && errno == EAGAIN);
	}
	subject_rounds(check);
}
