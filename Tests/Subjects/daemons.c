/*
 * Processes whose leaders have gone. A subreaper with: a daemon that forked twice (its session's leader has ended); a
 * child of that daemon in a group of its own; an orphan in a session whose leader lives further down; a child in a
 * process group whose leader has ended; a child that stayed in the session that its parent has left; a zombie in the
 * daemon's session.
 */
#include "subject.h"

#define COUNT 7

static struct known {
	pid_t pid, parent, group, session;
} *known;
static const char *const names[COUNT] = {
	"daemon", "child of the daemon", "leader far below", "orphan", "member of an abandoned group",
	"one that begins a session", "one that stayed behind",
};
static pid_t zombie;
static int own = -1;

static void remember(int number)
{
	own = number;
	known[number] = (struct known){ getpid(), getppid(), getpgrp(), getsid(0) };
}

static void check_self(void)
{
	struct known *me = &known[own];

	CHECK(getpid() == me->pid, "%s: pid %d, not %d", names[own], getpid(), me->pid);
	CHECK(getppid() == me->parent, "%s: parent %d, not %d", names[own], getppid(), me->parent);
	CHECK(getpgrp() == me->group, "%s: group %d, not %d", names[own], getpgrp(), me->group);
	CHECK(getsid(0) == me->session, "%s: session %d, not %d", names[own], getsid(0), me->session);
}

/* Answers the root, whoever its parent is. */
static pid_t root;

static void serve(int number)
{
	remember(number);
	sigqueue(root, ANSWER, (union sigval){ .sival_int = 0 });
	for (;;) {
		wait_until_told();
		failures = 0;
		check_self();
		sigqueue(root, ANSWER, (union sigval){ .sival_int = failures });
	}
}

static void wait_for_parent(pid_t parent)
{
	while (getppid() != parent)
		usleep(500);
}

static void need_answer(void)
{
	int value;

	NEED(answer(&value) > 0);
}

static void start_daemon(void)
{
	pid_t first = fork();

	if (first == 0) {
		setsid();
		if (fork() == 0) {
			wait_for_parent(root);
			if (fork() == 0) {
				setpgid(0, 0);
				serve(1);
			}
			serve(0);
		}
		/* Waits for nobody: a zombie of the session without a leader. */
		zombie = fork();
		if (zombie == 0) {
			wait_for_parent(root);
			kill(getpid(), SIGKILL);
		}
		_exit(0);
	}
	waitpid(first, NULL, 0);
	need_answer();
	need_answer();
}

/* root - between - leader - x - orphan; x ends, and the root adopts the orphan. */
static void start_orphan(void)
{
	if (fork() == 0) {
		pid_t leader = fork();
		if (leader == 0) {
			pid_t x;
			setsid();
			x = fork();
			if (x == 0) {
				if (fork() == 0) {
					wait_for_parent(root);
					serve(3);
				}
				_exit(0);
			}
			waitpid(x, NULL, 0);
			serve(2);
		}
		for (;;)
			pause();
	}
	need_answer();
	need_answer();
}

static void start_group(void)
{
	pid_t leader = fork();
	int ready[2];
	char byte;

	NEED(pipe(ready) == 0);
	if (leader == 0) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(leader, leader);
	if (fork() == 0) {
		setpgid(0, leader);
		close(ready[0]);
		close(ready[1]);
		serve(4);
	}
	close(ready[1]);
	need_answer();
	kill(leader, SIGKILL);
	waitpid(leader, NULL, 0);
	NEED(read(ready[0], &byte, 1) == 0);
	close(ready[0]);
}

static void start_stayer(void)
{
	if (fork() == 0) {
		if (fork() == 0)
			serve(6);
		setsid();
		serve(5);
	}
	need_answer();
	need_answer();
}

static void check(void)
{
	siginfo_t info;

	for (int i = 0; i < COUNT; i++)
		ask_child(known[i].pid, names[i]);
	info.si_pid = 0;
	CHECK(waitid(P_PID, zombie, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == zombie &&
		      info.si_code == CLD_KILLED && info.si_status == SIGKILL, "the zombie's status");
	CHECK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == zombie, "another zombie: %d",
	      info.si_pid);
}

static pid_t find_zombie(void)
{
	siginfo_t info;

	NEED(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
	return info.si_pid;
}

int main(void)
{
	subject_begin();
	root = getpid();
	known = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(known != MAP_FAILED);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	start_orphan();
	start_group();
	start_stayer();
	start_daemon();
	zombie = find_zombie();
	subject_rounds(check);
}
