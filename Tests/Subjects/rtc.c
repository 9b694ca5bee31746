/*
 * rtc.c: a real-time clock, of which nobody else has one. With an argument it is to tell something: "updates" (and has told it, which is not
 * read), "alarm".
 */
#include "subject.h"
#include <linux/rtc.h>
#include <sys/ioctl.h>
#include <time.h>

static int clock_fd;

static void check(void)
{
	struct rtc_time time;

	CHECK(ioctl(clock_fd, RTC_RD_TIME, &time) == 0 && time.tm_year > 100, "the time: %s", strerror(errno));
	CHECK(open("/dev/rtc0", O_RDONLY) == -1 && errno == EBUSY, "somebody else can open it");
	CHECK((fcntl(clock_fd, F_GETFL) & ~KERNEL_LARGEFILE) == (O_RDONLY | O_NONBLOCK), "flags %#x", fcntl(clock_fd, F_GETFL));
}

int main(int argc, char **argv)
{
	struct rtc_wkalrm alarm = { .enabled = 1 };
	struct tm later = { 0 };

	subject_begin();
	NEED((clock_fd = open("/dev/rtc0", O_RDONLY | O_NONBLOCK)) >= 0);
	if (argc > 1 && !strcmp(argv[1], "updates"))
		NEED(ioctl(clock_fd, RTC_UIE_ON, 0) == 0);
	if (argc > 1 && !strcmp(argv[1], "alarm")) {
		NEED(ioctl(clock_fd, RTC_RD_TIME, &alarm.time) == 0);
		/* Both begin with the same six numbers. */
		memcpy(&later, &alarm.time, 6 * sizeof(int));
		later.tm_hour += 2;
		timegm(&later);
		memcpy(&alarm.time, &later, 6 * sizeof(int));
		NEED(ioctl(clock_fd, RTC_WKALM_SET, &alarm) == 0);
	}
	subject_rounds(check);
	if (argc > 1) {
		alarm.enabled = 0;
		ioctl(clock_fd, RTC_WKALM_SET, &alarm);
	}
}
