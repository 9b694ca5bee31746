/*
 * settings.c: what the image format of CRIU has no place for: processors, I/O priority, timer slack, what goes into core
 * dumps, flags of scheduling, SCHED_DEADLINE, an autogroup, a login, settings of prctl(2); by process and by thread.
 */
#include "subject.h"
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <x86intrin.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static pid_t child;
static volatile int turn, answered;
static struct attributes before, slice_before;
static volatile pid_t thread_id, deadline_id;
static int has_deadline, has_flusher, has_login, has_mdwe, has_bypass, bypass;

static void contents(const char *path, char *into, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, into, size - 1);

	into[n < 0 ? 0 : n] = 0;
	close(fd);
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

static cpu_set_t processors(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	return set;
}

static struct attributes scheduling(pid_t tid)
{
	struct attributes attributes = { 0 };

	CHECK(syscall(SYS_sched_getattr, tid, &attributes, sizeof(attributes), 0) == 0, "sched_getattr");
	return attributes;
}

static void check_thread(void)
{
	cpu_set_t set = processors();

	CHECK(CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set), "thread: not on processor 0 alone");
	CHECK(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0), "thread: I/O priority %ld",
	      syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	CHECK(personality(0xffffffff) == ADDR_NO_RANDOMIZE, "thread: personality %#x", personality(0xffffffff));
	CHECK(prctl(PR_GET_TIMERSLACK) == 77777, "thread: slack %d", prctl(PR_GET_TIMERSLACK));
	CHECK(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY, "thread: machine checks");
	CHECK(sched_getscheduler(0) == (SCHED_BATCH | SCHED_RESET_ON_FORK), "thread: policy %#x", sched_getscheduler(0));
	CHECK(!has_bypass || prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) == bypass, "thread: speculation");
}

static void *body(void *argument)
{
	cpu_set_t set;
	int seen = 0;

	(void)argument;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	NEED(sched_setaffinity(0, sizeof(set), &set) == 0);
	NEED(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)) == 0);
	/* Of this thread alone. */
	NEED(personality(ADDR_NO_RANDOMIZE) >= 0);
	NEED(prctl(PR_SET_TIMERSLACK, 77777) == 0);
	NEED(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
	NEED(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &(struct sched_param){ 0 }) == 0);
	bypass = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	has_bypass = bypass == (PR_SPEC_PRCTL | PR_SPEC_ENABLE) &&
		     prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0) == 0;
	bypass = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	thread_id = gettid();
	for (;;) {
		while (turn == seen)
			usleep(2000);
		seen = turn;
		check_thread();
		answered = 1;
	}
	return NULL;
}

/* A thread of a policy that images have no number for. */
static void *deadline_body(void *argument)
{
	struct attributes wanted = { .size = sizeof(wanted), .policy = 6, .flags = 1, .runtime = 2000000,
				     .deadline = 20000000, .period = 30000000 };

	(void)argument;
	has_deadline = syscall(SYS_sched_setattr, 0, &wanted, 0) == 0;
	deadline_id = gettid();
	for (;;)
		pause();
	return NULL;
}

static void check_child(void)
{
	char text[64];
	int counter = 0;

	CHECK(!has_mdwe || prctl(PR_GET_MDWE, 0, 0, 0, 0) == 1, "child: PR_SET_MDWE is %d", prctl(PR_GET_MDWE, 0, 0, 0, 0));
	CHECK(!has_mdwe || mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
	      "child: memory may be made executable");
	CHECK(prctl(PR_GET_TSC, &counter) == 0 && counter == PR_TSC_SIGSEGV, "child: PR_SET_TSC is %d", counter);
	contents("/proc/self/autogroup", text, sizeof(text));
	CHECK(!text[0] || strstr(text, " nice 6\n"), "child: %s", text);
	contents("/proc/self/loginuid", text, sizeof(text));
	CHECK(!has_login || !strcmp(text, "4242"), "child: login %s", text);
	contents("/proc/self/coredump_filter", text, sizeof(text));
	CHECK(!strcmp(text, "00000011\n"), "child: coredump_filter %s", text);
	CHECK(!has_flusher || prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1, "child: it is no I/O flusher");
	CHECK(prctl(PR_GET_TIMERSLACK) == 50000, "child: slack %d", prctl(PR_GET_TIMERSLACK));
}

static void check(void)
{
	char text[64];
	cpu_set_t set = processors();
	struct attributes now;

	CHECK(CPU_COUNT(&set) == (int)sysconf(_SC_NPROCESSORS_ONLN), "on %d processors", CPU_COUNT(&set));
	CHECK(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) == IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6), "I/O priority");
	contents("/proc/self/coredump_filter", text, sizeof(text));
	CHECK(!strcmp(text, "0000007f\n"), "coredump_filter %s", text);
	now = scheduling(0);
	CHECK(now.policy == SCHED_OTHER && now.runtime == slice_before.runtime, "time slice %lu, not %lu", now.runtime,
	      slice_before.runtime);
	if (has_deadline) {
		now = scheduling(deadline_id);
		CHECK(!memcmp(&now, &before, sizeof(now)), "deadline: %lu %lu %lu, flags %lx, policy %u", now.runtime,
		      now.deadline, now.period, now.flags, now.policy);
	}
	answered = 0;
	turn++;
	for (int n = 0; n < 5000 && !answered; n++)
		usleep(1000);
	CHECK(answered, "thread: no answer");
	ask_child(child, "child");
}

int main(void)
{
	pthread_t handle;
	struct attributes slice = { .size = sizeof(slice), .runtime = 5000000 };

	subject_begin();
	child = fork();
	if (child == 0) {
		NEED(setsid() == getpid());
		put("/proc/self/autogroup", "6");
		/* For those with CAP_SYS_RESOURCE alone. */
		has_flusher = prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
		has_login = put("/proc/self/loginuid", "4242");
		NEED(put("/proc/self/coredump_filter", "0x11"));
		/* Since Linux 6.3. */
		has_mdwe = prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0;
		NEED(has_mdwe || errno == EINVAL);
		NEED(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED(put("/proc/self/coredump_filter", "0x7f"));
	NEED(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 6)) == 0);
	NEED(pthread_create(&handle, NULL, body, NULL) == 0);
	NEED(pthread_create(&handle, NULL, deadline_body, NULL) == 0);
	while (!thread_id || !deadline_id)
		usleep(1000);
	/* A slice of its own, where the kernel knows such a thing. */
	syscall(SYS_sched_setattr, 0, &slice, 0);
	before = scheduling(deadline_id);
	slice_before = scheduling(0);
	subject_rounds(check);
}
