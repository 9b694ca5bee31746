/*
 * lowstack.c: a thread whose stack pointer is just above the lowest address of a stack that grows (MAP_GROWSDOWN).
 * lowstack.c fixed: of one that does not.
 */
#include "subject.h"
#include <linux/futex.h>
#include <pthread.h>

#define PLACE ((char *)0x200000000000ul)
#define SIZE 0x10000ul
/* More than the red zone, less than any signal frame. */
#define ROOM 256

static volatile int turn, done, wrong;
static char *lowest = PLACE;

/* Where the mapping begins by now. */
static char *start(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from, to;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && to == (unsigned long)PLACE + SIZE)
			lowest = (char *)from;
	if (maps)
		fclose(maps);
	return lowest;
}

/* Waits with a stack pointer of its own choice. */
static void wait_low(char *pointer, int seen)
{
	register long none __asm__("r10") = 0;

	__asm__ volatile(
		"movq %%rsp, %%rbx\n"
		"movq %[pointer], %%rsp\n"
		"1: movl %[futex], %%eax\n"
		"syscall\n"
		"cmpl %%edx, (%%rdi)\n"
		"je 1b\n"
		"movq %%rbx, %%rsp\n"
		:
		: [pointer] "r"(pointer), [futex] "i"(SYS_futex), "D"(&turn), "S"(FUTEX_WAIT_PRIVATE), "d"(seen), "r"(none)
		: "rax", "rbx", "rcx", "r11", "memory");
}

static void *body(void *unused)
{
	int seen = turn;

	for (;;) {
		char *pointer = start() + ROOM;
		memset(pointer, 0x5a, ROOM);
		memset(pointer - 128, 0x5b, 128);
		done = 1;
		wait_low(pointer, seen);
		seen = turn;
		for (int i = 0; i < ROOM; i++)
			wrong += pointer[i] != 0x5a;
		for (int i = 1; i <= 128; i++)
			wrong += pointer[-i] != 0x5b;
	}
	return unused;
}

static void wait_for_worker(void)
{
	for (int i = 0; i < 5000 && !done; i++)
		usleep(1000);
	CHECK(done, "the thread does not go on");
}

static void check(void)
{
	done = 0;
	turn++;
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	wait_for_worker();
	CHECK(!wrong, "%d bytes above and in the red zone have changed", wrong);
	CHECK(lowest >= PLACE - 0x10000, "the stack has grown to %p", lowest);
}

int main(int argc, char **argv)
{
	int grows = argc == 2 && !strcmp(argv[1], "fixed") ? 0 : MAP_GROWSDOWN;
	pthread_t thread;

	subject_begin();
	NEED(mmap(PLACE, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | grows, -1, 0) == PLACE);
	NEED(pthread_create(&thread, NULL, body, NULL) == 0);
	wait_for_worker();
	usleep(20000);
	subject_rounds(check);
}
