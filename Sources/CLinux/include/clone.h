// struct clone_args of clone3(2).
#pragma once

#include <stddef.h>
#include <stdint.h>

struct apus_clone_args {
	uint64_t flags;
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};
_Static_assert(sizeof(struct apus_clone_args) == 88, "size of struct clone_args (CLONE_ARGS_SIZE_VER2)");
_Static_assert(offsetof(struct apus_clone_args, set_tid) == 64, "set_tid of struct clone_args");
