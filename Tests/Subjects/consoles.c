/*
 * consoles.c: terminals of the host: the console, to be written to; a virtual console and a serial line, as far as there are any, the
 * first with settings of its own.
 */
#include "subject.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static struct { const char *path; int flags, major, minor, fd; } terminals[] = {
	{ "/dev/console", O_WRONLY | O_NOCTTY, 5, 1, -1 },
	{ "/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_APPEND, 5, 1, -1 },
	{ "/dev/tty61", O_RDWR | O_NOCTTY, 4, 61, -1 },
	{ "/dev/tty61", O_RDONLY | O_NOCTTY | O_NONBLOCK, 4, 61, -1 },
	{ "/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK, 4, 64, -1 },
};
#define COUNT (sizeof(terminals) / sizeof(terminals[0]))
static int opened;

static void check(void)
{
	struct stat status;
	struct termios settings;
	char c;

	for (size_t i = 0; i < COUNT; i++) {
		int fd = terminals[i].fd, flags = terminals[i].flags & ~O_NOCTTY;

		if (fd < 0)
			continue;
		CHECK(fstat(fd, &status) == 0 && (int)major(status.st_rdev) == terminals[i].major &&
			      (int)minor(status.st_rdev) == terminals[i].minor, "%s: another device", terminals[i].path);
		CHECK((fcntl(fd, F_GETFL) & ~KERNEL_LARGEFILE) == flags, "%s: flags %#x", terminals[i].path, fcntl(fd, F_GETFL));
		CHECK(tcgetattr(fd, &settings) == 0, "%s: tcgetattr: %s", terminals[i].path, strerror(errno));
		if (terminals[i].minor == 61)
			CHECK(!(settings.c_lflag & (ICANON | ECHO)) && settings.c_cc[VMIN] == 3 && settings.c_cc[VTIME] == 7,
			      "%s: local flags %#x, characters %d %d", terminals[i].path, settings.c_lflag, settings.c_cc[VMIN],
			      settings.c_cc[VTIME]);
		if ((flags & O_ACCMODE) != O_WRONLY && flags & O_NONBLOCK)
			CHECK(read(fd, &c, 1) < 0 && errno == EAGAIN, "%s: read: %s", terminals[i].path, strerror(errno));
		CHECK(terminals[i].minor != 61 || (flags & O_ACCMODE) == O_RDONLY || write(fd, "x", 1) == 1, "%s: write: %s",
		      terminals[i].path, strerror(errno));
	}
	CHECK(getsid(0) == getpid() && open("/dev/tty", O_RDWR) < 0, "it has got a terminal of its own");
}

int main(void)
{
	struct termios settings;

	subject_begin();
	for (size_t i = 0; i < COUNT; i++) {
		terminals[i].fd = open(terminals[i].path, terminals[i].flags);
		if (terminals[i].fd < 0 || tcgetattr(terminals[i].fd, &settings))
			continue;
		opened++;
		if (terminals[i].minor == 61) {
			settings.c_lflag &= ~(unsigned)(ICANON | ECHO);
			settings.c_cc[VMIN] = 3;
			settings.c_cc[VTIME] = 7;
			NEED(tcsetattr(terminals[i].fd, TCSANOW, &settings) == 0);
		}
	}
	NEED(opened > 0);
	subject_rounds(check);
}
