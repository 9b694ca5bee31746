/*
 * pkeys.c: protection keys (pkeys(7)): allocated and given back, memory with and without rights, of two threads with rights of
 * their own, memory that can only be executed, a stack with a key. Where the processor has no keys it says so, and
 * checks nothing.
 */
#include "subject.h"
#include <pthread.h>

#define SIZE (16 * 4096)
#define STACK (256 * 1024)

static int has_keys, open_key, closed_key, read_key, freed_key;
static char *open_area, *closed_area, *read_area, *freed_area, *stack;
static int (*code)(void);
static int through[2];
static pid_t child;

/* Whether the kernel may read and write memory on behalf of this thread: it keeps to the rights of its keys. */
static int is_readable(const char *address)
{
	char byte;

	if (write(through[1], address, 1) != 1)
		return 0;
	return read(through[0], &byte, 1) == 1;
}

static int is_writable(char *address)
{
	char byte = *address;

	if (write(through[1], &byte, 1) == 1 && read(through[0], address, 1) == 1)
		return 1;
	if (read(through[0], &byte, 1) != 1)
		say("FAIL the pipe is empty");
	return 0;
}

static int key_of(void *address)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	char line[512];
	int inside = 0, key = -1;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-') < strchr(line, ' '))
			inside = start <= (uintptr_t)address && (uintptr_t)address < end;
		if (inside && sscanf(line, "ProtectionKey: %d", &key) == 1)
			break;
	}
	if (file)
		fclose(file);
	return key;
}

static void expect_key(const char *what, void *address, int wanted)
{
	int key = key_of(address);

	CHECK(key == wanted, "%s: key %d, not %d", what, key, wanted);
}

/* A thread: what it may do with the open and the closed memory, 0 or PKEY_DISABLE_ACCESS. */
struct rights {
	int open, closed;
	volatile int asked, answered;
};

/* The second one runs on the stack with the open key. */
static struct rights threads[2] = { { .open = PKEY_DISABLE_ACCESS }, { .closed = PKEY_DISABLE_ACCESS } };

static void *body(void *argument)
{
	struct rights *rights = argument;
	int seen = 0, number = rights - threads;

	NEED(pkey_set(open_key, rights->open) == 0 && pkey_set(closed_key, rights->closed) == 0);
	for (rights->answered = 1;;) {
		while (rights->asked == seen)
			usleep(2000);
		seen = rights->asked;
		CHECK(pkey_get(open_key) == rights->open && pkey_get(closed_key) == rights->closed,
		      "thread %d: rights %d and %d", number, pkey_get(open_key), pkey_get(closed_key));
		CHECK(is_readable(open_area) == !rights->open, "thread %d: open memory", number);
		CHECK(is_readable(closed_area) == !rights->closed, "thread %d: closed memory", number);
		CHECK(rights->closed || filled(closed_area, SIZE, 2), "thread %d: content of closed memory", number);
		/* From before the key was given back. */
		CHECK(filled(freed_area, SIZE, 4), "thread %d: content of memory with the key given back", number);
		rights->answered = 1;
	}
	return NULL;
}

static void start(int number, pthread_attr_t *attributes)
{
	pthread_t thread;

	NEED(pthread_create(&thread, attributes, body, &threads[number]) == 0);
	while (!threads[number].answered)
		usleep(1000);
}

/* One thread after the other: they share the pipe. */
static void ask_threads(void)
{
	for (int i = 0; i < 2; i++) {
		threads[i].answered = 0;
		threads[i].asked++;
		for (int n = 0; n < 20000 && !threads[i].answered; n++)
			usleep(1000);
		CHECK(threads[i].answered, "thread %d: no answer", i);
	}
}

/* All keys that are not taken can be had, the lowest first. */
static void expect_free(int wanted)
{
	int keys[16], count = 0;

	while (count < 16 && (keys[count] = pkey_alloc(0, PKEY_DISABLE_ACCESS)) > 0)
		count++;
	CHECK(count == wanted, "%d keys are free, not %d", count, wanted);
	for (int i = 0; i < count; i++)
		CHECK((i == 0 || keys[i] > keys[i - 1]) && pkey_free(keys[i]) == 0, "key %d", keys[i]);
}

/* A child that has given one of its keys back and has other rights. */
static void check_child(void)
{
	CHECK(pkey_get(open_key) == PKEY_DISABLE_WRITE && pkey_get(read_key) == 0, "child: rights %d and %d",
	      pkey_get(open_key), pkey_get(read_key));
	expect_key("open, of the child", open_area, open_key);
	expect_key("closed, of the child", closed_area, 0);
	expect_key("readable, of the child", read_area, read_key);
	CHECK(filled(open_area, SIZE, 1) && !is_writable(open_area), "child: open memory");
	CHECK(filled(closed_area, SIZE, 2) && is_writable(closed_area), "child: memory without its key");
	CHECK(filled(read_area, SIZE, 3) && is_writable(read_area), "child: readable memory");
	CHECK(code() == 42 && !is_readable((char *)code), "child: code");
	expect_free(15 - 3);
}

static void run_child(void)
{
	NEED(pkey_mprotect(closed_area, SIZE, PROT_READ | PROT_WRITE, 0) == 0 && pkey_free(closed_key) == 0);
	NEED(pkey_set(open_key, PKEY_DISABLE_WRITE) == 0 && pkey_set(read_key, 0) == 0);
	child_is_ready();
	child_rounds(check_child);
}

static void check(void)
{
	if (!has_keys)
		return;
	CHECK(pkey_get(open_key) == 0 && pkey_get(closed_key) == PKEY_DISABLE_ACCESS &&
		      pkey_get(read_key) == PKEY_DISABLE_WRITE,
	      "rights %d, %d and %d", pkey_get(open_key), pkey_get(closed_key), pkey_get(read_key));
	expect_key("open", open_area, open_key);
	expect_key("closed", closed_area, closed_key);
	expect_key("readable", read_area, read_key);
	expect_key("given back", freed_area, freed_key);
	expect_key("stack", stack, open_key);
	CHECK(filled(open_area, SIZE, 1) && is_writable(open_area), "open memory");
	CHECK(!is_readable(closed_area), "closed memory can be read");
	CHECK(filled(read_area, SIZE, 3) && !is_writable(read_area), "readable memory");
	CHECK(code() == 42, "code");
	CHECK(!is_readable((char *)code), "code can be read");
	/* But for the open, the closed, the readable one and that of the code. */
	expect_free(15 - 4);
	/* That took the rights to the memory whose key has been given back; the threads have theirs. */
	ask_threads();
	ask_child(child, "child");
}

static char *area(uint32_t seed)
{
	char *made = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(made != MAP_FAILED);
	fill(made, SIZE, seed);
	return made;
}

int main(void)
{
	pthread_attr_t attributes;
	static const char bytes[] = "\xb8\x2a\x00\x00\x00\xc3";

	subject_begin();
	freed_key = pkey_alloc(0, 0);
	has_keys = freed_key > 0;
	if (!has_keys) {
		say("SKIPPED this processor has no protection keys");
		subject_rounds(check);
	}
	NEED(pipe2(through, O_CLOEXEC) == 0);
	open_key = pkey_alloc(0, 0);
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(page, bytes, sizeof(bytes));
	NEED(mprotect(page, 4096, PROT_EXEC) == 0);
	code = (void *)page;
	closed_key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	read_key = pkey_alloc(0, PKEY_DISABLE_WRITE);
	NEED(open_key > 0 && closed_key > 0 && read_key > 0);
	open_area = area(1), closed_area = area(2), read_area = area(3), freed_area = area(4);
	NEED(pkey_mprotect(open_area, SIZE, PROT_READ | PROT_WRITE, open_key) == 0);
	NEED(pkey_mprotect(closed_area, SIZE, PROT_READ | PROT_WRITE, closed_key) == 0);
	NEED(pkey_mprotect(read_area, SIZE, PROT_READ | PROT_WRITE, read_key) == 0);
	NEED(pkey_mprotect(freed_area, SIZE, PROT_READ | PROT_WRITE, freed_key) == 0);
	NEED(pkey_free(freed_key) == 0);
	child = fork();
	if (child == 0)
		run_child();
	need_child(child);
	start(0, NULL);
	/* It takes no signals: handlers begin with the right to key 0 alone. */
	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(stack != MAP_FAILED && pkey_mprotect(stack, STACK, PROT_READ | PROT_WRITE, open_key) == 0);
	NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK) == 0);
	start(1, &attributes);
	subject_rounds(check);
}
