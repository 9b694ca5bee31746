/*
 * A seccomp filter in the root, two in a child, a child whose threads have filters in common, inherited ones, filters of
 * their own, none, or are in strict mode.
 */
#include "subject.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>

static pid_t child, weaver, loose;

/* System call `number` fails with `error`; in this thread, or in all. */
static void forbid_in(int number, int error, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	NEED(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0);
}

static void forbid(int number, int error)
{
	forbid_in(number, error, SECCOMP_FILTER_FLAG_TSYNC);
}

static int error_of(long number)
{
	errno = 0;
	return syscall(number, 0, 0, 0, 0) == -1 ? errno : 0;
}

/* Threads that do what they are told over a pipe, for in strict mode a thread may do little else than read. */
static struct strand {
	pthread_t handle;
	volatile pid_t id;
	volatile int done;
	/* The errors of getpriority, sched_yield and getitimer. */
	volatile int errors[3];
	int turn[2];
	char stack[65536] __attribute__((aligned(4096)));
} strands[3];

enum { LOOK, LOOK_AWAY, FORBID_TIMERS, ENTER_STRICT_MODE, SYNCHRONISE };

static void *strand_body(void *argument)
{
	struct strand *self = argument;
	char what;

	self->id = gettid();
	for (;;) {
		if (read(self->turn[0], &what, 1) != 1)
			continue;
		if (what == FORBID_TIMERS)
			forbid_in(SYS_getitimer, 95, 0);
		if (what == ENTER_STRICT_MODE)
			NEED(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL) == 0);
		if (what == SYNCHRONISE)
			forbid_in(SYS_times, 94, SECCOMP_FILTER_FLAG_TSYNC);
		if (what == LOOK) {
			self->errors[0] = error_of(SYS_getpriority);
			self->errors[1] = error_of(SYS_sched_yield);
			self->errors[2] = error_of(SYS_getitimer);
		}
		self->done = 1;
	}
	return NULL;
}

static void tell(int number, char what)
{
	struct strand *strand = &strands[number];

	strand->done = 0;
	CHECK(write(strand->turn[1], &what, 1) == 1, "strand %d: cannot be told", number);
	for (int n = 0; n < 5000 && !strand->done; n++)
		usleep(1000);
	CHECK(strand->done, "strand %d: no answer", number);
}

static void expect(int number, int priority, int yield, int timer, const char *mode, const char *filters)
{
	struct strand *strand = &strands[number];
	char path[64];

	tell(number, mode[0] == '1' ? LOOK_AWAY : LOOK);
	CHECK(strand->errors[0] == priority && strand->errors[1] == yield && strand->errors[2] == timer,
	      "strand %d: errors %d %d %d", number, strand->errors[0], strand->errors[1], strand->errors[2]);
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", strand->id);
	CHECK(!strcmp(proc_field(path, "Seccomp"), mode), "strand %d: mode %s", number, proc_field(path, "Seccomp"));
	CHECK(!strcmp(proc_field(path, "Seccomp_filters"), filters), "strand %d: %s filters", number,
	      proc_field(path, "Seccomp_filters"));
}

/* On stacks of their own: the filters of the root forbid mmap. */
static void start_strands(void)
{
	pthread_attr_t attributes;

	for (int i = 0; i < 3; i++) {
		NEED(pipe(strands[i].turn) == 0);
		pthread_attr_init(&attributes);
		NEED(pthread_attr_setstack(&attributes, strands[i].stack, sizeof(strands[i].stack)) == 0);
		NEED(pthread_create(&strands[i].handle, &attributes, strand_body, &strands[i]) == 0);
		while (!strands[i].id)
			usleep(1000);
	}
}

/* Filters of the root, which forked it (two), one more for all threads, one of a thread's own. */
static void check_weaver(void)
{
	static int has_synchronised;

	CHECK(error_of(SYS_getpriority) == 99 && error_of(SYS_sched_yield) == 96, "weaver: its own filters");
	if (!has_synchronised) {
		expect(0, 99, 96, EFAULT, "2", "3");
		expect(1, 99, 96, 95, "2", "4");
		expect(2, 99, 96, EFAULT, "2", "3");
		/* Goes only if the filters of all other threads are its own, and not merely the same. */
		tell(1, SYNCHRONISE);
		has_synchronised = 1;
		return;
	}
	for (int i = 0; i < 3; i++)
		expect(i, 99, 96, 95, "2", "5");
}

/* Only one thread has a filter, another is in strict mode, the others are free. */
static void check_loose(void)
{
	expect(0, 0, 0, EFAULT, "0", "0");
	expect(1, 0, 0, 95, "2", "1");
	expect(2, 0, 0, 0, "1", "0");
	CHECK(error_of(SYS_getitimer) == EFAULT, "loose: its own filters");
}

static void weave(void)
{
	start_strands();
	forbid(SYS_sched_yield, 96);
	tell(1, FORBID_TIMERS);
	child_is_ready();
	child_rounds(check_weaver);
}

static void loosen(void)
{
	start_strands();
	tell(1, FORBID_TIMERS);
	tell(2, ENTER_STRICT_MODE);
	child_is_ready();
	child_rounds(check_loose);
}

static void check(void)
{
	errno = 0;
	CHECK(syscall(SYS_getpriority, PRIO_PROCESS, 0) == -1 && errno == 99, "the filter does not work: errno %d", errno);
	/* Calls that a checkpoint or a restore could be tempted to make in this process. */
	errno = 0;
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == 98, "mmap: errno %d", errno);
	CHECK(!strcmp(proc_field("/proc/self/status", "Seccomp"), "2"), "mode %s", proc_field("/proc/self/status", "Seccomp"));
}

static void check_child(void)
{
	check();
	errno = 0;
	CHECK(syscall(SYS_sched_yield) == -1 && errno == 97, "child: the second filter: errno %d", errno);
	CHECK(!strcmp(proc_field("/proc/self/status", "Seccomp_filters"), "3"), "child: %s filters",
	      proc_field("/proc/self/status", "Seccomp_filters"));
}

static void check_all(void)
{
	check();
	ask_child(child, "child");
	ask_child(weaver, "weaver");
	ask_child(loose, "loose");
	CHECK(syscall(SYS_sched_yield) == 0, "the child's filter holds for the parent, too");
}

int main(void)
{
	subject_begin();
	free(malloc(100000));
	loose = fork();
	if (loose == 0)
		loosen();
	need_child(loose);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	forbid(SYS_getpriority, 99);
	forbid(SYS_mmap, 98);
	child = fork();
	if (child == 0) {
		forbid(SYS_sched_yield, 97);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	weaver = fork();
	if (weaver == 0)
		weave();
	need_child(weaver);
	subject_rounds(check_all);
}
