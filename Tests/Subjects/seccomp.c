/* A seccomp filter in the root, two in a child, a thread-group with a filter for all threads. Strict no, filters only. */
#include "subject.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/resource.h>

static pid_t child;

/* System call `number` fails with `error`. */
static void forbid(int number, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	NEED(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
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
	CHECK(syscall(SYS_sched_yield) == 0, "the child's filter holds for the parent, too");
}

int main(void)
{
	subject_begin();
	free(malloc(100000));
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
	subject_rounds(check_all);
}
