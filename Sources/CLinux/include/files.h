// Structures and requests of the calls on files: statx(2), fcntl(2), ppoll(2), ioctl(2).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct apus_statx_time {
	int64_t seconds;
	uint32_t nanoseconds;
	int32_t reserved;
};

/// struct statx of the kernel (linux/stat.h), which collides with the C library's own when both are included.
struct apus_statx {
	uint32_t mask;
	uint32_t block_size;
	uint64_t attributes;
	uint32_t link_count;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0;
	uint64_t inode;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct apus_statx_time access_time;
	struct apus_statx_time birth_time;
	struct apus_statx_time change_time;
	struct apus_statx_time modification_time;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t mount_id;
	uint64_t spare[13];
};
_Static_assert(sizeof(struct apus_statx) == 256, "size of struct statx");
_Static_assert(offsetof(struct apus_statx, inode) == 32, "inode of struct statx");
_Static_assert(offsetof(struct apus_statx, modification_time) == 112, "mtime of struct statx");
_Static_assert(offsetof(struct apus_statx, dev_major) == 136, "device of struct statx");
_Static_assert(offsetof(struct apus_statx, mount_id) == 144, "mount id of struct statx");

/// struct f_owner_ex of F_GETOWN_EX and F_SETOWN_EX (fcntl(2)).
struct apus_owner {
	int32_t kind;
	int32_t pid;
};
_Static_assert(sizeof(struct apus_owner) == 8, "size of struct f_owner_ex");

/// struct pollfd (poll(2)).
struct apus_poll {
	int32_t descriptor;
	int16_t events;
	int16_t returned;
};
_Static_assert(sizeof(struct apus_poll) == 8, "size of struct pollfd");

/// The kernel's struct timespec on 64-bit architectures.
struct apus_timespec {
	int64_t seconds;
	int64_t nanoseconds;
};
_Static_assert(sizeof(struct apus_timespec) == 16, "size of struct timespec");

/// struct iovec (readv(2)).
struct apus_iovec {
	uint64_t base;
	uint64_t length;
};
_Static_assert(sizeof(struct apus_iovec) == 16, "size of struct iovec");

/// struct statfs of 64-bit architectures (asm-generic/statfs.h).
struct apus_statfs {
	int64_t type;
	int64_t block_size;
	uint64_t rest[13];
};
_Static_assert(sizeof(struct apus_statfs) == 120, "size of struct statfs");

static const unsigned long APUS_FIONREAD = FIONREAD;

// Constants that the C library shows under _GNU_SOURCE only, which Swift does not define (asm-generic/fcntl.h).
#if defined(__aarch64__)
static const int APUS_O_DIRECT = 0200000;
#else
static const int APUS_O_DIRECT = 040000;
#endif
static const int APUS_O_NOATIME = 01000000;
static const int APUS_O_PATH = 010000000;
static const int APUS_O_TMPFILE_BIT = 020000000;
static const int APUS_AT_EMPTY_PATH = 0x1000;
static const int APUS_AT_NO_AUTOMOUNT = 0x800;
static const int APUS_F_SETSIG = 10;
static const int APUS_F_GETSIG = 11;
static const int APUS_F_SETOWN_EX = 15;
static const int APUS_F_GETOWN_EX = 16;
static const int APUS_F_SETPIPE_SZ = 1031;
static const int APUS_F_GETPIPE_SZ = 1032;
static const int APUS_F_ADD_SEALS = 1033;
static const int APUS_F_GET_SEALS = 1034;
static const unsigned int APUS_F_SEAL_FUTURE_WRITE = 0x10;
