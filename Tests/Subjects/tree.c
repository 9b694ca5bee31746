/*
 * A tree of five generations with sessions and groups of their own: a child in a new session, with a child in a group of
 * its own, and so on; a child in the group of its sister; a stopped child; a zombie; an orphan that the root adopted.
 */
#include "subject.h"

static pid_t self, parent, group, session, child;
static pid_t sister, stopped, zombie, orphan, chain, in_group;

static void remember(void)
{
	self = getpid();
	parent = getppid();
	group = getpgrp();
	session = getsid(0);
}

static void check_self(const char *who)
{
	CHECK(getpid() == self, "%s: pid %d, not %d", who, getpid(), self);
	CHECK(getppid() == parent, "%s: parent %d, not %d", who, getppid(), parent);
	CHECK(getpgrp() == group, "%s: group %d, not %d", who, getpgrp(), group);
	CHECK(getsid(0) == session, "%s: session %d, not %d", who, getsid(0), session);
}

static void check_child(void)
{
	check_self("child");
	if (child)
		ask_child(child, "child of child");
}

/* Generations 1 and 3 begin a session, 2 and 4 a group. */
static void chain_of_generations(void)
{
	int number = 0;

	do {
		number++;
		if (number & 1)
			setsid();
		else
			setpgid(0, 0);
		remember();
		child = number < 4 ? fork() : -1;
	} while (child == 0);
	if (child > 0)
		need_child(child);
	else
		child = 0;
}

static pid_t start(void (*body)(void))
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (pid == 0) {
		body();
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(pid);
	return pid;
}

static void own_group(void) { setpgid(0, 0); remember(); }
static void join_sister(void) { setpgid(0, sister); remember(); }

static char state_of(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return proc_field(path, "State")[0];
}

static void check(void)
{
	int adopted;
	siginfo_t info;

	check_self("root");
	ask_child(chain, "first generation");
	ask_child(sister, "leader of a group");
	ask_child(in_group, "member of the sister's group");
	ask_child(orphan, "orphan");
	CHECK(state_of(stopped) == 'T', "the stopped child is in state %c", state_of(stopped));
	CHECK(state_of(zombie) == 'Z', "the zombie is in state %c", state_of(zombie));
	info.si_pid = 0;
	CHECK(waitid(P_PID, zombie, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == zombie &&
		      info.si_code == CLD_EXITED && info.si_status == 7, "the zombie's exit status: %d", info.si_status);
	adopted = 0;
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &adopted) == 0 && adopted == 1, "no longer a subreaper");
}

static void start_orphan(void)
{
	pid_t between = fork();

	if (between == 0) {
		orphan = fork();
		if (orphan == 0) {
			while (getppid() != parent)
				usleep(1000);
			remember();
			child_is_ready();
			child_rounds(check_child);
		}
		_exit(0);
	}
	waitpid(between, NULL, 0);
}

int main(void)
{
	sigset_t set = set_of(ANSWER, 0);
	siginfo_t info;

	subject_begin();
	remember();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	chain = start(chain_of_generations);
	sister = start(own_group);
	in_group = start(join_sister);
	parent = getpid();
	start_orphan();
	NEED(sigwaitinfo(&set, &info) == ANSWER);
	orphan = info.si_pid;
	remember();
	stopped = fork();
	if (stopped == 0)
		for (;;)
			pause();
	kill(stopped, SIGSTOP);
	waitpid(stopped, NULL, WUNTRACED);
	zombie = fork();
	if (zombie == 0)
		_exit(7);
	waitid(P_PID, zombie, &info, WEXITED | WNOWAIT);
	subject_rounds(check);
}
