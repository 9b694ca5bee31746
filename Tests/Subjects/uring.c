/*
 * uring.c: rings of io_uring: new, used, with results that wait, with requests that wait to be handed over, with the
 * rings mapped twice, with room for many results, of one thread alone, one shared with a child, and one whose thread waits in the kernel. Each
 * round goes on with every one of them and leaves the same state behind.
 *
 * With the argument "workers" threads of the kernel carry the requests out; with "numbers" two threads know the one ring by
 * numbers; with "several" threads know rings of their own and of others by numbers; with "buffers" it has registered memory,
 * with "sockets" registered sockets, with "places" room for some; with another, one ring in a state that cannot be carried.
 */
#include "subject.h"
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct ring {
	const char *name;
	/* Room; what is done at first; results that wait, requests that wait, requests that are filled in and not announced. */
	unsigned entries, results, done, unread, announced, filled;
	int fd, separate;
	unsigned flags;
	char *rings, *results_at;
	size_t length;
	struct io_uring_params p;
	struct io_uring_sqe *requests;
	/* What the program itself remembers, as libraries do. */
	unsigned tail, head;
	uint64_t next_request, next_result;
};

static struct ring rings[] = {
	{ .name = "new", .entries = 8 },
	{ .name = "used", .entries = 8, .done = 30 },
	{ .name = "waiting", .entries = 8, .done = 21, .unread = 7 },
	{ .name = "handing", .entries = 16, .done = 37, .announced = 3, .filled = 2 },
	{ .name = "both", .entries = 4, .done = 9, .unread = 3, .announced = 2 },
	{ .name = "roomy", .entries = 2, .results = 256, .done = 10, .unread = 200 },
	{ .name = "separate", .entries = 64, .done = 100, .unread = 5, .separate = 1 },
	{ .name = "large", .entries = 4096, .done = 100000, .unread = 10 },
	{ .name = "single", .entries = 8, .done = 50, .unread = 2, .announced = 1, .flags = IORING_SETUP_SINGLE_ISSUER },
	{ .name = "deferred", .entries = 8, .done = 3, .unread = 1,
	  .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
	{ .name = "shared", .entries = 8, .done = 5 },
	{ .name = "waited-for", .entries = 8, .done = 3 },
};
#define RINGS (sizeof(rings) / sizeof(*rings))
#define SHARED (rings + RINGS - 2)
#define WAITED (rings + RINGS - 1)

static char text[] = "0123456789abcdef";
/* What does nothing is done at once; what is written is written by threads of the kernel, which stay for a while. */
static int file, opcode = IORING_OP_NOP;
static pid_t child;
static atomic_int woken, wait_error;

static _Atomic unsigned *at(struct ring *r, unsigned offset)
{
	return (void *)(r->rings + offset);
}

static void set_up(struct ring *r)
{
	size_t array, results;

	if (r->results) {
		r->p.flags = IORING_SETUP_CQSIZE;
		r->p.cq_entries = r->results;
	}
	r->p.flags |= r->flags;
	r->fd = (int)syscall(SYS_io_uring_setup, r->entries, &r->p);
	if (r->fd < 0 && errno == EINVAL && r->flags) {
		/* Before Linux 6.1. */
		memset(&r->p, 0, sizeof(r->p));
		r->fd = (int)syscall(SYS_io_uring_setup, r->entries, &r->p);
	}
	NEED(r->fd >= 0);
	array = r->p.sq_off.array + 4 * r->p.sq_entries;
	results = r->p.cq_off.cqes + sizeof(struct io_uring_cqe) * r->p.cq_entries;
	r->length = array > results ? array : results;
	r->rings = mmap(NULL, r->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	NEED(r->rings != MAP_FAILED);
	r->results_at = r->rings;
	if (r->separate)
		r->results_at = mmap(NULL, results, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->requests = mmap(NULL, r->p.sq_entries * sizeof(*r->requests), PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
			   IORING_OFF_SQES);
	NEED(r->results_at != MAP_FAILED && r->requests != MAP_FAILED);
	/* As libraries do: a child has no part in it. */
	if (r != SHARED) {
		NEED(madvise(r->rings, r->length, MADV_DONTFORK) == 0);
		NEED(madvise(r->requests, r->p.sq_entries * sizeof(*r->requests), MADV_DONTFORK) == 0);
	}
}

/* Fills requests in: each does nothing, or writes a piece of the text, of a length by which it is known. */
static void prepare(struct ring *r, unsigned count)
{
	for (unsigned i = 0; i < count; i++, r->next_request++) {
		unsigned place = (r->tail + i) & (r->p.sq_entries - 1);
		struct io_uring_sqe *request = r->requests + place;

		memset(request, 0, sizeof(*request));
		request->opcode = opcode;
		request->fd = file;
		request->addr = (uintptr_t)text;
		request->len = r->next_request % sizeof(text);
		request->user_data = r->next_request;
		*at(r, r->p.sq_off.array + 4 * place) = place;
	}
}

static void announce(struct ring *r, unsigned count)
{
	r->tail += count;
	atomic_store(at(r, r->p.sq_off.tail), r->tail);
}

static int waiting(struct ring *r)
{
	return (int)(*(_Atomic unsigned *)(r->results_at + r->p.cq_off.tail) - r->head);
}

/* Hands requests over, and waits until all are done: threads of the kernel carry them out. */
static int submit(struct ring *r, unsigned count)
{
	return (int)syscall(SYS_io_uring_enter, r->fd, count, waiting(r) + count, IORING_ENTER_GETEVENTS, NULL, 0);
}

static int submit_only(struct ring *r, unsigned count)
{
	return (int)syscall(SYS_io_uring_enter, r->fd, count, 0, 0, NULL, 0);
}

static struct io_uring_cqe *result(struct ring *r, unsigned number)
{
	return (struct io_uring_cqe *)(r->results_at + r->p.cq_off.cqes) + ((r->head + number) & (r->p.cq_entries - 1));
}

static void take(struct ring *r, unsigned count)
{
	CHECK(waiting(r) >= (int)count, "%s: %d results of %u", r->name, waiting(r), count);
	for (unsigned i = 0; i < count && waiting(r) > 0; i++, r->next_result++) {
		struct io_uring_cqe *got = result(r, 0);

		int bytes = opcode == IORING_OP_WRITE ? (int)(r->next_result % sizeof(text)) : 0;

		CHECK(got->user_data == r->next_result && got->res == bytes, "%s: result %llu of %d bytes, not %lu of %d", r->name,
		      got->user_data, got->res, r->next_result, bytes);
		r->head++;
		atomic_store((_Atomic unsigned *)(r->results_at + r->p.cq_off.head), r->head);
	}
}

/* Does some, and leaves results and requests behind. */
static void use(struct ring *r, unsigned done)
{
	while (done > 0) {
		unsigned count = done < r->p.sq_entries ? done : r->p.sq_entries;

		prepare(r, count);
		announce(r, count);
		CHECK(submit(r, count) == (int)count, "%s: %s", r->name, strerror(errno));
		take(r, count);
		done -= count;
	}
	for (unsigned left = r->unread; left > 0;) {
		unsigned count = left < r->p.sq_entries ? left : r->p.sq_entries;

		prepare(r, count);
		announce(r, count);
		CHECK(submit(r, count) == (int)count, "%s: %s", r->name, strerror(errno));
		left -= count;
	}
	prepare(r, r->announced + r->filled);
	announce(r, r->announced);
}

static void check_ring(struct ring *r)
{
	unsigned mask = *at(r, r->p.sq_off.ring_mask);

	CHECK(mask == r->p.sq_entries - 1 && *at(r, r->p.cq_off.ring_mask) == r->p.cq_entries - 1, "%s: masks", r->name);
	CHECK(*at(r, r->p.sq_off.tail) == r->tail && *at(r, r->p.cq_off.head) == r->head, "%s: at %u and %u, not %u and %u",
	      r->name, *at(r, r->p.sq_off.tail), *at(r, r->p.cq_off.head), r->tail, r->head);
	CHECK(*at(r, r->p.sq_off.head) == r->tail - r->announced, "%s: the kernel is at %u, not %u", r->name,
	      *at(r, r->p.sq_off.head), r->tail - r->announced);
	CHECK(waiting(r) == (int)r->unread, "%s: %d results, not %u", r->name, waiting(r), r->unread);
	take(r, r->unread);
	if (r->announced + r->filled) {
		announce(r, r->filled);
		CHECK(submit(r, r->announced + r->filled) == (int)(r->announced + r->filled), "%s: handed over: %s", r->name,
		      strerror(errno));
		take(r, r->announced + r->filled);
	}
	use(r, r->p.sq_entries + 3);
}

/* The child uses the ring that it has in common with its parent. */
static void check_child(void)
{
	check_ring(SHARED);
}

/* Waits in the kernel for a result; the main thread makes it come. */
static void *wait_for_results(void *none)
{
	struct ring *r = WAITED;

	for (;;) {
		int got = (int)syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);

		if (got < 0) {
			atomic_store(&wait_error, errno);
			return none;
		}
		if (waiting(r) > 0) {
			r->head++;
			atomic_store((_Atomic unsigned *)(r->results_at + r->p.cq_off.head), r->head);
			atomic_fetch_add(&woken, 1);
		}
	}
}

static void check_waiter(void)
{
	struct ring *r = WAITED;
	int before = atomic_load(&woken);

	prepare(r, 1);
	r->next_result++;
	announce(r, 1);
	CHECK(submit_only(r, 1) == 1, "%s: %s", r->name, strerror(errno));
	for (int i = 0; i < 5000 && atomic_load(&woken) == before && !atomic_load(&wait_error); i++)
		usleep(1000);
	CHECK(atomic_load(&woken) == before + 1, "the waiting thread has not got the result: %s",
	      strerror(atomic_load(&wait_error)));
}

static void check(void)
{
	/* Parent and child take turns; what the child has done stands in its own memory. */
	ask_child(child, "child");
	for (struct ring *r = rings; r < SHARED; r++)
		check_ring(r);
	check_waiter();
}

/* Each thread has the numbers for itself: this one its third and its last. */
static volatile int asked, answered, by_number;

static int register_number(struct ring *r, unsigned number)
{
	struct io_uring_rsrc_update update = { .offset = number, .data = r->fd };

	return (int)syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_RING_FDS, &update, 1);
}

/* Some call that an unknown number is refused for. */
static int enter_by_number(unsigned number)
{
	return syscall(SYS_io_uring_enter, number, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0) == 0 ? 0 : errno;
}

static void *with_numbers(void *unused)
{
	struct ring *r = rings;

	NEED(register_number(r, 2) == 1 && register_number(r, 15) == 1);
	for (;;) {
		by_number = enter_by_number(2) | enter_by_number(15) | (enter_by_number(0) != EBADF);
		answered = asked;
		while (answered == asked)
			usleep(1000);
	}
	return unused;
}

static void check_numbers(void)
{
	struct ring *r = rings;
	int got;

	prepare(r, 1);
	announce(r, 1);
	got = (int)syscall(SYS_io_uring_enter, 0, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0);
	CHECK(got == 1, "by number: %s", strerror(errno));
	take(r, 1);
	CHECK(enter_by_number(1) == EBADF, "a number too many");
	asked++;
	for (int i = 0; i < 5000 && answered != asked; i++)
		usleep(1000);
	CHECK(answered == asked && by_number == 0, "the numbers of the other thread: %s", strerror(by_number));
}

/* Registered memory, with a free place between. */
static char first_buffer[64], second_buffer[4096];

static void check_buffers(void)
{
	struct ring *r = rings;
	char read[8] = "";

	memcpy(second_buffer + 8, "round 0", 8);
	second_buffer[14] += round_number % 10;
	for (int i = 0; i < 2; i++) {
		int number = i == 0 ? 2 : 0;
		prepare(r, 1);
		r->requests[r->tail & (r->p.sq_entries - 1)] = (struct io_uring_sqe){
			.opcode = i == 0 ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED, .fd = file, .len = 7, .buf_index = number,
			.addr = (uintptr_t)(i == 0 ? second_buffer + 8 : first_buffer) };
		announce(r, 1);
		CHECK(submit(r, 1) == 1 && waiting(r) == 1, "handed over: %s", strerror(errno));
		CHECK(result(r, 0)->res == 7, "buffer %d: %s", number, strerror(-result(r, 0)->res));
		r->head++;
		atomic_store(at(r, r->p.cq_off.head), r->head);
	}
	memcpy(read, first_buffer, 7);
	CHECK(!strncmp(read, second_buffer + 8, 7), "read '%s'", read);
}

/* Hands one request over by a number, and sees that this ring has it. */
static void check_number(struct ring *r, unsigned number)
{
	int got;

	prepare(r, 1);
	announce(r, 1);
	got = (int)syscall(SYS_io_uring_enter, number, 1, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0);
	CHECK(got == 1, "%s by number %u: %d, %s", r->name, number, got, strerror(errno));
	take(r, 1);
}

/* A ring of its own, as number 0, and the first of the process as number 5. */
static void *with_own_ring(void *own)
{
	struct ring *r = own;

	r->flags = IORING_SETUP_SINGLE_ISSUER;
	set_up(r);
	NEED(register_number(r, 0) == 1 && register_number(rings, 5) == 1);
	by_number = 1;
	for (;;) {
		while (answered == asked)
			usleep(1000);
		check_number(r, 0);
		check_number(rings, 5);
		answered = asked;
	}
	return NULL;
}

static void check_several(void)
{
	check_number(rings + 1, 0);
	check_number(rings + 1, 4);
	check_number(rings, 3);
	asked++;
	for (int i = 0; i < 5000 && answered != asked; i++)
		usleep(1000);
	CHECK(answered == asked, "the other thread does not answer");
}

/* Registered sockets, with free places between. */
static int sockets[2];

static void check_sockets(void)
{
	struct ring *r = rings;
	char got[8] = "";

	for (int place = 1; place < 5; place += 3) {
		prepare(r, 1);
		r->requests[r->tail & (r->p.sq_entries - 1)] = (struct io_uring_sqe){
			.opcode = IORING_OP_SEND, .flags = IOSQE_FIXED_FILE, .fd = place, .len = 5, .addr = (uintptr_t)text };
		announce(r, 1);
		CHECK(submit(r, 1) == 1 && waiting(r) == 1, "handed over: %s", strerror(errno));
		CHECK(result(r, 0)->res == 5, "place %d: %s", place, strerror(-result(r, 0)->res));
		r->head++;
		atomic_store(at(r, r->p.cq_off.head), r->head);
		CHECK(recv(sockets[place == 1], got, sizeof(got), MSG_DONTWAIT) == 5, "place %d: recv: %s", place, strerror(errno));
	}
	CHECK(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, sockets, 2) < 0 && errno == EBUSY, "nothing is registered");
}

/* Room for four files, of which none is taken. */
static void check_places(void)
{
	struct ring *r = rings;
	struct io_uring_files_update update = { .offset = 3, .fds = (uintptr_t)&file };
	int none = -1;

	CHECK(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES_UPDATE, &update, 1) == 1, "place 3: %s", strerror(errno));
	update.fds = (uintptr_t)&none;
	CHECK(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES_UPDATE, &update, 1) == 1, "no file: %s", strerror(errno));
	update.offset = 4;
	CHECK(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES_UPDATE, &update, 1) < 0, "a place too many");
}

static void suitable(const char *kind)
{
	struct ring *r = rings;
	pthread_t thread;

	set_up(r);
	use(r, 20);
	if (!strcmp(kind, "numbers")) {
		NEED(register_number(r, 0) == 1);
		asked = 1;
		NEED(pthread_create(&thread, NULL, with_numbers, NULL) == 0);
		while (answered != asked)
			usleep(1000);
		subject_rounds(check_numbers);
	} else if (!strcmp(kind, "several")) {
		set_up(rings + 1);
		NEED(register_number(rings + 1, 0) == 1 && register_number(r, 3) == 1 && register_number(rings + 1, 4) == 1);
		NEED(pthread_create(&thread, NULL, with_own_ring, rings + 2) == 0);
		while (!by_number)
			usleep(1000);
		subject_rounds(check_several);
	} else if (!strcmp(kind, "sockets")) {
		int files[6] = { -1, -1, -1, -1, -1, -1 };
		NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
		files[1] = sockets[0];
		files[4] = sockets[1];
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, files, 6) == 0);
		subject_rounds(check_sockets);
	} else if (!strcmp(kind, "places")) {
		int files[4] = { -1, -1, -1, -1 };
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, files, 4) == 0);
		subject_rounds(check_places);
	} else if (!strcmp(kind, "buffers")) {
		struct iovec memory[] = {
			{ first_buffer, sizeof(first_buffer) }, { NULL, 0 }, { second_buffer, sizeof(second_buffer) } };
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_BUFFERS, memory, 3) == 0);
		subject_rounds(check_buffers);
	}
}

/* The one thread that could use it ends. */
static void *set_up_alone(void *r)
{
	set_up(r);
	return NULL;
}

static void unsuitable(const char *kind)
{
	struct ring *r = rings;
	int files[1] = { file }, pair[2];

	if (!strcmp(kind, "single")) {
		pthread_t thread;
		r->flags = IORING_SETUP_SINGLE_ISSUER;
		NEED(pthread_create(&thread, NULL, set_up_alone, r) == 0 && pthread_join(thread, NULL) == 0);
		return;
	}
	if (!strcmp(kind, "polled"))
		r->p.flags = IORING_SETUP_IOPOLL;
	if (!strcmp(kind, "thread"))
		r->p.flags = IORING_SETUP_SQPOLL;
	if (!strcmp(kind, "disabled"))
		r->p.flags = IORING_SETUP_R_DISABLED;
	set_up(r);
	if (!strcmp(kind, "eventfd")) {
		int event = eventfd(0, 0);
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_EVENTFD, &event, 1) == 0);
	} else if (!strcmp(kind, "files")) {
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, files, 1) == 0);
	} else if (!strcmp(kind, "personality")) {
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_PERSONALITY, NULL, 0) > 0);
	} else if (!strcmp(kind, "several-numbers")) {
		/* Which of them is meant is found by an empty table of files, and they have one already. */
		set_up(rings + 1);
		files[0] = -1;
		NEED(register_number(r, 0) == 1);
		NEED(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, files, 1) == 0);
		NEED(syscall(SYS_io_uring_register, rings[1].fd, IORING_REGISTER_FILES, files, 1) == 0);
	} else if (!strcmp(kind, "single-eventfd")) {
		int event = eventfd(0, 0);
		struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER };
		int ring = (int)syscall(SYS_io_uring_setup, 8, &p);
		NEED(syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD, &event, 1) == 0);
	} else if (!strcmp(kind, "reading")) {
		NEED(pipe(pair) == 0);
		r->requests[0] = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = pair[0], .addr = (uintptr_t)text,
							.len = 1 };
		announce(r, 1);
		NEED(submit_only(r, 1) == 1);
	} else if (!strcmp(kind, "timeout")) {
		static struct __kernel_timespec limit = { .tv_sec = 1000 };
		r->requests[0] = (struct io_uring_sqe){ .opcode = IORING_OP_TIMEOUT, .addr = (uintptr_t)&limit, .len = 1 };
		announce(r, 1);
		NEED(submit_only(r, 1) == 1);
	} else if (!strcmp(kind, "closed")) {
		NEED(close(r->fd) == 0);
	}
}

static void check_nothing(void) { }

int main(int argc, char **argv)
{
	pthread_t thread;

	subject_begin();
	file = memfd_create("written", MFD_CLOEXEC);
	NEED(file >= 0);
	if (argc > 1 && !strcmp(argv[1], "workers")) {
		opcode = IORING_OP_WRITE;
	} else if (argc > 1 && strstr("numbers several buffers sockets places", argv[1])) {
		suitable(argv[1]);
	} else if (argc > 1) {
		unsuitable(argv[1]);
		subject_rounds(check_nothing);
	}
	for (struct ring *r = rings; r < rings + RINGS; r++) {
		set_up(r);
		if (r != WAITED)
			use(r, r->done);
	}
	NEED(failures == 0);
	child = fork();
	if (child == 0) {
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED(pthread_create(&thread, NULL, wait_for_results, NULL) == 0);
	subject_rounds(check);
}
