/* mappings.c FILE: what a mapping can be beside what memory.c has: guards, locks, seals, growth. */
#include "subject.h"

#define PAGE 4096ul
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
enum { GUARD = 102, DROPPABLE = 8, MSEAL = 462 };

static struct area {
	const char *name;
	char *start;
	char flags[512];
} areas[16];
static int count, has_guards, has_seals;
static char *guarded, *file, *locked, *sealed, *grows, *zeroes, *code, *early, *reader;
static int late = -1;
static pid_t children[2];
static const int future[2] = { MCL_FUTURE, MCL_FUTURE | MCL_ONFAULT };

/* "perms VmFlags" of the mapping that holds an address, from smaps. */
static void flags_at(const void *address, char *into, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start, end, at = (unsigned long)address;
	char line[1024], perms[8];
	int inside = 0;

	into[0] = 0;
	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3) {
			inside = at >= start && at < end;
			if (inside)
				snprintf(into, size, "%s ", perms);
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			strncat(into, line + 9, size - strlen(into) - 1);
			break;
		}
	}
	if (smaps)
		fclose(smaps);
}

static char *add(const char *name, size_t pages, int prot, int flags, int fd)
{
	areas[count].name = name;
	areas[count].start = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
	NEED(areas[count].start != MAP_FAILED);
	return areas[count++].start;
}

static int faults(const void *address) { return access(address, F_OK) == -1 && errno == EFAULT; }

static int guard(char *start, size_t pages)
{
	if (madvise(start, pages * PAGE, GUARD) == 0)
		return 1;
	say("note: guards: %s", strerror(errno));
	return 0;
}

static void set_up_guards(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	NEED(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
	guarded = add("guarded", 32, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(guarded, 16 * PAGE, 1);
	has_guards = guard(guarded, 1) && guard(guarded + 5 * PAGE, 2) && guard(guarded + 20 * PAGE, 12);
	file = add("guarded file", 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	fill(file, 8 * PAGE, 2);
	if (has_guards)
		NEED(guard(file + 3 * PAGE, 1));
	close(fd);
}

/* F_SEAL_FUTURE_WRITE forbids mappings that can be written to, but for those that are there. */
static void set_up_sealed_file(void)
{
	late = memfd_create("sealed late", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	NEED(late >= 0 && ftruncate(late, 2 * PAGE) == 0);
	early = add("mapped before the seal", 2, PROT_READ | PROT_WRITE, MAP_SHARED, late);
	fill(early, PAGE, 7);
	NEED(fcntl(late, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
	/* Its flags are not compared: mapped from a file that is open for reading alone it lacks one without meaning, "sh". */
	reader = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, late, 0);
	NEED(reader != MAP_FAILED);
}

static void check_sealed_file(void)
{
	int seals = F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

	CHECK(fcntl(late, F_GET_SEALS) == seals, "sealed late: seals %#x", fcntl(late, F_GET_SEALS));
	CHECK(filled(early, PAGE, 7) && filled(reader, PAGE, 7), "sealed late: content");
	early[PAGE] = (char)round_number;
	CHECK(reader[PAGE] == (char)round_number, "sealed late: the two mappings are not one");
	CHECK(mprotect(reader, PAGE, PROT_READ | PROT_WRITE) == -1, "sealed late: the reader can be made a writer");
	CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, late, 0) == MAP_FAILED, "sealed late: it can be mapped anew");
}

static void set_up(const char *path)
{
	static const unsigned char returns42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	char *room;
	int fd;

	set_up_guards(path);
	set_up_sealed_file();
	locked = add("locked on fault", 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(locked, PAGE, 3);
	NEED(syscall(SYS_mlock2, locked, 8 * PAGE, MLOCK_ONFAULT) == 0);
	sealed = add("sealed", 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	fill(sealed, 4 * PAGE, 4);
	NEED(mprotect(sealed, 4 * PAGE, PROT_READ) == 0);
	has_seals = syscall(MSEAL, sealed, 4 * PAGE, 0) == 0;
	if (mmap(NULL, PAGE, PROT_READ, DROPPABLE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		say("note: MAP_DROPPABLE: %s", strerror(errno));
	else
		memset(add("droppable", 4, PROT_READ | PROT_WRITE, DROPPABLE | MAP_ANONYMOUS, -1), 1, PAGE);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	zeroes = add("/dev/zero, shared", 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	fill(zeroes, PAGE, 6);
	close(fd);
	code = add("code", 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memcpy(code, returns42, sizeof(returns42));
	NEED(mprotect(code, PAGE, PROT_EXEC) == 0);
	/* The last, with free pages below, into which it can grow. */
	room = mmap(NULL, 600 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(room != MAP_FAILED && munmap(room, 600 * PAGE) == 0);
	grows = mmap(room + 590 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	NEED(grows == room + 590 * PAGE);
	fill(grows, 8 * PAGE, 5);
}

static void check_guards(void)
{
	for (int i = 0; i < 32; i++) {
		int expected = has_guards && (i == 0 || i == 5 || i == 6 || i >= 20);

		CHECK(faults(guarded + i * PAGE) == expected, "guards: page %d %s", i, expected ? "is open" : "faults");
		if (!expected && i < 16)
			CHECK(filled(guarded + i * PAGE, PAGE, 1 + i * 1024), "guards: page %d", i);
	}
	for (int i = 0; i < 8; i++) {
		CHECK(faults(file + i * PAGE) == (has_guards && i == 3), "guarded file: page %d", i);
		CHECK((has_guards && i == 3) || filled(file + i * PAGE, PAGE, 2 + i * 1024), "guarded file: page %d", i);
	}
}

/* In a child, so that here nothing changes. */
static int grows_down(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 1; i < 20; i++)
			grows[-i * (long)PAGE] = 1;
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void check(void)
{
	char flags[512];

	for (int i = 0; i < count; i++) {
		flags_at(areas[i].start, flags, sizeof(flags));
		CHECK(!strcmp(flags, areas[i].flags), "%s: flags were [%s], are [%s]", areas[i].name, areas[i].flags, flags);
	}
	check_guards();
	check_sealed_file();
	CHECK(filled(locked, PAGE, 3) && locked[PAGE] == 0, "locked on fault");
	CHECK(filled(sealed, 4 * PAGE, 4), "sealed");
	CHECK(!has_seals || (munmap(sealed, PAGE) == -1 && errno == EPERM), "the seal is broken");
	CHECK(filled(grows, 8 * PAGE, 5), "grows down");
	CHECK(grows_down(), "does not grow down");
	CHECK(filled(zeroes, PAGE, 6) && zeroes[2 * PAGE] == 0, "/dev/zero");
	CHECK(((int (*)(void))code)() == 42, "code");
	for (int i = 0; i < 2; i++)
		ask_child(children[i], "child");
}

static int which;

/* Its next mapping is locked, as it has asked for. */
static void check_future(void)
{
	char *page = mmap(NULL, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char flags[512];

	flags_at(page, flags, sizeof(flags));
	CHECK(strstr(flags, " lo") != NULL, "mlockall: the next mapping is not locked");
	CHECK((strstr(flags, " lf") != NULL) == which, "mlockall: on fault");
	munmap(page, PAGE);
}

int main(int argc, char **argv)
{
	char *end;

	NEED(argc == 2);
	subject_begin();
	free(malloc(100000)); /* so that stdio finds room and moves nothing later */
	set_up(argv[1]);
	flags_at(main, areas[0].flags, sizeof(areas[0].flags));
	for (which = 0; which < 2; which++) {
		children[which] = fork();
		NEED(children[which] >= 0);
		if (!children[which]) {
			NEED(mlockall(future[which]) == 0);
			child_is_ready();
			child_rounds(check_future);
		}
		need_child(children[which]);
	}
	for (int i = 0; i < count; i++) {
		flags_at(areas[i].start, areas[i].flags, sizeof(areas[i].flags));
		if ((end = strchr(areas[i].flags, '\n')))
			end[1] = 0;
	}
	subject_rounds(check);
}
