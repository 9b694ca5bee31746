/*
 * aio.c: contexts of asynchronous I/O (io_setup(2)): new, used, with unread events that wrap around the end of the ring,
 * large, moved by mremap(2). Each round takes the events that wait, does new I/O, and leaves other events behind.
 */
#include "subject.h"
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>

struct ring {
	uint32_t id, slots, head, tail, magic, compatible, incompatible, length;
	struct io_event events[];
};

struct context {
	const char *name;
	int requests, taken, unread;
	struct ring *ring;
	/* The number of the oldest event that was not taken. */
	uint64_t next;
	uint32_t head;
};

static struct context contexts[] = {
	{ "new", 5, 0, 0, NULL, 0, 0 },
	{ "used", 20, 10, 0, NULL, 0, 0 },
	{ "waiting", 20, 7, 9, NULL, 0, 0 },
	{ "wrapped", 30, 120, 20, NULL, 0, 0 },
	{ "large", 1000, 900, 700, NULL, 0, 0 },
	{ "moved", 8, 3, 2, NULL, 0, 0 },
};
#define CONTEXTS (sizeof(contexts) / sizeof(*contexts))

static int file, signalled;
static pid_t child;
static char buffer[64];

static aio_context_t id(struct context *context)
{
	return (aio_context_t)context->ring;
}

/* Reads of `n % 50` bytes, numbered. */
static int submit(struct context *context, uint64_t number, int count)
{
	for (int i = 0; i < count; i++, number++) {
		struct iocb block = { .aio_data = number * 7, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = file,
				      .aio_buf = (uintptr_t)buffer, .aio_nbytes = number % 50 };
		struct iocb *pointer = &block;

		if (syscall(SYS_io_submit, id(context), 1L, &pointer) != 1)
			return i;
	}
	return count;
}

static int take(struct context *context, int count)
{
	struct io_event event;
	struct timespec limit = { .tv_sec = 5 };

	for (int i = 0; i < count; i++, context->next++) {
		if (syscall(SYS_io_getevents, id(context), 1L, 1L, &event, &limit) != 1)
			return i;
		CHECK(event.data == context->next * 7 && event.res == (int64_t)(context->next % 50) && event.res2 == 0,
		      "%s: event %lu says %llu, %lld", context->name, context->next, event.data / 7, event.res);
	}
	context->head = (context->head + count) % context->ring->slots;
	return count;
}

/* Does `taken` and leaves `unread`. */
static int use(struct context *context)
{
	int left = context->taken;

	while (left > 0) {
		int count = left < context->requests ? left : context->requests;

		if (submit(context, context->next, count) != count || take(context, count) != count)
			return 0;
		left -= count;
	}
	return submit(context, context->next, context->unread) == context->unread;
}

static void set_up(struct context *context)
{
	aio_context_t made = 0;

	NEED(syscall(SYS_io_setup, context->requests, &made) == 0);
	context->ring = (void *)made;
	if (!strcmp(context->name, "moved")) {
		void *place = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		NEED(place != MAP_FAILED);
		context->ring = mremap(context->ring, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, place + 0x7000);
		NEED(context->ring == place + 0x7000);
	}
	NEED(context->ring->magic == 0xa10a10a1);
	NEED(use(context));
}

/* As many requests as were announced can be under way at once. */
static void check_room(struct context *context)
{
	struct timespec limit = { .tv_sec = 5 };
	struct io_event events[8];
	struct iocb block = { .aio_data = 1, .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN,
			      .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = signalled };
	struct iocb *pointer = &block;
	int event = eventfd(0, EFD_CLOEXEC), count = 0, i;
	uint64_t told = 0, one = 1;

	block.aio_fildes = event;
	for (i = 0; i < context->requests; i++)
		if (syscall(SYS_io_submit, id(context), 1L, &pointer) != 1)
			break;
	CHECK(i == context->requests, "%s: room for %d requests of %d: %s", context->name, i, context->requests,
	      strerror(errno));
	CHECK(write(event, &one, sizeof(one)) == sizeof(one), "write");
	while (count < i) {
		int n = syscall(SYS_io_getevents, id(context), 1L, 8L, events, &limit);

		if (n < 1)
			break;
		count += n;
	}
	CHECK(count == i, "%s: %d of %d polls have ended", context->name, count, i);
	CHECK(i == 0 || (read(signalled, &told, sizeof(told)) == sizeof(told) && told == (uint64_t)i), "%s: told of %lu",
	      context->name, told);
	context->head = (context->head + count) % context->ring->slots;
	close(event);
}

/* In a child that was made by fork(2) the rings are memory, and no contexts. */
static void check_child(void)
{
	struct timespec no_time = { 0 };

	for (size_t i = 0; i < CONTEXTS; i++) {
		struct ring *ring = contexts[i].ring;

		CHECK(ring->magic == 0xa10a10a1, "child: %s: no ring", contexts[i].name);
		CHECK(syscall(SYS_io_getevents, (aio_context_t)ring, 0L, 0L, NULL, &no_time) == -1, "child: %s is alive",
		      contexts[i].name);
	}
}

static void check(void)
{
	if (child)
		ask_child(child, "child");
	for (size_t i = 0; i < CONTEXTS; i++) {
		struct context *context = contexts + i;
		struct ring *ring = context->ring;
		struct io_event none;
		struct timespec no_time = { 0 };
		uint32_t tail = (context->head + context->unread) % ring->slots;

		/* What libraries read without asking the kernel. */
		CHECK(ring->magic == 0xa10a10a1 && ring->length == 32, "%s: no ring", context->name);
		CHECK(ring->head == context->head && ring->tail == tail, "%s: from %u to %u, not from %u to %u", context->name,
		      ring->head, ring->tail, context->head, tail);
		for (int n = 0; n < context->unread; n++)
			CHECK(ring->events[(context->head + n) % ring->slots].data == (context->next + n) * 7, "%s: event %d",
			      context->name, n);
		CHECK(take(context, context->unread) == context->unread, "%s: events are missing", context->name);
		CHECK(syscall(SYS_io_getevents, id(context), 0L, 1L, &none, &no_time) == 0, "%s: too many events", context->name);
		check_room(context);
		CHECK(use(context), "%s: %s", context->name, strerror(errno));
	}
}

int main(int argc, char **argv)
{
	subject_begin();
	file = memfd_create("data", MFD_CLOEXEC);
	signalled = eventfd(0, EFD_CLOEXEC);
	NEED(file >= 0 && signalled >= 0 && ftruncate(file, 4096) == 0);
	for (size_t i = 0; i < CONTEXTS; i++)
		set_up(contexts + i);
	if (argc > 1 && !strcmp(argv[1], "fork")) {
		child = fork();
		if (child == 0) {
			child_is_ready();
			child_rounds(check_child);
		}
		need_child(child);
	}
	subject_rounds(check);
}
