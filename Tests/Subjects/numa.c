/*
 * numa.c [NODES]: policies of memory, of threads (set_mempolicy(2)) and of mappings (mbind(2)), for a host with so many
 * nodes, one if it is not said.
 */
#include "subject.h"
#include <linux/mempolicy.h>
#include <pthread.h>

#define SIZE (64 * 4096)

static unsigned long all;
static int last_node;
static volatile int turn, answered;

struct policy {
	int mode;
	unsigned long nodes;
};

static char *area[6];
static struct policy of_area[6];
static struct policy of_thread, of_main;
static pid_t child;

static struct policy policy(void *address)
{
	struct policy found = { -1, 0 };
	unsigned long nodes[16] = { 0 };

	if (syscall(SYS_get_mempolicy, &found.mode, nodes, 1024UL, address, address ? MPOL_F_ADDR : 0))
		found.mode = -errno;
	found.nodes = nodes[0];
	return found;
}

static void expect(const char *what, void *address, struct policy wanted)
{
	struct policy found = policy(address);

	CHECK(found.mode == wanted.mode && found.nodes == wanted.nodes, "%s: policy %#x of %lx, not %#x of %lx", what,
	      found.mode, found.nodes, wanted.mode, wanted.nodes);
}

static void bind_to(int index, size_t offset, size_t size, int mode, unsigned long nodes)
{
	NEED(syscall(SYS_mbind, area[index] + offset, size, mode, nodes ? &nodes : NULL, 64UL, 0) == 0);
	of_area[index] = policy(area[index] + offset);
}

static void *body(void *unused)
{
	int seen = 0;

	(void)unused;
	NEED(syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_STATIC_NODES, &all, 64UL) == 0);
	of_thread = policy(NULL);
	for (answered = 1;;) {
		while (turn == seen)
			usleep(2000);
		seen = turn;
		expect("thread", NULL, of_thread);
		answered = 1;
	}
	return NULL;
}

/* The child has no policy of its own, and that of its memory from its parent. */
static void check_child(void)
{
	expect("child", NULL, (struct policy){ 0, 0 });
	expect("child's memory", area[0], of_area[0]);
}

static int node_of(void *address)
{
	int node = -1;

	syscall(SYS_get_mempolicy, &node, NULL, 0UL, address, MPOL_F_NODE | MPOL_F_ADDR);
	return node;
}

static void check(void)
{
	static const char *names[] = { "bound", "interleaved", "preferred", "parted", "local", "shared" };

	expect("main", NULL, of_main);
	for (int i = 0; i < 6; i++) {
		expect(names[i], area[i] + (i == 3 ? 16 * 4096 : 0), of_area[i]);
		CHECK(filled(area[i], SIZE, i), "%s: content", names[i]);
	}
	expect("before the part", area[3], (struct policy){ 0, 0 });
	expect("behind the part", area[3] + 32 * 4096, (struct policy){ 0, 0 });
	for (size_t i = 0; i < SIZE; i += 4096)
		CHECK(node_of(area[0] + i) == last_node, "a page is on node %d, not %d", node_of(area[0] + i), last_node);
	answered = 0;
	turn++;
	for (int n = 0; n < 5000 && !answered; n++)
		usleep(1000);
	CHECK(answered, "thread: no answer");
	ask_child(child, "child");
}

int main(int argc, char **argv)
{
	pthread_t thread;

	subject_begin();
	last_node = argc > 1 ? atoi(argv[1]) - 1 : 0;
	all = (2UL << last_node) - 1;
	for (int i = 0; i < 6; i++) {
		area[i] = mmap(NULL, SIZE + 4096, PROT_READ | PROT_WRITE,
			       MAP_ANONYMOUS | (i == 5 ? MAP_SHARED : MAP_PRIVATE), -1, 0);
		NEED(area[i] != MAP_FAILED && munmap(area[i] + SIZE, 4096) == 0);
	}
	bind_to(0, 0, SIZE, MPOL_BIND, 1UL << last_node);
	bind_to(1, 0, SIZE, MPOL_INTERLEAVE, all);
	bind_to(2, 0, SIZE, MPOL_PREFERRED, 1);
	bind_to(3, 16 * 4096, 16 * 4096, MPOL_BIND | MPOL_F_RELATIVE_NODES, 1);
	bind_to(4, 0, SIZE, MPOL_LOCAL, 0);
	bind_to(5, 0, SIZE, MPOL_INTERLEAVE, all);
	for (int i = 0; i < 6; i++)
		fill(area[i], SIZE, i);
	child = fork();
	if (child == 0) {
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED(pthread_create(&thread, NULL, body, NULL) == 0);
	while (!answered)
		usleep(1000);
	NEED(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &all, 64UL) == 0);
	of_main = policy(NULL);
	subject_rounds(check);
}
