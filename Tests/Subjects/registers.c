/*
 * Fills the general, x87, SSE/AVX/AVX-512 and mask registers with known values and compares them, in user mode and without
 * a system call. Between two rounds the values change.
 */
#include "subject.h"
#include <immintrin.h>

static unsigned char vec[32][64] __attribute__((aligned(64)));
static unsigned long gpr[10];
static double deep = 1234.5678;

/* Registers 0-14, with M(number) what to do for each; 15-30 for zmm. */
#define EACH15(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14)
#define EACH16(M) M(15) M(16) M(17) M(18) M(19) M(20) M(21) M(22) M(23) M(24) M(25) M(26) M(27) \
	M(28) M(29) M(30)

#define ZLOAD(n) "vmovdqa64 " #n "*64(%%rdx), %%zmm" #n "\n"
#define ZTEST(n) "vpcmpneqq " #n "*64(%%rdx), %%zmm" #n ", %%k1\n kortestw %%k1, %%k1\n jnz 9f\n"
#define YLOAD(n) "vmovdqa " #n "*64(%%rdx), %%ymm" #n "\n"
#define YTEST(n) "vpcmpeqb " #n "*64(%%rdx), %%ymm" #n ", %%ymm15\n vpmovmskb %%ymm15, %%eax\n" \
	"cmp $-1, %%eax\n jne 9f\n"
#define XLOAD(n) "movdqa " #n "*64(%%rdx), %%xmm" #n "\n"
#define XTEST(n) "movdqa " #n "*64(%%rdx), %%xmm15\n pcmpeqb %%xmm" #n ", %%xmm15\n" \
	"pmovmskb %%xmm15, %%eax\n cmp $0xffff, %%eax\n jne 9f\n"

#define KLOAD "mov $0xa5c3, %%eax\n kmovw %%eax, %%k3\n not %%eax\n kmovw %%eax, %%k4\n" \
	"mov $0x1234, %%eax\n kmovw %%eax, %%k5\n kmovw %%eax, %%k6\n knotw %%k6, %%k6\n kxnorw %%k7, %%k7, %%k7\n"
#define KTEST "kmovw %%k3, %%eax\n cmp $0xa5c3, %%eax\n jne 9f\n kmovw %%k4, %%eax\n cmp $0x5a3c, %%eax\n jne 9f\n" \
	"kmovw %%k5, %%eax\n cmp $0x1234, %%eax\n jne 9f\n kmovw %%k6, %%eax\n cmp $0xedcb, %%eax\n jne 9f\n" \
	"kmovw %%k7, %%eax\n cmp $0xffff, %%eax\n jne 9f\n"

#define GLOAD "mov 0(%%rdi), %%rbx\n mov 8(%%rdi), %%rsi\n mov 16(%%rdi), %%r8\n mov 24(%%rdi), %%r9\n" \
	"mov 32(%%rdi), %%r10\n mov 40(%%rdi), %%r11\n mov 48(%%rdi), %%r12\n mov 56(%%rdi), %%r13\n" \
	"mov 64(%%rdi), %%r14\n mov 72(%%rdi), %%r15\n"
#define GTEST "cmp 0(%%rdi), %%rbx\n jne 9f\n cmp 8(%%rdi), %%rsi\n jne 9f\n cmp 16(%%rdi), %%r8\n jne 9f\n" \
	"cmp 24(%%rdi), %%r9\n jne 9f\n cmp 32(%%rdi), %%r10\n jne 9f\n cmp 40(%%rdi), %%r11\n jne 9f\n" \
	"cmp 48(%%rdi), %%r12\n jne 9f\n cmp 56(%%rdi), %%r13\n jne 9f\n cmp 64(%%rdi), %%r14\n jne 9f\n" \
	"cmp 72(%%rdi), %%r15\n jne 9f\n"

/* rcx counts the rounds; the result is 0 when told to stop, 1 on a difference. */
#define SPIN(LOAD, TEST)                                                            \
	asm volatile(LOAD GLOAD "xor %%ecx, %%ecx\n"                                \
		     "1: pause\n inc %%rcx\n" TEST GTEST                            \
		     "cmpl $0, %2\n je 1b\n mov $0, %%eax\n jmp 8f\n"               \
		     "9: mov $1, %%eax\n 8:\n"                                      \
		     : "=&a"(bad), "=&c"(rounds)                                    \
		     : "m"(told), "d"(vec), "D"(gpr)                             \
		     : "rbx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", \
		       "r15", "memory", "cc" ALLVEC)

#define ALLVEC , "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
	"xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"


static const char *kind;
static uint16_t control;
static uint32_t mxcsr;

/* Compares without a pause until told; what is wrong is said in user-visible terms only afterwards. */
static void spin_and_check(void)
{
	uint16_t control_after;
	uint32_t mxcsr_after;
	unsigned long rounds;
	double back;
	int bad;

	asm volatile("fldcw %0\n ldmxcsr %1\n fldl %2\n" : : "m"(control), "m"(mxcsr), "m"(deep));
	if (kind[0] == 'z')
		SPIN(EACH15(ZLOAD) EACH16(ZLOAD) KLOAD, EACH15(ZTEST) EACH16(ZTEST) KTEST);
	else if (kind[0] == 'y')
		SPIN(EACH15(YLOAD), EACH15(YTEST));
	else
		SPIN(EACH15(XLOAD), EACH15(XTEST));
	asm volatile("fstpl %0\n fnstcw %1\n stmxcsr %2\n" : "=m"(back), "=m"(control_after), "=m"(mxcsr_after));
	asm volatile("fninit");

	CHECK(!bad, "a register changed after %lu comparisons", rounds);
	CHECK(rounds > 0, "nothing was compared");
	CHECK(back == deep, "x87 register: %f", back);
	CHECK(control_after == control, "x87 control word %#x", control_after);
	CHECK((mxcsr_after & 0xffc0) == mxcsr, "mxcsr %#x", mxcsr_after);
}

static void new_values(void)
{
	for (int i = 0; i < 32; i++)
		for (int j = 0; j < 64; j++)
			vec[i][j] = i * 64 + j + (i * j) % 7 + 1 + round_number;
	for (int i = 0; i < 10; i++)
		gpr[i] = 0x0123456789abcdefUL * (2 * i + 1 + round_number);
	deep += 0.25;
	control = round_number & 1 ? 0x077f : 0x0f7f; /* rounding down, to zero */
	mxcsr = round_number & 1 ? 0x3f80 : 0x5f80;   /* rounding down, up */
}

int main(void)
{
	sigset_t set = set_of(SIGUSR1, 0);

	subject_begin();
	__builtin_cpu_init();
	kind = __builtin_cpu_supports("avx512f") ? "zmm" : __builtin_cpu_supports("avx2") ? "ymm" : "xmm";
	say("note: vector registers %s", kind);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	new_values();
	say("ready");
	for (;;) {
		failures = 0;
		spin_and_check();
		told = 0;
		round_number++;
		new_values();
		say(failures ? "BAD" : "OK");
	}
}
