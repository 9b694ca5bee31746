#define XXH_STATIC_LINKING_ONLY
#define XXH_IMPLEMENTATION
#include "CChecksum.h"
