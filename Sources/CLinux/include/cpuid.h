// CPUID and XGETBV: instructions, not calls.
#pragma once

#include <stdint.h>

struct apus_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct apus_cpuid apus_cpuid(uint32_t leaf, uint32_t part)
{
	struct apus_cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(part));
	return r;
}

/// XCR0: the features that the kernel has turned on. Needs CPUID.1:ECX.OSXSAVE (bit 27).
static inline uint64_t apus_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return ((uint64_t)high << 32) | low;
}
