/* uptime.c: says at each check how much its monotonic clocks have moved against its own waiting, in milliseconds. */
#include "subject.h"

static long last[2];

static long now(clockid_t clock)
{
	struct timespec time;

	NEED(syscall(SYS_clock_gettime, clock, &time) == 0);
	long kernels = time.tv_sec * 1000 + time.tv_nsec / 1000000;
	/* The vdso must agree with the kernel. */
	NEED(clock_gettime(clock, &time) == 0);
	long own = time.tv_sec * 1000 + time.tv_nsec / 1000000;
	CHECK(own - kernels >= 0 && own - kernels < 1000, "the clocks of kernel and vdso are %ld ms apart", own - kernels);
	return own;
}

static void check(void)
{
	long monotonic = now(CLOCK_MONOTONIC), boot = now(CLOCK_BOOTTIME);

	say("moved %ld %ld", monotonic - last[0], boot - last[1]);
	last[0] = monotonic;
	last[1] = boot;
}

int main(void)
{
	subject_begin();
	last[0] = now(CLOCK_MONOTONIC);
	last[1] = now(CLOCK_BOOTTIME);
	subject_rounds(check);
}
