/* Segments of System V shared memory: attached twice, in parts, by two processes, marked for removal, another's. */
#include "subject.h"
#include <sys/shm.h>

#define PAGE 4096ul
#define KEY 0x41507573
#define SIZE (5 * PAGE + 100)

static int keyed, removed, others;
static char *whole, *reader, *gone, *foreign;
static struct shmid_ds before[3];
static pid_t child;

static int segment(key_t key, size_t size, int mode)
{
	int id = shmget(key, size, IPC_CREAT | IPC_EXCL | mode);

	NEED(id >= 0);
	return id;
}

static char *attach(int id, int flags)
{
	char *start = shmat(id, NULL, flags);

	NEED(start != (void *)-1);
	return start;
}

static void set_up(void)
{
	struct shmid_ds status;

	/* An id that a new namespace would not give by itself. */
	removed = segment(IPC_PRIVATE, PAGE, 0600);
	NEED(shmctl(removed, IPC_RMID, NULL) == 0);
	keyed = segment(KEY, SIZE, 0640);
	whole = attach(keyed, 0);
	reader = attach(keyed, SHM_RDONLY);
	fill(whole, PAGE, 1);
	fill(whole + 2 * PAGE, 2 * PAGE, 2);
	strcpy(whole + 5 * PAGE + 50, "the end");
	NEED(munmap(whole + PAGE, PAGE) == 0);
	NEED(mprotect(whole + 3 * PAGE, PAGE, PROT_READ) == 0);
	NEED(madvise(whole + 4 * PAGE, PAGE, MADV_DONTFORK) == 0);
	removed = segment(IPC_PRIVATE, 3 * PAGE, 0600);
	gone = attach(removed, 0);
	fill(gone, PAGE, 3);
	NEED(shmctl(removed, IPC_RMID, NULL) == 0);
	NEED(syscall(SYS_setresuid, -1, 77, -1) == 0);
	others = segment(KEY + 1, PAGE, 0606);
	NEED(syscall(SYS_setresuid, -1, 0, -1) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	/* In a hole of the other. */
	foreign = shmat(others, whole + PAGE, 0);
	NEED(foreign == whole + PAGE && munmap(reader + 4 * PAGE, PAGE) == 0);
	NEED(shmctl(others, IPC_STAT, &status) == 0);
	status.shm_perm.uid = 1000;
	status.shm_perm.gid = 1001;
	NEED(shmctl(others, IPC_SET, &status) == 0);
}

static void check_status(const char *name, int id, struct shmid_ds *old)
{
	struct shmid_ds now;

	if (shmctl(id, IPC_STAT, &now)) {
		CHECK(0, "%s: id %d is gone: %s", name, id, strerror(errno));
		return;
	}
	CHECK(now.shm_perm.__key == old->shm_perm.__key, "%s: key %#x", name, now.shm_perm.__key);
	CHECK(now.shm_perm.mode == old->shm_perm.mode, "%s: mode %o", name, now.shm_perm.mode);
	CHECK(now.shm_perm.uid == old->shm_perm.uid && now.shm_perm.gid == old->shm_perm.gid, "%s: owner %d:%d", name,
	      now.shm_perm.uid, now.shm_perm.gid);
	CHECK(now.shm_perm.cuid == old->shm_perm.cuid && now.shm_perm.cgid == old->shm_perm.cgid, "%s: maker %d:%d", name,
	      now.shm_perm.cuid, now.shm_perm.cgid);
	CHECK(now.shm_segsz == old->shm_segsz, "%s: %zu bytes", name, now.shm_segsz);
	CHECK(now.shm_nattch == old->shm_nattch, "%s: attached %lu times, not %lu", name, now.shm_nattch, old->shm_nattch);
}

static void check_memory(void)
{
	char byte = (char)(round_number + (child ? 0 : 100));

	CHECK(filled(whole, PAGE, 1) && filled(whole + 2 * PAGE, 2 * PAGE, 2), "content");
	CHECK(filled(reader, PAGE, 1) && filled(reader + 2 * PAGE, 2 * PAGE, 2), "content as the reader sees it");
	CHECK(!strcmp(reader + 5 * PAGE + 50, "the end"), "the last page");
	CHECK(reader[PAGE] == 0, "a page that nobody has written to");
	CHECK(msync(reader + 4 * PAGE, PAGE, MS_ASYNC) == -1 && errno == ENOMEM, "what was unmapped is there");
	CHECK(mprotect(reader, PAGE, PROT_READ | PROT_WRITE) == -1, "the reader can be made a writer");
	whole[5 * PAGE] = byte;
	CHECK(reader[5 * PAGE] == byte, "the two attachments are not one");
	CHECK(filled(gone, PAGE, 3) && gone[2 * PAGE + 9] == 0, "marked for removal: content");
	gone[PAGE + (child ? 0 : 1)] = byte;
	foreign[0] = byte;
}

static void check_child(void) { check_memory(); }

static void check(void)
{
	check_status("keyed", keyed, &before[0]);
	check_status("marked for removal", removed, &before[1]);
	check_status("another's", others, &before[2]);
	CHECK(shmget(KEY, 0, 0) == keyed, "the key leads to %d", shmget(KEY, 0, 0));
	check_memory();
	ask_child(child, "child");
	CHECK(gone[PAGE + 1] == (char)(round_number + 100), "the child's write is not seen");
}

int main(void)
{
	subject_begin();
	set_up();
	child = fork();
	NEED(child >= 0);
	if (!child) {
		NEED(madvise(foreign, PAGE, MADV_DONTDUMP) == 0);
		child_is_ready();
		child_rounds(check_child);
	}
	need_child(child);
	NEED(shmctl(keyed, IPC_STAT, &before[0]) == 0 && shmctl(removed, IPC_STAT, &before[1]) == 0);
	NEED(shmctl(others, IPC_STAT, &before[2]) == 0);
	subject_rounds(check);
}
