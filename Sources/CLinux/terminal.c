// What is queued in a pseudo-terminal. The kernel shows it to nobody who does not take it: so it is read and written
// back, while all that could read or write stands still. This is C because it is done in a child of Apus, which goes on to
// the end when Apus is killed in the midst of it; in a copy of a program with a runtime of its own, system calls alone
// may be made.
//
// - What the slave's side has written waits in the queue of the master, as bytes.
// - What was typed waits in the queue of the slave. In canonical mode a read(2) takes a line; a line that is not finished
//   is taken after a switch to raw mode, which drops the bounds of lines, so that it comes last.
// - It is written back with settings under which nothing is echoed, translated or understood as a command, and lines
//   end where they did: by a newline, or else by an end-of-file character that is chosen so that no line holds it.
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Bits of struct termios, of which the C library has another form (asm-generic/termbits.h).
enum { IXON_BIT = 02000, OPOST_BIT = 01 };
enum { ISIG_BIT = 01, ICANON_BIT = 02, ECHO_BITS = 010 | 020 | 040 | 0100 | 01000 | 02000 | 04000, IEXTEN_BIT = 0100000 };
enum { VERASE_AT = 2, VKILL_AT = 3, VEOF_AT = 4, VTIME_AT = 5, VMIN_AT = 6, VSTOP_AT = 9, VEOL_AT = 11 };

struct apus_terminal_queues *apus_terminal_queues_make(void)
{
	void *memory = mmap(NULL, sizeof(struct apus_terminal_queues), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void apus_terminal_queues_free(struct apus_terminal_queues *queues)
{
	munmap(queues, sizeof(*queues));
}

static int is_ready(int descriptor, short events)
{
	struct pollfd entry = { .fd = descriptor, .events = events };

	// poll(2) waits for what is on its way through the kernel's workers.
	return poll(&entry, 1, 0) == 1 && (entry.revents & events);
}

static int write_all(int descriptor, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		struct pollfd entry = { .fd = descriptor, .events = POLLOUT };
		ssize_t written = write(descriptor, bytes, count);

		if (written < 0 && errno != EAGAIN)
			return errno;
		if (written <= 0) {
			if (poll(&entry, 1, 2000) != 1)
				return EAGAIN;
			continue;
		}
		bytes += written;
		count -= (size_t)written;
	}
	return 0;
}

/// Opens a slave of one's own, whatever lock the pair has.
static int open_slave(int master)
{
	int locked = 0, unlock = 0, slave;

	if (ioctl(master, APUS_TIOCGPTLCK, &locked) == 0 && locked)
		ioctl(master, APUS_TIOCSPTLCK, &unlock);
	slave = ioctl(master, APUS_TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK);
	if (locked)
		ioctl(master, APUS_TIOCSPTLCK, &locked);
	return slave;
}

/// Neither understands nor echoes what comes in, and translates nothing that goes out.
static struct apus_termios2 quiet(const struct apus_termios2 *settings)
{
	struct apus_termios2 result = *settings;

	result.input_flags = 0;
	result.output_flags &= ~(uint32_t)OPOST_BIT;
	result.local_flags &= ~(uint32_t)(ISIG_BIT | ECHO_BITS | IEXTEN_BIT);
	return result;
}

static int fill_lines(int master, int slave, const struct apus_terminal_queues *queues, struct apus_termios2 canonical)
{
	uint8_t used[256] = { 0 }, end_of_file = 0;
	uint32_t line, start = 0;
	int error;

	for (uint32_t i = 0; i < queues->input_size; i++)
		used[queues->input[i]] = 1;
	// Not 0, which stands for none, and no newline.
	for (int byte = 1; byte < 256 && !end_of_file; byte++)
		if (!used[byte] && byte != '\n')
			end_of_file = (uint8_t)byte;
	canonical.control_characters[VERASE_AT] = canonical.control_characters[VKILL_AT] = 0;
	canonical.control_characters[VEOL_AT] = 0;
	canonical.control_characters[VEOF_AT] = end_of_file;
	if (ioctl(slave, APUS_TCSETS2, &canonical))
		return errno;
	for (line = 0; line < queues->line_count; line++) {
		uint32_t end = queues->line_ends[line];

		error = write_all(master, queues->input + start, end - start);
		if (!error && (end == start || queues->input[end - 1] != '\n'))
			error = write_all(master, &end_of_file, 1);
		if (error)
			return error;
		start = end;
	}
	return write_all(master, queues->input + start, queues->input_size - start);
}

/// Holds output back as the terminal's user does.
static int stop_output(int master, int slave, const struct apus_termios2 *settings)
{
	uint8_t stop = settings->control_characters[VSTOP_AT];

	if (!(settings->input_flags & IXON_BIT) || stop == 0)
		return ioctl(slave, TCXONC, 0) ? errno : 0;
	return write_all(master, &stop, 1);
}

static int fill(int master, int slave, const struct apus_terminal_queues *queues, const struct apus_termios2 *settings)
{
	struct apus_termios2 plain = quiet(settings);
	int error = 0;

	if (ioctl(slave, APUS_TCSETS2, &plain))
		return errno;
	error = write_all(slave, queues->output, queues->output_size);
	if (!error && queues->input_size + queues->line_count > 0)
		error = plain.local_flags & ICANON_BIT ? fill_lines(master, slave, queues, plain) :
							 write_all(master, queues->input, queues->input_size);
	// The settings must not come before what is on its way has arrived.
	is_ready(slave, POLLIN);
	is_ready(master, POLLIN);
	if (ioctl(slave, APUS_TCSETS2, settings) && !error)
		error = errno;
	if (queues->is_stopped && !error)
		error = stop_output(master, slave, settings);
	return error;
}

int apus_terminal_fill(int master, struct apus_terminal_queues *queues)
{
	struct apus_termios2 settings;
	int slave = open_slave(master), error;

	if (slave < 0)
		return errno;
	error = ioctl(slave, APUS_TCGETS2, &settings) ? errno : fill(master, slave, queues, &settings);
	close(slave);
	return error;
}

static int take(int descriptor, uint8_t *bytes, uint32_t *size, size_t room)
{
	int waiting = 0;

	while (is_ready(descriptor, POLLIN) && ioctl(descriptor, FIONREAD, &waiting) == 0 && waiting > 0) {
		ssize_t count;

		if ((size_t)waiting > room - *size)
			return EOVERFLOW;
		count = read(descriptor, bytes + *size, (size_t)waiting);
		if (count < 0)
			return errno;
		*size += (uint32_t)count;
	}
	return 0;
}

static int take_lines(int slave, struct apus_terminal_queues *result)
{
	while (is_ready(slave, POLLIN)) {
		ssize_t count;

		if (result->line_count == APUS_TERMINAL_LINES)
			return EOVERFLOW;
		count = read(slave, result->input + result->input_size, sizeof(result->input) - result->input_size);
		if (count < 0)
			return errno == EAGAIN ? 0 : errno;
		result->input_size += (uint32_t)count;
		result->line_ends[result->line_count++] = (uint16_t)result->input_size;
	}
	return 0;
}

static int copy(int master, int slave, struct apus_terminal_queues *result)
{
	struct apus_termios2 settings, raw;
	int error, again, waiting = 0;

	if (ioctl(slave, APUS_TCGETS2, &settings))
		return errno;
	error = take(master, result->output, &result->output_size, sizeof(result->output));
	// What has room, and takes nothing, is held back.
	result->is_stopped = !error && !is_ready(slave, POLLOUT);
	if (!error && settings.local_flags & ICANON_BIT)
		error = take_lines(slave, result);
	raw = quiet(&settings);
	raw.input_flags |= settings.input_flags & IXON_BIT;
	raw.local_flags &= ~(uint32_t)ICANON_BIT;
	raw.control_characters[VMIN_AT] = raw.control_characters[VTIME_AT] = 0;
	if (!(settings.local_flags & ICANON_BIT)) {
		is_ready(slave, POLLIN);
		ioctl(slave, FIONREAD, &waiting);
		if (waiting == 0 && result->output_size == 0)
			return error;
	}
	if (ioctl(slave, APUS_TCSETS2, &raw))
		return errno;
	if (!error)
		error = take(slave, result->input, &result->input_size, sizeof(result->input));
	again = fill(master, slave, result, &settings);
	return error ? error : again;
}

int apus_terminal_copy(int master, struct apus_terminal_queues *result)
{
	sigset_t all, before;
	long child;

	sigfillset(&all);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
	child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		int packets = 0, off = 0, slave;

		// It keeps all descriptors: where Apus is killed, what hangs on its lifelines waits for this child.
		ioctl(master, APUS_TIOCGPKT, &packets);
		if (packets)
			ioctl(master, APUS_TIOCPKT, &off);
		slave = open_slave(master);
		result->error = slave < 0 ? errno : copy(master, slave, result);
		if (packets)
			ioctl(master, APUS_TIOCPKT, &packets);
		syscall(SYS_exit_group, 0);
	}
	if (child < 0)
		child = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	return (int)child;
}

struct controlling {
	int slave, flags, result;
};

/// A session leader for a moment, with the descriptors and the memory of Apus.
static int open_controlling(void *argument)
{
	struct controlling *work = argument;

	syscall(SYS_setsid);
	if (ioctl(work->slave, APUS_TIOCSCTTY, 0)) {
		work->result = -errno;
		return 0;
	}
	work->result = open("/dev/tty", work->flags | O_CLOEXEC);
	if (work->result < 0)
		work->result = -errno;
	// Given up, and not lost by ending, which would hang it up. All signals are blocked.
	ioctl(work->slave, APUS_TIOCNOTTY, 0);
	return 0;
}

int apus_terminal_open_controlling(int slave, int flags)
{
	static _Alignas(16) char stack[16384];
	struct controlling work = { slave, flags, -EINVAL };
	sigset_t all, before;
	int child;

	sigfillset(&all);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8);
	child = clone(open_controlling, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &work);
	if (child < 0)
		work.result = -errno;
	else
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8);
	return work.result;
}
