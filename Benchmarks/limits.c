/*
 * limits KIND NUMBER [FILE]: what this machine can do at best with so much, in milliseconds, a line each.
 *
 * memory MIB FILE:
 *   touch     making it: page faults, by hand
 *   copy      memcpy(3) of it through a buffer that stays in the cache
 *   fork      fork(2) of a process that has it
 *   cached    writing it to FILE, a new one
 *   write     the same with the wait for the disk: what a dump cannot do without
 *   read      reading FILE into new memory: what a restore cannot do without
 * processes N:
 *   make      forking so many, each of which says that it runs: what a restore cannot do without
 *   look      reading stat, status, smaps and the descriptors of each in /proc: what a dump cannot do without
 * threads N:
 *   make      pthread_create(3)
 *   look      reading stat and status of each
 * mappings N:
 *   make      mprotect(2) of every other page
 *   look      reading smaps
 * warm MIB:
 *   nothing; a virtual machine may have given back to its host what was free, and gets it back at ten times the cost of a
 *   page fault. What is measured next finds memory as a host without that has it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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

static void warm(size_t size)
{
	char *memory = map(size);

	for (size_t i = 0; i < size; i += 4096)
		memory[i] = 1;
}

/* The whole of a file of /proc. */
static void look_at(const char *format, int pid)
{
	static char buffer[1 << 16];
	char path[64];
	int file;

	snprintf(path, sizeof(path), format, pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		fail(path);
	while (read(file, buffer, sizeof(buffer)) > 0)
		;
	close(file);
}

static void list(const char *format, int pid)
{
	char path[64];
	DIR *directory;

	snprintf(path, sizeof(path), format, pid);
	directory = opendir(path);
	if (!directory)
		fail(path);
	while (readdir(directory))
		;
	closedir(directory);
}

static void processes(size_t number)
{
	pid_t *pids = calloc(number, sizeof(*pids));
	double began = now();
	int ready[2];
	char byte;

	if (!pids || pipe(ready))
		fail("processes");
	for (size_t i = 0; i < number; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fail("fork");
		if (pids[i] == 0) {
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
	}
	for (size_t i = 0; i < number; i++)
		if (read(ready[0], &byte, 1) != 1)
			fail("read");
	printf("make %.3f\n", now() - began);
	began = now();
	for (size_t i = 0; i < number; i++) {
		look_at("/proc/%d/stat", pids[i]);
		look_at("/proc/%d/status", pids[i]);
		look_at("/proc/%d/smaps", pids[i]);
		list("/proc/%d/fd", pids[i]);
	}
	printf("look %.3f\n", now() - began);
	for (size_t i = 0; i < number; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
}

static void *wait_for_ever(void *tid)
{
	*(pid_t *)tid = syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static void threads(size_t number)
{
	volatile pid_t *tids = calloc(number, sizeof(*tids));
	pthread_attr_t attributes;
	double began = now();
	pthread_t thread;

	if (!tids)
		fail("threads");
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	for (size_t i = 0; i < number; i++)
		if (pthread_create(&thread, &attributes, wait_for_ever, (void *)&tids[i]))
			fail("pthread_create");
	for (size_t i = 0; i < number; i++)
		while (!tids[i])
			sched_yield();
	printf("make %.3f\n", now() - began);
	began = now();
	for (size_t i = 0; i < number; i++) {
		look_at("/proc/self/task/%d/stat", tids[i]);
		look_at("/proc/self/task/%d/status", tids[i]);
	}
	printf("look %.3f\n", now() - began);
}

static void mappings(size_t number)
{
	double began = now();
	char *memory = map(number * 4096);

	for (size_t i = 1; i < number; i += 2)
		if (mprotect(memory + i * 4096, 4096, PROT_READ))
			fail("mprotect");
	printf("make %.3f\n", now() - began);
	began = now();
	look_at("/proc/%d/smaps", getpid());
	printf("look %.3f\n", now() - began);
}

static void memory(size_t size, const char *path)
{
	static char buffer[PIECE];
	char *memory, *target;
	double began;
	int file;
	pid_t pid;

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
	unlink(path);
	file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		fail(path);
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
	unlink(path);
}

int main(int argc, char **argv)
{
	size_t number = argc >= 3 ? strtoul(argv[2], NULL, 10) : 0;
	const char *kind = number ? argv[1] : "";

	if (!strcmp(kind, "memory") && argc == 4)
		memory(number << 20, argv[3]);
	else if (!strcmp(kind, "warm"))
		warm(number << 20);
	else if (!strcmp(kind, "processes"))
		processes(number);
	else if (!strcmp(kind, "threads"))
		threads(number);
	else if (!strcmp(kind, "mappings"))
		mappings(number);
	else {
		fprintf(stderr, "usage: limits memory MIB FILE | warm MIB | processes|threads|mappings NUMBER\n");
		return 2;
	}
	return 0;
}
