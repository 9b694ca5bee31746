/*
 * tunnel.c NAME MODE [kept]: is the other side of a tunnel device, MODE tun, tap or many (a tun of two queues), that stays
 * without it (kept) or ends with it; and has `/dev/net/tun` open once more, attached to nothing. One that ends has been set up
 * with addresses and routes.
 * tunnel.c NAME end: takes such a device away.
 */
#include "subject.h"
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static const char *name;
static short flags;
static int tunnel, second = -1, unattached, kept;
static char seen[4096];

static unsigned offload(unsigned question)
{
	struct ethtool_value value = { .cmd = question };
	struct ifreq request = { .ifr_data = (void *)&value };
	int control = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	NEED(ioctl(control, SIOCETHTOOL, &request) == 0);
	close(control);
	return value.data;
}

/* How the device stands, in the words of ip(8) and of the kernel; but for how it has come to its addresses. */
static const char *look(void)
{
	static char now[sizeof(seen)];
	char command[500];
	FILE *pipe;
	size_t length;

	snprintf(command, sizeof(command),
		 "ip -d link show dev %s; ip address show dev %s | sed 's/ nodad//; s/ stable-privacy//'; ip route show table all dev %s; ip -6 route show table all dev %s; "
		 "cat /sys/class/net/%s/owner /sys/class/net/%s/group;",
		 name, name, name, name, name, name);
	pipe = popen(command, "re");
	NEED(pipe);
	length = fread(now, 1, sizeof(now) - 1, pipe);
	pclose(pipe);
	snprintf(now + length, sizeof(now) - length, "offload %u %u\n", offload(ETHTOOL_GTXCSUM), offload(ETHTOOL_GTSO));
	return now;
}

static int run(const char *format)
{
	char command[200];

	snprintf(command, sizeof(command), format, name);
	return system(command);
}

static void check(void)
{
	struct ifreq request = { 0 };
	struct pollfd ready[2] = { { tunnel, POLLIN, 0 }, { second, POLLIN, 0 } };
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = inet_addr("198.51.100.2") };
	unsigned char packet[2048];
	int room = 0, sender, found = 0;

	CHECK(ioctl(tunnel, TUNGETIFF, &request) == 0 && !strcmp(request.ifr_name, name), "attached to '%s'", request.ifr_name);
	CHECK((request.ifr_flags & 0xff) == flags, "flags 0x%x", request.ifr_flags);
	CHECK(ioctl(tunnel, TUNGETSNDBUF, &room) == 0 && room == 123456, "room for %d", room);
	CHECK(ioctl(unattached, TUNGETIFF, &request) < 0 && errno == EBADFD, "the other one is attached");
	CHECK(fcntl(tunnel, F_GETFL) & O_NONBLOCK, "it waits");
	if (!kept)
		CHECK(!strcmp(look(), seen), "the device is now\n%sand was\n%s", look(), seen);
	if (!(flags & IFF_TUN))
		return;
	/*
	 * What is sent through the device comes out here. For up to a second after somebody has attached to a device the kernel
	 * has yet to take note that it has a carrier (linkwatch), and drops what is sent.
	 */
	sender = socket(AF_INET, SOCK_DGRAM, 0);
	for (int tries = 0; tries < 50 && !found; tries++) {
		CHECK(sendto(sender, "through", 7, 0, (void *)&there, sizeof(there)) == 7, "sendto: %s", strerror(errno));
		while (!found && poll(ready, 2, 100) > 0) {
			ssize_t length = read(ready[0].revents ? tunnel : second, packet, sizeof(packet));
			found = length == 20 + 8 + 7 && !memcmp(packet + 28, "through", 7);
		}
	}
	CHECK(found, "what was sent does not come out");
	close(sender);
}

/* The last descriptor of a device that does not stay takes it along. */
static int end(void)
{
	char path[100];
	FILE *file;
	unsigned found = 0;
	struct ifreq request = { 0 };

	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	NEED(fscanf(file, "%x", &found) == 1);
	tunnel = open("/dev/net/tun", O_RDWR);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	request.ifr_flags = (short)((found & 0xf000u) | (found & 0xf));
	NEED(ioctl(tunnel, TUNSETIFF, &request) == 0 && ioctl(tunnel, TUNSETPERSIST, 0) == 0);
	return 0;
}

int main(int argc, char **argv)
{
	struct ifreq request = { 0 };
	int room = 123456, control = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr("198.51.100.1") };

	NEED(argc > 2);
	name = argv[1];
	if (!strcmp(argv[2], "end"))
		return end();
	subject_begin();
	flags = !strcmp(argv[2], "tap") ? IFF_TAP : IFF_TUN;
	kept = argc > 3;
	tunnel = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	unattached = open("/dev/net/tun", O_RDWR);
	NEED(tunnel >= 0 && unattached >= 0);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	request.ifr_flags = flags | IFF_NO_PI | (strcmp(argv[2], "many") ? 0 : IFF_MULTI_QUEUE);
	NEED(ioctl(tunnel, TUNSETIFF, &request) == 0 && ioctl(tunnel, TUNSETSNDBUF, &room) == 0);
	if (!strcmp(argv[2], "many")) {
		second = open("/dev/net/tun", O_RDWR);
		NEED(second >= 0 && ioctl(second, TUNSETIFF, &request) == 0);
	}
	NEED(!kept || ioctl(tunnel, TUNSETPERSIST, 1) == 0);
	memcpy(&request.ifr_addr, &own, sizeof(own));
	NEED(ioctl(control, SIOCSIFADDR, &request) == 0);
	((struct sockaddr_in *)&request.ifr_netmask)->sin_addr.s_addr = inet_addr("255.255.255.0");
	NEED(ioctl(control, SIOCSIFNETMASK, &request) == 0);
	request.ifr_flags = IFF_UP;
	NEED(ioctl(control, SIOCSIFFLAGS, &request) == 0);
	close(control);
	if (!kept) {
		NEED(ioctl(tunnel, TUNSETOWNER, 77) == 0 && ioctl(tunnel, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0);
		NEED(!run("ip link set dev %s mtu 1400 txqueuelen 300 alias 'a tunnel' multicast off"));
		NEED(!run("ip address add 203.0.113.9/25 dev %s scope link noprefixroute"));
		NEED(!run("ip route add 192.0.2.128/25 dev %s metric 7"));
		/* Only that one leads to the gateway of this one. */
		NEED(!run("ip route add 192.0.2.0/26 via 192.0.2.130 dev %s table 77"));
		if (flags == IFF_TAP)
			NEED(!run("ip link set dev %s address 02:00:5e:00:53:01"));
		/* Where there is IPv6. */
		if (!access("/proc/net/if_inet6", F_OK))
			NEED(!run("ip address add 2001:db8:77::1/64 dev %s nodad"));
		/* Its address of IPv6 takes a moment. */
		do {
			strcpy(seen, look());
			usleep(700000);
		} while (strcmp(seen, look()) || strstr(seen, "tentative"));
	}
	subject_rounds(check);
}
