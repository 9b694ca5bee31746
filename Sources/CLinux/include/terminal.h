// Terminals: the kernel's own structures and requests (ioctl_tty(2)). The C library's struct termios is another one.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

/// struct termios2 of the kernel (asm-generic).
struct apus_termios2 {
	uint32_t input_flags;
	uint32_t output_flags;
	uint32_t control_flags;
	uint32_t local_flags;
	uint8_t line;
	uint8_t control_characters[19];
	uint32_t input_speed;
	uint32_t output_speed;
};
_Static_assert(sizeof(struct apus_termios2) == 44, "size of struct termios2");
_Static_assert(offsetof(struct apus_termios2, control_characters) == 17, "c_cc of struct termios2");

/// struct termios of the kernel (asm-generic): as above without the speeds.
struct apus_termios {
	uint32_t input_flags;
	uint32_t output_flags;
	uint32_t control_flags;
	uint32_t local_flags;
	uint8_t line;
	uint8_t control_characters[19];
};
_Static_assert(sizeof(struct apus_termios) == 36, "size of the kernel's struct termios");

struct apus_window_size {
	uint16_t rows;
	uint16_t columns;
	uint16_t width;
	uint16_t height;
};
_Static_assert(sizeof(struct apus_window_size) == 8, "size of struct winsize");

static const unsigned long APUS_TCGETS = 0x5401;
static const unsigned long APUS_TCSETS = 0x5402;
static const unsigned long APUS_TIOCEXCL = TIOCEXCL;
static const unsigned long APUS_TIOCNXCL = TIOCNXCL;
static const unsigned long APUS_TIOCSCTTY = TIOCSCTTY;
static const unsigned long APUS_TIOCNOTTY = TIOCNOTTY;
static const unsigned long APUS_TIOCGPGRP = TIOCGPGRP;
static const unsigned long APUS_TIOCSPGRP = TIOCSPGRP;
static const unsigned long APUS_TIOCGWINSZ = TIOCGWINSZ;
static const unsigned long APUS_TIOCSWINSZ = TIOCSWINSZ;
static const unsigned long APUS_TIOCPKT = TIOCPKT;
static const unsigned long APUS_TIOCGSID = TIOCGSID;
static const unsigned long APUS_TCGETS2 = _IOR('T', 0x2A, struct apus_termios2);
static const unsigned long APUS_TCSETS2 = _IOW('T', 0x2B, struct apus_termios2);
static const unsigned long APUS_TIOCGPTN = _IOR('T', 0x30, unsigned int);
static const unsigned long APUS_TIOCSPTLCK = _IOW('T', 0x31, int);
static const unsigned long APUS_TIOCGPKT = _IOR('T', 0x38, int);
static const unsigned long APUS_TIOCGPTLCK = _IOR('T', 0x39, int);
static const unsigned long APUS_TIOCGEXCL = _IOR('T', 0x40, int);
static const unsigned long APUS_TIOCGPTPEER = _IO('T', 0x41);
static const unsigned long APUS_TIOCGLCKTRMIOS = 0x5456;
static const unsigned long APUS_TIOCSLCKTRMIOS = 0x5457;
static const unsigned long APUS_TIOCGDEV = _IOR('T', 0x32, unsigned int);

/// What is queued in a pseudo-terminal: see terminal.c.
struct apus_terminal_queues {
	/// 0, or the errno of what failed.
	int32_t error;
	/// Bytes that wait for the reader of the master, and for the readers of the slave.
	uint32_t output_size, input_size;
	/// The whole lines among the latter, by the ends of what one read(2) each gives. Behind them, an unfinished line.
	uint32_t line_count;
	/// Output is held back (Ctrl-S).
	uint8_t is_stopped;
	uint8_t output[65536];
	uint8_t input[16384];
	uint16_t line_ends[8192];
};

// Swift imports no arrays of this size.
static inline uint8_t *apus_terminal_output(struct apus_terminal_queues *queues) { return queues->output; }
static inline uint8_t *apus_terminal_input(struct apus_terminal_queues *queues) { return queues->input; }
static inline uint16_t *apus_terminal_line_ends(struct apus_terminal_queues *queues) { return queues->line_ends; }
enum { APUS_TERMINAL_OUTPUT = 65536, APUS_TERMINAL_INPUT = 16384, APUS_TERMINAL_LINES = 8192 };

/// Makes one that is empty, shared with children; NULL where there is no memory.
struct apus_terminal_queues *apus_terminal_queues_make(void);
void apus_terminal_queues_free(struct apus_terminal_queues *queues);

/// Begins to copy what is queued in a pair: a child reads it and writes it back.
///
/// @param result anonymous shared memory, zeroed
/// @return the pid of the child, which ends with status 0 when it is done; or a negated errno
int apus_terminal_copy(int master, struct apus_terminal_queues *result);

/// Writes into the queues of a pair, which are empty.
///
/// @return 0 or an errno
int apus_terminal_fill(int master, struct apus_terminal_queues *queues);

/// Opens `/dev/tty` as a description of a terminal that controls nobody.
///
/// @param slave a descriptor of the slave
/// @param flags of open(2)
/// @return a descriptor, or a negated errno
int apus_terminal_open_controlling(int slave, int flags);
