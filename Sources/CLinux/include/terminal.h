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
