/*
 * Zombies: several of one parent, with exit codes and with signals; of a child, too; in a group and in a session of
 * their own; one with a child that it has left to the root.
 */
#include "subject.h"

#define COUNT 8

static struct known {
	pid_t pid;
	int code, status;
	pid_t group, session;
} known[COUNT];
static int count;
static pid_t child, orphan, silent, loud, ended;

static void die(int how)
{
	struct { long soft, hard; } none = { 0, 0 };

	if (how < 256)
		_exit(how);
	syscall(SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, &none, NULL);
	signal(how - 256, SIG_DFL);
	kill(getpid(), how - 256);
	for (;;)
		pause();
}

static void expect_end(pid_t pid, int how, pid_t group, pid_t session)
{
	known[count++] = (struct known){
		pid, how < 256 ? CLD_EXITED : CLD_KILLED, how < 256 ? how : how - 256, group, session,
	};
}

static void make(int how, int begins)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0) {
		if (begins == 1)
			setpgid(0, 0);
		if (begins == 2)
			setsid();
		die(how);
	}
	NEED(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	expect_end(pid, how, begins ? pid : getpgrp(), begins == 2 ? pid : getsid(0));
}

static void check_zombies(void)
{
	siginfo_t info;

	for (int i = 0; i < count; i++) {
		info.si_pid = 0;
		CHECK(waitid(P_PID, (id_t)known[i].pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
			      info.si_pid == known[i].pid && info.si_code == known[i].code &&
			      info.si_status == known[i].status,
		      "zombie %d: code %d status %d", known[i].pid, info.si_code, info.si_status);
		CHECK(getpgid(known[i].pid) == known[i].group, "zombie %d: group %d", known[i].pid, getpgid(known[i].pid));
		CHECK(getsid(known[i].pid) == known[i].session, "zombie %d: session", known[i].pid);
	}
}

static void check(void)
{
	siginfo_t info;
	sigset_t pending;

	check_zombies();
	ask_child(child, "child with zombies");
	ask_child(orphan, "child of a zombie");
	CHECK(kill(silent, 0) == 0 && kill(loud, 0) == 0, "children with signals of their own");
	CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGUSR2), "the signal of an end comes again");
	info.si_pid = 0;
	CHECK(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT | WNOHANG | __WALL) == 0 && info.si_pid == ended &&
		      info.si_status == 9, "the zombie without SIGCHLD");
	CHECK(getpgid(orphan) == known[5].pid && getsid(orphan) == known[5].pid, "the orphan's session");
}

static void check_orphan(void) { CHECK(getppid() != 1, "the orphan has lost its parent"); }

int main(void)
{
	subject_begin();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	make(0, 0);
	make(255, 1);
	make(256 + SIGKILL, 2);
	make(256 + SIGSEGV, 0);
	make(256 + SIGRTMIN, 0);
	/* A session leader that has ended, and whose child lives on with the root. */
	{
		pid_t root = getpid(), leader = fork();
		siginfo_t info;

		if (leader == 0) {
			setsid();
			if (fork() == 0) {
				while (getppid() != root)
					usleep(500);
				child_is_ready();
				child_rounds(check_orphan);
			}
			_exit(3);
		}
		NEED(waitid(P_PID, (id_t)leader, &info, WEXITED | WNOWAIT) == 0);
		expect_end(leader, 3, leader, leader);
		int value;
		orphan = answer(&value);
		NEED(orphan > 0);
	}
	/* What clone(2) makes may tell its end by any signal, or by none: /proc/PID/stat shows which. */
	{
		sigset_t set = set_of(SIGUSR2, 0);
		siginfo_t info;

		sigprocmask(SIG_BLOCK, &set, NULL);
		for (int i = 0; i < 3; i++) {
			pid_t pid = (pid_t)syscall(SYS_clone, i ? SIGUSR2 : 0, 0, 0, 0, 0);
			if (pid == 0 && i == 2)
				_exit(9);
			if (pid == 0)
				for (;;)
					pause();
			*(i == 0 ? &silent : i == 1 ? &loud : &ended) = pid;
		}
		NEED(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT | __WALL) == 0);
		NEED(sigwaitinfo(&set, &info) == SIGUSR2);
	}
	child = fork();
	if (child == 0) {
		count = 0;
		make(1, 0);
		make(256 + SIGTERM, 1);
		child_is_ready();
		child_rounds(check_zombies);
	}
	need_child(child);
	subject_rounds(check);
}
