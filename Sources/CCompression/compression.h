// The libraries that compress bundles and pages: libzstd and liblz4 (its frame format, and blocks without one).
#include <lz4.h>
#include <lz4frame.h>
#include <zstd.h>
