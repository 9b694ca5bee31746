/*
 * A world for one system test: pid and mount namespaces of its own, with an init that reaps, so that the pids of a tree
 * are free again after its dump, and so that nothing outlives the test.
 *
 *   world init                      makes one, prints the init's pid as seen from outside, lives until its input ends
 *   world run INIT COMMAND...       runs a command in it and ends with its status (128 + n for a signal)
 *   world start INIT OUT COMMAND... starts one in a session of its own, input /dev/null, output appended to OUT,
 *                                   parent the init; prints its pid as seen from inside
 *   world job INIT OUT COMMAND...   the same as a foreground job of a new pseudo-terminal, whose output is appended to OUT;
 *                                   what comes on the input is typed there; ends when nobody has the terminal open,
 *                                   prints the pid first and "exit N" last (128 + n for a signal)
 *   world leader INIT OUT COMMAND... the same as the leader of the session that the terminal controls
 *   world signal INIT NUMBER PID... sends a signal to processes in it; status 1 if any does not exist
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "world: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void reap_for_ever(int tell)
{
	sigset_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV, NULL))
		die("mount /proc");
	/* What has names there goes with the world. */
	if (access("/dev/shm", F_OK) == 0 && mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, NULL))
		die("mount /dev/shm");
	/* Terminals of its own: a tree gets the numbers of its terminals back only where nobody else has taken them. */
	if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") ||
	    mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL))
		die("mount /dev/pts");
	if (write(tell, "r", 1) != 1)
		die("tell");
	syscall(SYS_close_range, 0, ~0U, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		siginfo_t info;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sigwaitinfo(&set, &info);
	}
}

static int init(void)
{
	char byte;
	pid_t pid;
	int tell[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC))
		die("unshare");
	if (pipe(tell))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		reap_for_ever(tell[1]);
	close(tell[1]);
	if (read(tell[0], &byte, 1) != 1)
		die("the init died");
	printf("%d\n", pid);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

/* From here on the children of this process are in the world. */
static void enter(const char *init_pid)
{
	char path[64];
	int ns, i;
	static const char *const kinds[] = { "pid", "ipc", "mnt" };

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%s/ns/%s", init_pid, kinds[i]);
		ns = open(path, O_RDONLY | O_CLOEXEC);
		if (ns < 0)
			die(path);
		/* /proc is that of the outside until the mount namespace is entered, so that comes last. */
		if (setns(ns, 0))
			die("setns");
		close(ns);
	}
}

static int run(char **argv)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[0], argv);
		die(argv[0]);
	}
	waitpid(pid, &status, 0);
	return status_of(status);
}

static void become(char **argv, int in, int out)
{
	dup2(in, 0);
	dup2(out, 1);
	dup2(out, 2);
	syscall(SYS_close_range, 3, ~0U, 0);
	execvp(argv[0], argv);
	_exit(127);
}

static int start(const char *out_path, char **argv)
{
	int tell[2], out = open(out_path, O_WRONLY | O_CREAT | O_APPEND, 0644), in = open("/dev/null", O_RDWR);
	pid_t between, pid = 0;

	if (out < 0 || in < 0 || pipe(tell))
		die(out_path);
	between = fork();
	if (between == 0) {
		pid = fork();
		if (pid == 0) {
			setsid();
			/* Its pid as it sees it itself, once its parent is the init. */
			while (getppid() != 1)
				usleep(200);
			pid = getpid();
			if (write(tell[1], &pid, sizeof(pid)) != sizeof(pid))
				_exit(126);
			become(argv, in, out);
		}
		_exit(0);
	}
	waitpid(between, NULL, 0);
	close(tell[1]);
	if (read(tell[0], &pid, sizeof(pid)) != sizeof(pid))
		die("no pid");
	printf("%d\n", pid);
	return 0;
}

/* The session leader on the terminal, as a shell would be; the job is its child in a group of its own. */
static void lead(char **argv, int slave, int tell)
{
	int status, leftover;
	pid_t pid;

	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (ioctl(slave, TIOCSCTTY, 0))
		_exit(120);
	signal(SIGTTOU, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		tcsetpgrp(slave, getpid());
		signal(SIGTTOU, SIG_DFL);
		pid = getpid();
		if (write(tell, &pid, sizeof(pid)) != sizeof(pid))
			_exit(126);
		become(argv, slave, slave);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	status = status_of(status);
	if (write(tell, &status, sizeof(status)) != sizeof(status))
		_exit(126);
	/* What the job leaves behind, a restored tree for instance, becomes ours: wait for all. */
	while (waitpid(-1, &leftover, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}

/* The session leader itself. */
static void lead_as(char **argv, int slave, int tell)
{
	pid_t pid;

	setsid();
	if (ioctl(slave, TIOCSCTTY, 0))
		_exit(120);
	pid = getpid();
	if (write(tell, &pid, sizeof(pid)) != sizeof(pid))
		_exit(126);
	become(argv, slave, slave);
}

static int job(const char *out_path, char **argv, int leads)
{
	int out = open(out_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), unlocked = 0, tell[2], value;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
	struct pollfd both[3];
	char buffer[4096];
	ssize_t n;
	int pid_said = 0, number;
	char name[32];

	if (out < 0 || master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) || pipe2(tell, O_CLOEXEC))
		die(out_path);
	if (ioctl(master, TIOCGPTN, &number))
		die("terminal");
	snprintf(name, sizeof(name), "/dev/pts/%d", number);
	slave = open(name, O_RDWR | O_NOCTTY);
	if (slave < 0)
		die("slave");
	if (fork() == 0) {
		if (leads)
			lead_as(argv, slave, tell[1]);
		lead(argv, slave, tell[1]);
	}
	close(slave);
	close(tell[1]);
	both[0] = (struct pollfd){ .fd = master, .events = POLLIN };
	both[1] = (struct pollfd){ .fd = 0, .events = POLLIN };
	both[2] = (struct pollfd){ .fd = tell[0], .events = POLLIN };
	while (poll(both, 3, -1) > 0 || errno == EINTR) {
		if (both[2].revents) {
			if (read(tell[0], &value, sizeof(value)) == sizeof(value))
				printf(pid_said++ ? "exit %d\n" : "%d\n", value), fflush(stdout);
			else
				both[2].fd = -1;
		}
		if (both[1].revents) {
			n = read(0, buffer, sizeof(buffer));
			if (n <= 0)
				both[1].fd = -1;
			else if (write(master, buffer, n) != n)
				return 1;
		}
		if (both[0].revents) {
			n = read(master, buffer, sizeof(buffer));
			if (n <= 0)
				break;
			if (write(out, buffer, n) != n)
				return 1;
		}
	}
	return 0;
}

static int send_signal(char **argv)
{
	pid_t child = fork();
	int status, missing = 0;

	if (child == 0) {
		for (int i = 1; argv[i]; i++)
			missing |= kill(atoi(argv[i]), atoi(argv[0])) != 0;
		_exit(missing);
	}
	waitpid(child, &status, 0);
	return status_of(status);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "init"))
		return init();
	if (argc < 4)
		return 125;
	enter(argv[2]);
	if (!strcmp(verb, "run"))
		return run(argv + 3);
	if (!strcmp(verb, "signal"))
		return send_signal(argv + 3);
	if (argc < 5)
		return 125;
	if (!strcmp(verb, "start"))
		return start(argv[3], argv + 4);
	if (!strcmp(verb, "job"))
		return job(argv[3], argv + 4, 0);
	if (!strcmp(verb, "leader"))
		return job(argv[3], argv + 4, 1);
	return 125;
}
