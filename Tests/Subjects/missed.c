/*
 * missed.c FOLDER: has an inotify queue with events that it has not read. A check takes them to be lost by a dump: the queue has to say
 * so (IN_Q_OVERFLOW), once, and nothing else; then it goes on, and has others that it does not read.
 */
#include "subject.h"
#include <sys/inotify.h>

static int queue, watched;
static char path[300];

static void touch(void)
{
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	NEED(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
}

static void check(void)
{
	union { struct inotify_event event; char bytes[4096]; } buffer;
	ssize_t got = read(queue, &buffer, sizeof(buffer));

	CHECK(got == (ssize_t)sizeof(struct inotify_event) && buffer.event.mask == IN_Q_OVERFLOW && buffer.event.wd == -1,
	      "%zd bytes, watch %d, mask %#x", got, buffer.event.wd, buffer.event.mask);
	CHECK(read(queue, &buffer, sizeof(buffer)) < 0 && errno == EAGAIN, "more is told");
	touch();
	got = read(queue, &buffer, sizeof(buffer));
	CHECK(got > 0 && buffer.event.wd == watched && buffer.event.mask == IN_MODIFY && !strcmp(buffer.event.name, "file"),
	      "%zd bytes, watch %d, mask %#x", got, buffer.event.wd, buffer.event.mask);
	touch();
}

int main(int argc, char **argv)
{
	NEED(argc == 2);
	subject_begin();
	snprintf(path, sizeof(path), "%s/file", argv[1]);
	NEED(mkdir(argv[1], 0700) == 0);
	touch();
	queue = inotify_init1(IN_NONBLOCK);
	NEED(inotify_add_watch(queue, "/", IN_DELETE) == 1);
	watched = inotify_add_watch(queue, argv[1], IN_MODIFY);
	NEED(watched == 2);
	touch();
	subject_rounds(check);
}
