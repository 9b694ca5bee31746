/*
 * rseq.c: threads that spend nearly all their time in a critical section (rseq(2)) which looks at the clock: one that was
 * stopped within and went on nevertheless sees the time jump. Also a thread that has unregistered its area.
 */
#include "subject.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/rseq.h>

#define COUNT 2

static struct worker {
	pthread_t handle;
	volatile uint64_t commits, aborts, jumps;
} workers[COUNT];
static volatile int without_area = -1;
static uint64_t limit;
/* How often a section looks at the clock. */
static uint32_t looks = 50000;

static struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static uint64_t ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* 1 if it came to its end, 0 if it was aborted, -1 if the time jumped within it. */
static int section(struct rseq *rseq)
{
	__asm__ goto volatile(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3: .long 0, 0\n"
		".quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"leaq 3b(%%rip), %%rax\n"
		"movq %%rax, %[cs]\n"
		"1: rdtsc\n"
		"shlq $32, %%rdx\n"
		"orq %%rax, %%rdx\n"
		"movq %%rdx, %%r8\n"
		"movl %[looks], %%ecx\n"
		"5: rdtsc\n"
		"shlq $32, %%rdx\n"
		"orq %%rax, %%rdx\n"
		"movq %%rdx, %%r9\n"
		"subq %%r8, %%r9\n"
		"cmpq %[limit], %%r9\n"
		"ja %l[jumped]\n"
		"movq %%rdx, %%r8\n"
		"decl %%ecx\n"
		"jnz 5b\n"
		"2:\n"
		".pushsection __rseq_failure, \"ax\"\n"
		".byte 0x0f, 0xb9, 0x3d\n"
		".long 0x53053053\n"
		"4: jmp %l[aborted]\n"
		".popsection\n"
		:
		: [cs] "m"(rseq->rseq_cs), [limit] "r"(limit), [looks] "m"(looks)
		: "rax", "rcx", "rdx", "r8", "r9", "memory", "cc"
		: aborted, jumped);
	return 1;
aborted:
	return 0;
jumped:
	return -1;
}

/* How often the thread has lost its processor. */
static long switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

static void *body(void *argument)
{
	struct worker *self = argument;

	for (;;) {
		long before = switches();
		switch (section(area())) {
		case 1: self->commits++; break;
		case 0: self->aborts++; break;
		/* A hypervisor that is busy makes the time jump, too, and stops nobody. */
		default: self->jumps += switches() != before;
		}
	}
	return NULL;
}

static void *body_without(void *argument)
{
	(void)argument;
	NEED(syscall(SYS_rseq, area(), __rseq_size < 32 ? 32 : __rseq_size, 1, 0x53053053) == 0);
	without_area = 1;
	for (;;) {
		usleep(1000);
		if (without_area == 2)
			without_area = area()->cpu_id == (uint32_t)-1 ? 1 : 3;
	}
	return NULL;
}

static void check(void)
{
	for (int i = 0; i < COUNT; i++) {
		uint64_t commits = workers[i].commits;

		for (int n = 0; n < 8000 && workers[i].commits == commits; n++)
			usleep(1000);
		CHECK(workers[i].commits > commits, "worker %d: no section comes to its end", i);
		CHECK(workers[i].jumps == 0, "worker %d: %lu sections went on after a stop", i, (unsigned long)workers[i].jumps);
		workers[i].jumps = 0;
	}
	without_area = 2;
	for (int n = 0; n < 3000 && without_area == 2; n++)
		usleep(1000);
	CHECK(without_area == 1, "the thread without an area has one");
	without_area = 1;
}

int main(void)
{
	struct timespec pause = { 0, 20000000 };
	pthread_t handle;
	uint64_t began = ticks();

	NEED(__rseq_size > 0);
	subject_begin();
	nanosleep(&pause, NULL);
	/* Twenty milliseconds: more than it takes to lose a processor to somebody else unnoticed, less than a dump takes. */
	limit = ticks() - began;
	/* Some machines take long to look at the clock, and a section is to end within the time that a thread is given. */
	began = ticks();
	for (int i = 0; i < 1000; i++)
		ticks();
	began = (ticks() - began) / 1000;
	if (began && limit / 20 / began < looks)
		looks = limit / 20 / began + 1;
	for (int i = 0; i < COUNT; i++)
		NEED(pthread_create(&workers[i].handle, NULL, body, &workers[i]) == 0);
	for (int i = 0; i < COUNT; i++)
		while (!workers[i].commits)
			usleep(1000);
	NEED(pthread_create(&handle, NULL, body_without, NULL) == 0);
	while (without_area != 1)
		usleep(1000);
	subject_rounds(check);
}
