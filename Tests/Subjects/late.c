/*
 * late.c MIB WHAT: so much memory, every page of it different, of which as soon as it is told it does something while pages of it
 * may not have come yet: "check" reads all; "drop", "unmap", "move" and "fork" do that to parts of it first and check what is
 * left, where it is by then; "calls" has the kernel read it (write(2) to a pipe); "threads" reads it from four threads at once, in
 * different orders; "all" does everything at once.
 *
 * It is told by SIGUSR1 like all subjects; with a third argument, "moved", it begins by itself as soon as it is in another pid
 * namespace than before, and checks once, without being asked.
 */
#include "subject.h"
#include <pthread.h>

#define PAGE 4096ul

static char *memory;
static size_t pages;
static const char *what;
static int done;

/* Where each page is by now; NULL where it has gone, and a page of zeros where it was given up. */
static char **place;
static char *zeroed;

static int is(const char *name)
{
	return !strcmp(what, name) || !strcmp(what, "all");
}

static int is_zero(const char *page)
{
	for (size_t i = 0; i < PAGE; i++)
		if (page[i])
			return 0;
	return 1;
}

static int page_is_right(size_t page)
{
	if (!place[page])
		return 1;
	if (zeroed[page])
		return is_zero(place[page]);
	return filled(place[page], 256, page + 1) && filled(place[page] + PAGE - 256, 256, page + 7);
}

static size_t wrong_pages(size_t first, size_t step)
{
	size_t wrong = 0;

	for (size_t page = first; page < pages; page += step)
		if (!page_is_right(page) && wrong++ < 3)
			say("FAIL page %zu at %p%s", page, place[page], zeroed[page] ? " is not zero" : "");
	return wrong;
}

static void drop(size_t first, size_t count)
{
	NEED(madvise(memory + first * PAGE, count * PAGE, MADV_DONTNEED) == 0);
	memset(zeroed + first, 1, count);
}

static void unmap(size_t first, size_t count)
{
	NEED(munmap(memory + first * PAGE, count * PAGE) == 0);
	for (size_t i = 0; i < count; i++)
		place[first + i] = NULL;
}

static void move(size_t first, size_t count)
{
	char *there = mremap(memory + first * PAGE, count * PAGE, count * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     memory + (pages + 16) * PAGE + first * PAGE);

	NEED(there != MAP_FAILED);
	for (size_t i = 0; i < count; i++)
		place[first + i] = there + i * PAGE;
	/* What was there before is memory of nobody: something new comes to be there, which must stay empty. */
	NEED(mmap(memory + first * PAGE, count * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	CHECK(is_zero(memory + first * PAGE), "what comes after a move is not empty");
}

/* Children check what they have got, each another part first, and change it: the parent must not see that. */
static void fork_some(void)
{
	pid_t children[3];

	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		NEED(children[i] >= 0);
		if (!children[i]) {
			size_t wrong = 0;

			for (size_t n = 0; n < pages; n++) {
				size_t page = (n + i * pages / 3) % pages;

				wrong += !page_is_right(page);
				if (place[page])
					memset(place[page], 0x5a, 64);
			}
			if (!i) {
				pid_t grandchild = fork();

				if (!grandchild)
					_exit(!place[0] || place[0][0] == 0x5a ? 0 : 1);
				int status;

				NEED(waitpid(grandchild, &status, 0) == grandchild);
				wrong += status != 0;
			}
			_exit(wrong ? 1 : 0);
		}
	}
	for (int i = 0; i < 3; i++) {
		int status;

		NEED(waitpid(children[i], &status, 0) == children[i]);
		CHECK(status == 0, "child %d found pages wrong", i);
	}
}

/* The kernel reads pages that nobody has touched. */
static void let_the_kernel_read(size_t first, size_t count)
{
	int ends[2];
	static char copy[PAGE];

	NEED(pipe2(ends, O_CLOEXEC) == 0);
	for (size_t page = first; page < first + count; page += 5) {
		if (!place[page])
			continue;
		NEED(write(ends[1], place[page], PAGE) == (ssize_t)PAGE);
		NEED(read(ends[0], copy, PAGE) == (ssize_t)PAGE);
		CHECK(zeroed[page] ? is_zero(copy) : filled(copy, 256, page + 1), "the kernel read page %zu wrong", page);
	}
	close(ends[0]);
	close(ends[1]);
}

static void *read_in_own_order(void *argument)
{
	size_t start = (size_t)argument;

	return (void *)(wrong_pages(start, 7) + wrong_pages(6 - start, 7));
}

static void act(void)
{
	size_t n = pages / 16;

	if (is("drop"))
		drop(n, n);
	if (is("unmap"))
		unmap(3 * n, n);
	if (is("move"))
		move(5 * n, n);
	if (is("calls"))
		let_the_kernel_read(7 * n, n);
	if (is("fork"))
		fork_some();
	if (is("threads")) {
		pthread_t threads[4];

		for (size_t i = 0; i < 4; i++)
			NEED(pthread_create(&threads[i], NULL, read_in_own_order, (void *)i) == 0);
		for (size_t i = 0; i < 4; i++) {
			void *wrong;

			pthread_join(threads[i], &wrong);
			CHECK(!wrong, "thread %zu found pages wrong", i);
		}
	}
	if (is("drop"))
		drop(9 * n, n);
	if (is("unmap"))
		unmap(11 * n, n);
	if (is("move"))
		move(13 * n, n);
}

static void check(void)
{
	if (!done)
		act();
	done = 1;
	failures += wrong_pages(0, 1) != 0;
}

int main(int argc, char **argv)
{
	NEED(argc == 3 || argc == 4);
	subject_begin();
	what = argv[2];
	pages = (atol(argv[1]) << 20) / PAGE;
	memory = mmap(NULL, (2 * pages + 16) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	NEED(memory != MAP_FAILED);
	NEED(mprotect(memory, pages * PAGE, PROT_READ | PROT_WRITE) == 0);
	place = malloc(pages * sizeof(*place));
	zeroed = calloc(pages, 1);
	NEED(place && zeroed);
	for (size_t page = 0; page < pages; page++) {
		place[page] = memory + page * PAGE;
		fill(place[page], 256, page + 1);
		fill(place[page] + PAGE - 256, 256, page + 7);
	}
	if (argc == 4) {
		char before[64] = "", now[64] = "";

		NEED(readlink("/proc/self/ns/pid", before, sizeof(before) - 1) > 0);
		say("ready");
		do
			usleep(200);
		while (readlink("/proc/self/ns/pid", now, sizeof(now) - 1) <= 0 || !strcmp(before, now));
		check_once(check);
	}
	subject_rounds(check);
}
