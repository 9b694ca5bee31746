/* A job of a terminal: descriptors 0 to 2 are the terminal, its settings and its size are the job's doing. */
#include "subject.h"
#include <sys/ioctl.h>
#include <termios.h>

static struct termios settings;
static struct winsize size;
static pid_t session, group, child;

static void check_terminal(const char *who, int foreground)
{
	struct termios now;
	struct winsize size_now;
	int opened;

	CHECK(tcgetattr(0, &now) == 0, "%s: not a terminal", who);
	CHECK(now.c_iflag == settings.c_iflag && now.c_oflag == settings.c_oflag && now.c_cflag == settings.c_cflag &&
		      now.c_lflag == settings.c_lflag, "%s: settings", who);
	CHECK(!memcmp(now.c_cc, settings.c_cc, sizeof(now.c_cc)), "%s: control characters", who);
	CHECK(ioctl(1, TIOCGWINSZ, &size_now) == 0 && size_now.ws_row == size.ws_row && size_now.ws_col == size.ws_col,
	      "%s: size %d x %d", who, size_now.ws_row, size_now.ws_col);
	CHECK(getpgrp() == group, "%s: group %d, not %d", who, getpgrp(), group);
	CHECK(isatty(2) && ttyname(2), "%s: descriptor 2", who);
	opened = open("/dev/tty", O_RDWR);
	CHECK(opened >= 0, "%s: no controlling terminal", who);
	if (opened >= 0)
		CHECK((tcgetpgrp(opened) == getpgrp()) == foreground, "%s: foreground group %d", who, tcgetpgrp(opened));
	close(opened);
}

static void check_child(void) { check_terminal("child", 0); }

static void check(void)
{
	check_terminal("root", 1);
	ask_child(child, "child");
}

int main(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	subject_begin();
	session = getsid(0);
	group = getpgrp();
	NEED(isatty(0) && tcgetattr(0, &settings) == 0 && ioctl(0, TIOCGWINSZ, &size) == 0);
	settings.c_lflag &= ~(ECHO | ICANON);
	settings.c_cc[VMIN] = 3;
	settings.c_cc[VINTR] = 7;
	size.ws_row = 41;
	size.ws_col = 133;
	NEED(tcsetattr(0, TCSANOW, &settings) == 0 && ioctl(0, TIOCSWINSZ, &size) == 0 && tcgetattr(0, &settings) == 0);
	child = fork();
	if (child == 0) {
		sigaction(SIGTTOU, &ignore, NULL);
		setpgid(0, 0);
		group = getpgrp();
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	subject_rounds(check);
}
