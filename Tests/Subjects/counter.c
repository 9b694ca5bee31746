/* Computes without a pause and without a system call; what it has computed can be worked out independently. */
#include "subject.h"

#define WORDS 4096
#define FACTOR 6364136223846793005ull
#define ADDEND 1442695040888963407ull

static uint64_t steps, sum, state[WORDS];
static double harmonic;

/* The state of a generator after n steps from the seed, by squaring. */
static uint64_t jump(uint64_t seed, uint64_t n)
{
	uint64_t factor = 1, addend = 0, f = FACTOR, a = ADDEND;

	for (; n; n >>= 1) {
		if (n & 1) {
			factor *= f;
			addend = addend * f + a;
		}
		a = (f + 1) * a;
		f *= f;
	}
	return factor * seed + addend;
}

static void advance(void)
{
	steps++;
	sum += steps;
	harmonic += 0.5;
	for (int i = 0; i < WORDS; i++)
		state[i] = state[i] * FACTOR + ADDEND;
}

static void check(void)
{
	static uint64_t before;

	CHECK(steps > before, "no step since the last check at %llu", (unsigned long long)before);
	before = steps;
	CHECK(sum == steps * (steps + 1) / 2, "sum at %llu steps", (unsigned long long)steps);
	CHECK(harmonic == steps * 0.5, "floating point at %llu steps", (unsigned long long)steps);
	for (int i = 0; i < WORDS; i++)
		if (state[i] != jump(i, steps)) {
			CHECK(0, "generator %d at %llu steps", i, (unsigned long long)steps);
			break;
		}
}

int main(void)
{
	sigset_t set = set_of(SIGUSR1, 0);

	subject_begin();
	for (int i = 0; i < WORDS; i++)
		state[i] = i;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	say("ready");
	for (;;) {
		while (!told)
			advance();
		told = 0;
		check_once(check);
	}
}
