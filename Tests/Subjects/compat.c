/*
 * A 32-bit program: what only such programs have. Segments for thread-local storage, the vdso of their own by both of
 * its ways into the kernel, handlers whose return address is in the vdso, lists of robust futexes, registers.
 */
#include "subject.h"
#include "vdso.h"
#if !defined(__i386__)
int main(void)
{
	say("SETUP this is no 32-bit program");
	return 2;
}
#else
#include <asm/ldt.h>
#include <pthread.h>
#include <sys/auxv.h>

#define THREADS 3

struct robust_head {
	void *next;
	long offset;
	void *pending;
};

static __thread int mine;
static int (*vdso_clock_gettime)(clockid_t, struct timespec *);
static struct user_desc segments[THREADS][3];
static struct robust_head *lists[THREADS];
static uint16_t selectors[THREADS];
static volatile int round_of[THREADS], wanted;
static volatile sig_atomic_t plain, with_information;

/* What sigaction(2) of the C library does not do: no restorer. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void on_plain(int number) { plain += number; }
static void on_information(int number) { with_information += number; }

static uint16_t selector(void)
{
	uint16_t value;

	asm("mov %%gs, %0" : "=r"(value));
	return value;
}

static int same_segments(const struct user_desc *before)
{
	for (int i = 0; i < 3; i++) {
		struct user_desc now = { .entry_number = 12 + i };

		if (syscall(SYS_get_thread_area, &now) || memcmp(&now, &before[i], sizeof(now)))
			return 0;
	}
	return 1;
}

static void remember(int number)
{
	size_t length;

	mine = 100 + number;
	selectors[number] = selector();
	for (int i = 0; i < 3; i++) {
		segments[number][i].entry_number = 12 + i;
		NEED(!syscall(SYS_get_thread_area, &segments[number][i]));
	}
	NEED(!syscall(SYS_get_robust_list, 0, &lists[number], &length) && lists[number]);
}

static void compare(int number)
{
	struct robust_head *list = NULL;
	size_t length = 0;

	CHECK(mine == 100 + number, "thread %d: its storage holds %d", number, mine);
	CHECK(selectors[number] == selector() && selector() > 3, "thread %d: gs is %x", number, selector());
	CHECK(same_segments(segments[number]), "thread %d: its segments", number);
	CHECK(!syscall(SYS_get_robust_list, 0, &list, &length) && list == lists[number] && length == 12,
	      "thread %d: its robust list is %p of %zu", number, (void *)list, length);
}

/* One thread sleeps in the kernel, one computes in registers. */
static void *thread(void *argument)
{
	int number = (intptr_t)argument;
	const struct timespec pause = { .tv_nsec = 2000000 };
	long double deep = 1.25L;
	unsigned ebx, esi, edi;
	unsigned short control = 0x0f7f, now;

	remember(number);
	asm volatile("fldcw %0" : : "m"(control));
	for (;;) {
		if (number == 1) {
			nanosleep(&pause, NULL);
		} else {
			deep = deep * 3 / 3;
			asm volatile("movl $0x1234567, %%ebx\n movl $0x89abcde, %%esi\n movl $0xfedcba9, %%edi\n"
				     "movl $200000, %%ecx\n"
				     "1: pause\n cmpl $0x1234567, %%ebx\n jne 2f\n cmpl $0x89abcde, %%esi\n jne 2f\n"
				     "cmpl $0xfedcba9, %%edi\n jne 2f\n loop 1b\n2:\n"
				     : "=b"(ebx), "=S"(esi), "=D"(edi) : : "ecx", "cc");
			CHECK(ebx == 0x1234567 && esi == 0x89abcde && edi == 0xfedcba9, "registers %x %x %x", ebx, esi,
			      edi);
			CHECK(deep == 1.25L, "the x87 value is %Lf", deep);
		}
		asm volatile("fnstcw %0" : "=m"(now));
		CHECK(now == control, "the x87 control word is %x", now);
		if (round_of[number] != wanted) {
			compare(number);
			round_of[number] = wanted;
		}
	}
	return NULL;
}

static long by_vsyscall(long number)
{
	long result;

	/* As the C library does: call *%gs:0x10, here by the auxiliary vector. */
	asm volatile("call *%2" : "=a"(result) : "a"(number), "r"(getauxval(AT_SYSINFO)) : "memory", "cc");
	return result;
}

static void check(void)
{
	struct timespec real, fast;
	int before = plain, informed = with_information;

	compare(0);
	CHECK((const char *)getauxval(AT_SYSINFO_EHDR) == base, "the vdso has moved");
	CHECK(by_vsyscall(SYS_getpid) == getpid(), "__kernel_vsyscall");
	CHECK(!vdso_clock_gettime(CLOCK_MONOTONIC, &fast) && !clock_gettime(CLOCK_MONOTONIC, &real) &&
		      real.tv_sec - fast.tv_sec <= 1,
	      "the clock of the vdso");
	kill(getpid(), SIGRTMIN + 1);
	kill(getpid(), SIGRTMIN + 2);
	CHECK(plain == before + SIGRTMIN + 1, "the handler without a restorer ran %d", plain - before);
	CHECK(with_information == informed + SIGRTMIN + 2, "the other one: %d", with_information - informed);
	wanted++;
	for (int i = 1; i < THREADS; i++) {
		for (int j = 0; j < 1000 && round_of[i] != wanted; j++)
			usleep(5000);
		CHECK(round_of[i] == wanted, "thread %d stands still", i);
	}
	/* New memory is where a 32-bit program can reach it, and threads can be made and end. */
	void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	if (memory != MAP_FAILED) {
		fill(memory, 1 << 20, 7);
		CHECK(filled(memory, 1 << 20, 7), "new memory");
		munmap(memory, 1 << 20);
	}
}

static void catch(int number, void (*handler)(int), unsigned long flags)
{
	struct kernel_action action = { .handler = handler, .flags = flags };

	NEED(!syscall(SYS_rt_sigaction, number, &action, NULL, 8));
}

int main(void)
{
	subject_begin();
	base = (const char *)getauxval(AT_SYSINFO_EHDR);
	NEED(base && getauxval(AT_SYSINFO));
	NEED(vdso_clock_gettime = lookup("__vdso_clock_gettime"));
	remember(0);
	catch(SIGRTMIN + 1, on_plain, 0);
	catch(SIGRTMIN + 2, on_information, SA_SIGINFO);
	for (intptr_t i = 1; i < THREADS; i++) {
		pthread_t made;

		NEED(!pthread_create(&made, NULL, thread, (void *)i));
	}
	wanted = 1;
	for (int i = 1; i < THREADS; i++)
		while (round_of[i] != wanted)
			usleep(1000);
	subject_rounds(check);
}
#endif
