// ptrace(2): requests, events and register sets that Swift's Glibc module does not show.
#pragma once

#include <elf.h>
#include <errno.h>
#include <sys/socket.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

enum {
	APUS_PTRACE_CONT = 7,
	APUS_PTRACE_GETREGS = 12,
	APUS_PTRACE_GETFPREGS = 14,
	APUS_PTRACE_SETREGS = 13,
	APUS_PTRACE_DETACH = 17,
	APUS_PTRACE_SYSCALL = 24,
	APUS_PTRACE_GET_THREAD_AREA = 25,
	APUS_PTRACE_SETOPTIONS = 0x4200,
	APUS_PTRACE_GETEVENTMSG = 0x4201,
	APUS_PTRACE_GETSIGINFO = 0x4202,
	APUS_PTRACE_SETSIGINFO = 0x4203,
	APUS_PTRACE_GETREGSET = 0x4204,
	APUS_PTRACE_SETREGSET = 0x4205,
	APUS_PTRACE_SEIZE = 0x4206,
	APUS_PTRACE_INTERRUPT = 0x4207,
	APUS_PTRACE_LISTEN = 0x4208,
	APUS_PTRACE_PEEKSIGINFO = 0x4209,
	APUS_PTRACE_GETSIGMASK = 0x420a,
	APUS_PTRACE_SETSIGMASK = 0x420b,
	APUS_PTRACE_SECCOMP_GET_FILTER = 0x420c,
	APUS_PTRACE_SECCOMP_GET_METADATA = 0x420d,
	APUS_PTRACE_GET_RSEQ_CONFIGURATION = 0x420f,
	APUS_PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG = 0x4210,
	APUS_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211,
};

enum {
	APUS_PTRACE_EVENT_EXEC = 4,
	APUS_PTRACE_EVENT_VFORK_DONE = 5,
	APUS_PTRACE_EVENT_EXIT = 6,
	APUS_PTRACE_EVENT_STOP = 128,
};

#define APUS_PTRACE_PEEKSIGINFO_SHARED 1u

struct apus_peeksiginfo {
	uint64_t offset;
	uint32_t flags;
	int32_t count;
};

/// struct seccomp_metadata.
struct apus_seccomp_metadata {
	uint64_t index;
	uint64_t flags;
};

struct apus_rseq_configuration {
	uint64_t address;
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/// struct user_desc (asm/ldt.h), its bit fields as one number: seg_32bit 1, contents 6, read_exec_only 8,
/// limit_in_pages 16, seg_not_present 32, useable 64.
struct apus_user_desc {
	uint32_t entry_number, base_addr, limit, flags;
};

/// ptrace(2) as the kernel has it: 0 or a value, or -1 with errno set.
static inline long apus_ptrace(long request, pid_t pid, uintptr_t address, uintptr_t data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

/// waitpid(2) with __WALL; status in *status.
static inline int apus_wait(pid_t pid, int *status, int options)
{
	return (int)syscall(SYS_wait4, pid, status, options | __WALL, 0);
}

static inline int apus_WIFEXITED(int s) { return WIFEXITED(s); }
static inline int apus_WIFSIGNALED(int s) { return WIFSIGNALED(s); }
static inline int apus_WIFSTOPPED(int s) { return WIFSTOPPED(s); }
static inline int apus_WSTOPSIG(int s) { return WSTOPSIG(s); }
