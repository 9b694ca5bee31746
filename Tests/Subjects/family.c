/*
 * family SEED COUNT: a tree with a random history of COUNT events: forks, sessions, process groups, ends, orphans
 * adopted by the nearest subreaper, zombies. Then each process remembers its place and checks it when told.
 */
#include "subject.h"

#define SLOTS 300

enum { NOTHING, FORK, SESSION, GROUP, END, SUBREAPER, REAP, SETTLE };

static struct slot {
	volatile int command, argument;
	volatile pid_t pid;
	volatile int ended;
	pid_t parent, group, session;
} *slots;
static int count, own;
static pid_t root;
static uint64_t state;

static unsigned chance(unsigned limit)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % limit;
}

static void settle(void)
{
	struct slot *me = &slots[own];

	me->parent = getppid();
	me->group = getpgrp();
	me->session = getsid(0);
	me->command = NOTHING;
	for (;;) {
		wait_until_told();
		failures = 0;
		CHECK(getpid() == me->pid, "pid %d, not %d", getpid(), me->pid);
		CHECK(getppid() == me->parent, "%d: parent %d, not %d", me->pid, getppid(), me->parent);
		CHECK(getpgrp() == me->group, "%d: group %d, not %d", me->pid, getpgrp(), me->group);
		CHECK(getsid(0) == me->session, "%d: session %d, not %d", me->pid, getsid(0), me->session);
		sigqueue(root, ANSWER, (union sigval){ .sival_int = failures });
	}
}

static void born(int number)
{
	own = number;
	slots[own].pid = getpid();
}

/* Commands that do not work here, such as setsid(2) of a leader, just do nothing. */
static void obey(void)
{
	struct slot *me = &slots[own];
	int command = me->command, argument = me->argument;

	switch (command) {
	case FORK:
		if (fork() == 0) {
			born(argument);
			return;
		}
		while (!slots[argument].pid)
			usleep(20);
		break;
	case SESSION: setsid(); break;
	case GROUP: setpgid(0, argument); break;
	case SUBREAPER: prctl(PR_SET_CHILD_SUBREAPER, 1); break;
	case REAP: waitpid(argument, NULL, WNOHANG); break;
	case END:
		/* The command is taken back when it is done: by root, which sees the end. */
		_exit(own & 0x7f);
	case SETTLE: settle();
	}
	me->command = NOTHING;
}

static char state_of(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return proc_field(path, "State")[0];
}

static void tell(int number, int command, int argument)
{
	struct slot *slot = &slots[number];

	slot->argument = argument;
	slot->command = command;
	if (number == own)
		obey();
	while (slot->command && command != END)
		usleep(20);
	if (command == END) {
		while (state_of(slot->pid) != 'Z' && state_of(slot->pid) != 0)
			usleep(20);
		slot->ended = 1;
	}
}

static int find(pid_t pid)
{
	for (int i = 0; i < count; i++)
		if (slots[i].pid == pid && !slots[i].ended)
			return i;
	return -1;
}

static pid_t parent_of(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return atoi(proc_field(path, "PPid"));
}

static void end(int number)
{
	int parent = find(parent_of(slots[number].pid));

	if (number == 0)
		return;
	tell(number, END, 0);
	if (parent >= 0 && chance(4))
		tell(parent, REAP, slots[number].pid);
}

static void event(void)
{
	int number = (int)chance((unsigned)count);
	unsigned what = chance(12);

	if (slots[number].ended)
		return;
	if (what < 5 && count < SLOTS) {
		count++;
		tell(number, FORK, count - 1);
	} else if (what < 7) {
		tell(number, SESSION, 0);
	} else if (what < 8) {
		tell(number, GROUP, 0);
	} else if (what < 9) {
		tell(number, GROUP, getpgid(slots[chance((unsigned)count)].pid));
	} else if (what < 10 && chance(3) == 0) {
		tell(number, SUBREAPER, 0);
	} else {
		end(number);
	}
}

static void check(void)
{
	for (int i = 1; i < count; i++)
		if (!slots[i].ended)
			ask_child(slots[i].pid, "a process");
	CHECK(getppid() == slots[0].parent && getpgrp() == slots[0].group && getsid(0) == slots[0].session, "the root");
}

int main(int argc, char **argv)
{
	NEED(argc == 3);
	subject_begin();
	state = strtoull(argv[1], NULL, 10) * 7919 + 17;
	root = getpid();
	slots = mmap(NULL, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(slots != MAP_FAILED);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	born(0);
	count = 1;
	for (int i = atoi(argv[2]); i > 0 && own == 0; i--)
		event();
	while (own != 0) {
		if (slots[own].command)
			obey();
		else
			usleep(20);
	}
	for (int i = 1; i < count; i++)
		if (!slots[i].ended) {
			tell(i, SETTLE, 0);
			wait_until_asleep(slots[i].pid);
		}
	slots[0].parent = getppid();
	slots[0].group = getpgrp();
	slots[0].session = getsid(0);
	subject_rounds(check);
}
