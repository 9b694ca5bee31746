/*
 * limits MIB FILE: what this machine can do at best with so much memory, in milliseconds, a line each:
 *
 *   copy      memcpy(3) of it through a buffer that stays in the cache
 *   touch     making it: page faults (MADV_POPULATE_WRITE, or by hand)
 *   fork      fork(2) of a process that has it
 *   write     writing it to FILE, a new one, and waiting for the disk: what a dump cannot do without
 *   cached    the same without waiting for the disk
 *   read      reading FILE into new memory: what a restore cannot do without
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECE (1 << 20)

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

int main(int argc, char **argv)
{
	size_t size = argc == 3 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	static char buffer[PIECE];
	char *memory, *target;
	double began;
	int file;
	pid_t pid;

	if (!size) {
		fprintf(stderr, "usage: limits MIB FILE\n");
		return 2;
	}
	memory = map(size);
	began = now();
	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;
	printf("touch %.3f\n", now() - began);
	for (size_t i = 0; i < size; i += 8)
		*(size_t *)(memory + i) = i * 2654435761u + 1;
	began = now();
	for (size_t i = 0; i < size; i += PIECE) {
		memcpy(buffer, memory + i, PIECE);
		/* The compiler must not know that nobody reads the copy. */
		__asm__ volatile("" : : "r"(buffer) : "memory");
	}
	printf("copy %.3f\n", now() - began);
	began = now();
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0)
		_exit(0);
	printf("fork %.3f\n", now() - began);
	waitpid(pid, NULL, 0);
	unlink(argv[2]);
	file = open(argv[2], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		fail(argv[2]);
	began = now();
	for (size_t i = 0; i < size; i += PIECE)
		if (pwrite(file, memory + i, PIECE, i) != PIECE)
			fail("pwrite");
	printf("cached %.3f\n", now() - began);
	if (fsync(file))
		fail("fsync");
	printf("write %.3f\n", now() - began);
	munmap(memory, size);
	target = map(size);
	began = now();
	for (size_t i = 0; i < size;) {
		ssize_t got = pread(file, target + i, size - i, i);

		if (got <= 0)
			fail("pread");
		i += got;
	}
	printf("read %.3f\n", now() - began);
	unlink(argv[2]);
	return 0;
}
