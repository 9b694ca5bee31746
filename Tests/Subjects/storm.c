/*
 * storm KIND WORKERS: processes that make others without end. Each WORKER of a "storm" makes a child that makes a
 * grandchild, and both end at once. A "bomb" doubles with each generation until WORKERS * 10 processes live, and fills up
 * what ends. Everything that is orphaned comes to the root, which ignores the ends of its children.
 */
#include "subject.h"
#include <stdatomic.h>

static struct shared {
	atomic_long made, lost;
	atomic_int alive;
} *shared;
static int limit, workers;
static long before;

static pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid < 0)
		atomic_fetch_add(&shared->lost, 1);
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
			if (spawn() == 0)
				i = 0;
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
	CHECK(atomic_load(&shared->lost) == 0, "%ld forks failed", atomic_load(&shared->lost));
	before = atomic_load(&shared->made);
}

int main(int argc, char **argv)
{
	NEED(argc == 3);
	workers = atoi(argv[2]);
	limit = workers * 10;
	subject_begin();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(shared != MAP_FAILED);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGCHLD, SIG_IGN);
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
