/*
 * confined.c PROFILE [landlock]: a thread that runs under a profile of AppArmor, which allows it no capability, and in a
 * domain of Landlock if told so, beside one that is not confined.
 */
#include "landlock.h"
#include <pthread.h>

static const char *profile;
static pthread_t handle;
static volatile int turn, answered, free_failures;

static int is_confined(void)
{
	char label[256] = "";
	int fd = open("/proc/thread-self/attr/current", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && read(fd, label, sizeof(label) - 1) > 0, "no label: %s", strerror(errno));
	close(fd);
	if (!strcmp(label, "unconfined\n"))
		return 0;
	CHECK(!strncmp(label, profile, strlen(profile)) && label[strlen(profile)] == ' ', "label %s", label);
	return 1;
}

/* The kernel is of the same mind. */
static int may_rename_host(void)
{
	char name[64];

	return gethostname(name, sizeof(name)) == 0 && sethostname(name, strlen(name)) == 0;
}

static void *unconfined(void *unused)
{
	int seen = 0;

	(void)unused;
	for (;;) {
		while (turn == seen)
			usleep(2000);
		seen = turn;
		free_failures = is_confined() || !may_rename_host();
		answered = 1;
	}
	return NULL;
}

static void check(void)
{
	CHECK(is_confined(), "the first thread is not confined");
	CHECK(!may_rename_host(), "the first thread may do what it may not");
	answered = 0;
	turn++;
	for (int n = 0; n < 5000 && !answered; n++)
		usleep(1000);
	CHECK(answered && !free_failures, "the other thread is confined");
}

int main(int argc, char **argv)
{
	char command[256];
	int fd;

	NEED(argc >= 2);
	profile = argv[1];
	subject_begin();
	NEED(pthread_create(&handle, NULL, unconfined, NULL) == 0);
	if (argc > 2)
		enter_landlock_domain();
	snprintf(command, sizeof(command), "changeprofile %s", profile);
	fd = open("/proc/thread-self/attr/current", O_WRONLY | O_CLOEXEC);
	NEED(fd >= 0 && write(fd, command, strlen(command)) == (ssize_t)strlen(command) && close(fd) == 0);
	NEED(is_confined());
	subject_rounds(check);
}
