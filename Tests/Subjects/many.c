/* many COUNT GENERATIONS: COUNT processes in chains of GENERATIONS, each of which checks its place. */
#include "subject.h"

static struct known {
	pid_t pid, parent;
} *known;
static int count, own;
static pid_t root;

static void serve(void)
{
	known[own] = (struct known){ getpid(), getppid() };
	sigqueue(root, ANSWER, (union sigval){ .sival_int = 0 });
	for (;;) {
		wait_until_told();
		failures = 0;
		CHECK(getpid() == known[own].pid, "pid %d, not %d", getpid(), known[own].pid);
		CHECK(getppid() == known[own].parent, "parent %d, not %d", getppid(), known[own].parent);
		sigqueue(root, ANSWER, (union sigval){ .sival_int = failures });
	}
}

static void check(void)
{
	for (int i = 0; i < count; i++)
		ask_child(known[i].pid, "one of many");
}

int main(int argc, char **argv)
{
	int value, generations;

	NEED(argc == 3);
	subject_begin();
	count = atoi(argv[1]);
	generations = atoi(argv[2]);
	root = getpid();
	known = mmap(NULL, (size_t)count * sizeof(*known), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(known != MAP_FAILED);
	for (int first = 0; first < count; first += generations) {
		int last = first + generations < count ? first + generations : count;

		if (fork() == 0) {
			own = first;
			while (own + 1 < last && fork() == 0)
				own++;
			serve();
		}
		for (int i = first; i < last; i++)
			NEED(answer(&value) > 0);
	}
	subject_rounds(check);
}
