// Everything that Swift's Glibc module lacks: variadic system calls, kernel structures, constants. One header for
// each facility; no logic.
#pragma once

#include "call.h"
#include "ptrace.h"
