// The trampoline: the few hundred bytes of machine code that a controlled thread runs. It walks an array of system
// call records, tells Apus, and waits for the next array on its lifeline. See docs/architecture.md, "Remote control".
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/// One system call that a controlled thread is to make.
struct apus_record {
	uint64_t number;
	uint64_t argument[6];
	/// The expectation: a result outside of [least, most] ends the batch.
	int64_t least, most;
	int64_t result;
	/// Bit i: argument i is the address of the 64 (words) or 32 (halves) bits that hold its value: an earlier result,
	/// or a descriptor that pipe2(2) stored.
	uint32_t words, halves;
	/// APUS_RECORD_*.
	uint32_t flags;
	uint32_t reserved;
};

/// The call makes a task. The new one goes on with the control block whose address stands in argument[5].
#define APUS_RECORD_CLONES 1u
/// The call is one of the 32-bit kind (int $0x80): its number and its arguments are those of i386.
#define APUS_RECORD_COMPAT 2u
/// No call: the first use of a tile register (AMX); the argument is the address of a configuration. In APUS_PIECE_MAKER alone.
#define APUS_RECORD_TILES 4u

/// What the trampoline knows. r12 holds its address.
struct apus_control {
	/// The batch: address and number of its records. The number counts down.
	uint64_t records, count;
	/// Records to run, whatever their results, when the lifeline is cut.
	uint64_t cleanup, cleanup_count;
	/// The address of the commit word, or 0: when the lifeline is cut while the word is 0, the task exits.
	uint64_t commit;
	/// The address of the 32 bits that hold the channel's descriptor.
	uint64_t channel;
	/// The stack pointer at which rt_sigreturn(2) finds its frame.
	uint64_t frame;
	/// What the last thread to leave unmaps.
	uint64_t own, own_length;
	/// The address of the 32 bits that count the threads yet to leave.
	uint64_t users;
	/// The address of the code at apus_trampoline_leave that outlives `own`.
	uint64_t leave;
	/// Sent over the channel when a batch has ended.
	uint64_t token;
	/// Where a command is received.
	uint64_t command;
	uint64_t scratch[6];
};

#define APUS_CONTROL_RECORDS 0
#define APUS_CONTROL_COUNT 8
#define APUS_CONTROL_CLEANUP 16
#define APUS_CONTROL_CLEANUP_COUNT 24
#define APUS_CONTROL_COMMIT 32
#define APUS_CONTROL_CHANNEL 40
#define APUS_CONTROL_FRAME 48
#define APUS_CONTROL_OWN 56
#define APUS_CONTROL_OWN_LENGTH 64
#define APUS_CONTROL_USERS 72
#define APUS_CONTROL_LEAVE 80
#define APUS_CONTROL_TOKEN 88
#define APUS_CONTROL_COMMAND 96
#define APUS_CONTROL_SCRATCH 104

#define APUS_RECORD_SIZE 96
#define APUS_CONTROL_SIZE 152

static_assert(sizeof(struct apus_record) == APUS_RECORD_SIZE, "the assembly counts on it");
static_assert(offsetof(struct apus_record, result) == 72, "the assembly counts on it");
static_assert(sizeof(struct apus_control) == APUS_CONTROL_SIZE, "the assembly counts on it");
static_assert(offsetof(struct apus_control, channel) == APUS_CONTROL_CHANNEL, "the assembly counts on it");
static_assert(offsetof(struct apus_control, users) == APUS_CONTROL_USERS, "the assembly counts on it");
static_assert(offsetof(struct apus_control, scratch) == APUS_CONTROL_SCRATCH, "the assembly counts on it");

/// What a thread is to hold when it leaves by apus_trampoline_resume: the last bytes of that piece of code.
struct apus_saved {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, rip, flags, rsp, mask;
	/// In APUS_PIECE_DISPATCHING alone: how its system calls are dispatched to itself (prctl(2), PR_SET_SYSCALL_USER_DISPATCH), all 0 where they are not:
	/// the mode, the range, the address of the selector, and what that says.
	uint64_t dispatch, offset, length, selector, selected;
};

static_assert(sizeof(struct apus_saved) == 24 * 8, "the assembly counts on it");

/// What the husk is told.
struct apus_husk {
	/// Where the first page of the mailbox's file, the trampoline, goes, and its length.
	uint64_t code, code_length;
	/// The length of the rest, which goes behind it.
	uint64_t data_length;
	/// The descriptor of the file.
	uint64_t file;
	/// The control block to begin with.
	uint64_t control;
};

static_assert(sizeof(struct apus_husk) == 5 * 8, "the assembly counts on it");

/// Makes a process that executes the husk.
///
/// @param husk the descriptor of the husk's file
/// @param pid the pid it shall have
/// @param flags more flags of clone3(2), CLONE_PARENT for one
/// @return the pid, or a negated errno
int apus_spawn_husk(int husk, int pid, uint64_t flags);

/// Makes a process of a user that executes a file, with one descriptor, 0, no supplementary groups and all signals
/// blocked.
///
/// @param file the descriptor of what it executes
/// @param lifeline what becomes its descriptor 0
/// @return the pid, or a negated errno; where it cannot become that user it ends at once, with status 127
int apus_spawn_bystander(int file, int lifeline, uint32_t user, uint32_t group);

/// A TCP connection that a guard watches over.
struct apus_guarded {
	int32_t socket;
	/// SO_REUSEADDR, which the kernel clears when repair mode ends.
	int32_t shares_address;
};

// What a guard does when Apus has ended without a word.
/// The connection whose number, from 1, is in `current` leaves repair mode.
#define APUS_GUARD_LEAVES_CURRENT 1u
/// All connections leave repair mode.
#define APUS_GUARD_LEAVES 2u
/// All connections enter repair mode, in which they end without a segment.
#define APUS_GUARD_ENTERS 4u
/// The victims are killed, before all else.
#define APUS_GUARD_KILLS 8u

/// What a guard knows.
struct apus_guard {
	const struct apus_guarded *sockets;
	size_t socket_count;
	/// The descriptors that it needs, sorted: it closes all others.
	const int32_t *kept;
	size_t kept_count;
	/// pidfds.
	const int32_t *victims;
	size_t victim_count;
	/// Shared with Apus: which of the two outcomes it is, and which connection is being worked at.
	const uint32_t *outcome, *current;
	/// By outcome: what to do, and a message for NETLINK_NETFILTER.
	uint32_t actions[2];
	const uint8_t *message[2];
	size_t length[2];
	/// Its end means that of Apus; a byte on it sends the guard away.
	int32_t lifeline;
};

/// Starts a guard.
///
/// @return its pid, or a negated errno
int apus_start_guard(const struct apus_guard *guard);

// The pieces of code, as data: copied into the controlled process, each position independent.
extern const uint8_t apus_trampoline_core[], apus_trampoline_core_end[];
extern const uint8_t apus_trampoline_single[], apus_trampoline_single_end[];
extern const uint8_t apus_trampoline_resume[], apus_trampoline_resume_registers[], apus_trampoline_resume_end[];
extern const uint8_t apus_trampoline_resume_jump[];
extern const uint8_t apus_trampoline_dispatching[], apus_trampoline_dispatching_registers[];
extern const uint8_t apus_trampoline_dispatching_jump[], apus_trampoline_dispatching_end[];
extern const uint8_t apus_trampoline_compat_sigreturn[], apus_trampoline_compat_sigreturn_end[];
extern const uint8_t apus_trampoline_husk[], apus_trampoline_husk_end[];
extern const uint8_t apus_trampoline_sigreturn[], apus_trampoline_sigreturn_end[];
extern const uint8_t apus_trampoline_bystander[], apus_trampoline_bystander_end[];
extern const uint8_t apus_trampoline_maker[], apus_trampoline_maker_end[];

enum apus_piece {
	/// The interpreter of batches; ends by a jump to `leave` of its control block.
	APUS_PIECE_CORE,
	/// The same for a restore: it can use tiles (APUS_RECORD_TILES).
	APUS_PIECE_MAKER,
	/// One system call driven by syscall stops.
	APUS_PIECE_SINGLE,
	/// The way out of a dump; struct apus_saved are its last bytes, up to `dispatch`.
	APUS_PIECE_RESUME,
	/// The same for a process with threads whose system calls are dispatched to themselves: with all of struct apus_saved.
	APUS_PIECE_DISPATCHING,
	/// The way out of a restore.
	APUS_PIECE_SIGRETURN,
	/// The way out of a restore for a 32-bit program.
	APUS_PIECE_COMPAT_SIGRETURN,
	/// The code of the husk; struct apus_husk are its last bytes.
	APUS_PIECE_HUSK,
	/// The code of a bystander.
	APUS_PIECE_BYSTANDER,
};

static inline const uint8_t *apus_piece_bytes(enum apus_piece piece)
{
	switch (piece) {
	case APUS_PIECE_CORE: return apus_trampoline_core;
	case APUS_PIECE_MAKER: return apus_trampoline_maker;
	case APUS_PIECE_SINGLE: return apus_trampoline_single;
	case APUS_PIECE_RESUME: return apus_trampoline_resume;
	case APUS_PIECE_DISPATCHING: return apus_trampoline_dispatching;
	case APUS_PIECE_SIGRETURN: return apus_trampoline_sigreturn;
	case APUS_PIECE_COMPAT_SIGRETURN: return apus_trampoline_compat_sigreturn;
	case APUS_PIECE_HUSK: return apus_trampoline_husk;
	case APUS_PIECE_BYSTANDER: return apus_trampoline_bystander;
	}
	return 0;
}

static inline size_t apus_piece_size(enum apus_piece piece)
{
	switch (piece) {
	case APUS_PIECE_CORE: return (size_t)(apus_trampoline_core_end - apus_trampoline_core);
	case APUS_PIECE_MAKER: return (size_t)(apus_trampoline_maker_end - apus_trampoline_maker);
	case APUS_PIECE_SINGLE: return (size_t)(apus_trampoline_single_end - apus_trampoline_single);
	case APUS_PIECE_RESUME: return (size_t)(apus_trampoline_resume_end - apus_trampoline_resume);
	case APUS_PIECE_DISPATCHING: return (size_t)(apus_trampoline_dispatching_end - apus_trampoline_dispatching);
	case APUS_PIECE_SIGRETURN: return (size_t)(apus_trampoline_sigreturn_end - apus_trampoline_sigreturn);
	case APUS_PIECE_COMPAT_SIGRETURN:
		return (size_t)(apus_trampoline_compat_sigreturn_end - apus_trampoline_compat_sigreturn);
	case APUS_PIECE_HUSK: return (size_t)(apus_trampoline_husk_end - apus_trampoline_husk);
	case APUS_PIECE_BYSTANDER: return (size_t)(apus_trampoline_bystander_end - apus_trampoline_bystander);
	}
	return 0;
}

/// Where in APUS_PIECE_RESUME, or APUS_PIECE_DISPATCHING, a thread enters that has nothing to unmap and nobody to count.
static inline size_t apus_resume_registers_offset(int dispatches)
{
	return dispatches ? (size_t)(apus_trampoline_dispatching_registers - apus_trampoline_dispatching)
			  : (size_t)(apus_trampoline_resume_registers - apus_trampoline_resume);
}

/// Where in them the last jump is. Its second byte tells its kind.
static inline size_t apus_resume_jump_offset(int dispatches)
{
	return dispatches ? (size_t)(apus_trampoline_dispatching_jump - apus_trampoline_dispatching)
			  : (size_t)(apus_trampoline_resume_jump - apus_trampoline_resume);
}

#define APUS_JUMP_NEAR 0x25
#define APUS_JUMP_FAR 0x2d

/// Writes this kernel's 32-bit vdso to a file: in a child that exchanges its own vdso for it, and that makes sure that
/// the kernel runs 32-bit calls at all.
///
/// @param file where to write
/// @param own the start of the vdso's own mappings in this process, data and code
/// @param own_length their length
/// @param data_length how much of them is data
/// @return the length of the vdso, or a negated errno; -ENOSYS where there is none
long apus_write_compat_vdso(int file, void *own, size_t own_length, size_t data_length);
