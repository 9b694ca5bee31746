/*
 * sysv.c: semaphores and message queues of System V, in the namespace of the host: values, adjustments (SEM_UNDO) of two
 * processes, who used what last, messages of several types, one without bytes, a full queue, waiters in a child.
 */
#include "subject.h"
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

#define COUNT 5
#define KEY 0x41507100

struct message {
	long type;
	char text[200];
};

static int set, keyless, queue, full, waited, lonely;
static pid_t child;
static struct semid_ds set_before;
static struct msqid_ds queue_before, full_before;
static unsigned short values[COUNT];
static int users[COUNT];
static const int letters[] = { 3, 9, 3, 1, 7 };

static void operate(int id, int index, int change, int flags)
{
	struct sembuf operation = { (unsigned short)index, (short)change, (short)flags };

	NEED(semop(id, &operation, 1) == 0);
}

static void post(int id, long type, size_t size, int seed)
{
	struct message message = { .type = type };

	fill(message.text, sizeof(message.text), (uint32_t)seed);
	NEED(msgsnd(id, &message, size, IPC_NOWAIT) == 0);
}

static int is_there(int id, int index, long type, size_t size, int seed)
{
	struct message message = { 0 };
	ssize_t count = msgrcv(id, &message, sizeof(message.text), index, MSG_COPY | IPC_NOWAIT);

	return count == (ssize_t)size && message.type == type && filled(message.text, size, (uint32_t)seed);
}

static volatile int has_begun;

static void *wait_for_message(void *unused)
{
	struct message message = { .type = 1 };

	(void)unused;
	has_begun = 1;
	for (;;)
		if (msgrcv(waited, &message, sizeof(message.text), 5, 0) >= 0 &&
		    sigqueue(getppid(), ANSWER, (union sigval){ .sival_int = 0 }))
			break;
	return NULL;
}

static void as_child(void)
{
	pthread_t thread;

	/* Of a process with several threads, which share what is undone. */
	NEED(pthread_create(&thread, NULL, wait_for_message, NULL) == 0);
	/* Until then the C library keeps all signals from it. */
	while (!has_begun)
		usleep(1000);
	operate(set, 2, -30, SEM_UNDO);
	operate(set, 3, 5, SEM_UNDO);
	operate(set, 3, 2, 0);
	child_is_ready();
	for (;;)
		pause();
}

/* The child ends, and what it had to do is done; another one takes its place. */
static void renew_child(void)
{
	int before = semctl(set, 2, GETVAL), status;

	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child, "the child has gone");
	CHECK(semctl(set, 2, GETVAL) == before + 30, "semaphore 2 is %d at the end of the child, not %d",
	      semctl(set, 2, GETVAL), before + 30);
	CHECK(semctl(set, 3, GETVAL) == 2, "semaphore 3 is %d at the end of the child, not 2", semctl(set, 3, GETVAL));
	operate(set, 3, -2, 0);
	child = fork();
	if (child == 0)
		as_child();
	need_child(child);
}

static void look(void)
{
	NEED(semctl(set, 0, GETALL, values) == 0 && semctl(set, 0, IPC_STAT, &set_before) == 0);
	for (int i = 0; i < COUNT; i++)
		users[i] = semctl(set, i, GETPID);
	NEED(msgctl(queue, IPC_STAT, &queue_before) == 0 && msgctl(full, IPC_STAT, &full_before) == 0);
}

static void check_semaphores(void)
{
	unsigned short now[COUNT];
	struct semid_ds status;

	if (semctl(set, 0, IPC_STAT, &status) || semctl(set, 0, GETALL, now)) {
		CHECK(0, "set %d: %s", set, strerror(errno));
		return;
	}
	for (int i = 0; i < COUNT; i++) {
		CHECK(now[i] == values[i], "semaphore %d is %d, not %d", i, now[i], values[i]);
		CHECK(semctl(set, i, GETPID) == users[i], "semaphore %d was used by %d, not %d", i, semctl(set, i, GETPID),
		      users[i]);
	}
	CHECK(semget(KEY, 0, 0) == set, "the key of the set leads to %d", semget(KEY, 0, 0));
	CHECK(status.sem_perm.mode == set_before.sem_perm.mode && status.sem_perm.uid == set_before.sem_perm.uid &&
		      status.sem_perm.cgid == set_before.sem_perm.cgid, "mode %o and owner %d of the set",
	      status.sem_perm.mode, status.sem_perm.uid);
	CHECK(semctl(keyless, 0, GETVAL) == 7 && semctl(keyless, 1, GETVAL) == 32767, "the set without a key");
}

static void check_queue(const char *name, int id, struct msqid_ds *before)
{
	struct msqid_ds now;

	if (msgctl(id, IPC_STAT, &now)) {
		CHECK(0, "%s: queue %d: %s", name, id, strerror(errno));
		return;
	}
	CHECK(now.msg_qnum == before->msg_qnum && now.__msg_cbytes == before->__msg_cbytes, "%s: %lu messages, %lu bytes",
	      name, now.msg_qnum, now.__msg_cbytes);
	CHECK(now.msg_qbytes == before->msg_qbytes, "%s: limit %lu", name, now.msg_qbytes);
	CHECK(now.msg_lspid == before->msg_lspid && now.msg_lrpid == before->msg_lrpid, "%s: last sender %d, receiver %d",
	      name, now.msg_lspid, now.msg_lrpid);
	CHECK(now.msg_perm.mode == before->msg_perm.mode && now.msg_perm.uid == before->msg_perm.uid &&
		      now.msg_perm.cuid == before->msg_perm.cuid, "%s: mode %o", name, now.msg_perm.mode);
}

static void check(void)
{
	struct message message = { .type = 1 };
	int value;

	check_semaphores();
	check_queue("queue", queue, &queue_before);
	check_queue("full queue", full, &full_before);
	CHECK(msgget(KEY, 0) == queue, "the key of the queue leads to %d", msgget(KEY, 0));
	for (int i = 0; i < 5; i++)
		CHECK(is_there(queue, i, letters[i], (size_t)i * 40, i), "message %d", i);
	CHECK(msgsnd(full, &message, 1, IPC_NOWAIT) < 0 && errno == EAGAIN, "the full queue takes one more");
	/* The child's thread still waits. */
	post(waited, 5, 1, 1);
	CHECK(answer(&value) == child, "nobody has received what was sent");
	/* One semaphore of the parent's own that it adjusts, and one message moved to the end. */
	operate(set, 4, -1, SEM_UNDO);
	operate(set, 4, 1, SEM_UNDO);
	renew_child();
	look();
}

static void set_up(void)
{
	struct semid_ds status;

	keyless = semget(IPC_PRIVATE, 2, 0600);
	set = semget(KEY, COUNT, IPC_CREAT | IPC_EXCL | 0640);
	queue = msgget(KEY, IPC_CREAT | IPC_EXCL | 0620);
	full = msgget(IPC_PRIVATE, 0600);
	waited = msgget(IPC_PRIVATE, 0600);
	lonely = msgget(IPC_PRIVATE, 0600);
	NEED(set >= 0 && keyless >= 0 && queue >= 0 && full >= 0 && waited >= 0);
	NEED(semctl(keyless, 0, SETVAL, 7) == 0 && semctl(keyless, 1, SETVAL, 32767) == 0);
	NEED(semctl(set, 0, IPC_STAT, &status) == 0);
	status.sem_perm.uid = 1000;
	NEED(semctl(set, 0, IPC_SET, &status) == 0);
	for (int i = 0; i < COUNT; i++)
		NEED(semctl(set, i, SETVAL, i == 3 ? 0 : 100 * i + 50) == 0);
	/* More than can be adjusted at once, and in both directions. */
	operate(set, 0, -49, SEM_UNDO);
	operate(set, 1, 20000, SEM_UNDO);
	operate(set, 4, -7, SEM_UNDO);
	for (int i = 0; i < 5; i++)
		post(queue, letters[i], (size_t)i * 40, i);
	NEED(msgctl(full, IPC_STAT, &full_before) == 0);
	full_before.msg_qbytes = 100;
	NEED(msgctl(full, IPC_SET, &full_before) == 0);
	post(full, 2, 60, 1);
	post(full, 2, 40, 2);
	NEED(msgrcv(full, &(struct message){ 0 }, 60, 2, 0) == 60);
	post(full, 2, 60, 1);
	post(queue, 100, 0, 0);
	NEED(msgrcv(queue, &(struct message){ 0 }, 0, 100, 0) == 0);
}

static void clean_up(int number)
{
	int status;

	(void)number;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	for (int i = 0; i < 4; i++)
		msgctl((int[]){ queue, full, waited, lonely }[i], IPC_RMID, NULL);
	semctl(set, 0, IPC_RMID);
	semctl(keyless, 0, IPC_RMID);
	_exit(0);
}

int main(void)
{
	subject_begin();
	signal(SIGTERM, clean_up);
	set_up();
	child = fork();
	NEED(child >= 0);
	if (child == 0)
		as_child();
	need_child(child);
	look();
	subject_rounds(check);
}
