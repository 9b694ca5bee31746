/*
 * Changes its mappings while it is being moved to another host: as soon as the kernel says that somebody watches what it
 * writes to ("uw" in /proc/self/smaps). What was sent of the old ones must not be found in the new ones.
 *
 * shifting [low]: with "low" it takes the low addresses as well, where nothing of a program is as a rule.
 */
#include "subject.h"
#include <poll.h>

#define PAGE 4096ul
#define SIZE (2ul << 20)
#define LOW 0x10000000ul

static char *ballast, *cut, *shared, *emptied, *closed, *replaced, *grown;
static size_t ballast_size = 48ul << 20;
static int takes_low;
static int has_changed;

static char *map_at(void *place, size_t size, int flags)
{
	char *start = mmap(place, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	NEED(start != MAP_FAILED);
	return start;
}

/* One that no neighbour grows together with. */
static char *alone(size_t size)
{
	char *start = map_at(NULL, size + 2 * PAGE, MAP_PRIVATE);

	NEED(!mprotect(start, PAGE, PROT_NONE) && !mprotect(start + PAGE + size, PAGE, PROT_NONE));
	return start + PAGE;
}

static int is_watched(void)
{
	static char text[1 << 16];
	int file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC), found = 0;
	ssize_t n;

	while (file >= 0 && (n = read(file, text, sizeof(text) - 1)) > 0) {
		text[n] = 0;
		found |= strstr(text, " uw") != NULL;
	}
	if (file >= 0)
		close(file);
	return found;
}

static void change(void)
{
	/* Gone in the middle. */
	NEED(!munmap(cut + SIZE / 4, SIZE / 4));
	/* Another kind of memory in the middle of the same addresses. */
	map_at(shared + SIZE / 4, SIZE / 4, MAP_SHARED | MAP_FIXED);
	fill(shared + SIZE / 4, SIZE / 4, 21);
	/* Pages without content. */
	NEED(!madvise(emptied + SIZE / 2, SIZE / 4, MADV_DONTNEED));
	NEED(!mprotect(closed, SIZE / 2, PROT_READ));
	/* The same kind, anew, and hardly anything in it. */
	map_at(replaced, SIZE, MAP_PRIVATE | MAP_FIXED);
	fill(replaced + SIZE / 2, PAGE, 41);
	grown = alone(SIZE);
	fill(grown, SIZE, 51);
	/* All around the heap, which is somewhere there. */
	for (size_t at = LOW; takes_low && at < LOW + (1300ul << 20); at += 1ul << 20)
		mmap((void *)at, 1ul << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	has_changed = 1;
}

static int is_zero(const char *start, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (start[i])
			return 0;
	return 1;
}

static void check(void)
{
	unsigned char there;

	CHECK(has_changed, "nobody has watched it");
	CHECK(filled(ballast, ballast_size, 1), "ballast");
	CHECK(filled(cut, SIZE / 4, 11) && filled(cut + SIZE / 2, SIZE / 2, 11 + SIZE / 8), "what is left of one");
	CHECK(mincore(cut + SIZE / 4, PAGE, &there) < 0 && errno == ENOMEM, "what was unmapped is there");
	CHECK(filled(shared, SIZE / 4, 20), "before the shared part");
	CHECK(filled(shared + SIZE / 4, SIZE / 4, 21), "the shared part");
	CHECK(filled(shared + SIZE / 2, SIZE / 2, 20 + SIZE / 8), "behind the shared part");
	CHECK(filled(emptied, SIZE / 2, 30), "before what was emptied");
	CHECK(is_zero(emptied + SIZE / 2, SIZE / 4), "what was emptied has content");
	CHECK(filled(emptied + SIZE / 4 * 3, SIZE / 4, 30 + SIZE / 16 * 3), "behind what was emptied");
	CHECK(filled(closed, SIZE, 35), "what is read-only");
	CHECK(is_zero(replaced, SIZE / 2) && filled(replaced + SIZE / 2, PAGE, 41) &&
		      is_zero(replaced + SIZE / 2 + PAGE, SIZE / 2 - PAGE),
	      "what was mapped anew");
	CHECK(filled(grown, SIZE, 51), "what is new");
}

int main(int argc, char **argv)
{
	sigset_t mask;

	takes_low = argc > 1 && !strcmp(argv[1], "low");
	subject_begin();
	ballast = alone(ballast_size);
	fill(ballast, ballast_size, 1);
	fill(cut = alone(SIZE), SIZE, 11);
	fill(shared = alone(SIZE), SIZE, 20);
	fill(emptied = alone(SIZE), SIZE, 30);
	fill(closed = alone(SIZE), SIZE, 35);
	fill(replaced = alone(SIZE), SIZE, 40);
	say("ready");
	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGUSR1);
	for (;;) {
		while (!told) {
			struct timespec moment = { .tv_nsec = 500000 };

			ppoll(NULL, 0, &moment, &mask);
			if (!has_changed && is_watched())
				change();
		}
		told = 0;
		check_once(check);
	}
}
