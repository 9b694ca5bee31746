/* attributes.c DIR: working directory, umask, limits, name, arguments, environment, nice value, prctl settings. */
#include "subject.h"
#include <sys/resource.h>
#include <sys/auxv.h>

extern char **environ;
static char directory[4096], command_line[4096], environment[8192];
static size_t command_line_size, environment_size;
static struct rlimit limits[RLIM_NLIMITS];
static char *first_argument;
static unsigned long auxiliary[64];

static size_t contents(const char *path, char *into, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, into, size);

	close(fd);
	return n < 0 ? 0 : (size_t)n;
}

static void check(void)
{
	char text[8192];
	unsigned long now[64];
	size_t n;
	mode_t mask = umask(0);
	struct rlimit limit;
	int value = 0;

	umask(mask);
	CHECK(mask == 0137, "umask %o", mask);
	CHECK(getcwd(text, sizeof(text)) && !strcmp(text, directory), "working directory %s", text);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit(i, &limit);
		CHECK(limit.rlim_cur == limits[i].rlim_cur && limit.rlim_max == limits[i].rlim_max, "limit %d", i);
	}
	prctl(PR_GET_NAME, text);
	CHECK(!strcmp(text, "ein (Name) \n"), "name %s", text);
	n = contents("/proc/self/cmdline", text, sizeof(text));
	CHECK(n == command_line_size && !memcmp(text, command_line, n), "command line of %zu bytes", n);
	n = contents("/proc/self/environ", text, sizeof(text));
	CHECK(n == environment_size && !memcmp(text, environment, n), "environment of %zu bytes", n);
	CHECK(!strcmp(first_argument, "changed in place"), "arguments in memory");
	CHECK(getenv("SUBJECT_SET_LATER") && !strcmp(getenv("SUBJECT_SET_LATER"), "yes"), "environment in memory");
	memset(now, 0, sizeof(now));
	contents("/proc/self/auxv", (char *)now, sizeof(now));
	CHECK(!memcmp(now, auxiliary, sizeof(now)), "auxiliary vector");
	CHECK(getpriority(PRIO_PROCESS, 0) == 7, "nice value %d", getpriority(PRIO_PROCESS, 0));
	CHECK(prctl(PR_GET_PDEATHSIG, &value) == 0 && value == SIGWINCH, "death signal %d", value);
	CHECK(prctl(PR_GET_DUMPABLE) == 1, "dumpable %d", prctl(PR_GET_DUMPABLE));
	CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "huge pages are no longer disabled");
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1, "no longer a subreaper");
	CHECK(!strcmp(proc_field("/proc/self/status", "NoNewPrivs"), "1"), "new privileges are possible");
	n = contents("/proc/self/oom_score_adj", text, sizeof(text));
	text[n] = 0;
	CHECK(atoi(text) == 321, "oom_score_adj %s", text);
}

static void limit(int which, rlim_t soft, rlim_t hard)
{
	NEED(setrlimit(which, &(struct rlimit){ soft, hard }) == 0);
}

int main(int argc, char **argv)
{
	int fd;

	NEED(argc == 3);
	subject_begin();
	first_argument = argv[2];
	NEED(strlen(first_argument) >= 16);
	strcpy(first_argument, "changed in place"); /* seen in /proc/PID/cmdline */
	setenv("SUBJECT_SET_LATER", "yes", 1);
	NEED(mkdir(argv[1], 0755) == 0 || errno == EEXIST);
	NEED(chdir(argv[1]) == 0);
	NEED(getcwd(directory, sizeof(directory)) != NULL);
	umask(0137);
	prctl(PR_SET_NAME, "ein (Name) \n");
	limit(RLIMIT_NOFILE, 300, 400);
	limit(RLIMIT_CORE, 0, 1 << 20);
	limit(RLIMIT_STACK, 1 << 20, 4 << 20);
	limit(RLIMIT_DATA, 1 << 30, 1 << 30);
	limit(RLIMIT_CPU, 5000, RLIM_INFINITY);
	NEED(setpriority(PRIO_PROCESS, 0, 7) == 0);
	prctl(PR_SET_PDEATHSIG, SIGWINCH);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	fd = open("/proc/self/oom_score_adj", O_WRONLY);
	NEED(write(fd, "321", 3) == 3 && close(fd) == 0);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		getrlimit(i, &limits[i]);
	command_line_size = contents("/proc/self/cmdline", command_line, sizeof(command_line));
	environment_size = contents("/proc/self/environ", environment, sizeof(environment));
	contents("/proc/self/auxv", (char *)auxiliary, sizeof(auxiliary));
	subject_rounds(check);
}
