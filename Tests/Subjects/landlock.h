/* A domain of Landlock, with one restriction. */
#ifndef LANDLOCK_H
#define LANDLOCK_H

#include "subject.h"

/* Restricts the calling thread and what it makes to an empty set of rules. */
static void enter_landlock_domain(void)
{
	uint64_t handled[2] = { 1ull << 12, 0 }; /* LANDLOCK_ACCESS_FS_MAKE_SYM; nothing of the network */
	int rules = syscall(SYS_landlock_create_ruleset, handled, sizeof(handled[0]), 0);

	NEED(rules >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	NEED(syscall(SYS_landlock_restrict_self, rules, 0) == 0 && close(rules) == 0);
	NEED(symlink("x", "/tmp/landlock-forbids-this") == -1 && errno == EACCES);
}

#endif
