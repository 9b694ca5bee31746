/*
 * sharedvm [MIB]: processes that share their memory without being threads of one another (CLONE_VM), with MIB of it.
 *
 * A child goes on writing memory that the root sees; another has a name, a user and signal handlers of its own; a third
 * has handlers, descriptors and directories in common with the root, a thread, a child that has the memory too, and a
 * forked child that has a copy of it. A child of that one has another copy, and a sister made by it (CLONE_PARENT) with
 * which it shares all but its parent. They are asked and answer by words in the common memory, on which they wait by
 * private futexes: those of another memory would wake nobody. None of them may touch what the C library keeps for a thread.
 */
#include "subject.h"
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <sched.h>

#define MEMORY (CLONE_VM | SIGCHLD)
#define ALL (CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS | SIGCHLD)
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS | CLONE_THREAD | CLONE_SYSVSEM)
#define SHARED_SIZE (4 << 20)

static struct sharer {
	const char *name;
	void (*check)(struct sharer *);
	uint32_t asked, answered;
	int failures;
	pid_t pid;
	char stack[64 << 10] __attribute__((aligned(64)));
} plain = { .name = "plain" }, close_one = { .name = "close" }, grandchild = { .name = "grandchild" }, sister = { .name = "sister" }, writer, thread;

/* How the forked child and its child are asked, which have copies of the memory. */
static struct apart {
	uint32_t asked, answered;
	int failures;
	pid_t pid, sister;
} *apart;
static volatile unsigned long written, counted;
static unsigned char common[SHARED_SIZE];
static uint32_t seed;
static void *volatile made;
static char *ballast;
static size_t ballast_size;
static int dumpable;

#define CHECK_IT(s, condition, ...)                  \
	do {                                         \
		if (!(condition)) {                  \
			(s)->failures++;             \
			say("FAIL " __VA_ARGS__);    \
		}                                    \
	} while (0)

static void on_signal(int number) { (void)number; }

static int same(pid_t a, pid_t b, int what) { return syscall(SYS_kcmp, a, b, what, 0, 0) == 0; }

static void wait_on(uint32_t *word, uint32_t value, int kind)
{
	syscall(SYS_futex, word, FUTEX_WAIT | kind, value, NULL);
}

static void wake(uint32_t *word, int kind) { syscall(SYS_futex, word, FUTEX_WAKE | kind, 1); }

/* The life of a sharer. */
static _Noreturn int answer_for_ever(void *one)
{
	struct sharer *self = one;

	for (;;) {
		uint32_t asked = __atomic_load_n(&self->asked, __ATOMIC_SEQ_CST);

		if (asked == self->answered) {
			wait_on(&self->asked, asked, FUTEX_PRIVATE_FLAG);
			continue;
		}
		self->failures = 0;
		self->check(self);
		__atomic_store_n(&self->answered, asked, __ATOMIC_SEQ_CST);
		wake(&self->answered, FUTEX_PRIVATE_FLAG);
	}
}

/* Asks and waits ten seconds at most. */
static int ask(struct sharer *one)
{
	struct timespec a_while = { .tv_nsec = 1000000 };
	uint32_t asked = one->asked + 1;

	__atomic_store_n(&one->asked, asked, __ATOMIC_SEQ_CST);
	wake(&one->asked, FUTEX_PRIVATE_FLAG);
	for (int i = 0; i < 10000 && __atomic_load_n(&one->answered, __ATOMIC_SEQ_CST) != asked; i++)
		syscall(SYS_futex, &one->answered, FUTEX_WAIT_PRIVATE, asked - 1, &a_while);
	if (one->answered != asked)
		say("FAIL %s does not answer", one->name);
	return one->answered == asked ? one->failures : 1;
}

static void make(struct sharer *one, int (*life)(void *), unsigned long flags)
{
	one->pid = clone(life, one->stack + sizeof(one->stack), (int)flags, one);
	NEED(one->pid > 0);
}

static _Noreturn int write_for_ever(void *unused)
{
	struct timespec a_while = { .tv_nsec = 300000 };

	(void)unused;
	for (;;) {
		written++;
		syscall(SYS_nanosleep, &a_while, NULL);
	}
}

static _Noreturn int count_for_ever(void *unused)
{
	struct timespec a_while = { .tv_nsec = 500000 };

	(void)unused;
	for (;;) {
		counted++;
		syscall(SYS_nanosleep, &a_while, NULL);
	}
}

static void (*action(int number))(int)
{
	struct sigaction now = { 0 };

	sigaction(number, NULL, &now);
	return now.sa_handler;
}

static void check_plain(struct sharer *self)
{
	char name[16] = "";

	CHECK_IT(self, filled(common, sizeof(common), seed), "what the root has written");
	prctl(PR_GET_NAME, name);
	CHECK_IT(self, !strcmp(name, "another name"), "name %s", name);
	CHECK_IT(self, syscall(SYS_getuid) == 1234 && syscall(SYS_getgid) == 5678, "user and group");
	CHECK_IT(self, action(SIGUSR2) == SIG_IGN && action(SIGHUP) == SIG_DFL, "handlers of its own");
	CHECK_IT(self, prctl(PR_GET_DUMPABLE) == dumpable, "whether it may be dumped");
}

static void check_grandchild(struct sharer *self)
{
	CHECK_IT(self, filled(common, sizeof(common), seed), "what the root has written");
	CHECK_IT(self, action(SIGUSR2) == SIG_DFL, "handlers from the time when it was made");
	CHECK_IT(self, fcntl(77, F_GETFD) < 0, "descriptors of its own");
	made = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(made, 8192, seed + 1);
}

static int ask_apart(struct apart *one)
{
	uint32_t asked = one->asked + 1;

	__atomic_store_n(&one->asked, asked, __ATOMIC_SEQ_CST);
	wake(&one->asked, 0);
	while (__atomic_load_n(&one->answered, __ATOMIC_SEQ_CST) != asked)
		wait_on(&one->answered, asked - 1, 0);
	return one->failures;
}

static void check_close(struct sharer *self)
{
	char path[64] = "";
	unsigned long before = counted;

	CHECK_IT(self, filled(common, sizeof(common), seed), "what the root has written");
	CHECK_IT(self, action(SIGHUP) == on_signal, "the handler that the root has just set");
	CHECK_IT(self, fcntl(77, F_GETFD) >= 0, "the descriptor that the root has just opened");
	CHECK_IT(self, syscall(SYS_getcwd, path, sizeof(path)) > 0 && !strcmp(path, "/proc"), "directory %s", path);
	self->failures += ask(&grandchild);
	CHECK_IT(self, ask_apart(&apart[0]) == 0, "the forked child");
	CHECK_IT(self, ask_apart(&apart[1]) == 0, "the sisters");
	for (int i = 0; i < 5000 && counted == before; i++)
		syscall(SYS_nanosleep, &(struct timespec){ .tv_nsec = 1000000 }, NULL);
	CHECK_IT(self, counted > before, "its thread does not run");
}

static _Noreturn void live_apart(struct apart *self)
{
	uint32_t copied = seed;
	unsigned long before = written;

	self->pid = (pid_t)syscall(SYS_getpid);
	for (;;) {
		if (self->asked == self->answered) {
			wait_on(&self->asked, self->answered, 0);
			continue;
		}
		self->failures = !filled(common, sizeof(common), copied) || written != before || !filled(ballast, ballast_size, 3);
		if (self->sister) {
			/* What it does to its memory its sister sees, and nobody else. */
			fill(common, 8192, ++seed);
			self->failures += ask(&sister);
			fill(common, 8192, copied);
		}
		__atomic_store_n(&self->answered, self->asked, __ATOMIC_SEQ_CST);
		wake(&self->answered, 0);
	}
}

static void check_sister(struct sharer *self)
{
	CHECK_IT(self, filled(common, 8192, seed), "what its sister has written");
	CHECK_IT(self, syscall(SYS_getppid) == apart[0].pid, "the parent of the sister");
}

static _Noreturn void live_forked(void)
{
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
		make(&sister, answer_for_ever, CLONE_PARENT | CLONE_FILES | MEMORY);
		apart[1].sister = sister.pid;
		live_apart(&apart[1]);
	}
	live_apart(&apart[0]);
}

static _Noreturn int live_close(void *one)
{
	struct sharer *self = one;

	make(&thread, count_for_ever, THREAD);
	make(&grandchild, answer_for_ever, MEMORY);
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
		live_forked();
	answer_for_ever(self);
}

static _Noreturn int live_plain(void *one)
{
	struct sharer *self = one;
	struct sigaction ignored = { .sa_handler = SIG_IGN };

	prctl(PR_SET_NAME, "another name");
	sigaction(SIGUSR2, &ignored, NULL);
	syscall(SYS_setresgid, 5678, 5678, 5678);
	syscall(SYS_setresuid, 1234, 1234, 1234);
	self->failures = -1;
	answer_for_ever(self);
}

static void check_relations(void)
{
	pid_t root = getpid();

	CHECK(same(root, plain.pid, KCMP_VM) && !same(root, plain.pid, KCMP_SIGHAND), "memory of the plain one");
	CHECK(!same(root, plain.pid, KCMP_FILES) && !same(root, plain.pid, KCMP_FS), "tables of the plain one");
	CHECK(same(root, writer.pid, KCMP_VM), "memory of the writer");
	CHECK(same(root, close_one.pid, KCMP_VM) && same(root, close_one.pid, KCMP_SIGHAND), "memory of the close one");
	CHECK(same(root, close_one.pid, KCMP_FILES) && same(root, close_one.pid, KCMP_FS), "tables of the close one");
	CHECK(same(root, grandchild.pid, KCMP_VM) && !same(root, grandchild.pid, KCMP_SIGHAND), "memory of the grandchild");
	CHECK(!same(root, apart[0].pid, KCMP_VM) && !same(root, apart[0].pid, KCMP_SIGHAND), "memory of the forked child");
	CHECK(!same(apart[0].pid, apart[1].pid, KCMP_VM), "memory of its child");
	CHECK(same(apart[1].pid, apart[1].sister, KCMP_VM) && same(apart[1].pid, apart[1].sister, KCMP_FILES), "sisters");
}

static void check(void)
{
	struct sigaction handled = { .sa_handler = on_signal }, usual = { .sa_handler = SIG_DFL };
	unsigned long before = written;

	check_relations();
	fill(common, sizeof(common), ++seed);
	CHECK(dup2(1, 77) == 77 && chdir("/proc") == 0 && sigaction(SIGHUP, &handled, NULL) == 0, "changes");
	failures += ask(&plain);
	failures += ask(&close_one);
	CHECK(filled(made, 8192, seed + 1), "what the grandchild has made and written");
	munmap(made, 8192);
	CHECK(close(77) == 0 && chdir("/") == 0 && sigaction(SIGHUP, &usual, NULL) == 0, "the way back");
	for (int i = 0; i < 5000 && written == before; i++)
		usleep(1000);
	CHECK(written > before, "the writer does not write");
	CHECK(filled(ballast, ballast_size, 3), "the ballast");
	wait_until_asleep(plain.pid);
	wait_until_asleep(close_one.pid);
	wait_until_asleep(grandchild.pid);
	for (int i = 0; i < 2; i++)
		wait_until_asleep(apart[i].pid);
	wait_until_asleep(apart[1].sister);
}

int main(int argc, char **argv)
{
	subject_begin();
	NEED(chdir("/") == 0);
	ballast_size = (size_t)(argc > 1 ? atoi(argv[1]) : 1) << 20;
	ballast = mmap(NULL, ballast_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	apart = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(ballast != MAP_FAILED && apart != MAP_FAILED);
	fill(ballast, ballast_size, 3);
	fill(common, sizeof(common), seed);
	plain.check = check_plain;
	close_one.check = check_close;
	grandchild.check = check_grandchild;
	sister.check = check_sister;
	make(&close_one, live_close, ALL);
	while (!__atomic_load_n(&apart[0].pid, __ATOMIC_SEQ_CST) || !__atomic_load_n(&apart[1].pid, __ATOMIC_SEQ_CST))
		usleep(1000);
	make(&writer, write_for_ever, MEMORY);
	make(&plain, live_plain, MEMORY);
	while (!__atomic_load_n(&plain.failures, __ATOMIC_SEQ_CST))
		usleep(1000);
	wait_until_asleep(plain.pid);
	dumpable = prctl(PR_GET_DUMPABLE);
	subject_rounds(check);
}
