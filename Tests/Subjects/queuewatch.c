/*
 * queuewatch.c: registrations for the notification of messages in POSIX queues (mq_notify(3)): by a signal with a value, of queues with
 * messages and without, through a descriptor that only writes; by a thread, as the C library does it; by nothing; of a child, for a
 * queue that its parent has open first.
 */
#include "subject.h"
#include <mqueue.h>
#include <stdatomic.h>

#define VALUE 0x1122334455667788l
#define BY_SIGNAL (SIGRTMIN + 1)

static mqd_t empty, filled_one, writer, reader, threaded, silent, of_child;
static atomic_long calls, argument;
static pid_t child;

static mqd_t make(const char *which, int flags)
{
	struct mq_attr attributes = { .mq_maxmsg = 3, .mq_msgsize = 4 };
	char name[64];
	mqd_t queue;

	snprintf(name, sizeof(name), "/apus-watch-%d-%s", getpid(), which);
	queue = mq_open(name, flags | O_NONBLOCK | O_CREAT | O_EXCL, 0600, &attributes);
	NEED(queue >= 0);
	return queue;
}

static int watch(mqd_t queue, int signal_number, long value)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal_number, .sigev_value.sival_ptr = (void *)value };

	return mq_notify(queue, &event);
}

/* Reads all. */
static int drain(mqd_t queue)
{
	char text[4];
	int count = 0;

	while (mq_receive(queue, text, sizeof(text), NULL) >= 0)
		count++;
	CHECK(errno == EAGAIN, "mq_receive: %s", strerror(errno));
	return count;
}

/* A message comes: whoever is registered gets to know, once. */
static void check_signal(const char *which, mqd_t queue, mqd_t reader, int signal_number, long value, int messages)
{
	sigset_t set = set_of(signal_number, 0);
	siginfo_t info = { 0 };

	CHECK(watch(queue, signal_number, 1) < 0 && errno == EBUSY, "%s: nobody is registered", which);
	CHECK(sigtimedwait(&set, &info, &(struct timespec){ 0 }) < 0, "%s: a signal before any message", which);
	CHECK(drain(reader) == messages, "%s: not %d messages", which, messages);
	CHECK(mq_send(queue, "m", 1, 3) == 0 && mq_send(queue, "n", 1, 3) == 0, "%s: mq_send: %s", which, strerror(errno));
	CHECK(sigtimedwait(&set, &info, &(struct timespec){ 0 }) == signal_number && info.si_code == SI_MESGQ &&
		      (long)info.si_value.sival_ptr == value && info.si_pid == getpid(),
	      "%s: signal %d, code %d, value %#lx, of %d", which, info.si_signo, info.si_code, (long)info.si_value.sival_ptr,
	      info.si_pid);
	CHECK(drain(reader) == 2, "%s: the messages", which);
	CHECK(watch(queue, signal_number, value) == 0, "%s: mq_notify: %s", which, strerror(errno));
	while (messages-- > 0) {
		/* The first would be told of. */
		mq_notify(queue, NULL);
		CHECK(mq_send(queue, "old", 3, (unsigned)messages) == 0, "%s: mq_send", which);
		CHECK(watch(queue, signal_number, value) == 0, "%s: mq_notify: %s", which, strerror(errno));
	}
}

static void on_message(union sigval value)
{
	argument = (long)value.sival_ptr;
	calls++;
}

static int watch_by_thread(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_message, .sigev_value.sival_ptr = (void *)VALUE };

	return mq_notify(threaded, &event);
}

/* How many threads there are, by the links of the folder that has one for each. */
static int threads(void)
{
	struct stat status;

	return stat("/proc/self/task", &status) ? 0 : (int)status.st_nlink - 2;
}

static void check_thread(void)
{
	struct sigevent nothing = { .sigev_notify = SIGEV_NONE };
	long before = calls;
	int usual = threads();

	CHECK(mq_notify(threaded, &nothing) < 0 && errno == EBUSY, "thread: nobody is registered");
	CHECK(mq_send(threaded, "t", 1, 0) == 0, "thread: mq_send");
	for (int i = 0; i < 1000 && calls == before; i++)
		usleep(1000);
	CHECK(calls == before + 1 && argument == VALUE, "thread: called %ld times, with %#lx", calls - before, argument);
	CHECK(drain(threaded) == 1, "thread: the message");
	CHECK(watch_by_thread() == 0, "thread: mq_notify: %s", strerror(errno));
	/* The one that was called has yet to end. */
	for (int i = 0; i < 1000 && threads() > usual; i++)
		usleep(1000);
}

static void check_silent(void)
{
	struct sigevent nothing = { .sigev_notify = SIGEV_NONE };

	CHECK(mq_notify(silent, &nothing) < 0 && errno == EBUSY, "silent: nobody is registered");
	CHECK(drain(silent) == 2, "silent: not 2 messages");
	CHECK(mq_send(silent, "m", 1, 0) == 0 && mq_notify(silent, &nothing) == 0, "silent: registered after a message");
	CHECK(mq_send(silent, "n", 1, 0) == 0 && mq_notify(silent, &nothing) < 0, "silent: not registered with a message");
}

static void check_child(void)
{
	check_signal("child", of_child, of_child, SIGUSR2, -1, 0);
}

static void check(void)
{
	check_signal("empty", empty, empty, BY_SIGNAL, VALUE, 0);
	check_signal("filled", filled_one, filled_one, BY_SIGNAL + 1, -2, 3);
	check_signal("writer", writer, reader, BY_SIGNAL + 2, 0, 0);
	check_thread();
	check_silent();
	ask_child(child, "child");
}

int main(void)
{
	sigset_t set = set_of(BY_SIGNAL, BY_SIGNAL + 1, BY_SIGNAL + 2, SIGUSR2, 0);
	char name[64];

	subject_begin();
	sigprocmask(SIG_BLOCK, &set, NULL);
	empty = make("empty", O_RDWR);
	filled_one = make("filled", O_RDWR);
	threaded = make("thread", O_RDWR);
	silent = make("silent", O_RDWR);
	of_child = make("child", O_RDWR);
	writer = make("writer", O_WRONLY);
	snprintf(name, sizeof(name), "/apus-watch-%d-writer", getpid());
	reader = mq_open(name, O_RDONLY | O_NONBLOCK);
	NEED(reader >= 0 && watch(writer, BY_SIGNAL + 2, 0) == 0);
	NEED(watch(empty, BY_SIGNAL, VALUE) == 0);
	for (int i = 2; i >= 0; i--)
		NEED(mq_send(filled_one, "old", 3, (unsigned)i) == 0);
	NEED(watch(filled_one, BY_SIGNAL + 1, -2) == 0);
	NEED(watch_by_thread() == 0);
	NEED(mq_send(silent, "m", 1, 9) == 0 && mq_send(silent, "n", 1, 0) == 0);
	NEED(mq_notify(silent, &(struct sigevent){ .sigev_notify = SIGEV_NONE }) == 0);
	child = fork();
	NEED(child >= 0);
	if (child == 0) {
		NEED(watch(of_child, SIGUSR2, -1) == 0);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	/* The C library takes memory for the first thread that it calls, and keeps it. */
	check_thread();
	NEED(!failures);
	subject_rounds(check);
}
