// XXH3, a fast digest, of the header of libxxhash: it is compiled in, so that hosts without the library will do.
#pragma once
#include <xxhash.h>
