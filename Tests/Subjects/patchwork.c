/* patchwork COUNT: as many mappings of a page each, every other one read-only, each page with a number of its own. */
#include "subject.h"

#define PAGE 4096

static char *memory;
static size_t count;

static uint64_t number(size_t page)
{
	return (page + 1) * 0x9e3779b97f4a7c15u;
}

static void check(void)
{
	for (size_t i = 0; i < count; i++)
		CHECK(*(uint64_t *)(memory + i * PAGE) == number(i), "page %zu is another", i);
	/* The kernel refuses to write to what is read-only, and says so instead of a signal if it writes itself. */
	for (size_t i = 0; i < count; i += count / 100) {
		int pipes[2], expected = i % 2 ? -1 : 1;

		NEED(pipe(pipes) == 0 && write(pipes[1], "", 1) == 1);
		CHECK(read(pipes[0], memory + i * PAGE + PAGE - 1, 1) == expected, "page %zu has another protection", i);
		close(pipes[0]);
		close(pipes[1]);
	}
}

int main(int argc, char **argv)
{
	NEED(argc == 2);
	subject_begin();
	count = strtoul(argv[1], NULL, 10);
	NEED(count >= 100);
	memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(memory != MAP_FAILED);
	for (size_t i = 0; i < count; i++)
		*(uint64_t *)(memory + i * PAGE) = number(i);
	/* Neighbours with different protections stay apart. */
	for (size_t i = 1; i < count; i += 2)
		NEED(mprotect(memory + i * PAGE, PAGE, PROT_READ) == 0);
	subject_rounds(check);
}
