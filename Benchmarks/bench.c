/*
 * bench APUS SUBJECTS RUNS: how long Apus takes to start, to dump and to restore, phase by phase.
 *
 * The total is measured here, from the start of Apus to its end; the phases and the round trips are what Apus says itself
 * (--display-stats). Medians of RUNS runs, with the least and the most.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_RUNS 1000
#define MAX_ROWS 40

struct row {
	char name[80], unit[8];
	double values[MAX_RUNS];
	int count;
};
static struct row rows[MAX_ROWS];
static int row_count;
static char folder[] = "/tmp/apus-bench.XXXXXX", output[64], images[64];
static pid_t target;

static void clean(void)
{
	char command[128];

	if (target > 0)
		kill(target, SIGKILL);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	if (system(command))
		fprintf(stderr, "%s is left over\n", folder);
}

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static void add(const char *name, const char *unit, double value)
{
	struct row *row = rows;

	while (row < rows + row_count && strcmp(row->name, name))
		row++;
	if (row == rows + row_count) {
		if (row_count == MAX_ROWS)
			fail("too many rows");
		row_count++;
		snprintf(row->name, sizeof(row->name), "%s", name);
		snprintf(row->unit, sizeof(row->unit), "%s", unit);
		row->count = 0;
	}
	if (row->count < MAX_RUNS)
		row->values[row->count++] = value;
}

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* Runs a command with its output in the file `output`; how long it took. */
static double run(char *const argv[])
{
	double began = milliseconds(), ended;
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600), in = open("/dev/null", O_RDONLY);

		dup2(in, 0);
		dup2(out, 1);
		dup2(out, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ended = milliseconds();
	if (status) {
		char line[500];
		FILE *file = fopen(output, "r");

		while (file && fgets(line, sizeof(line), file))
			fputs(line, stderr);
		fprintf(stderr, "%s %s: status %#x\n", argv[0], argv[1], status);
		exit(1);
	}
	return ended - began;
}

/* The lines "What it is: 123 us" that --display-stats writes. */
static void add_phases(const char *prefix)
{
	char line[200], name[200];
	FILE *file = fopen(output, "r");

	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':'), *end;
		double value;

		if (!colon)
			continue;
		*colon = 0;
		value = strtod(colon + 1, &end);
		if (end == colon + 1)
			continue;
		snprintf(name, sizeof(name), "%s: %.60s", prefix, line);
		if (strstr(end, "us"))
			add(name, "ms", value / 1e3);
		else
			add(name, "", value);
	}
	if (file)
		fclose(file);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_rows(void)
{
	printf("%-56s %10s %10s %10s\n", "", "median", "least", "most");
	for (int i = 0; i < row_count; i++) {
		struct row *row = &rows[i];
		int digits = row->unit[0] ? 2 : 0;

		qsort(row->values, row->count, sizeof(double), ascending);
		if (row->values[row->count - 1] == 0)
			continue;
		printf("%-56s %10.*f %10.*f %10.*f %s\n", row->name, digits, row->values[row->count / 2], digits,
		       row->values[0], digits, row->values[row->count - 1], row->unit);
	}
}

static pid_t start_target(const char *program, const char *megabytes)
{
	char said[80];
	struct stat status = { 0 };
	pid_t pid;

	snprintf(said, sizeof(said), "%s/said-%s", folder, megabytes);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR), out = open(said, O_WRONLY | O_CREAT | O_APPEND, 0600);

		setsid();
		dup2(null, 0);
		dup2(out, 1);
		dup2(null, 2);
		syscall(SYS_close_range, 3, ~0U, 0);
		execl(program, program, megabytes, NULL);
		_exit(127);
	}
	/* It says "ready". */
	for (int i = 0; i < 1000 && status.st_size < 6; i++) {
		usleep(5000);
		if (stat(said, &status))
			status.st_size = 0;
	}
	if (status.st_size != 6)
		fail("the subject does not start");
	return pid;
}

static void dump_and_restore(const char *apus, const char *subject, const char *megabytes, int runs)
{
	char pid[16], dump_name[60], restore_name[60];

	snprintf(dump_name, sizeof(dump_name), "dump of a process with %s MiB", megabytes);
	snprintf(restore_name, sizeof(restore_name), "restore of it (%s MiB)", megabytes);
	target = start_target(subject, megabytes);
	snprintf(pid, sizeof(pid), "%d", target);
	for (int i = 0; i < runs; i++) {
		char *dump[] = { (char *)apus, "dump", "-t", pid, "-D", images, "--display-stats", NULL };
		char *restore[] = { (char *)apus, "restore", "-D", images, "-d", "--display-stats", NULL };

		add(dump_name, "ms", run(dump));
		add_phases(dump_name);
		/* Its pid is free again once it has been waited for. */
		waitpid(target, NULL, 0);
		add(restore_name, "ms", run(restore));
		add_phases(restore_name);
	}
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	target = 0;
}

int main(int argc, char **argv)
{
	char *version[] = { argv[1], "--version", NULL };
	int runs = argc == 4 ? atoi(argv[3]) : 0;

	if (runs < 1 || runs > MAX_RUNS || !mkdtemp(folder))
		return 2;
	atexit(clean);
	/* What Apus leaves behind becomes a child of this program, so that it can be waited for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	snprintf(output, sizeof(output), "%s/output", folder);
	snprintf(images, sizeof(images), "%s/images", folder);
	mkdir(images, 0700);
	for (int i = 0; i < runs; i++)
		add("apus --version", "ms", run(version));
	dump_and_restore(argv[1], argv[2], "0", runs);
	dump_and_restore(argv[1], argv[2], "16", runs);
	print_rows();
	return 0;
}
