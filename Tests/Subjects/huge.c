/* Memory of huge pages: private, shared, a memfd, a file of a hugetlbfs. */
#include "subject.h"


#define HUGE (2ul << 20)
#define PAGE 4096ul

static char *private, *shared, *mapped, *own;
static int memfd;
static pid_t child;

static char *map(size_t size, int flags, int fd)
{
	char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	NEED(start != MAP_FAILED);
	return start;
}

static void check(void)
{
	char byte = (char)(round_number + (child ? 0 : 100));

	CHECK(!private || (filled(private, 3 * PAGE, 1) && private[HUGE - 1] == 0), "private");
	CHECK(filled(shared, 3 * PAGE, 2) && filled(shared + HUGE, PAGE, 3), "shared");
	CHECK(filled(mapped, PAGE, 4) && mapped[PAGE] == 0, "memfd");
	CHECK(!own || (filled(own, PAGE, 5) && own[PAGE] == 0), "private mapping of the memfd");
	shared[HUGE + PAGE + (child ? 0 : 1)] = byte;
	if (!child)
		return;
	ask_child(child, "child");
	CHECK(shared[HUGE + PAGE + 1] == (char)(round_number + 100), "the child's write is not seen");
	CHECK(fcntl(memfd, F_GET_SEALS) == F_SEAL_SHRINK, "seals %#x", fcntl(memfd, F_GET_SEALS));
}

int main(void)
{
	subject_begin();
	private = map(HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	fill(private, 3 * PAGE, 1);
	shared = map(2 * HUGE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	fill(shared, 3 * PAGE, 2);
	fill(shared + HUGE, PAGE, 3);
	memfd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING | MFD_CLOEXEC);
	NEED(memfd >= 0 && ftruncate(memfd, HUGE) == 0 && fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
	mapped = map(HUGE, MAP_SHARED, memfd);
	fill(mapped, PAGE, 4);
	own = map(HUGE, MAP_PRIVATE, memfd);
	fill(own, PAGE, 5);
	NEED(madvise(private, HUGE, MADV_DONTFORK) == 0 && madvise(own, HUGE, MADV_DONTFORK) == 0);
	child = fork();
	NEED(child >= 0);
	if (!child) {
		private = own = NULL;
		child_is_ready();
		child_rounds(check);
	}
	need_child(child);
	subject_rounds(check);
}
