/* Mappings of all common kinds, with their content, their protection and their flags. */
#include "subject.h"
#include <sys/resource.h>

#define PAGE 4096ul
#define MAX 40

/* memory.c FILE: FILE is made and mapped. */
static struct area {
	const char *name;
	char *start;
	size_t pages;
	uint32_t seed; /* of the whole, 0: content is checked by hand */
	int readable, writable;
	char flags[512];
} areas[MAX];
static int count;
static char *private_file, *shared_file, *holes, *heap, *grows, *tail;
static int file;

/* "perms offset VmFlags" of the mapping that holds an address, from smaps. */
static void flags_at(const void *address, char *into, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start, end, offset, at = (unsigned long)address;
	char line[1024], perms[8];
	int inside = 0;

	into[0] = 0;
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &offset) == 4) {
			inside = at >= start && at < end;
			if (inside)
				snprintf(into, size, "%s ", perms);
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			strncat(into, line + 9, size - strlen(into) - 1);
			break;
		}
	}
	if (smaps)
		fclose(smaps);
}

static char *add(const char *name, size_t pages, int prot, int flags, int fd, off_t offset)
{
	struct area *area = &areas[count++];

	area->name = name;
	area->pages = pages;
	area->start = mmap(NULL, pages * PAGE, prot, flags, fd, offset);
	area->readable = (prot & PROT_READ) != 0;
	area->writable = (prot & PROT_WRITE) != 0;
	NEED(area->start != MAP_FAILED);
	return area->start;
}

static struct area *last(void) { return &areas[count - 1]; }

static char *anonymous(const char *name, size_t pages, uint32_t seed)
{
	char *start = add(name, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	last()->seed = seed;
	fill(start, pages * PAGE, seed);
	return start;
}

static void protect(int prot)
{
	NEED(mprotect(last()->start, last()->pages * PAGE, prot) == 0);
	last()->readable = (prot & PROT_READ) != 0;
	last()->writable = (prot & PROT_WRITE) != 0;
}

static void advise(const char *name, int advice, uint32_t seed)
{
	anonymous(name, 4, seed);
	if (madvise(last()->start, 4 * PAGE, advice))
		say("note: madvise %s: %s", name, strerror(errno));
}

static void set_up_anonymous(void)
{
	anonymous("anonymous", 64, 1);
	anonymous("read-only", 4, 2);
	protect(PROT_READ);
	anonymous("no access", 4, 3);
	protect(PROT_NONE);
	anonymous("read and execute", 2, 4);
	protect(PROT_READ | PROT_EXEC);
	anonymous("write only", 2, 5);
	protect(PROT_WRITE);
	add("never touched", 256, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	add("no access, untouched", 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	holes = add("with holes", 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 64; i += 3)
		fill(holes + i * PAGE, PAGE, 100 + i);
	memset(holes + PAGE, 0, PAGE);
	anonymous("locked", 4, 6);
	NEED(mlock(last()->start, 4 * PAGE) == 0);
	add("shared", 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	last()->seed = 7;
	fill(last()->start, 16 * PAGE, 7);
	add("shared, read-only", 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	last()->seed = 8;
	fill(last()->start, 8 * PAGE, 8);
	protect(PROT_READ);
	advise("not for children", MADV_DONTFORK, 9);
	advise("not for core dumps", MADV_DONTDUMP, 10);
	advise("zero in children", MADV_WIPEONFORK, 11);
	advise("mergeable", MADV_MERGEABLE, 12);
	advise("huge pages", MADV_HUGEPAGE, 13);
	advise("no huge pages", MADV_NOHUGEPAGE, 14);
	advise("sequential", MADV_SEQUENTIAL, 15);
	advise("random", MADV_RANDOM, 16);
	grows = add("grows down", 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	memset(grows, 0x5a, 16 * PAGE);
}

static void set_up_files(const char *path)
{
	char *page = malloc(16 * PAGE);

	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	NEED(file >= 0);
	fill(page, 16 * PAGE, 50);
	NEED(write(file, page, 16 * PAGE) == (ssize_t)(16 * PAGE));
	NEED(ftruncate(file, 16 * PAGE + 100) == 0);
	private_file = add("private file", 8, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, PAGE);
	fill(private_file + 2 * PAGE, PAGE, 60);
	memset(private_file + 4 * PAGE, 0, PAGE);
	shared_file = add("shared file", 4, PROT_READ | PROT_WRITE, MAP_SHARED, file, 12 * PAGE);
	add("shared file, read-only", 4, PROT_READ, MAP_SHARED, file, 0);
	add("private file, read-only", 4, PROT_READ, MAP_PRIVATE, file, 2 * PAGE);
	add("private file, changed, then read-only", 4, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 4 * PAGE);
	fill(last()->start + PAGE, PAGE, 61);
	protect(PROT_READ);
	/* Its last page holds 100 bytes of the file; the one after it lies past the end. */
	tail = add("past the end", 2, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 16 * PAGE);
	tail[50] = 'x';
	free(page);
}

static void check_area(struct area *area)
{
	char now[512];

	flags_at(area->start, now, sizeof(now));
	CHECK(!strcmp(now, area->flags), "%s: flags were [%s], are [%s]", area->name, area->flags, now);
	if (!area->seed)
		return;
	if (!area->readable)
		NEED(mprotect(area->start, area->pages * PAGE, PROT_READ) == 0);
	CHECK(filled(area->start, area->pages * PAGE, area->seed), "%s: content", area->name);
	if (!area->readable)
		NEED(mprotect(area->start, area->pages * PAGE, area->writable ? PROT_WRITE : PROT_NONE) == 0);
	if (area->readable && area->writable) {
		area->seed += 1000; /* something else to carry in the next round */
		fill(area->start, area->pages * PAGE, area->seed);
	}
}

static void check_files(void)
{
	char buffer[PAGE];

	for (int i = 0; i < 8; i++)
		if (i == 4)
			CHECK(private_file[i * PAGE] == 0 && private_file[i * PAGE + 4095] == 0, "private file: page of zeroes");
		else
			CHECK(filled(private_file + i * PAGE, PAGE, i == 2 ? 60 : 50 + (i + 1) * 1024), "private file: page %d", i);
	CHECK(pread(file, buffer, PAGE, 3 * PAGE) == (ssize_t)PAGE && filled(buffer, PAGE, 50 + 3 * 1024),
	      "the file has changed under its private mapping");
	CHECK(tail[50] == 'x' && tail[51] == 0 && tail[4000] == 0, "page at the end of the file");
	/* A shared mapping and its file are one. */
	shared_file[7] = (char)round_number;
	CHECK(pread(file, buffer, 8, 12 * PAGE) == 8 && buffer[7] == (char)round_number, "shared file: not written through");
	NEED(pwrite(file, "abc", 3, 13 * PAGE) == 3);
	CHECK(!memcmp(shared_file + PAGE, "abc", 3), "shared file: a write to the file is not seen");
}

static void check(void)
{
	for (int i = 0; i < count; i++)
		check_area(&areas[i]);
	check_files();
	for (int i = 0; i < 64; i++) {
		if (i % 3 == 0)
			CHECK(filled(holes + i * PAGE, PAGE, 100 + i), "with holes: page %d", i);
		else
			CHECK(holes[i * PAGE + 17] == 0, "with holes: hole %d", i);
	}
	CHECK(sbrk(0) == heap + 5 * PAGE, "the break was %p, is %p", heap + 5 * PAGE, sbrk(0));
	CHECK(filled(heap, 5 * PAGE, 200), "heap");
	CHECK(sbrk(PAGE) == heap + 5 * PAGE && heap[5 * PAGE] == 0, "the heap does not grow");
	CHECK(sbrk(-(long)PAGE) == heap + 6 * PAGE, "the heap does not shrink");
	for (int i = 0; i < 16; i++)
		CHECK(grows[i * PAGE] == 0x5a, "grows down: page %d", i);
}

/* The checks are made from deep in the stack, with content in it. */
static void deep(int level)
{
	volatile char frame[3 * PAGE];

	if (!count)
		return; /* never: the compiler is not to see a recursion without an end */
	memset((void *)frame, level, sizeof(frame));
	if (level) {
		deep(level - 1);
		for (size_t i = 0; i < sizeof(frame); i += 97)
			if (frame[i] != level)
				_exit(4);
		return;
	}
	stack_room();
	for (int i = 0; i < count; i++)
		flags_at(areas[i].start, areas[i].flags, sizeof(areas[i].flags));
	subject_rounds(check);
}

int main(int argc, char **argv)
{
	NEED(argc == 2);
	subject_begin();
	free(malloc(100000)); /* so that stdio finds room and never moves the break */
	set_up_files(argv[1]);
	set_up_anonymous();
	flags_at(main, areas[0].flags, sizeof(areas[0].flags)); /* stdio takes its memory now */
	heap = sbrk(5 * PAGE);
	NEED(heap != (void *)-1);
	fill(heap, 5 * PAGE, 200);
	deep(20);
}
