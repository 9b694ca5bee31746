/* unsupported.c KIND FOLDER: holds something that cannot be carried; a dump has to refuse it or name the loss. */
#include "subject.h"
#include "landlock.h"
#include <linux/bpf.h>
#include <linux/kd.h>
#include <linux/perf_event.h>
#include <linux/tty.h>
#include <linux/userfaultfd.h>
#include <arpa/inet.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/un.h>

static int fd = -1, talks, writes, semaphores = -1;

static void *restricted_thread(void *started)
{
	enter_landlock_domain();
	*(volatile int *)started = 1;
	for (;;)
		pause();
	return NULL;
}

static int find_vdso(unsigned long *start, unsigned long *end)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int found = 0;

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", start, end) == 2;
	if (maps)
		fclose(maps);
	return found;
}

/* The program takes its vdso away. */
static int unmap_vdso(void)
{
	unsigned long start = 0, end = 0;

	return find_vdso(&start, &end) ? munmap((void *)start, end - start) : -1;
}

static int protect_vdso(void)
{
	unsigned long start = 0, end = 0;
	int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);

	if (key < 0 || !find_vdso(&start, &end))
		return -1;
	return pkey_mprotect((void *)start, end - start, PROT_READ | PROT_EXEC, key);
}

static int wait_for_ever(void *unused)
{
	(void)unused;
	while (pause())
		;
	return 0;
}

/* Traces its parent, which notices nothing of it. */
static void trace_parent(pid_t parent, int ready)
{
	int status;

	NEED(ptrace(PTRACE_SEIZE, parent, 0, 0) == 0 && write(ready, "r", 1) == 1);
	while (waitpid(parent, &status, __WALL) == parent && WIFSTOPPED(status))
		ptrace(PTRACE_CONT, parent, 0, status >> 16 ? 0 : WSTOPSIG(status));
	_exit(0);
}

static char first_stack[16384] __attribute__((aligned(16))), second_stack[16384] __attribute__((aligned(16)));

static int leave_orphan(void *shared)
{
	int flags = (int)(long)shared | SIGCHLD;

	syscall(SYS_exit, clone(wait_for_ever, second_stack + sizeof(second_stack), flags, NULL) < 0);
	return 0;
}

static void *waiting_thread(void *number)
{
	*(volatile pid_t *)number = (pid_t)syscall(SYS_gettid);
	while (pause())
		;
	return NULL;
}

static void set_up(const char *kind, const char *folder)
{
	char path[300];
	int pair[2];

	snprintf(path, sizeof(path), "%s/unsupported", folder);
	if (!strcmp(kind, "socket-journal")) {
		/* What a service writes to the journal of systemd, which is outside of the tree and writes all of it to a file. */
		struct sockaddr_un name = { AF_UNIX, "/run/systemd/journal/stdout" };
		writes = 1;
		NEED((mkdir("/run/systemd", 0755) == 0 || errno == EEXIST) && (mkdir("/run/systemd/journal", 0755) == 0 || errno == EEXIST));
		pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, sizeof(name)) == 0 && listen(pair[0], 5) == 0);
		NEED(connect(fd, (void *)&name, sizeof(name)) == 0 && shutdown(fd, SHUT_RD) == 0);
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				char text[256];
				int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
				close(fd);
				for (;;) {
					int connection = accept(pair[0], NULL, NULL);
					ssize_t n;
					while ((n = read(connection, text, sizeof(text))) > 0)
						NEED(write(file, text, n) == n);
					close(connection);
				}
			}
			_exit(0);
		}
		NEED(wait(NULL) > 0 && close(pair[0]) == 0);
	} else if (!strcmp(kind, "socket")) {
		/* A TCP connection. */
		struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
		socklen_t length = sizeof(name);
		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, length) == 0 && listen(pair[0], 3) == 0);
		NEED(getsockname(pair[0], (void *)&name, &length) == 0);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		NEED(connect(fd, (void *)&name, length) == 0 && accept(pair[0], NULL, NULL) >= 0);
	} else if (!strcmp(kind, "socket-outside")) {
		/* The other end is in a process that leaves the tree. */
		NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		struct stat status;
		fd = pair[0];
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				close(fd);
				for (;;)
					pause();
			}
			_exit(0);
		}
		NEED(wait(NULL) > 0 && close(pair[1]) == 0 && fstat(fd, &status) == 0);
		say("socket %lu", status.st_ino);
	} else if (!strcmp(kind, "socket-service")) {
		/* Connected to a service that is outside of the tree. */
		talks = 1;
		struct sockaddr_un name = { AF_UNIX, "" };
		char text[8];
		snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/service", folder);
		pair[0] = socket(AF_UNIX, SOCK_DGRAM, 0);
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		NEED(bind(pair[0], (void *)&name, sizeof(name)) == 0 && connect(fd, (void *)&name, sizeof(name)) == 0);
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				close(fd);
				for (;;)
					if (recv(pair[0], text, sizeof(text), 0) < 0)
						_exit(1);
			}
			_exit(0);
		}
		NEED(wait(NULL) > 0 && close(pair[0]) == 0);
	} else if (!strcmp(kind, "socket-elsewhere")) {
		/* In a network namespace that the process has left again. */
		int home = open("/proc/self/ns/net", O_RDONLY);
		NEED(home >= 0 && unshare(CLONE_NEWNET) == 0);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		NEED(setns(home, CLONE_NEWNET) == 0 && close(home) == 0);
	} else if (!strcmp(kind, "socket-early")) {
		/* A descriptor on a connection that is not accepted yet, of what nobody else has open. */
		struct sockaddr_un name = { AF_UNIX, "" };
		char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
		struct iovec io = { "early", 5 };
		struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		int passed = memfd_create("passed", MFD_CLOEXEC);
		snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "%.90s", folder);
		pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, sizeof(name)) == 0 && listen(pair[0], 3) == 0);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
		NEED(connect(fd, (void *)&name, sizeof(name)) == 0 && sendmsg(fd, &m, 0) == 5 && close(passed) == 0);
	} else if (!strcmp(kind, "fanotify")) {
		fd = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
		NEED(mkdir(path, 0700) == 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path) == 0);
	} else if (!strcmp(kind, "bpf")) {
		/* A value for each processor. */
		union bpf_attr map = { .map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
		fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map));
	} else if (!strcmp(kind, "perf")) {
		struct perf_event_attr counter = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(counter),
						   .config = PERF_COUNT_SW_TASK_CLOCK };
		fd = (int)syscall(SYS_perf_event_open, &counter, 0, -1, -1, 0);
	} else if (!strcmp(kind, "secretmem")) {
		fd = (int)syscall(SYS_memfd_secret, 0);
	} else if (!strcmp(kind, "graphics")) {
		/* The keyboard of a virtual console that gives key codes, as a graphics server has it. */
		fd = open("/dev/tty60", O_RDWR | O_NOCTTY);
		NEED(fd >= 0 && ioctl(fd, KDSKBMODE, K_MEDIUMRAW) == 0);
	} else if (!strcmp(kind, "line")) {
		/* A serial line of packets. */
		int discipline = N_PPP;
		fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK);
		NEED(fd >= 0 && ioctl(fd, TIOCSETD, &discipline) == 0);
	} else if (!strncmp(kind, "/dev/", 5)) {
		fd = open(kind, O_RDWR);
	} else if (!strcmp(kind, "queue-notified")) {
		/* A queue that somebody outside has open, who would see how the value of the signal is found out. */
		snprintf(path, sizeof(path), "/apus-notified-%d", getpid());
		fd = mq_open(path, O_CREAT | O_RDWR, 0600, NULL);
		NEED(fd >= 0);
		if (fork() == 0) {
			pid_t subject = getppid();
			setsid();
			if (fork() == 0) {
				while (kill(subject, 0) == 0)
					usleep(10000);
				_exit(mq_unlink(path));
			}
			_exit(0);
		}
		NEED(wait(NULL) > 0 && mq_notify(fd, &(struct sigevent){ .sigev_signo = SIGUSR2 }) == 0);
	} else if (!strcmp(kind, "semaphore-outside")) {
		/* Holds a semaphore that a process outside of the tree uses, too. */
		semaphores = semget(IPC_PRIVATE, 2, 0600);
		fd = open("/dev/null", O_RDWR);
		NEED(semctl(semaphores, 0, SETVAL, 1) == 0);
		NEED(semop(semaphores, &(struct sembuf){ .sem_num = 0, .sem_op = -1, .sem_flg = SEM_UNDO }, 1) == 0);
		if (fork() == 0) {
			setsid();
			if (fork() == 0) {
				semop(semaphores, &(struct sembuf){ .sem_num = 1, .sem_op = 1 }, 1);
				wait_for_ever(NULL);
			}
			_exit(0);
		}
		NEED(wait(NULL) > 0);
		while (semctl(semaphores, 1, GETVAL) != 1)
			usleep(1000);
	} else if (!strcmp(kind, "tcp-md5")) {
		/* What routers do: no segment without a signature. */
		struct tcp_md5sig key;
		struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
		memset(&key, 0, sizeof(key));
		memcpy(&key.tcpm_addr, &name, sizeof(name));
		key.tcpm_keylen = 6;
		memcpy(key.tcpm_key, "secret", 6);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		NEED(setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof(key)) == 0 && bind(fd, (void *)&name, sizeof(name)) == 0 && listen(fd, 3) == 0);
	} else if (!strcmp(kind, "tcp-urgent") || !strcmp(kind, "tcp-zerocopy")) {
		struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
		socklen_t length = sizeof(name);
		int one = 1;
		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, length) == 0 && listen(pair[0], 3) == 0);
		NEED(getsockname(pair[0], (void *)&name, &length) == 0);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		NEED(connect(fd, (void *)&name, length) == 0 && accept(pair[0], NULL, NULL) >= 0);
		if (!strcmp(kind, "tcp-urgent"))
			NEED(send(fd, "!", 1, MSG_OOB) == 1);
		else
			NEED(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) == 0 && send(fd, path, sizeof(path), MSG_ZEROCOPY) == sizeof(path));
	} else if (!strncmp(kind, "socket=", 7)) {
		/* Of any kind, by its numbers: family, type, protocol. */
		int family, type, protocol;

		NEED(sscanf(kind, "socket=%d,%d,%d", &family, &type, &protocol) == 3);
		fd = socket(family, type, protocol);
	} else if (!strcmp(kind, "kernel-tls")) {
		struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
		socklen_t length = sizeof(name);

		pair[0] = socket(AF_INET, SOCK_STREAM, 0);
		NEED(bind(pair[0], (void *)&name, length) == 0 && listen(pair[0], 3) == 0);
		NEED(getsockname(pair[0], (void *)&name, &length) == 0);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		NEED(connect(fd, (void *)&name, length) == 0 && accept(pair[0], NULL, NULL) >= 0);
		NEED(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) == 0);
	} else if (!strcmp(kind, "extended-filter")) {
		/* r0 = -1; exit: all of every packet. */
		struct bpf_insn program[2] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1 }, { .code = BPF_JMP | BPF_EXIT } };
		union bpf_attr load = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2 };
		load.insns = (uintptr_t)program;
		load.license = (uintptr_t)"GPL";
		pair[0] = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		NEED(pair[0] >= 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &pair[0], sizeof(int)) == 0 && close(pair[0]) == 0);
	} else if (!strcmp(kind, "userfaultfd")) {
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	} else if (!strcmp(kind, "linked")) {
		char other[320];
		snprintf(other, sizeof(other), "%s.other", path);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		NEED(link(path, other) == 0 && unlink(path) == 0);
	} else if (!strcmp(kind, "linked-pipe")) {
		char other[320];
		snprintf(other, sizeof(other), "%s.other", path);
		NEED(mkfifo(path, 0600) == 0 && (fd = open(path, O_RDWR)) >= 0);
		NEED(link(path, other) == 0 && unlink(path) == 0);
	} else if (!strcmp(kind, "deleted-root")) {
		NEED(mkdir(path, 0700) == 0);
		fd = open("/", O_RDONLY | O_DIRECTORY);
		NEED(chroot(path) == 0 && unlinkat(fd, path + 1, AT_REMOVEDIR) == 0);
	} else if (!strcmp(kind, "lock")) {
		fd = open(path, O_RDWR | O_CREAT, 0600);
		NEED(flock(fd, LOCK_EX) == 0);
	} else if (!strncmp(kind, "lease", 5)) {
		/* With a mapping, or without a name, of the file: these could not be restored. */
		fd = open(path, O_RDWR | O_CREAT, 0600);
		NEED(ftruncate(fd, 4096) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
		if (!strcmp(kind, "lease-mapped"))
			NEED(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
		if (!strcmp(kind, "lease-nameless"))
			NEED(unlink(path) == 0);
	} else if (!strcmp(kind, "lock-mapped")) {
		/* The mapping keeps the description, and the lock of it, of which no descriptor tells. */
		fd = open(path, O_RDWR | O_CREAT, 0600);
		NEED(ftruncate(fd, 4096) == 0 && flock(fd, LOCK_EX) == 0);
		NEED(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED && close(fd) == 0);
		fd = open("/dev/null", O_RDWR);
	} else if (!strcmp(kind, "pidfd")) {
		/* Of the init of its world, which is outside. */
		fd = syscall(SYS_pidfd_open, 1, 0);
	} else if (!strcmp(kind, "pidfd-thread")) {
		static pthread_t handle;
		static volatile pid_t number;
		NEED(pthread_create(&handle, NULL, waiting_thread, (void *)&number) == 0);
		while (!number)
			usleep(1000);
		fd = syscall(SYS_pidfd_open, number, O_EXCL);
	} else if (!strcmp(kind, "proc-outside")) {
		fd = open("/proc/1/status", O_RDONLY);
	} else if (!strcmp(kind, "proc-mapping")) {
		unsigned long start, end;
		FILE *maps = fopen("/proc/self/maps", "r");
		NEED(maps && fscanf(maps, "%lx-%lx", &start, &end) == 2 && fclose(maps) == 0);
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start, end);
		fd = open(path, O_PATH | O_NOFOLLOW);
	} else if (!strcmp(kind, "namespace-open")) {
		/* Of a process that has ended. */
		pid_t child;
		NEED(pipe(pair) == 0);
		if ((child = fork()) == 0)
			_exit(unshare(CLONE_NEWUTS) == 0 && write(pair[1], "x", 1) == 1 && pause());
		NEED(read(pair[0], path, 1) == 1 && close(pair[0]) == 0 && close(pair[1]) == 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/uts", child);
		fd = open(path, O_RDONLY);
		NEED(kill(child, SIGKILL) == 0 && wait(NULL) == child);
	} else if (!strcmp(kind, "namespace-time")) {
		fd = open("/proc/self/ns/time", O_RDONLY);
	} else if (!strncmp(kind, "orphan-", 7)) {
		/* One that shares something and has been left to init, which is outside. */
		unsigned long shared = !strcmp(kind, "orphan-memory") ? CLONE_VM : CLONE_FS;
		fd = open("/dev/null", O_RDWR);
		NEED(clone(leave_orphan, first_stack + sizeof(first_stack), (int)shared | SIGCHLD, (void *)shared) > 0);
		NEED(wait(NULL) > 0);
	} else if (!strcmp(kind, "shared-aunt")) {
		/* Two whose common table of descriptors came from one that has ended, and who have other parents. */
		fd = open("/dev/null", O_RDWR);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		NEED(pipe(pair) == 0);
		if (fork() == 0) {
			if (fork() == 0) {
				close(pair[1]);
				for (int i = 0; i < 2; i++)
					if (syscall(SYS_clone, (i ? CLONE_PARENT : 0) | CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0)
						wait_for_ever(NULL);
				_exit(0);
			}
			wait(NULL);
			close(pair[1]);
			wait_for_ever(NULL);
		}
		NEED(close(pair[1]) == 0 && read(pair[0], path, 1) == 0 && close(pair[0]) == 0);
	} else if (!strcmp(kind, "landlock")) {
		fd = open("/dev/null", O_RDWR);
		enter_landlock_domain();
	} else if (!strcmp(kind, "landlock-user")) {
		/* Whose real ids are not those that it acts with. */
		fd = open("/dev/null", O_RDWR);
		NEED(setresgid(1234, 5678, 5678) == 0 && setresuid(4321, 8765, 8765) == 0);
		enter_landlock_domain();
	} else if (!strcmp(kind, "landlock-thread")) {
		static pthread_t handle;
		static volatile int started;
		fd = open("/dev/null", O_RDWR);
		NEED(pthread_create(&handle, NULL, restricted_thread, (void *)&started) == 0);
		while (!started)
			usleep(1000);
	} else if (!strcmp(kind, "ports")) {
		fd = open("/dev/null", O_RDWR);
		NEED(ioperm(0x80, 4, 1) == 0);
	} else if (!strcmp(kind, "vdso-key")) {
		/* The vdso, or its data, with a protection key of which no thread may read anything. */
		fd = open("/dev/null", O_RDWR);
		NEED(protect_vdso() == 0);
	} else if (!strcmp(kind, "no-vdso")) {
		fd = open("/dev/null", O_RDWR);
		NEED(unmap_vdso() == 0);
	} else if (!strcmp(kind, "traced")) {
		fd = open("/dev/null", O_RDWR);
		NEED(pipe(pair) == 0);
		if (fork() == 0)
			trace_parent(getppid(), pair[1]);
		NEED(read(pair[0], path, 1) == 1 && close(pair[0]) == 0 && close(pair[1]) == 0);
	} else if (!strcmp(kind, "namespace")) {
		fd = open("/dev/null", O_RDWR);
		NEED(unshare(CLONE_NEWUTS) == 0);
	}
	NEED(fd >= 0);
}

static void check(void)
{
	CHECK(fcntl(fd, F_GETFD) >= 0, "the object is gone");
	if (semaphores >= 0)
		CHECK(semctl(semaphores, 0, GETVAL) == 0 && semctl(semaphores, 1, GETVAL) == 1, "the semaphores have changed");
	if (writes)
		CHECK(write(fd, "a line\n", 7) == 7, "nobody listens: %s", strerror(errno));
	if (talks)
		CHECK(send(fd, "hello", 5, 0) == 5, "the service is gone: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	NEED(argc == 3);
	subject_begin();
	set_up(argv[1], argv[2]);
	subject_rounds(check);
}
