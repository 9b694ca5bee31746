/*
 * Processes that share without being threads. A child has descriptors and directories in common with the root; its own
 * child the descriptors alone; another child the directories alone.
 */
#include "subject.h"
#include <linux/kcmp.h>
#include <sched.h>

static pid_t both, files, directories;

static pid_t make(unsigned long flags) { return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }

static int same(pid_t a, pid_t b, int what) { return syscall(SYS_kcmp, a, b, what, 0, 0) == 0; }

/* What the root has just done to the tables. */
static void check_files(void) { CHECK(fcntl(77, F_GETFD) >= 0, "the descriptor of the others"); }

static void check_place(const char *who)
{
	char path[64] = "";
	mode_t mask = umask(0027);

	CHECK(getcwd(path, sizeof(path)) && !strcmp(path, "/proc"), "%s: directory %s", who, path);
	CHECK(mask == 0027, "%s: mask %o", who, mask);
}

static void check_both(void)
{
	check_files();
	check_place("child that shares both");
	ask_child(files, "grandchild");
}

static void check_directories(void)
{
	CHECK(fcntl(77, F_GETFD) < 0, "the descriptor of the others");
	check_place("child that shares the directories");
}

static void check(void)
{
	CHECK(dup2(1, 77) == 77 && chdir("/proc") == 0, "changes");
	umask(0027);
	ask_child(both, "child that shares both");
	ask_child(directories, "child that shares the directories");
	close(77);
	CHECK(chdir("/") == 0, "the way back");
	umask(0022);
	CHECK(same(getpid(), both, KCMP_FILES) && same(getpid(), both, KCMP_FS), "all tables of the child");
	CHECK(!same(getpid(), directories, KCMP_FILES) && same(getpid(), directories, KCMP_FS), "directories");
}

int main(void)
{
	pid_t pid;

	subject_begin();
	NEED(chdir("/") == 0);
	umask(0022);
	pid = make(CLONE_FILES | CLONE_FS);
	if (pid == 0) {
		files = make(CLONE_FILES);
		if (files == 0) {
			child_is_ready();
			child_rounds(check_files);
		}
		need_child(files);
		child_is_ready();
		child_rounds(check_both);
	}
	need_child(pid);
	both = pid;
	directories = make(CLONE_FS);
	if (directories == 0) {
		child_is_ready();
		child_rounds(check_directories);
	}
	need_child(directories);
	subject_rounds(check);
}
