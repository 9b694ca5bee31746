// System calls by number. syscall(2) is variadic, which Swift cannot call.
#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/// syscall(2) with six arguments: the result, or -1 with errno set.
static inline long apus_syscall(long number, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
                                unsigned long e, unsigned long f)
{
	return syscall(number, a, b, c, d, e, f);
}

/// errno is a macro that Swift does not see.
static inline int apus_errno(void)
{
	return errno;
}
