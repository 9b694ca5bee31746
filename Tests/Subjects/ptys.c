/*
 * Pseudo-terminals with both sides in the tree: one that controls a session, with lines that wait to be read and one that
 * is half typed; one in raw and packet mode with every byte in both queues; one that nobody has opened; one whose slave
 * was closed before its output was read; one that is hung up; one whose output is held back.
 */
#include "subject.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

struct pair {
	int master, slave, number;
	struct termios settings;
};

static struct pair lines, packets, unopened, closed, hung, held;
static int shared_master, read_only, controlling = -1;
static pid_t leader, foreground;
static char every_byte[256];

static struct pair make_pair(int open_slave)
{
	struct pair pair = { .slave = -1 };
	char path[32];
	int unlocked = 0;

	pair.master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	NEED(pair.master >= 0 && ioctl(pair.master, TIOCGPTN, &pair.number) == 0);
	if (!open_slave)
		return pair;
	snprintf(path, sizeof(path), "/dev/pts/%d", pair.number);
	NEED(ioctl(pair.master, TIOCSPTLCK, &unlocked) == 0);
	pair.slave = open(path, O_RDWR | O_NOCTTY);
	NEED(pair.slave >= 0);
	return pair;
}

static void set_raw(struct pair *pair)
{
	NEED(tcgetattr(pair->slave, &pair->settings) == 0);
	cfmakeraw(&pair->settings);
	pair->settings.c_cc[VMIN] = 1;
	NEED(tcsetattr(pair->slave, TCSANOW, &pair->settings) == 0);
}

static short state(int descriptor)
{
	struct pollfd entry = { .fd = descriptor, .events = POLLIN | POLLOUT | POLLPRI };

	poll(&entry, 1, 0);
	return entry.revents;
}


/* One read, which must give exactly this. */
static void expect(const char *what, int descriptor, const char *bytes, size_t count)
{
	static char got[4096];
	ssize_t n = -1;

	if (state(descriptor) & POLLIN)
		n = read(descriptor, got, sizeof(got));
	CHECK(n == (ssize_t)count && !memcmp(got, bytes, n < 0 ? 0 : (size_t)n), "%s: %zd bytes, not %zu: %.*s", what, n, count,
	      (int)(n < 0 ? 0 : n > 40 ? 40 : n), got);
}

static void put(int descriptor, const char *bytes, size_t count)
{
	CHECK(write(descriptor, bytes, count) == (ssize_t)count, "write: %s", strerror(errno));
}

static void fill_queues(void)
{
	/* Echoed as it is typed. The end of file in the midst ends a line, and alone is one. */
	put(lines.master, "first\nsec\004\004third\nhalf", 21);
	put(packets.master, every_byte, 256);
	put(packets.slave, every_byte, 256);
	put(held.slave, "before", 6);
	put(held.master, "\023", 1);
	/* What was typed has arrived when poll(2) returns. */
	state(lines.slave);
	state(packets.slave);
	state(held.slave);
}

static void check_names(const char *what, struct pair *pair)
{
	char path[32], link[32], shown[64] = "";
	struct stat status;
	int number = -1;

	CHECK(ioctl(pair->master, TIOCGPTN, &number) == 0 && number == pair->number, "%s: number %d, not %d", what, number,
	      pair->number);
	if (pair->slave < 0)
		return;
	snprintf(path, sizeof(path), "/dev/pts/%d", pair->number);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", pair->slave);
	CHECK(readlink(link, shown, sizeof(shown) - 1) > 0 && !strcmp(shown, path), "%s: %s, not %s", what, shown, path);
	CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0640 && status.st_uid == 7, "%s: mode %o, user %d",
	      what, status.st_mode, status.st_uid);
}

static void check_queues(void)
{
	static char packet[257];
	struct termios now;

	expect("line 1", lines.slave, "first\n", 6);
	expect("line 2", lines.slave, "sec", 3);
	expect("end of file", lines.slave, "", 0);
	expect("line 3", lines.slave, "third\n", 6);
	CHECK(!(state(lines.slave) & POLLIN), "a half line can be read");
	put(lines.master, "\177way\n", 5);
	expect("the half line", lines.slave, "halway\n", 7);
	expect("echo", lines.master, "first\r\nsecthird\r\nhalf\b \bway\r\n", 29);

	CHECK(tcgetattr(packets.slave, &now) == 0 && now.c_lflag == packets.settings.c_lflag &&
		      now.c_iflag == packets.settings.c_iflag && now.c_oflag == packets.settings.c_oflag &&
		      now.c_cflag == packets.settings.c_cflag &&
		      !memcmp(now.c_cc, packets.settings.c_cc, sizeof(now.c_cc)), "settings");
	expect("raw input", packets.slave, every_byte, 256);
	packet[0] = TIOCPKT_DATA;
	memcpy(packet + 1, every_byte, 256);
	expect("packet", packets.master, packet, 257);

	expect("output before it is held back", held.master, "before", 6);
	CHECK(!(state(held.slave) & POLLOUT), "output is not held back");
	put(held.master, "\021", 1);
	state(held.slave);
	CHECK(state(held.slave) & POLLOUT, "output is held back for ever");
}

static void check_modes(void)
{
	int value = -1;
	struct winsize size;

	CHECK(ioctl(packets.master, TIOCGPKT, &value) == 0 && value == 1, "packet mode %d", value);
	CHECK(ioctl(packets.slave, TIOCGEXCL, &value) == 0 && value == 1, "exclusive %d", value);
	CHECK(ioctl(lines.slave, TIOCGEXCL, &value) == 0 && value == 0, "exclusive %d", value);
	CHECK(ioctl(unopened.master, TIOCGPTLCK, &value) == 0 && value == 1, "lock %d", value);
	CHECK(ioctl(lines.master, TIOCGPTLCK, &value) == 0 && value == 0, "lock %d", value);
	CHECK(ioctl(lines.slave, TIOCGWINSZ, &size) == 0 && size.ws_row == 17 && size.ws_col == 71, "size %d x %d",
	      size.ws_row, size.ws_col);
	CHECK(!(state(unopened.master) & POLLHUP), "one that nobody has opened was closed");
	CHECK((fcntl(packets.master, F_GETFL) & O_NONBLOCK) && !(fcntl(lines.master, F_GETFL) & O_NONBLOCK), "O_NONBLOCK");
	CHECK((fcntl(read_only, F_GETFL) & O_ACCMODE) == O_RDONLY, "access");
}

static void check(void)
{
	pid_t group = -1;
	char byte;

	check_names("lines", &lines);
	check_names("packets", &packets);
	check_names("unopened", &unopened);
	check_names("closed", &closed);
	check_names("held", &held);
	check_modes();
	check_queues();
	CHECK(ioctl(lines.master, TIOCGSID, &group) == 0 && group == leader, "session %d, not %d", group, leader);
	CHECK(ioctl(lines.master, TIOCGPGRP, &group) == 0 && group == foreground, "foreground %d, not %d", group, foreground);

	expect("what was written before the end", closed.master, "last words\r\n", 12);
	CHECK((state(closed.master) & POLLHUP) && read(closed.master, &byte, 1) == -1 && errno == EIO, "not closed");
	closed.slave = ioctl(closed.master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	put(closed.slave, "last words\n", 11);
	close(closed.slave);
	closed.slave = -1;

	CHECK(read(hung.slave, &byte, 1) == 0, "the one that is hung up can be read");
	CHECK(tcgetattr(hung.slave, &hung.settings) == -1 && errno == EIO, "the one that is hung up has settings");
	/* Both numbers are one description. */
	fcntl(shared_master, F_SETFL, O_RDWR | O_NONBLOCK);
	CHECK(fcntl(lines.master, F_GETFL) & O_NONBLOCK, "two descriptors are two descriptions");
	fcntl(shared_master, F_SETFL, O_RDWR);
	fill_queues();
	ask_child(leader, "leader");
}

static void check_leader(void)
{
	char link[32], shown[32] = "";
	int opened = open("/dev/tty", O_RDWR);

	CHECK(opened >= 0, "leader: no controlling terminal");
	CHECK(tcgetpgrp(opened) == foreground && tcgetsid(opened) == getpid(), "leader: foreground %d", tcgetpgrp(opened));
	close(opened);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", controlling);
	CHECK(readlink(link, shown, sizeof(shown) - 1) > 0 && !strcmp(shown, "/dev/tty"), "leader: %s", shown);
	CHECK(tcgetpgrp(controlling) == foreground, "leader: /dev/tty is another terminal");
	CHECK(fcntl(lines.master, F_GETFL) >= 0, "leader: the master is gone");
	ask_child(foreground, "foreground");
}

static void check_foreground(void)
{
	int opened = open("/dev/tty", O_RDWR);

	CHECK(opened >= 0 && tcgetpgrp(opened) == getpgrp() && getpgrp() == getpid(), "foreground: not in it");
	close(opened);
}

static void be_foreground(void)
{
	setpgid(0, 0);
	child_is_ready();
	child_rounds(check_foreground);
}

static void be_leader(void)
{
	char path[32];
	sigset_t set = set_of(SIGTTOU, 0);
	int opened;

	snprintf(path, sizeof(path), "/dev/pts/%d", lines.number);
	NEED(setsid() > 0);
	opened = open(path, O_RDWR);
	NEED(opened >= 0);
	controlling = open("/dev/tty", O_RDWR);
	NEED(controlling >= 0);
	close(lines.slave);
	foreground = fork();
	if (foreground == 0)
		be_foreground();
	need_child(foreground);
	sigprocmask(SIG_BLOCK, &set, NULL);
	NEED(tcsetpgrp(opened, foreground) == 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	child_is_ready();
	child_rounds(check_leader);
}

static void set_up(void)
{
	struct winsize size = { .ws_row = 17, .ws_col = 71 };
	struct pair *opened[] = { &lines, &packets, &held };
	char path[32];
	int on = 1;

	for (int i = 0; i < 256; i++)
		every_byte[i] = (char)i;
	lines = make_pair(1);
	packets = make_pair(1);
	unopened = make_pair(0);
	closed = make_pair(1);
	hung = make_pair(1);
	held = make_pair(1);
	for (size_t i = 0; i < sizeof(opened) / sizeof(*opened); i++) {
		snprintf(path, sizeof(path), "/dev/pts/%d", opened[i]->number);
		NEED(chmod(path, 0640) == 0 && chown(path, 7, -1) == 0);
	}
	snprintf(path, sizeof(path), "/dev/pts/%d", held.number);
	read_only = open(path, O_RDONLY | O_NOCTTY);
	shared_master = dup(lines.master);
	NEED(read_only >= 0 && shared_master >= 0 && ioctl(lines.slave, TIOCSWINSZ, &size) == 0);
	set_raw(&packets);
	NEED(ioctl(packets.master, TIOCPKT, &on) == 0 && ioctl(packets.slave, TIOCEXCL) == 0);
	NEED(fcntl(packets.master, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
	NEED(write(closed.slave, "last words\n", 11) == 11 && close(closed.slave) == 0);
	closed.slave = -1;
	close(hung.master);
}

int main(void)
{
	subject_begin();
	set_up();
	leader = fork();
	if (leader == 0)
		be_leader();
	need_child(leader);
	NEED(ioctl(lines.master, TIOCGPGRP, &foreground) == 0 && foreground > 0);
	fill_queues();
	subject_rounds(check);
}
