/*
 * keyrings.c [none]: a session keyring with a key in it, a keyring of the process and one of the thread (keyrings(7)); or
 * none of these, of a user who has no keyring at all.
 */
#include "subject.h"
#include <linux/keyctl.h>

static long serial;

static long keyring(long which, int create)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, which, create);
}

static void check(void)
{
	CHECK(keyring(KEY_SPEC_SESSION_KEYRING, 0) == serial, "another session keyring");
	CHECK(keyring(KEY_SPEC_PROCESS_KEYRING, 0) > 0, "no process keyring");
	CHECK(keyring(KEY_SPEC_THREAD_KEYRING, 0) > 0, "no thread keyring");
}

/* A process without a session keyring that looks for one gets that of the user it is then, for ever. */
static void check_none(void)
{
	CHECK(keyring(KEY_SPEC_PROCESS_KEYRING, 0) == -1 && errno == ENOKEY, "a process keyring");
	CHECK(keyring(KEY_SPEC_THREAD_KEYRING, 0) == -1 && errno == ENOKEY, "a thread keyring");
	if (serial)
		return;
	NEED(setresuid(54321, -1, -1) == 0);
	serial = keyring(KEY_SPEC_SESSION_KEYRING, 0);
	CHECK(serial > 0 && keyring(KEY_SPEC_USER_SESSION_KEYRING, 0) == serial, "it had got a session keyring before");
	NEED(setresuid(0, -1, -1) == 0);
}

int main(int argc, char **argv)
{
	subject_begin();
	(void)argv;
	if (argc > 1) {
		subject_rounds(check_none);
		return 0;
	}
	serial = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "subject");
	NEED(serial > 0);
	NEED(syscall(SYS_add_key, "user", "subject-key", "secret", 6, KEY_SPEC_SESSION_KEYRING) > 0);
	NEED(keyring(KEY_SPEC_PROCESS_KEYRING, 1) > 0 && keyring(KEY_SPEC_THREAD_KEYRING, 1) > 0);
	subject_rounds(check);
}
