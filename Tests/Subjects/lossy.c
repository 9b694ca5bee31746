/*
 * lossy.c KIND: has something that no images carry. spent: a child that has ended and used processor time; overruns: a timer
 * that has overrun; unread: a timer that goes on while its signal waits. system-v, system-v-queue: has used the semaphores, the
 * queue of the subject sysv; queue NAME: has a POSIX message queue open; refused: a UDP socket with an error; packets: a raw
 * socket with packets.
 */
#include "subject.h"
#include <arpa/inet.h>
#include <mqueue.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>

#define KEY 0x41507100

static void use_system_v(int isQueue)
{
	struct { long type; } message;

	if (isQueue)
		NEED(msgrcv(msgget(KEY, 0), &message, 0, 3, IPC_NOWAIT | MSG_NOERROR) >= 0);
	else
		NEED(semop(semget(KEY, 5, IPC_CREAT | 0600), &(struct sembuf){ .sem_num = 4, .sem_op = 1 }, 1) == 0);
}

static void use_time(void)
{
	struct timespec now;

	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	while (now.tv_sec == 0 && now.tv_nsec < 60000000);
}

/* A port where nobody listens; the answer takes no time on the loopback device. */
static void send_to_nobody(void)
{
	struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
	socklen_t n = sizeof(name);
	int port = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);

	NEED(bind(port, (void *)&name, n) == 0 && getsockname(port, (void *)&name, &n) == 0 && close(port) == 0);
	NEED(connect(fd, (void *)&name, n) == 0 && send(fd, "x", 1, 0) == 1);
}

/* A request of ICMP to itself, and the kernel's answer. */
static void receive_packets(void)
{
	struct sockaddr_in name = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, "" };
	unsigned char request[8] = { 8, 0, 0xf7, 0xff };
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	NEED(sendto(fd, request, sizeof(request), 0, (void *)&name, sizeof(name)) == sizeof(request));
}

int main(int argc, char **argv)
{
	sigset_t set = set_of(SIGRTMIN, 0);
	siginfo_t info;
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	/* Long enough that it does not go off once more after its signal was read. */
	struct itimerspec often = { .it_value = { .tv_nsec = 1 }, .it_interval = { .tv_nsec = 1000000 } };

	NEED(argc >= 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!strcmp(argv[1], "refused")) {
		send_to_nobody();
	} else if (!strcmp(argv[1], "packets")) {
		receive_packets();
	} else if (!strcmp(argv[1], "spent")) {
		pid_t pid = fork();

		if (pid == 0) {
			use_time();
			_exit(0);
		}
		NEED(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
	} else if (!strcmp(argv[1], "queue")) {
		NEED(argc == 3 && mq_open(argv[2], O_RDONLY) >= 0);
	} else if (!strncmp(argv[1], "system-v", 8)) {
		use_system_v(argv[1][8] == '-');
	} else {
		NEED(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
		usleep(20000);
		if (!strcmp(argv[1], "overruns")) {
			NEED(sigwaitinfo(&set, &info) == SIGRTMIN && timer_getoverrun(timer) > 0);
			/* A timer of which no signal waits. */
			NEED(sigaction(SIGRTMIN, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL) == 0);
		}
	}
	say("ready");
	for (;;)
		pause();
}
