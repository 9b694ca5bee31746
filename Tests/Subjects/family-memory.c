/*
 * family-memory.c MIB CHILDREN: a process with so much memory, and children that were forked of it and have changed
 * little. Each child has changed pages of its own, dropped one, and grown its heap; the first ones have children of their
 * own, which share what their parent had changed before it made them. All memory is compared at each check, and every
 * check changes a page more.
 */
#include "subject.h"

#define PAGE 4096
#define MOST_CHILDREN 64

static char *memory, *file_memory, *heap;
static size_t pages;
/* The one that this process is: 0 the root, its children from 1 on, grandchildren from 101 on. */
static int self, parent_self;
static int children, child_count;
static pid_t child[MOST_CHILDREN];

/* What a page holds is told by who wrote it last. */
static uint32_t seed(int who, size_t page) { return who * 1000003u + (uint32_t)page * 7919u + 1; }

/* The pages that a process changes: each has some of its own, and all children have one in common, page 5. */
static int changes(int who, size_t page) { return who && (page % 61 == (size_t)who % 61 || page == 5); }
static int drops(int who, size_t page) { return who && page == 100 + (size_t)who % 100; }

/* Who wrote a page last, as this process must see it; -1 where it must be zeros. */
static int writer(size_t page)
{
	if (drops(self, page))
		return -1;
	if (changes(self, page))
		return self;
	if (self > 100 && drops(parent_self, page))
		return -1;
	if (self > 100 && changes(parent_self, page))
		return parent_self;
	return 0;
}

static int holds(const char *start, int who, size_t page)
{
	static const char zeros[PAGE];

	return who < 0 ? !memcmp(start, zeros, PAGE) : filled(start, PAGE, seed(who, page));
}

static void check_memory(void)
{
	for (size_t page = 0; page < pages; page++) {
		/* One page of each is written anew at every check. */
		int who = page == 50 ? 1000 + self : writer(page);
		/* The fifth child has nothing there. */
		if (self == 5 && (page == 70 || page == 71))
			continue;
		uint32_t expected = page == 50 ? seed(1000 + self, round_number - 1) : 0;

		if (page == 50 ? !filled(memory + page * PAGE, PAGE, expected) : !holds(memory + page * PAGE, who, page)) {
			CHECK(0, "process %d: page %zu is not that of %d", self, page, who);
			break;
		}
	}
	fill(memory + 50 * PAGE, PAGE, seed(1000 + self, round_number));
	CHECK(filled(file_memory, PAGE, 4711), "process %d: a changed page of a file", self);
	CHECK(filled(file_memory + PAGE, PAGE, 4712 + self), "process %d: its own page of a file", self);
	CHECK(filled(heap, 64 * PAGE, 99 + self), "process %d: heap", self);
}

static void check(void)
{
	check_memory();
	for (int i = 0; i < child_count; i++)
		ask_child(child[i], "child");
}

static void change(void)
{
	for (size_t page = 0; page < pages; page++)
		if (changes(self, page))
			fill(memory + page * PAGE, PAGE, seed(self, page));
	for (size_t page = 0; page < pages; page++)
		if (drops(self, page))
			NEED(!madvise(memory + page * PAGE, PAGE, MADV_DONTNEED));
	fill(memory + 50 * PAGE, PAGE, seed(1000 + self, 0));
	fill(file_memory + PAGE, PAGE, 4712 + self);
	heap = sbrk(64 * PAGE);
	NEED(heap != (void *)-1);
	fill(heap, 64 * PAGE, 99 + self);
}

static void settle(int who)
{
	parent_self = self;
	self = who;
	child_count = 0;
	change();
}

/* A child; the first ones make one of their own. */
static void be_child(int who)
{
	settle(who);
	if (who <= 3) {
		pid_t pid = fork();

		NEED(pid >= 0);
		if (pid == 0) {
			settle(who + 100);
			child_is_ready();
			child_rounds(check);
		}
		need_child(pid);
		child[child_count++] = pid;
	}
	/* One whose memory is read-only in part, and one that has a hole where the others have memory. */
	if (who == 4)
		NEED(!mprotect(memory + 60 * PAGE, 8 * PAGE, PROT_READ));
	if (who == 5)
		NEED(!munmap(memory + 70 * PAGE, 2 * PAGE));
	child_is_ready();
	child_rounds(check);
}

int main(int argc, char **argv)
{
	int file;

	NEED(argc == 3);
	subject_begin();
	pages = (size_t)atol(argv[1]) << 8;
	children = atoi(argv[2]);
	NEED(pages >= 256 && children <= MOST_CHILDREN);
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(memory != MAP_FAILED);
	for (size_t page = 0; page < pages; page++)
		fill(memory + page * PAGE, PAGE, seed(0, page));
	/* A private mapping of a file, of which pages were changed: the program itself. */
	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	NEED(file >= 0);
	file_memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	NEED(file_memory != MAP_FAILED && !close(file));
	fill(file_memory, PAGE, 4711);
	change();
	for (int i = 0; i < children; i++) {
		pid_t pid = fork();

		NEED(pid >= 0);
		if (pid == 0)
			be_child(i + 1);
		need_child(pid);
		child[child_count++] = pid;
	}
	subject_rounds(check);
}
