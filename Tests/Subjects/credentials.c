/* credentials.c: a child with other user and group ids, supplementary groups and capability sets, one with secure bits. */
#include "subject.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sys/fsuid.h>

static const gid_t groups[] = { 5, 1234, 77777 };
static pid_t user, service;
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

static void start(pid_t *pid, void (*become)(void), void (*check_child)(void))
{
	*pid = fork();
	if (*pid == 0) {
		become();
		credentials(before);
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
}

int main(void)
{
	subject_begin();
	NEED(pipe(answers) == 0);
	credentials(before);
	start(&user, become_user, check_user);
	start(&service, become_service, check_service);
	usleep(50000);
	subject_rounds(check_all);
}
