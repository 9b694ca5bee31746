/*
 * Tile registers (AMX): eight of them with values, in the first thread; configured and empty, in the second; and in the
 * third none, though it may. Between two rounds the values change.
 */
#include "subject.h"
#include <immintrin.h>
#include <pthread.h>
#include <stdatomic.h>

#define TILES __attribute__((target("amx-tile")))
#define ROWS 16
#define WIDTH 64

struct configuration {
	uint8_t palette, start_row, reserved[14];
	uint16_t width[16];
	uint8_t rows[16];
} __attribute__((packed));

static unsigned char values[8][ROWS * WIDTH] __attribute__((aligned(64)));
static struct configuration wanted;
static atomic_int asked, answered, wrong;

/* The number of a register is a part of the instruction. */
#define EACH(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define LOAD(n) _tile_loadd(n, values[n], WIDTH);
#define STORE(n) _tile_stored(n, to[n], WIDTH);

TILES static void load(void)
{
	_tile_loadconfig(&wanted);
	EACH(LOAD)
}

TILES static void store(unsigned char to[8][ROWS * WIDTH])
{
	EACH(STORE)
}

TILES static void configure(void) { _tile_loadconfig(&wanted); }

TILES static void release(void) { _tile_release(); }

TILES static int is_configured(void)
{
	struct configuration found;

	_tile_storeconfig(&found);
	return memcmp(&found, &wanted, sizeof(found)) == 0;
}

TILES static int has_none(void)
{
	static const struct configuration none;
	struct configuration found;

	_tile_storeconfig(&found);
	return memcmp(&found, &none, sizeof(found)) == 0;
}

static void new_values(void)
{
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < ROWS * WIDTH; j++)
			values[i][j] = i * 31 + j + (i * j) % 7 + 1 + round_number;
}

/* Answers how many of its tiles are not what they were. */
static void *other(void *argument)
{
	static const unsigned char zeros[ROWS * WIDTH];
	unsigned char found[8][ROWS * WIDTH];
	int uses = argument != NULL, seen = 0;

	/* A new thread has the configuration of the one that made it. */
	if (uses)
		configure();
	else
		release();
	answered++;
	for (;;) {
		while (asked == seen)
			syscall(SYS_futex, &asked, 0 /* FUTEX_WAIT */, seen, NULL, NULL, 0);
		seen = asked;
		if (uses) {
			wrong += !is_configured();
			store(found);
			for (int i = 0; i < 8; i++)
				wrong += memcmp(found[i], zeros, sizeof(zeros)) != 0;
		} else {
			wrong += !has_none();
		}
		answered++;
	}
	return NULL;
}

static void check(void)
{
	static unsigned char found[8][ROWS * WIDTH];

	CHECK(is_configured(), "the configuration of the tiles");
	if (is_configured())
		store(found);
	for (int i = 0; i < 8; i++)
		CHECK(memcmp(found[i], values[i], sizeof(found[i])) == 0, "tile %d", i);
	answered = wrong = 0;
	asked++;
	syscall(SYS_futex, &asked, 1 /* FUTEX_WAKE */, 2, NULL, NULL, 0);
	for (int i = 0; i < 5000 && answered < 2; i++)
		usleep(1000);
	CHECK(answered == 2, "%d threads have answered", answered);
	CHECK(wrong == 0, "%d tiles of other threads", wrong);
	new_values();
	load();
}

int main(void)
{
	pthread_t thread;

	subject_begin();
	NEED(syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0);
	wanted.palette = 1;
	for (int i = 0; i < 8; i++) {
		wanted.width[i] = WIDTH;
		wanted.rows[i] = ROWS;
	}
	new_values();
	load();
	NEED(pthread_create(&thread, NULL, other, &wanted) == 0);
	NEED(pthread_create(&thread, NULL, other, NULL) == 0);
	while (answered < 2)
		usleep(1000);
	subject_rounds(check);
}
