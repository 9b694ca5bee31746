/*
 * storm KIND WORKERS [LIMIT]: processes that make others without end. Each WORKER of a "storm" makes a child that makes a
 * grandchild, and both end at once. A "bomb" doubles with each generation until WORKERS * 10 processes live, and fills up
 * what ends. Everything that is orphaned comes to the root, which ignores the ends of its children.
 *
 * With a LIMIT the kernel stops it before that, and calls of fork(2) have to fail: LIMIT is the path of a control
 * group's cgroup.procs, which it joins, or a number for RLIMIT_NPROC, with which it becomes another user.
 */
#include "subject.h"
#include <stdatomic.h>
#include <sys/resource.h>

static struct shared {
	atomic_long made, lost;
	/* How many failed because of the limit that there is. */
	atomic_long refused;
	atomic_int alive;
} *shared;
static int limit, workers, is_limited;
static long before, refused_before;

static pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid < 0)
		atomic_fetch_add(is_limited && errno == EAGAIN ? &shared->refused : &shared->lost, 1);
	if (pid == 0)
		atomic_fetch_add(&shared->made, 1);
	return pid;
}

static void storm(void)
{
	for (;;) {
		if (spawn() == 0) {
			spawn();
			_exit(0);
		}
		while (wait(NULL) > 0)
			;
	}
}

static void bomb(void)
{
	for (int i = 0;; i++) {
		if (atomic_fetch_add(&shared->alive, 1) < limit) {
			pid_t pid = spawn();

			if (pid == 0)
				i = 0;
			if (pid < 0) {
				atomic_fetch_sub(&shared->alive, 1);
				usleep(200);
			}
		} else {
			atomic_fetch_sub(&shared->alive, 1);
			usleep(200);
		}
		if (i > 20) {
			atomic_fetch_sub(&shared->alive, 1);
			_exit(0);
		}
	}
}

static void check(void)
{
	for (int i = 0; i < 2000 && atomic_load(&shared->made) < before + 50; i++)
		usleep(1000);
	CHECK(atomic_load(&shared->made) >= before + 50, "%ld processes made, %ld before", atomic_load(&shared->made), before);
	for (int i = 0; is_limited && i < 2000 && atomic_load(&shared->refused) == refused_before; i++)
		usleep(1000);
	CHECK(!is_limited || atomic_load(&shared->refused) > refused_before, "nothing was refused, the limit is not there");
	refused_before = atomic_load(&shared->refused);
	CHECK(atomic_load(&shared->lost) == 0, "%ld forks failed", atomic_load(&shared->lost));
	before = atomic_load(&shared->made);
}

static void join(const char *group)
{
	int file = open(group, O_WRONLY | O_CLOEXEC);

	NEED(file >= 0 && write(file, "0", 1) == 1 && close(file) == 0);
}

/* The limit is one of a user, and does not hold for root. */
static void become_limited(int processes)
{
	struct rlimit none = { .rlim_cur = processes, .rlim_max = processes };

	NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
	NEED(setresgid(47114, 47114, 47114) == 0 && setresuid(47114, 47114, 47114) == 0);
}

int main(int argc, char **argv)
{
	NEED(argc == 3 || argc == 4);
	workers = atoi(argv[2]);
	limit = workers * 10;
	subject_begin();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(shared != MAP_FAILED);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGCHLD, SIG_IGN);
	is_limited = argc == 4;
	if (is_limited && argv[3][0] == '/')
		join(argv[3]);
	else if (is_limited)
		become_limited(atoi(argv[3]));
	if (!strcmp(argv[1], "storm")) {
		for (int i = 0; i < workers; i++)
			if (fork() == 0)
				storm();
	} else {
		atomic_fetch_add(&shared->alive, 1);
		if (fork() == 0)
			bomb();
	}
	subject_rounds(check);
}
