/*
 * Calls the functions of the vdso by addresses that were looked up before any dump, as the C library does, and compares
 * them with the system calls. A second thread calls them without a pause, so that it is within them most of the time;
 * with an argument there is no such thread.
 */
#include "subject.h"
#include "vdso.h"
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/time.h>

static int (*vdso_clock_gettime)(clockid_t, struct timespec *);
static int (*vdso_clock_getres)(clockid_t, struct timespec *);
static int (*vdso_gettimeofday)(struct timeval *, struct timezone *);
static time_t (*vdso_time)(time_t *);
static long (*vdso_getcpu)(unsigned *, unsigned *, void *);
static ssize_t (*vdso_getrandom)(void *, size_t, unsigned, void *, size_t);

static volatile unsigned long calls;
static volatile const char *wrong;

static double seconds(const struct timespec *t)
{
	return t->tv_sec + t->tv_nsec / 1e9;
}

/* The wall clock never stands still nor goes back by more than a correction. */
static void *spin(void *unused)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_REALTIME_COARSE };
	struct timespec now, pause = { .tv_nsec = 50000 };
	struct timeval day;
	double last = 0;

	(void)unused;
	for (;;) {
		for (int i = 0; i < 2000; i++) {
			if (vdso_clock_gettime(clocks[i % 2], &now))
				wrong = "clock_gettime failed";
			if (seconds(&now) < last - 1)
				wrong = "clock_gettime went back";
			last = seconds(&now);
			if (vdso_gettimeofday(&day, NULL) || day.tv_sec < now.tv_sec - 1)
				wrong = "gettimeofday went back";
			if (vdso_time(NULL) < now.tv_sec - 1)
				wrong = "time went back";
			calls++;
		}
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void check_clock(clockid_t clock, const char *name, double coarse)
{
	struct timespec before, between, after;

	syscall(SYS_clock_gettime, clock, &before);
	CHECK(!vdso_clock_gettime(clock, &between), "%s: %s", name, strerror(errno));
	syscall(SYS_clock_gettime, clock, &after);
	CHECK(seconds(&between) >= seconds(&before) - coarse && seconds(&between) <= seconds(&after) + coarse,
	      "%s: %f, not between %f and %f", name, seconds(&between), seconds(&before), seconds(&after));
}

static void check_getrandom(void)
{
	struct {
		uint32_t size, prot, flags, reserved[13];
	} parameters;
	unsigned char bytes[64] = { 0 };
	int others = 0;

	if (!vdso_getrandom)
		return;
	/* Asked how large a state is, it may say that it does not exist (any more). */
	long result = vdso_getrandom(NULL, 0, 0, &parameters, ~0UL);

	CHECK(result == 0 || result == -ENOSYS, "getrandom's parameters: %ld", result);
	/* Without a state it makes the system call. */
	result = vdso_getrandom(bytes, sizeof(bytes), 0, NULL, 0);
	CHECK(result == sizeof(bytes) || result == -EINVAL, "getrandom: %ld", result);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		others += bytes[i] != 0;
	CHECK(result < 0 || others > 32, "getrandom: %d bytes", others);
}

static void check(void)
{
	static unsigned long seen;
	struct timespec resolution;
	struct timeval day;
	unsigned cpu = ~0u, node = ~0u;
	time_t stored = 0, now = time(NULL);

	CHECK((const char *)getauxval(AT_SYSINFO_EHDR) == base && !memcmp(base, ELFMAG, SELFMAG), "the vdso has moved");
	check_clock(CLOCK_REALTIME, "CLOCK_REALTIME", 0);
	check_clock(CLOCK_MONOTONIC, "CLOCK_MONOTONIC", 0);
	check_clock(CLOCK_MONOTONIC_RAW, "CLOCK_MONOTONIC_RAW", 0);
	check_clock(CLOCK_BOOTTIME, "CLOCK_BOOTTIME", 0);
	check_clock(CLOCK_TAI, "CLOCK_TAI", 0);
	check_clock(CLOCK_REALTIME_COARSE, "CLOCK_REALTIME_COARSE", 0.05);
	check_clock(CLOCK_MONOTONIC_COARSE, "CLOCK_MONOTONIC_COARSE", 0.05);
	check_clock(CLOCK_PROCESS_CPUTIME_ID, "CLOCK_PROCESS_CPUTIME_ID", 0);
	CHECK(!vdso_gettimeofday(&day, NULL) && labs(day.tv_sec - now) <= 1, "gettimeofday: %ld", (long)day.tv_sec);
	CHECK(labs(vdso_time(&stored) - now) <= 1 && labs(stored - now) <= 1, "time: %ld", (long)stored);
	CHECK(!vdso_getcpu(&cpu, &node, NULL) && cpu < 4096 && node < 1024, "getcpu: %u on %u", cpu, node);
	if (vdso_clock_getres)
		CHECK(!vdso_clock_getres(CLOCK_MONOTONIC, &resolution) && !resolution.tv_sec && resolution.tv_nsec > 0,
		      "clock_getres");
	check_getrandom();
	CHECK(!wrong, "in the thread: %s", (const char *)wrong);
	wrong = NULL;
	if (seen) {
		for (int i = 0; i < 500 && calls <= seen; i++)
			usleep(10000);
		CHECK(calls > seen, "the thread stands still");
	}
	seen = calls;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	(void)argv;
	subject_begin();
	base = (const char *)getauxval(AT_SYSINFO_EHDR);
	NEED(base);
	NEED(vdso_clock_gettime = lookup("__vdso_clock_gettime"));
	NEED(vdso_gettimeofday = lookup("__vdso_gettimeofday"));
	NEED(vdso_time = lookup("__vdso_time"));
	NEED(vdso_getcpu = lookup("__vdso_getcpu"));
	vdso_clock_getres = lookup("__vdso_clock_getres");
	vdso_getrandom = lookup("__vdso_getrandom");
	if (argc == 1)
		NEED(!pthread_create(&thread, NULL, spin, NULL));
	/* A thread begins with all signals blocked. */
	while (argc == 1 && !calls)
		usleep(1000);
	subject_rounds(check);
}
