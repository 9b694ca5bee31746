// Structures of the calls on processes: wait4(2), waitid(2), sched_getattr(2), prlimit(2).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/// The kernel's siginfo_t as waitid(2) fills it in for SIGCHLD (64-bit).
struct apus_child_info {
	int32_t signal;
	int32_t error;
	int32_t code;
	int32_t padding;
	int32_t pid;
	uint32_t uid;
	int32_t status;
	int32_t rest[25];
};
_Static_assert(sizeof(struct apus_child_info) == 128, "size of siginfo_t");
_Static_assert(offsetof(struct apus_child_info, status) == 24, "si_status of siginfo_t");

/// struct sched_attr (sched_setattr(2)).
struct apus_sched_attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
	uint32_t util_min;
	uint32_t util_max;
};
_Static_assert(sizeof(struct apus_sched_attr) == 56, "size of struct sched_attr");

/// struct rlimit64 (prlimit(2)).
struct apus_rlimit {
	uint64_t soft;
	uint64_t hard;
};
_Static_assert(sizeof(struct apus_rlimit) == 16, "size of struct rlimit64");

/// fork(2), which Swift hides.
static inline int apus_fork(void) { return (int)fork(); }

/// Starts a child of this process that makes nothing but system calls, and dies with it at the latest.
///
/// `pid` is the number that it is to have, 0 for any. `end` is the word of wait4(2) with which it ends at once; -1 for one
/// that waits to be killed. Returns the pid, or a negative error number.
int apus_placeholder(int pid, int end);
