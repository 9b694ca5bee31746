/*
 * posixipc.c: POSIX message queues: named, without a name, read-only and write-only, full, without messages, shared with a
 * child that waits; shared memory and semaphores in /dev/shm, with names and without. maker: a semaphore as its maker has it.
 */
#include "subject.h"
#include <mqueue.h>
#include <poll.h>
#include <semaphore.h>

#define PAGE 4096ul

static mqd_t named, reader, writer, unnamed, same, full, empty, waited;
static char name[5][64];
static sem_t *lock, *gone, *count;
static char *memory, *lost, *again;
static pid_t child;
static int maker;

static const struct { unsigned priority; size_t size; int seed; } messages[] = {
	{ 32767, 64, 1 }, { 9, 0, 2 }, { 9, 8, 3 }, { 9, 60, 4 }, { 0, 12, 5 }, { 0, 4, 6 },
};
#define COUNT (sizeof(messages) / sizeof(messages[0]))

static mqd_t make(int number, int flags, long capacity, long size)
{
	struct mq_attr attributes = { .mq_maxmsg = capacity, .mq_msgsize = size };
	mqd_t queue;

	snprintf(name[number], sizeof(name[number]), "/apus-%d-%d", getpid(), number);
	queue = mq_open(name[number], flags | O_CREAT | O_EXCL, 0640, &attributes);
	NEED(queue >= 0);
	return queue;
}

static void post(mqd_t queue, unsigned priority, size_t size, int seed)
{
	char text[64];

	fill(text, sizeof(text), (uint32_t)seed);
	CHECK(mq_send(queue, text, size, priority) == 0, "mq_send: %s", strerror(errno));
}

static void check_messages(mqd_t from, mqd_t to, const char *which)
{
	char text[64];
	unsigned priority;

	for (size_t i = 0; i < COUNT; i++) {
		ssize_t size = mq_receive(from, text, sizeof(text), &priority);

		CHECK(size == (ssize_t)messages[i].size && priority == messages[i].priority &&
			      filled(text, (size_t)size, (uint32_t)messages[i].seed),
		      "%s: message %zu has %zd bytes and priority %u", which, i, size, priority);
	}
	CHECK(mq_receive(from, text, sizeof(text), NULL) < 0 && errno == EAGAIN, "%s: one message more", which);
	for (size_t i = 0; i < COUNT; i++)
		post(to, messages[i].priority, messages[i].size, messages[i].seed);
}

static void check_attributes(mqd_t queue, const char *which, long flags, long capacity, long size, long now)
{
	struct mq_attr attributes;

	CHECK(mq_getattr(queue, &attributes) == 0 && attributes.mq_flags == flags && attributes.mq_maxmsg == capacity &&
		      attributes.mq_msgsize == size && attributes.mq_curmsgs == now, "%s: flags %#lx, %ld of %ld messages of %ld bytes",
	      which, attributes.mq_flags, attributes.mq_curmsgs, attributes.mq_maxmsg, attributes.mq_msgsize);
}

static void check_queues(void)
{
	struct stat status;
	char c;

	check_attributes(named, "named", O_NONBLOCK, 10, 64, COUNT);
	check_attributes(reader, "reader", O_NONBLOCK, 10, 64, COUNT);
	check_attributes(full, "full", 0, 1, 1, 1);
	check_attributes(empty, "empty", O_NONBLOCK, 2, 8192, 0);
	CHECK(fstat(named, &status) == 0 && status.st_mode == (S_IFREG | 0640) && status.st_uid == 77 && status.st_nlink == 1,
	      "named: mode %o, owner %d", status.st_mode, status.st_uid);
	CHECK(fstat(unnamed, &status) == 0 && status.st_nlink == 0, "the one without a name has one");
	CHECK(fcntl(reader, F_GETFD) == 0 && fcntl(named, F_GETFD) == FD_CLOEXEC, "close-on-exec of queues");
	check_messages(reader, writer, "reader");
	check_messages(named, named, "named");
	check_messages(unnamed, same, "without a name");
	CHECK(mq_send(reader, "x", 1, 0) < 0 && errno == EBADF, "the reader writes");
	CHECK(mq_receive(writer, &c, 64, NULL) < 0 && errno == EBADF, "the writer reads");
	CHECK(poll(&(struct pollfd){ .fd = empty, .events = POLLIN }, 1, 0) == 0, "the empty one can be read");
	CHECK(mq_timedsend(full, "y", 1, 0, &(struct timespec){ 0 }) < 0 && errno == ETIMEDOUT, "the full one takes one more");
}

static void check_memory(void)
{
	int value;

	CHECK(filled(memory, PAGE, 7) && filled(lost, PAGE, 8), "content of /dev/shm");
	memory[PAGE] = (char)round_number;
	CHECK(again[PAGE] == (char)round_number, "the two mappings of one file are two");
	CHECK(sem_getvalue(gone, &value) == 0 && value == 3, "the semaphore without a name: %d", value);
	CHECK(sem_post(lock) == 0 && sem_wait(lock) == 0, "the semaphore with a name");
}

static void check(void)
{
	int value;

	check_queues();
	check_memory();
	/* The child waits for a message and passes it on by a semaphore. */
	CHECK(mq_send(waited, "z", 1, 1) == 0, "mq_send to the child");
	CHECK(answer(&value) == child && sem_getvalue(count, &value) == 0 && value == round_number, "the child counts %d",
	      value);
}

static void as_child(void)
{
	char c[8];

	child_is_ready();
	for (;;)
		if (mq_receive(waited, c, sizeof(c), NULL) == 1 && sem_post(count) == 0)
			sigqueue(getppid(), ANSWER, (union sigval){ 0 });
}

static void *map(const char *file, int unlinked)
{
	int fd = shm_open(file, O_CREAT | O_EXCL | O_RDWR, 0600);
	void *start;

	NEED(fd >= 0 && ftruncate(fd, 3 * PAGE) == 0);
	start = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(start != MAP_FAILED && close(fd) == 0);
	if (unlinked)
		NEED(shm_unlink(file) == 0);
	return start;
}

static void set_up_memory(void)
{
	char file[64];
	int fd;

	snprintf(file, sizeof(file), "/apus-shm-%d", getpid());
	memory = map(file, 0);
	fd = shm_open(file, O_RDONLY, 0);
	again = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	NEED(fd >= 0 && again != MAP_FAILED);
	strcat(file, "-lost");
	lost = map(file, 1);
	fill(memory, PAGE, 7);
	fill(lost, PAGE, 8);
	lock = sem_open(file, O_CREAT | O_EXCL, 0600, 0);
	/* Who makes one has mapped it under another name, which is gone. */
	NEED(lock != SEM_FAILED && (maker || sem_close(lock) == 0));
	if (!maker)
		lock = sem_open(file, 0);
	strcat(file, "-gone");
	gone = sem_open(file, O_CREAT | O_EXCL, 0600, 3);
	NEED(lock != SEM_FAILED && gone != SEM_FAILED && sem_unlink(file) == 0);
	count = (sem_t *)(lost + 2 * PAGE);
	NEED(sem_init(count, 1, 0) == 0);
}

int main(int argc, char **argv)
{
	maker = argc > 1 && !strcmp(argv[1], "maker");
	subject_begin();
	named = make(0, O_RDWR | O_NONBLOCK, 10, 64);
	make(1, O_RDWR, 10, 64);
	reader = mq_open(name[1], O_RDONLY | O_NONBLOCK);
	writer = mq_open(name[1], O_WRONLY);
	unnamed = make(2, O_RDWR | O_NONBLOCK, 10, 64);
	same = mq_open(name[2], O_WRONLY);
	full = make(3, O_RDWR, 1, 1);
	empty = make(4, O_RDWR | O_NONBLOCK, 2, 8192);
	NEED(reader >= 0 && writer >= 0 && same >= 0 && mq_unlink(name[2]) == 0 && fchown(named, 77, 78) == 0);
	NEED(fcntl(reader, F_SETFD, 0) == 0);
	for (size_t i = 0; i < COUNT; i++) {
		post(named, messages[i].priority, messages[i].size, messages[i].seed);
		post(writer, messages[i].priority, messages[i].size, messages[i].seed);
		post(unnamed, messages[i].priority, messages[i].size, messages[i].seed);
	}
	post(full, 5, 1, 9);
	set_up_memory();
	snprintf(name[2], sizeof(name[2]), "/apus-%d-w", getpid());
	waited = mq_open(name[2], O_CREAT | O_EXCL | O_RDWR, 0600, &(struct mq_attr){ .mq_maxmsg = 1, .mq_msgsize = 8 });
	NEED(waited >= 0);
	child = fork();
	NEED(child >= 0);
	if (child == 0)
		as_child();
	need_child(child);
	subject_rounds(check);
}
