// The PAGEMAP_SCAN request on /proc/PID/pagemap (ioctl_pagemap_scan(2)), since Linux 6.7.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct apus_page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
_Static_assert(sizeof(struct apus_page_region) == 24, "size of struct page_region");

struct apus_pagemap_scan {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
_Static_assert(sizeof(struct apus_pagemap_scan) == 96, "size of struct pm_scan_arg");
_Static_assert(offsetof(struct apus_pagemap_scan, walk_end) == 32, "walk_end of struct pm_scan_arg");
_Static_assert(offsetof(struct apus_pagemap_scan, return_mask) == 88, "return_mask of struct pm_scan_arg");

static const unsigned long APUS_PAGEMAP_SCAN = _IOWR('f', 16, struct apus_pagemap_scan);
