// The trampoline for x86-64. r12 holds the address of the control block (CTrampoline.h); entered at its start to run
// the batch that the block names. It uses no stack, so that a thread may share its stack pointer with another.
//
// Assembly and not Embedded Swift: it must run without a stack, on registers of its choice, and be judged byte by
// byte; and the hand-over at the end is not expressible in a compiled language.

#define RECORDS 0
#define COUNT 8
#define CLEANUP 16
#define CLEANUP_COUNT 24
#define COMMIT 32
#define CHANNEL 40
#define FRAME 48
#define OWN 56
#define OWN_LENGTH 64
#define USERS 72
#define LEAVE 80
#define TOKEN 88
#define COMMAND 96
#define SCRATCH 104

#define NUMBER 0
#define ARGUMENTS 8
#define CHILD 48
#define LEAST 56
#define MOST 64
#define RESULT 72
#define WORDS 80
#define HALVES 84
#define FLAGS 88
#define RECORD_SIZE 96

// Offsets of the values behind apus_trampoline_resume: as in struct apus_saved.
#define R15 0
#define R14 8
#define R13 16
#define R12 24
#define RBP 32
#define RBX 40
#define R11 48
#define R10 56
#define R9 64
#define R8 72
#define RAX 80
#define RCX 88
#define RDX 96
#define RSI 104
#define RDI 112
#define RIP 120
#define FLAGS_LOW 128
#define RSP 136
#define MASK 144
#define DISPATCH 152
#define RANGE_OFFSET 160
#define RANGE_LENGTH 168
#define SELECTOR 176
#define SELECTED 184

#define DIRECTION 0x400
#define OVERFLOW 0x800
#define SIG_SETMASK 2
#define PR_SET_SYSCALL_USER_DISPATCH 59

#define PROT_READ_WRITE 3
#define PROT_READ_EXEC 5
#define MAP_SHARED_FIXED 0x11

#define NR_write 1
#define NR_close 3
#define NR_mmap 9
#define NR_munmap 11
#define NR_rt_sigprocmask 14
#define NR_rt_sigreturn 15
#define NR_sendto 44
#define NR_recvfrom 45
#define NR_capset 126
#define NR_prctl 157
#define NR_exit_group 231
#define NR_compat_rt_sigreturn 173
#define MSG_NOSIGNAL 0x4000
#define MINUS_EINTR -4
#define CAPABILITY_VERSION_3 0x20080522

	.section .rodata
	.balign 16
	.globl apus_trampoline_single, apus_trampoline_single_end
	.globl apus_trampoline_husk, apus_trampoline_husk_end
	.globl apus_trampoline_bystander, apus_trampoline_bystander_end
	.globl apus_trampoline_sigreturn, apus_trampoline_sigreturn_end
	.globl apus_trampoline_compat_sigreturn, apus_trampoline_compat_sigreturn_end

	// The interpreter of batches. That of a restore can use tiles (AMX) as well, for which there is no room in every vdso.
	.macro CORE name, tiles
	.globl \name, \name\()_end
\name:
.Lrun_\name:
	xorl %r15d, %r15d		// r15: 0 in a batch, 1 in the cleanup
	movq RECORDS(%r12), %r13	// r13: the current record
	movq COUNT(%r12), %r14		// r14: the records to go
.Lnext_\name:
	testq %r14, %r14
	jz .Lended_\name
	movl WORDS(%r13), %ebp
	movl HALVES(%r13), %ebx
	xorl %ecx, %ecx
.Largument_\name:
	movq ARGUMENTS(%r13,%rcx,8), %rax
	btl %ecx, %ebp
	jnc 1f
	movq (%rax), %rax
1:	btl %ecx, %ebx
	jnc 2f
	movl (%rax), %eax
2:	movq %rax, SCRATCH(%r12,%rcx,8)
	incl %ecx
	cmpl $6, %ecx
	jne .Largument_\name
	testl $2, FLAGS(%r13)
	jnz .Lcompat_\name
	.if \tiles
	testl $4, FLAGS(%r13)
	jnz .Ltiles_\name
	.endif
	movq SCRATCH(%r12), %rdi
	movq SCRATCH+8(%r12), %rsi
	movq SCRATCH+16(%r12), %rdx
	movq SCRATCH+24(%r12), %r10
	movq SCRATCH+32(%r12), %r8
	movq SCRATCH+40(%r12), %r9
	movq NUMBER(%r13), %rax
	syscall
.Lmade_\name:
	testq %rax, %rax
	jnz 3f
	testl $1, FLAGS(%r13)
	jz 3f
	movq CHILD(%r13), %r12		// a new task: it has a control block of its own
	jmp .Lrun_\name
3:	movq %rax, RESULT(%r13)
	testl %r15d, %r15d
	jnz 4f
	cmpq LEAST(%r13), %rax
	jl .Lended_\name
	cmpq MOST(%r13), %rax
	jg .Lended_\name
4:	addq $RECORD_SIZE, %r13
	decq %r14
	jmp .Lnext_\name

	// A call of the 32-bit kind, which works on what only such calls reach. Its memory lies below 4 GiB.
.Lcompat_\name:
	movl SCRATCH(%r12), %ebx
	movl SCRATCH+8(%r12), %ecx
	movl SCRATCH+16(%r12), %edx
	movl SCRATCH+24(%r12), %esi
	movl SCRATCH+32(%r12), %edi
	movl SCRATCH+40(%r12), %ebp
	movl NUMBER(%r13), %eax
	int $0x80
	jmp .Lmade_\name

	.if \tiles
	// No call: the first use of a tile, after which the kernel keeps room for all of them. The argument is the address
	// of a configuration (64 bytes) with a tile 0.
.Ltiles_\name:
	movq SCRATCH(%r12), %rax
	ldtilecfg (%rax)
	tilezero %tmm0
	tilerelease
	xorl %eax, %eax
	jmp .Lmade_\name
	.endif

.Lended_\name:
	testl %r15d, %r15d
	jnz .Lleave_\name
	movq %r14, COUNT(%r12)
	movq CHANNEL(%r12), %rdi
	movl (%rdi), %edi
	leaq TOKEN(%r12), %rsi
	movl $8, %edx
	movl $MSG_NOSIGNAL, %r10d
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	movl $NR_sendto, %eax
	syscall
.Lwait_\name:
	movq CHANNEL(%r12), %rdi
	movl (%rdi), %edi
	leaq COMMAND(%r12), %rsi
	movl $8, %edx
	xorl %r10d, %r10d
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	movl $NR_recvfrom, %eax
	syscall
	cmpq $8, %rax
	je .Lrun_\name
	cmpq $MINUS_EINTR, %rax
	je .Lwait_\name

	// Nobody holds the other end any more: Apus has let go on purpose, or is dead.
	movq COMMIT(%r12), %rax
	testq %rax, %rax
	jz .Lcleanup_\name
	cmpl $0, (%rax)
	jne .Lcleanup_\name
	movl $1, %edi
	movl $NR_exit_group, %eax
	syscall
.Lcleanup_\name:
	movl $1, %r15d
	movq CLEANUP(%r12), %r13
	movq CLEANUP_COUNT(%r12), %r14
	jmp .Lnext_\name

.Lleave_\name:
	movq OWN(%r12), %rdi
	movq OWN_LENGTH(%r12), %rsi
	movq USERS(%r12), %r9
	movq FRAME(%r12), %rsp
	movq LEAVE(%r12), %rdx
	movl $NR_munmap, %eax
	jmp *%rdx

\name\()_end:
	.endm

	CORE apus_trampoline_core, 0
	.balign 16
	CORE apus_trampoline_maker, 1

	// One system call, driven from outside by syscall stops: used before there is a mailbox, and after. Past it a
	// thread comes only when nobody drives it any more. Then the call is undone and the thread is what it was:
	// r13 is the length of a mapping that the call has made, or 0; r15 the address of two descriptors that it has
	// made, or 0; rbx and rbp are a mapping to undo and its length; rsp is where to go on.
	.balign 16
apus_trampoline_single:
	syscall
	testq %r13, %r13
	jz 1f
	movq %rax, %rdi
	movq %r13, %rsi
	movl $NR_munmap, %eax
	syscall
1:	testq %r15, %r15
	jz 2f
	movl (%r15), %edi
	movl $NR_close, %eax
	syscall
	movl 4(%r15), %edi
	movl $NR_close, %eax
	syscall
2:	movq %rbx, %rdi
	movq %rbp, %rsi
	movl $NR_munmap, %eax
	syscall
	jmp *%rsp
apus_trampoline_single_end:

	// Leaving by registers: the way out of a dump, for a thread that goes on as it was. It touches no stack and
	// neither the extended state nor the restart block of an interrupted call, which rt_sigreturn would. The values
	// stand behind the code; a copy of both for each thread under control.
	//
	// A thread whose system calls are dispatched to itself may or may not have been given that back when it comes here. So
	// the byte that it is governed by says for this while that calls are made, and what it said is put back at the end. That
	// is longer, and only there where a process has such threads: some vdsos leave little room.
	.macro LET_CALLS_BE_MADE name
	movq \name\()_saved+SELECTOR(%rip), %r8
	testq %r8, %r8
	jz 9f
	movb $0, (%r8)
9:
	.endm

	.macro RESUME name, dispatches
	.balign 16
	.globl \name, \name\()_registers, \name\()_jump, \name\()_end
\name:
	.if \dispatches
	LET_CALLS_BE_MADE \name
	.endif
	lock decl (%r9)
	jne \name\()_registers
	syscall
\name\()_registers:
	.if \dispatches
	LET_CALLS_BE_MADE \name
	.endif
	movq \name\()_saved+RSP(%rip), %rsp
	movl $SIG_SETMASK, %edi
	leaq \name\()_saved+MASK(%rip), %rsi
	xorl %edx, %edx
	movl $8, %r10d
	movl $NR_rt_sigprocmask, %eax
	syscall
	.if \dispatches
	movq \name\()_saved+DISPATCH(%rip), %rsi
	testq %rsi, %rsi
	jz 4f
	movl $PR_SET_SYSCALL_USER_DISPATCH, %edi
	movq \name\()_saved+RANGE_OFFSET(%rip), %rdx
	movq \name\()_saved+RANGE_LENGTH(%rip), %r10
	movq \name\()_saved+SELECTOR(%rip), %r8
	movl $NR_prctl, %eax
	syscall
	testq %r8, %r8
	jz 4f
	movb \name\()_saved+SELECTED(%rip), %al
	movb %al, (%r8)
4:
	.endif
	movq \name\()_saved+R15(%rip), %r15
	movq \name\()_saved+R14(%rip), %r14
	movq \name\()_saved+R13(%rip), %r13
	movq \name\()_saved+R12(%rip), %r12
	movq \name\()_saved+RBP(%rip), %rbp
	movq \name\()_saved+RBX(%rip), %rbx
	movq \name\()_saved+R11(%rip), %r11
	movq \name\()_saved+R10(%rip), %r10
	movq \name\()_saved+R9(%rip), %r9
	movq \name\()_saved+R8(%rip), %r8
	movq \name\()_saved+RCX(%rip), %rcx
	movq \name\()_saved+RDX(%rip), %rdx
	movq \name\()_saved+RSI(%rip), %rsi
	movq \name\()_saved+RDI(%rip), %rdi
	cld
	testb $DIRECTION >> 8, \name\()_saved+FLAGS_LOW+1(%rip)
	jz 3f
	std
3:	xorl %eax, %eax			// the overflow flag has no place in sahf: 127 + 1 sets it, 127 + 0 clears it
	testb $OVERFLOW >> 8, \name\()_saved+FLAGS_LOW+1(%rip)
	setnz %al
	addb $127, %al
	movb \name\()_saved+FLAGS_LOW(%rip), %ah
	sahf
	movq \name\()_saved+RAX(%rip), %rax
\name\()_jump:
	jmp *\name\()_saved+RIP(%rip)		// for a 32-bit program its second byte is changed: ljmp, to a selector and an offset
	.balign 8
\name\()_saved:
	.fill 19 + 5 * \dispatches, 8, 0
\name\()_end:
	.endm

	RESUME apus_trampoline_resume, 0
	RESUME apus_trampoline_dispatching, 1

	// Leaving by a signal frame: the way out of a restore. From here on neither the control block nor its page is
	// touched by a thread that is not the last to leave.
	.balign 16
apus_trampoline_sigreturn:
	lock decl (%r9)
	jne 5f
	syscall
5:	movl $NR_rt_sigreturn, %eax
	syscall
apus_trampoline_sigreturn_end:

	// The same for a 32-bit program, by the frame that its own signal handlers return by.
	.balign 16
apus_trampoline_compat_sigreturn:
	lock decl (%r9)
	jne 5f
	syscall
5:	movl $NR_compat_rt_sigreturn, %eax
	int $0x80
apus_trampoline_compat_sigreturn_end:

	// The husk: all the code of the program that a restored process begins as. It maps the trampoline and the mailbox
	// and goes there. The values behind it are filled in for each restore (struct apus_husk).
	.balign 16
apus_trampoline_husk:
	movq HUSK_CODE(%rip), %rdi
	movq HUSK_CODE_LENGTH(%rip), %rsi
	movl $PROT_READ_EXEC, %edx
	movl $MAP_SHARED_FIXED, %r10d
	movq HUSK_FILE(%rip), %r8
	xorl %r9d, %r9d
	movl $NR_mmap, %eax
	syscall
	cmpq %rax, %rdi
	jne 6f
	addq %rsi, %rdi
	movq %rsi, %r9
	movq HUSK_DATA_LENGTH(%rip), %rsi
	movl $PROT_READ_WRITE, %edx
	movl $NR_mmap, %eax
	syscall
	cmpq %rax, %rdi
	jne 6f
	movq HUSK_CONTROL(%rip), %r12
	jmp *HUSK_CODE(%rip)
6:	movl $1, %edi
	movl $NR_exit_group, %eax
	syscall
	.balign 8
HUSK_CODE:
	.quad 0
HUSK_CODE_LENGTH:
	.quad 0
HUSK_DATA_LENGTH:
	.quad 0
HUSK_FILE:
	.quad 0
HUSK_CONTROL:
	.quad 0
apus_trampoline_husk_end:

	// The bystander: all the code of a process that has no rights and does nothing. It gives up its capabilities, says so
	// over descriptor 0, and ends when the other end of that is gone. What it sends is the result of capset(2).
	.balign 16
apus_trampoline_bystander:
	subq $64, %rsp
	xorl %eax, %eax
	movq %rax, 8(%rsp)
	movq %rax, 16(%rsp)
	movq %rax, 24(%rsp)
	movl $CAPABILITY_VERSION_3, %eax
	movq %rax, (%rsp)		// the header, of this process; behind it six empty halves of sets
	movq %rsp, %rdi
	leaq 8(%rsp), %rsi
	movl $NR_capset, %eax
	syscall
	movb %al, (%rsp)
	xorl %edi, %edi
	movq %rsp, %rsi
	movl $1, %edx
	movl $NR_write, %eax
	syscall
8:	xorl %edi, %edi
	movq %rsp, %rsi
	movl $1, %edx
	xorl %eax, %eax			// NR_read
	syscall
	cmpq $MINUS_EINTR, %rax
	je 8b
	xorl %edi, %edi
	movl $NR_exit_group, %eax
	syscall
apus_trampoline_bystander_end:

	.section .note.GNU-stack,"",@progbits
