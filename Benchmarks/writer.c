/*
 * writer MIB RATE: writes to pages of MIB megabytes of memory at random, RATE megabytes of pages a second, and prints each gap of more
 * than two milliseconds between two of its steps, in microseconds of the monotonic clock: what a pause was to the program itself.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000ull + time.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	uint64_t pages = (argc > 1 ? strtoull(argv[1], NULL, 10) : 64) << 8, rate = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t state = 88172645463325252ull, start, last, written = 0;
	char *memory = mmap(NULL, pages << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	for (uint64_t page = 0; page < pages; page++)
		memset(memory + (page << 12), (int)page | 1, 4096);
	puts("ready");
	fflush(stdout);
	start = last = now();
	for (;;) {
		uint64_t time = now();

		if (time - last > 2000) {
			printf("gap %llu\n", (unsigned long long)(time - last));
			fflush(stdout);
		}
		last = time;
		while (written < (time - start) * rate * 256 / 1000000) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			memory[(state % pages) << 12] ^= (char)state;
			/* What it could not write during a pause it does not make up for. */
			if (++written % 64 == 0)
				break;
		}
		if (written + 64 < (time - start) * rate * 256 / 1000000)
			written = (time - start) * rate * 256 / 1000000;
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
}
