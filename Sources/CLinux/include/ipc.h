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

/// struct ipc64_perm (asm-generic/ipcbuf.h), with which all three begin.
struct apus_ipc_permissions {
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
};
_Static_assert(sizeof(struct apus_ipc_permissions) == 48, "size of struct ipc64_perm");

/// struct semid64_ds of x86-64 (asm/sembuf.h).
struct apus_semaphore_set {
	struct apus_ipc_permissions permissions;
	int64_t operation_time;
	uint64_t spare0;
	int64_t change_time;
	uint64_t spare1;
	uint64_t count;
	uint64_t spare2[2];
};
_Static_assert(sizeof(struct apus_semaphore_set) == 104, "size of struct semid64_ds");

/// struct msqid64_ds of 64-bit architectures (asm-generic/msgbuf.h).
struct apus_message_queue {
	struct apus_ipc_permissions permissions;
	int64_t send_time;
	int64_t receive_time;
	int64_t change_time;
	uint64_t bytes;
	uint64_t count;
	uint64_t limit;
	int32_t last_sender;
	int32_t last_receiver;
	uint64_t spare[2];
};
_Static_assert(sizeof(struct apus_message_queue) == 120, "size of struct msqid64_ds");
_Static_assert(offsetof(struct apus_message_queue, limit) == 88, "the most bytes in a queue");
