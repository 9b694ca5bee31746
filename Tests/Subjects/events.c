/*
 * events.c FOLDER: eventfds, timerfds, signalfds, inotify queues, and epoll sets over all of them, watched in every manner,
 * also under numbers that mean something else by now, and by a child that shares a set.
 */
#include "subject.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define BIG 0x123456789abcUL
#define QUEUED (SIGRTMIN + 6)
#define GHOST 60 /* closed after it was added to the set, and something else by now */
#define FIRED 61 /* a pipe whose watch has reported once */
#define FIRED_END 62
#define CHILDS 63 /* of the child's own in the child, of the parent's own in the parent */

static const char *folder;
static int big, semaphore, empty, far_timer, expired, fast, dated, signals, watcher;
static int most, alarm_clock, boot, repeated, once, moved, deleted, moved_watch, deleted_watch, once_watch;
static int set, inner, edge[2], level[2], sockets[2], armed, ghost, exclusive, seen_edge;
static int shows_semaphores;
static time_t date;
static pid_t child;

static uint64_t take(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, 8) == 8 ? value : 0;
}

static void give(int fd, uint64_t value)
{
	CHECK(write(fd, &value, 8) == 8, "write to %d: %s", fd, strerror(errno));
}

static void watch(int epoll, int fd, unsigned events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	NEED(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* What a set reports at this moment, bit N for the data N; the data of 9 is more than 32 bits. */
static unsigned reported(int epoll)
{
	struct epoll_event events[32];
	unsigned mask = 0;
	int count = epoll_wait(epoll, events, 32, 0);

	for (int i = 0; i < count; i++)
		mask |= 1u << (events[i].data.u64 == 0x1122334455667788 ? 9 : events[i].data.u64);
	return mask;
}

static void arm(int fd, int flags, long seconds, long nanoseconds, long interval)
{
	struct itimerspec timer = { { 0, interval }, { seconds, nanoseconds } };

	NEED(timerfd_settime(fd, flags, &timer, NULL) == 0);
}

static void queue(void)
{
	NEED(sigqueue(getpid(), QUEUED, (union sigval){ .sival_int = 4711 + round_number }) == 0);
}

/* A pipe of which the set has reported once that there is something in it. */
static void fire(void)
{
	int both[2];

	NEED(pipe(both) == 0 && dup2(both[0], FIRED) == FIRED && dup2(both[1], FIRED_END) == FIRED_END);
	close(both[0]);
	close(both[1]);
	watch(set, FIRED, EPOLLIN | EPOLLONESHOT, 12);
	NEED(write(FIRED_END, "x", 1) == 1);
	NEED(reported(set) & 1 << 12);
	NEED(!(reported(set) & 1 << 12));
}

static void expire(void)
{
	arm(expired, 0, 0, 1, 0);
	NEED(poll(&(struct pollfd){ .fd = expired, .events = POLLIN }, 1, 1000) == 1);
}

static void check_timers(void)
{
	struct itimerspec left;

	CHECK(timerfd_gettime(far_timer, &left) == 0 && left.it_value.tv_sec <= 7000 && left.it_value.tv_sec > 6900 &&
		      left.it_interval.tv_sec == 3, "timerfd: %ld s left", (long)left.it_value.tv_sec);
	CHECK(timerfd_gettime(dated, &left) == 0 && labs(date - time(NULL) - left.it_value.tv_sec) <= 2,
	      "dated timerfd: %ld s left", (long)left.it_value.tv_sec);
	CHECK(take(expired) == 1, "expired timerfd");
	expire();
	CHECK(poll(&(struct pollfd){ .fd = fast, .events = POLLIN }, 1, 1000) == 1 && take(fast) >= 1, "fast timerfd");
	CHECK(timerfd_gettime(boot, &left) == 0 && left.it_value.tv_sec <= 6000 && left.it_value.tv_sec > 5900,
	      "absolute timerfd: %ld s left", (long)left.it_value.tv_sec);
	CHECK(timerfd_gettime(repeated, &left) == 0 && left.it_value.tv_sec == 0 && left.it_interval.tv_sec == 9,
	      "timerfd that is not set: %ld s left, interval %ld", (long)left.it_value.tv_sec, (long)left.it_interval.tv_sec);
	CHECK(alarm_clock < 0 || (timerfd_gettime(alarm_clock, &left) == 0 && left.it_value.tv_sec <= 8000 &&
				  left.it_value.tv_sec > 7900), "alarm timerfd: %ld s left", (long)left.it_value.tv_sec);
	CHECK(fcntl(fast, F_GETFL) & O_NONBLOCK && fcntl(far_timer, F_GETFD) & FD_CLOEXEC, "flags of timerfds");
}

static void check_counters(void)
{
	CHECK(take(big) == BIG, "eventfd: its counter");
	give(big, BIG);
	/* Kernels before 6.6 do not show what it is, and nobody can carry it. */
	if (shows_semaphores)
		CHECK(take(semaphore) == 1 && take(semaphore) == 1, "semaphore: what a read takes");
	else
		CHECK(take(semaphore) >= 1, "semaphore");
	while (take(semaphore))
		;
	give(semaphore, 2);
	CHECK(take(empty) == 0 && errno == EAGAIN, "empty eventfd");
	CHECK(write(most, &(uint64_t){ 1 }, 8) < 0 && errno == EAGAIN, "the fullest eventfd takes one more");
	CHECK(take(most) == UINT64_MAX - 1, "the fullest eventfd: its counter");
	give(most, UINT64_MAX - 1);
}

static void check_signals(void)
{
	struct signalfd_siginfo info;

	CHECK(read(signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == (unsigned)QUEUED &&
		      info.ssi_int == 4711 + round_number - 1, "signalfd");
	CHECK(read(signals, &info, sizeof(info)) < 0 && errno == EAGAIN, "empty signalfd");
	queue();
}

/* The one event of a watch, and no other. */
static void check_event(int number, unsigned mask, const char *which)
{
	union { struct inotify_event event; char bytes[4096]; } buffer;

	CHECK(read(watcher, &buffer, sizeof(buffer)) > 0 && buffer.event.wd == number && buffer.event.mask == mask,
	      "%s: watch %d, not %d, mask %#x", which, buffer.event.wd, number, buffer.event.mask);
}

/* Files that have other names by now, or none, and a watch that tells of one event only. */
static void check_lost_names(void)
{
	union { struct inotify_event event; char bytes[4096]; } buffer;
	char path[300];

	CHECK(pwrite(moved, "m", 1, 0) == 1, "write to a file that was moved");
	check_event(moved_watch, IN_MODIFY, "moved file");
	CHECK(pwrite(deleted, "d", 1, 0) == 1, "write to a file without a name");
	check_event(deleted_watch, IN_MODIFY, "file without a name");
	CHECK(pwrite(once, "o", 1, 0) == 1 && pwrite(once, "o", 1, 0) == 1, "write");
	snprintf(path, sizeof(path), "%s/file", folder);
	CHECK(read(watcher, &buffer, sizeof(buffer)) == 2 * sizeof(buffer.event) && buffer.event.wd == once_watch &&
		      buffer.event.mask == IN_MODIFY, "one-shot watch: %d, mask %#x", buffer.event.wd, buffer.event.mask);
	CHECK((&buffer.event)[1].mask == IN_IGNORED, "one-shot watch: not once");
	once_watch = inotify_add_watch(watcher, path, IN_MODIFY | IN_ONESHOT);
	CHECK(once_watch > 0, "inotify_add_watch");
}

static void check_watches(void)
{
	union { struct inotify_event event; char bytes[4096]; } buffer;
	char path[300];
	int file;

	snprintf(path, sizeof(path), "%s/new", folder);
	CHECK(read(watcher, &buffer, sizeof(buffer)) < 0 && errno == EAGAIN, "inotify: an event that has not been");
	file = open(path, O_CREAT | O_WRONLY, 0600);
	CHECK(file >= 0 && close(file) == 0 && unlink(path) == 0, "file in %s", folder);
	CHECK(read(watcher, &buffer, sizeof(buffer)) > 0 && buffer.event.wd == 3 && buffer.event.mask == IN_CREATE,
	      "inotify: watch %d, mask %#x", buffer.event.wd, buffer.event.mask);
	while (read(watcher, &buffer, sizeof(buffer)) > 0)
		;
	check_lost_names();
}

static void check_set(void)
{
	unsigned always = 1 << 1 | 1 << 2 | 1 << 13 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11, now;
	struct epoll_event again = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 5 };
	char c;

	now = reported(set);
	/* What was reported by its edge may be reported once more. */
	CHECK((now & ~(1u << 10)) == always, "epoll: %#x instead of %#x", now, always);
	now = reported(set);
	CHECK(now == always, "epoll: %#x the second time", now);
	give(armed, 1);
	CHECK(write(edge[1], "x", 1) == 1, "write to a pipe");
	give(seen_edge, 1);
	now = reported(set);
	CHECK(now == (always | 1 << 3 | 1 << 5 | 1 << 10), "epoll: %#x after writing", now);
	CHECK(reported(set) == always, "epoll: not once");
	CHECK(read(edge[0], &c, 1) == 1 && take(armed) == 1, "what was written");
	CHECK(epoll_ctl(set, EPOLL_CTL_MOD, armed, &again) == 0, "one-shot: not under its number");
	/* Not even the end of the pipe is reported by a watch that has had its turn. */
	close(FIRED_END);
	now = reported(set);
	CHECK(now == always, "epoll: %#x after a watch has had its turn", now);
	CHECK(epoll_ctl(set, EPOLL_CTL_DEL, FIRED, NULL) == 0, "fired: not under its number");
	close(FIRED);
	fire();
	CHECK(fcntl(GHOST, F_GETFD) == 0 && epoll_ctl(set, EPOLL_CTL_DEL, GHOST, NULL) < 0, "the number of the ghost");
	CHECK(take(exclusive) == 7, "exclusive");
	give(exclusive, 7);
}

static void check_child(void)
{
	CHECK(reported(set) & 1 << 11, "the set that is shared reports %#x", reported(set));
	CHECK(take(CHILDS) == 77, "the child's eventfd");
	give(CHILDS, 77);
}

static void check(void)
{
	check_counters();
	check_timers();
	check_signals();
	check_watches();
	check_set();
	ask_child(child, "child");
}

static void make_counters(void)
{
	char path[64];

	big = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	give(big, BIG);
	most = eventfd(0, EFD_NONBLOCK);
	give(most, UINT64_MAX - 1);
	semaphore = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", semaphore);
	shows_semaphores = *proc_field(path, "eventfd-semaphore");
	empty = eventfd(0, EFD_NONBLOCK);
	armed = eventfd(0, EFD_NONBLOCK);
	seen_edge = eventfd(5, 0);
	exclusive = eventfd(7, 0);
	ghost = eventfd(1, 0);
	NEED(dup2(ghost, GHOST) == GHOST);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0 && write(sockets[1], "x", 1) == 1);
	NEED(pipe(edge) == 0 && pipe(level) == 0 && write(level[1], "x", 1) == 1);
}

static void make_timers(void)
{
	struct timespec now;

	far_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	NEED(timerfd_settime(far_timer, 0, &(struct itimerspec){ { 3, 0 }, { 7000, 0 } }, NULL) == 0);
	expired = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	expire();
	fast = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
	arm(fast, 0, 0, 20000000, 20000000);
	dated = timerfd_create(CLOCK_REALTIME, 0);
	date = time(NULL) + 5000;
	arm(dated, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, date, 0, 0);
	clock_gettime(CLOCK_BOOTTIME, &now);
	boot = timerfd_create(CLOCK_BOOTTIME, 0);
	arm(boot, TFD_TIMER_ABSTIME, now.tv_sec + 6000, 0, 0);
	/* Not set, but with an interval. */
	repeated = timerfd_create(CLOCK_MONOTONIC, 0);
	NEED(timerfd_settime(repeated, 0, &(struct itimerspec){ { 9, 0 }, { 0, 0 } }, NULL) == 0);
	/* Where the host has a clock that can wake it. */
	alarm_clock = timerfd_create(CLOCK_BOOTTIME_ALARM, 0);
	if (alarm_clock >= 0)
		arm(alarm_clock, 0, 8000, 0, 0);
}

static const char *file_in_folder(const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int watch_file(const char *name, int *file)
{
	int number;

	/* Of a size that stays. */
	NEED((*file = open(file_in_folder(name), O_CREAT | O_RDWR, 0600)) >= 0 && pwrite(*file, "-", 1, 0) == 1);
	number = inotify_add_watch(watcher, file_in_folder(name), IN_MODIFY);
	NEED(number > 0);
	return number;
}

static void make_watches(void)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/file", folder);
	NEED(mkdir(folder, 0700) == 0 && (once = open(path, O_CREAT | O_RDWR, 0600)) >= 0 && pwrite(once, "-", 1, 0) == 1);
	watcher = inotify_init1(IN_NONBLOCK);
	NEED(inotify_add_watch(watcher, "/", IN_DELETE) == 1);
	NEED(inotify_add_watch(watcher, path, IN_MODIFY | IN_ONESHOT) == 2);
	NEED(inotify_rm_watch(watcher, 1) == 0);
	NEED(inotify_add_watch(watcher, folder, IN_CREATE | IN_EXCL_UNLINK) == 3);
	once_watch = 2;
	moved_watch = watch_file("moved", &moved);
	deleted_watch = watch_file("deleted", &deleted);
	snprintf(path, sizeof(path), "%s/elsewhere", folder);
	NEED(rename(file_in_folder("moved"), path) == 0 && unlink(file_in_folder("deleted")) == 0);
	/* IN_IGNORED of the watch that was removed, IN_CREATE of the files. */
	while (read(watcher, path, sizeof(path)) > 0)
		;
}

int main(int argc, char **argv)
{
	sigset_t queued = set_of(QUEUED, 0);

	NEED(argc == 2);
	folder = argv[1];
	subject_begin();
	sigprocmask(SIG_BLOCK, &queued, NULL);
	make_counters();
	make_timers();
	make_watches();
	signals = signalfd(-1, &queued, SFD_NONBLOCK);
	queue();
	set = epoll_create1(EPOLL_CLOEXEC);
	inner = epoll_create1(0);
	watch(inner, level[0], EPOLLIN, 1);
	watch(set, big, EPOLLIN, 1);
	watch(set, empty, EPOLLIN | EPOLLOUT, 2);
	watch(set, edge[0], EPOLLIN | EPOLLET, 3);
	watch(set, sockets[0], EPOLLIN | EPOLLRDHUP, 13);
	watch(set, sockets[1], EPOLLIN, 14);
	watch(set, far_timer, EPOLLIN, 4);
	watch(set, armed, EPOLLIN | EPOLLONESHOT, 5);
	watch(set, signals, EPOLLIN, 6);
	watch(set, inner, EPOLLIN, 7);
	watch(set, GHOST, EPOLLIN, 8);
	watch(set, exclusive, EPOLLIN | EPOLLEXCLUSIVE, 0x1122334455667788);
	watch(set, seen_edge, EPOLLIN | EPOLLET, 10);
	NEED(close(GHOST) == 0 && open("/dev/null", O_RDONLY) >= 0 && dup2(open("/dev/null", O_RDWR), GHOST) == GHOST);
	fire();
	child = fork();
	if (child == 0) {
		int own = eventfd(77, EFD_NONBLOCK);
		/* The end of that pipe is the parent's alone. */
		close(FIRED);
		close(FIRED_END);
		NEED(dup2(own, CHILDS) == CHILDS && close(own) == 0);
		watch(set, CHILDS, EPOLLIN, 11);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED(dup2(empty, CHILDS) == CHILDS);
	subject_rounds(check);
}
