// Structures of System V IPC (shmctl(2)); in the C library they hide behind _GNU_SOURCE.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// struct shmid64_ds of 64-bit architectures (asm-generic/shmbuf.h), with its struct ipc64_perm.
struct apus_segment {
	int32_t key;
	uint32_t uid;
	uint32_t gid;
	uint32_t creator_uid;
	uint32_t creator_gid;
	uint32_t mode;
	uint16_t sequence;
	uint16_t spare0;
	uint32_t spare1;
	uint64_t spare2[2];
	uint64_t size;
	int64_t attach_time;
	int64_t detach_time;
	int64_t change_time;
	int32_t creator_pid;
	int32_t last_pid;
	uint64_t attached;
	uint64_t spare3[2];
};
_Static_assert(sizeof(struct apus_segment) == 112, "size of struct shmid64_ds");
_Static_assert(offsetof(struct apus_segment, size) == 48, "size of a segment");
_Static_assert(offsetof(struct apus_segment, attached) == 88, "attachments of a segment");
