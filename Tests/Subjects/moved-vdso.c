/* moved-vdso.c: a program that has moved its vdso away from the data beside it, and calls it where it knows it to be. */
#include "subject.h"
#include "vdso.h"
#include <sys/auxv.h>

static char *moved;
static size_t clock_offset, processor_offset;

/* The size of the mapping that begins at an address. */
static size_t size_at(const void *address)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512];
	size_t size = 0;

	while (maps && !size && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == (unsigned long)address)
			size = end - start;
	if (maps)
		fclose(maps);
	return size;
}

static size_t offset_of(const char *name)
{
	const char *function = lookup(name);

	NEED(function);
	return function - base;
}

/* Until it is restored the moved code misses its data: it is called after a restore only. */
static void check(void)
{
	int (*clock)(int, struct timespec *) = (void *)(moved + clock_offset);
	int (*processor)(unsigned *, unsigned *, void *) = (void *)(moved + processor_offset);
	struct timespec now = { 0 };
	unsigned number = ~0u;

	CHECK(!memcmp(moved, ELFMAG, SELFMAG), "nothing is at %p", moved);
	CHECK(clock(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec > 0, "the clock");
	CHECK(processor(&number, NULL, NULL) == 0 && number < 4096, "the processor");
}

int main(void)
{
	size_t size;
	char *room;

	subject_begin();
	base = (const char *)getauxval(AT_SYSINFO_EHDR);
	NEED(base && (size = size_at(base)) != 0);
	clock_offset = offset_of("__vdso_clock_gettime");
	processor_offset = offset_of("__vdso_getcpu");
	/* With a gap on both sides. */
	room = mmap(NULL, size + (1 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(room != MAP_FAILED);
	moved = mremap((void *)base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room + 65536);
	NEED(moved == room + 65536);
	subject_rounds(check);
}
