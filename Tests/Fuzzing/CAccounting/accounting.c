/* Takes the place of malloc(3) in the program that it is linked into, and counts. See accounting.h. */
#include "accounting.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* What glibc calls its own. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_size_t allocated, peak, limit;

size_t apus_fuzz_allocated(void) { return atomic_load(&allocated); }
size_t apus_fuzz_peak(void) { return atomic_load(&peak); }
void apus_fuzz_reset_peak(void) { atomic_store(&peak, atomic_load(&allocated)); }
void apus_fuzz_set_limit(size_t bytes) { atomic_store(&limit, bytes); }

static void check(size_t now)
{
	static const char text[] = "VIOLATION: more memory is allocated than the input accounts for\n";
	size_t most = atomic_load(&limit);

	if (most && now > most) {
		atomic_store(&limit, 0);
		if (write(2, text, sizeof(text) - 1) < 0)
			_exit(3);
		/* A trap, so that the backtrace says who asked for it. */
		__builtin_trap();
	}
}

static void *counted(void *memory)
{
	size_t now, most;

	if (!memory)
		return NULL;
	now = atomic_fetch_add(&allocated, malloc_usable_size(memory)) + malloc_usable_size(memory);
	most = atomic_load(&peak);
	while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
		;
	check(now);
	return memory;
}

static void discount(void *memory)
{
	if (memory)
		atomic_fetch_sub(&allocated, malloc_usable_size(memory));
}

void *malloc(size_t size)
{
	/* Asked before it is there: a single request may be too much for the machine. */
	check(atomic_load(&allocated) + size);
	return counted(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	size_t total;

	if (!__builtin_mul_overflow(count, size, &total))
		check(atomic_load(&allocated) + total);
	return counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
	size_t before = memory ? malloc_usable_size(memory) : 0;
	void *moved;

	if (size > before)
		check(atomic_load(&allocated) + size - before);
	moved = __libc_realloc(memory, size);
	if (moved || size == 0)
		atomic_fetch_sub(&allocated, before);
	return counted(moved);
}

void *memalign(size_t alignment, size_t size)
{
	check(atomic_load(&allocated) + size);
	return counted(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	void *found = memalign(alignment, size);

	if (!found)
		return ENOMEM;
	*memory = found;
	return 0;
}

void free(void *memory)
{
	discount(memory);
	__libc_free(memory);
}
