// Everything that Swift's Glibc module lacks: variadic system calls, kernel structures, constants. One header for
// each facility; no logic.
#pragma once

#include "call.h"
#include "cpuid.h"
#include "clone.h"
#include "files.h"
#include "ipc.h"
#include "pagemap.h"
#include "processes.h"
#include "ptrace.h"
#include "terminal.h"
