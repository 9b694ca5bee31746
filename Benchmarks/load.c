/*
 * load KIND NUMBER: a program of a certain size, for benchmarks. It says "ready" and waits.
 *
 *   memory N      N MiB of private memory, every page written
 *   processes N   N processes beside the first
 *   threads N     N threads beside the first
 *   mappings N    N mappings of a page each that the kernel cannot join
 *   reserved N    N GiB of address space in which one page of each GiB is written
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(size_t size, int flags)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

static void *wait_for_ever(void *nothing)
{
	for (;;)
		pause();
	return nothing;
}

int main(int argc, char **argv)
{
	size_t number = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	const char *kind = argc == 3 ? argv[1] : "";

	if (!strcmp(kind, "memory")) {
		size_t size = number << 20;
		char *memory = size ? map(size, 0) : NULL;

		for (size_t i = 0; i < size; i += 8)
			*(size_t *)(memory + i) = i * 2654435761u + 1;
	} else if (!strcmp(kind, "processes")) {
		for (size_t i = 0; i < number; i++) {
			pid_t pid = fork();

			if (pid < 0)
				fail("fork");
			if (pid == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				wait_for_ever(NULL);
			}
		}
	} else if (!strcmp(kind, "threads")) {
		pthread_attr_t attributes;
		pthread_t thread;

		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, 64 << 10);
		for (size_t i = 0; i < number; i++)
			if (pthread_create(&thread, &attributes, wait_for_ever, NULL))
				fail("pthread_create");
	} else if (!strcmp(kind, "mappings")) {
		/* Neighbours with different protections stay apart. */
		char *memory = map(number * 4096, MAP_NORESERVE);

		for (size_t i = 0; i < number; i++)
			memory[i * 4096] = i + 1;
		for (size_t i = 1; i < number; i += 2)
			if (mprotect(memory + i * 4096, 4096, PROT_READ))
				fail("mprotect");
	} else if (!strcmp(kind, "reserved")) {
		char *memory = map(number << 30, MAP_NORESERVE);

		for (size_t i = 0; i < number; i++)
			memory[(i << 30) + 12345 * 4096] = 1;
	} else {
		fprintf(stderr, "usage: load memory|processes|threads|mappings|reserved NUMBER\n");
		return 2;
	}
	if (write(1, "ready\n", 6) != 6)
		return 1;
	wait_for_ever(NULL);
}
