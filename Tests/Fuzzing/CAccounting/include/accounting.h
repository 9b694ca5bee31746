/* How much memory is allocated: malloc(3) and its relatives, counted for the whole process. */
#ifndef ACCOUNTING_H
#define ACCOUNTING_H

#include <stddef.h>

/* Bytes that are allocated now, and the most since apus_fuzz_reset_peak(). */
size_t apus_fuzz_allocated(void);
size_t apus_fuzz_peak(void);
void apus_fuzz_reset_peak(void);

/* The largest that may be allocated before the process ends itself with a message; 0 for no limit. */
void apus_fuzz_set_limit(size_t bytes);

#endif
