/*
 * credentials.c: children with other user and group ids, supplementary groups and capability sets; with secure bits; with
 * all secure bits locked and ambient capabilities; and one whose threads have credentials each of its own.
 */
#include "subject.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/fsuid.h>

static const gid_t groups[] = { 5, 1234, 77777 };
static pid_t user, service, locked, mixed;
static int answers[2];
static char before[4096];

/* All lines of /proc/self/status that tell of credentials, as one text. */
static void credentials(char *into)
{
	static const char *const names[] = { "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
					     "NoNewPrivs" };

	into[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		strcat(strcat(into, names[i]), ": ");
		strcat(strcat(into, proc_field("/proc/self/status", names[i])), "\n");
	}
}

static void check(void)
{
	char now[4096];

	credentials(now);
	CHECK(!strcmp(now, before), "credentials of %d were %s and are %s", getpid(), before, now);
}

static void check_user(void)
{
	check();
	/* The kernel is of the same mind. */
	CHECK(access("/root", W_OK) == -1 && setuid(0) == -1, "user: may do what it may not");
	CHECK(setfsuid(-1) == 1003, "user: file system user id %d", setfsuid(-1));
}

static void check_service(void)
{
	check();
	CHECK(prctl(PR_GET_SECUREBITS) == (SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP), "service: secure bits %#x",
	      prctl(PR_GET_SECUREBITS));
	CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_RAW, 0, 0) == 1, "service: ambient capability");
}

static void become_user(void)
{
	NEED(setgroups(3, groups) == 0);
	NEED(setresgid(2001, 2002, 2003) == 0);
	NEED(setresuid(1001, 1002, 1003) == 0);
	setfsuid(1003);
	prctl(PR_SET_DUMPABLE, 1);
}

static void become_service(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	NEED(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0) == 0 && prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0) == 0);
	NEED(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP) == 0);
	NEED(syscall(SYS_capget, &header, data) == 0);
	data[0].effective = (1u << CAP_NET_RAW) | (1u << CAP_KILL);
	data[0].permitted = data[0].effective | (1u << CAP_CHOWN);
	data[0].inheritable = (1u << CAP_NET_RAW) | (1u << CAP_CHOWN);
	data[1] = (struct __user_cap_data_struct){ 0, 0, 0 };
	NEED(syscall(SYS_capset, &header, data) == 0);
	NEED(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
}

/* SECBIT_NO_CAP_AMBIENT_RAISE with an ambient capability, everything locked, and an inheritable one outside of the bound. */
static const int all_bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
			    SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

static void set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
		{ (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) },
	};

	NEED(syscall(SYS_capset, &header, data) == 0);
}

#define CAPABILITY(number) (1ull << (number))

static void become_locked(void)
{
	uint64_t all = CAPABILITY(CAP_SETPCAP) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_CHOWN) |
		       CAPABILITY(CAP_SYSLOG);

	set_capabilities(all, all, CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_SYSLOG) | CAPABILITY(CAP_SETFCAP));
	NEED(prctl(PR_CAPBSET_DROP, CAP_SETFCAP, 0, 0, 0) == 0);
	NEED(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == 0);
	NEED(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYSLOG, 0, 0) == 0);
	NEED(prctl(PR_SET_SECUREBITS, all_bits) == 0);
	NEED(setresgid(3001, 3001, 3001) == 0 && setresuid(3002, 3002, 3002) == 0);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	set_capabilities(CAPABILITY(CAP_SYSLOG), CAPABILITY(CAP_SYSLOG) | CAPABILITY(CAP_CHOWN),
			 CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_SYSLOG) | CAPABILITY(CAP_SETFCAP));
	prctl(PR_SET_DUMPABLE, 1);
}

static void check_locked(void)
{
	check();
	CHECK(prctl(PR_GET_SECUREBITS) == all_bits, "locked: secure bits %#x", prctl(PR_GET_SECUREBITS));
	CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYSLOG, 0, 0) == 1, "locked: ambient capability");
	CHECK(prctl(PR_SET_SECUREBITS, 0) == -1 && errno == EPERM, "locked: the secure bits are not locked");
}

/* Credentials belong to threads: the raw system calls change one of them alone. */
static struct strand {
	pthread_t handle;
	char before[4096];
	volatile int go, done, wrong;
} strands[3];

static void strand_credentials(char *into)
{
	char path[64];
	static const char *const names[] = { "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
					     "NoNewPrivs" };

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", gettid());
	into[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		strcat(strcat(strcat(into, names[i]), ": "), proc_field(path, names[i]));
	sprintf(into + strlen(into), " bits %d", prctl(PR_GET_SECUREBITS));
}

static void *strand_body(void *argument)
{
	struct strand *self = argument;
	int number = self - strands;
	char now[4096];

	if (number == 0) {
		NEED(syscall(SYS_setresgid, 4001, 4002, 4003) == 0 && syscall(SYS_setresuid, 4004, 4005, 4006) == 0);
	} else if (number == 1) {
		NEED(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) == 0);
		NEED(syscall(SYS_setgroups, 3, groups) == 0);
		set_capabilities(CAPABILITY(CAP_KILL), CAPABILITY(CAP_KILL) | CAPABILITY(CAP_CHOWN), 0);
	} else {
		NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		NEED(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS) == 0);
	}
	strand_credentials(self->before);
	self->done = 1;
	for (;;) {
		usleep(1000);
		if (!self->go)
			continue;
		self->go = 0;
		strand_credentials(now);
		if (strcmp(now, self->before)) {
			say("FAIL strand %d was %s and is %s", number, self->before, now);
			self->wrong = 1;
		}
		self->done = 1;
	}
	return NULL;
}

/* proc_field keeps what it reads in one place: one strand at a time. */
static void become_mixed(void)
{
	for (int i = 0; i < 3; i++) {
		NEED(pthread_create(&strands[i].handle, NULL, strand_body, &strands[i]) == 0);
		for (int n = 0; n < 5000 && !strands[i].done; n++)
			usleep(1000);
		NEED(strands[i].done);
	}
	prctl(PR_SET_DUMPABLE, 1);
}

static void check_mixed(void)
{
	check();
	for (int i = 0; i < 3; i++) {
		strands[i].done = strands[i].wrong = 0;
		strands[i].go = 1;
		for (int n = 0; n < 5000 && !strands[i].done; n++)
			usleep(1000);
		CHECK(strands[i].done && !strands[i].wrong, "mixed: strand %d", i);
	}
	CHECK(prctl(PR_GET_DUMPABLE) == 1, "mixed: dumpable %d", prctl(PR_GET_DUMPABLE));
}

static void start(pid_t *pid, void (*become)(void), void (*check_child)(void))
{
	int ready;

	*pid = fork();
	if (*pid == 0) {
		become();
		credentials(before);
		NEED(write(answers[1], &failures, sizeof(failures)) == sizeof(failures));
		for (;;) {
			wait_until_told();
			failures = 0;
			check_child();
			/* Another user may not signal the root, so the answers go through a pipe. */
			if (write(answers[1], &failures, sizeof(failures)) != sizeof(failures))
				_exit(3);
		}
	}
	NEED(*pid > 0);
	NEED(read(answers[0], &ready, sizeof(ready)) == sizeof(ready));
}

static void ask(pid_t pid, const char *who)
{
	struct pollfd ready = { .fd = answers[0], .events = POLLIN };
	int value;

	CHECK(kill(pid, SIGUSR1) == 0, "%s: gone", who);
	if (poll(&ready, 1, 5000) == 1 && read(answers[0], &value, sizeof(value)) == sizeof(value))
		CHECK(value == 0, "%s: %d failures", who, value);
	else
		CHECK(0, "%s: no answer", who);
}

static void check_all(void)
{
	check();
	ask(user, "user");
	ask(service, "service");
	ask(locked, "locked");
	ask(mixed, "mixed");
}

int main(void)
{
	subject_begin();
	NEED(pipe(answers) == 0);
	credentials(before);
	start(&user, become_user, check_user);
	start(&service, become_service, check_service);
	start(&locked, become_locked, check_locked);
	start(&mixed, become_mixed, check_mixed);
	usleep(50000);
	subject_rounds(check_all);
}
