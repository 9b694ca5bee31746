/*
 * fanotify.c FOLDER: queues of fanotify, of all classes, none of which is asked for permission: of a file, of a mount but for one
 * file, and of a file system with names.
 */
#include "subject.h"
#include <sys/fanotify.h>

static char file[300], other[300], ignored[300], made[300];
static int files, mounted, named, has_names;

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path, strerror(errno));
	close(fd);
}

/* What a queue has to tell of a file; everything else that happens on the host it tells, too. */
static uint64_t report(int queue, const char *path, int *flags)
{
	static char buffer[65536];
	uint64_t mask = 0;
	ssize_t length;

	while ((length = read(queue, buffer, sizeof(buffer))) > 0) {
		struct fanotify_event_metadata *event = (void *)buffer;

		for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
			char link[64], target[400] = "";

			if (event->fd < 0)
				continue;
			snprintf(link, sizeof(link), "/proc/self/fd/%d", event->fd);
			if (path && readlink(link, target, sizeof(target) - 1) > 0 && !strcmp(target, path)) {
				mask |= event->mask;
				*flags = fcntl(event->fd, F_GETFL);
			}
			close(event->fd);
		}
	}
	return mask;
}

/* Whether a queue tells of a name. */
static int reports_name(int queue, const char *name)
{
	static char buffer[65536];
	ssize_t length;
	int found = 0;

	while ((length = read(queue, buffer, sizeof(buffer))) > 0)
		found |= memmem(buffer, length, name, strlen(name) + 1) != NULL;
	return found;
}

static void drain(void)
{
	report(files, NULL, NULL);
	report(mounted, NULL, NULL);
	reports_name(named, "");
}

static void check(void)
{
	int flags = 0;
	uint64_t mask;

	drain();
	put(file, "text");
	put(other, "text");
	put(ignored, "text");
	unlink(made);
	put(made, "text");
	mask = report(files, file, &flags);
	CHECK(mask == (FAN_OPEN | FAN_CLOSE_WRITE), "file: told 0x%llx", (unsigned long long)mask);
	CHECK((flags & (O_ACCMODE | O_APPEND)) == (O_RDWR | O_APPEND), "file: given with flags 0%o", flags);
	put(other, "text");
	put(ignored, "text");
	mask = report(mounted, other, &flags);
	CHECK(mask == FAN_MODIFY, "mount: told 0x%llx", (unsigned long long)mask);
	put(ignored, "text");
	mask = report(mounted, ignored, &flags);
	CHECK(mask == 0, "ignored: told 0x%llx", (unsigned long long)mask);
	CHECK(reports_name(named, strrchr(made, '/') + 1) == has_names, "names: not told");
	CHECK(fcntl(named, F_GETFL) & O_NONBLOCK, "names: waits");
	drain();
}

int main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : "/tmp";

	subject_begin();
	mkdir(folder, 0700);
	snprintf(file, sizeof(file), "%s/file", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	snprintf(ignored, sizeof(ignored), "%s/ignored", folder);
	snprintf(made, sizeof(made), "%s/made-by-fanotify-%d", folder, getpid());
	put(file, "");
	put(other, "");
	put(ignored, "");
	files = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_NONBLOCK | FAN_UNLIMITED_MARKS, O_RDWR | O_APPEND);
	mounted = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK | FAN_CLOEXEC | FAN_UNLIMITED_QUEUE, O_RDONLY);
	named = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, O_RDONLY);
	NEED(files >= 0 && mounted >= 0 && named >= 0);
	NEED(fanotify_mark(files, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE_WRITE, AT_FDCWD, file) == 0);
	NEED(fanotify_mark(mounted, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, AT_FDCWD, folder) == 0);
	NEED(fanotify_mark(mounted, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY,
			   AT_FDCWD, ignored) == 0);
	/* Not all file systems have what events with names need. */
	has_names = fanotify_mark(named, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE, AT_FDCWD, folder) == 0;
	NEED(has_names || errno == EOPNOTSUPP || errno == ENODEV || errno == EXDEV);
	subject_rounds(check);
}
