// What this kernel gives 32-bit programs. C, because the child that looks may use nothing of its runtime: the vdso goes
// from under it.
#define _GNU_SOURCE
#include "CTrampoline.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCH_MAP_VDSO_32 0x2002
#define PLACE 0x40000000ul
#define COMPAT_GETPID 20

static long compat_call(long number)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(number) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

long apus_write_compat_vdso(int file, void *own, size_t own_length, size_t data_length)
{
	long length, pid;
	int status = 0;

	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		// Where 32-bit calls are switched off this is a fault, which must kill and not be handled.
		for (int number = 1; number < 32; number++) {
			struct {
				uintptr_t handler, flags, restorer;
				uint64_t mask;
			} action = { 0 };

			syscall(SYS_rt_sigaction, number, &action, NULL, 8);
		}
		if (compat_call(COMPAT_GETPID) <= 0)
			syscall(SYS_exit_group, 1);
		syscall(SYS_munmap, own, own_length);
		length = syscall(SYS_arch_prctl, ARCH_MAP_VDSO_32, PLACE);
		if (length <= 0 || syscall(SYS_write, file, PLACE + data_length, length) != length)
			syscall(SYS_exit_group, 1);
		syscall(SYS_exit_group, 0);
	}
	while (syscall(SYS_wait4, pid, &status, 0, NULL) < 0)
		if (errno != EINTR)
			return -errno;
	if (status)
		return -ENOSYS;
	return syscall(SYS_lseek, file, 0, SEEK_CUR);
}
