/* datagrams.c: UDP and UDP-Lite sockets with what is queued in them, memberships of groups and options; raw, packet and netlink sockets. */
#include "sockopt.h"
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif

static int plain, six, connected, hears, talker, talker_six, lite = -1, member, member_six, shared[2], filtered, raw, raw_six, raw_tcp, packet, fan[2], netlink;

static struct sockaddr_in own, talker_name, told_name, connected_name;
static struct sockaddr_in6 own_six, talker_six_name;

static int bound(int family, int protocol, void *name)
{
	struct sockaddr_in *four = name;
	struct sockaddr_in6 *long_one = name;
	socklen_t n = family == AF_INET ? sizeof(*four) : sizeof(*long_one);
	int fd = socket(family, SOCK_DGRAM, protocol);

	if (fd < 0)
		return fd;
	memset(name, 0, n);
	four->sin_family = family;
	if (family == AF_INET)
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	NEED(bind(fd, name, n) == 0 && getsockname(fd, name, &n) == 0);
	return fd;
}

static void put(int fd, const void *to, socklen_t n, const char *text)
{
	CHECK(sendto(fd, text, strlen(text), 0, to, n) == (ssize_t)strlen(text), "send \"%s\": %s", text, strerror(errno));
}

/* Takes a datagram that has to come from somebody. */
static void from(int fd, const char *text, const void *sender, socklen_t length)
{
	struct sockaddr_in6 name;
	socklen_t n = sizeof(name);
	char got[100];
	ssize_t size = recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, (void *)&name, &n);

	CHECK(size == (ssize_t)strlen(text) && !memcmp(got, text, size), "\"%s\": received %zd bytes \"%.*s\": %s", text, size, size > 0 ? (int)size : 0, got, size < 0 ? strerror(errno) : "");
	CHECK(size < 0 || (n == length && !memcmp(&name, sender, n)), "\"%s\": another sender", text);
}

static void queue(void)
{
	struct sockaddr_in6 loopback = own_six;
	struct sockaddr_in four = { AF_INET, own_six.sin6_port, { htonl(INADDR_LOOPBACK) }, "" };
	static char large[60000];

	loopback.sin6_addr = in6addr_loopback;
	put(talker, &own, sizeof(own), "one");
	put(talker, &own, sizeof(own), "");
	put(talker, &own, sizeof(own), "three");
	fill(large, sizeof(large), 3);
	CHECK(sendto(talker, large, sizeof(large), 0, (void *)&own, sizeof(own)) == sizeof(large), "large: %s", strerror(errno));
	put(talker_six, &loopback, sizeof(loopback), "by six");
	put(talker, &four, sizeof(four), "by four");
	/* Received before it was connected to another. */
	put(talker, &told_name, sizeof(told_name), "told");
	if (lite >= 0) {
		struct sockaddr_in name;
		socklen_t n = sizeof(name);

		CHECK(getsockname(lite, (void *)&name, &n) == 0, "name");
		put(lite, &name, sizeof(name), "light");
	}
}

static void check_told(void)
{
	char control[256] __attribute__((aligned(8))), text[16];
	struct iovec io = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int ttl = 0, address = 0;

	CHECK(recvmsg(hears, &m, MSG_DONTWAIT) == 4, "told: %s", strerror(errno));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == IP_TTL)
			memcpy(&ttl, CMSG_DATA(c), sizeof(ttl));
		if (c->cmsg_type == IP_PKTINFO)
			address = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr == told_name.sin_addr.s_addr;
	}
	CHECK(ttl == 17 && address, "told: ttl %d, address %d", ttl, address);
}

/* Whether a socket is a member of a group on the loopback device, in a mode, with so many sources. */
static void is_member(int fd, int level, const void *group, socklen_t n, uint32_t mode, uint32_t sources, const char *what)
{
	char buffer[GROUP_FILTER_SIZE(4)] __attribute__((aligned(8))) = { 0 };
	struct group_filter *filter = (void *)buffer;
	socklen_t length = sizeof(buffer);

	filter->gf_interface = 1;
	memcpy(&filter->gf_group, group, n);
	filter->gf_numsrc = 4;
	CHECK(getsockopt(fd, level, MCAST_MSFILTER, filter, &length) == 0, "%s: no member: %s", what, strerror(errno));
	CHECK(filter->gf_fmode == mode && filter->gf_numsrc == sources, "%s: mode %u, %u sources", what, filter->gf_fmode, filter->gf_numsrc);
}

static struct sockaddr_in group = { .sin_family = AF_INET }, source = { .sin_family = AF_INET };
static struct sockaddr_in6 group_six = { .sin6_family = AF_INET6 };

/* Its own datagrams of a protocol that nobody else speaks come back to it over the loopback device. */
static void check_packet(void)
{
	struct sockaddr_ll name, to = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = 1, .sll_halen = 6 };
	socklen_t n = sizeof(name);
	char text[32] = "";

	CHECK(getsockname(packet, (void *)&name, &n) == 0 && name.sll_protocol == htons(0x88b5) && name.sll_ifindex == 1, "address of the packet socket");
	CHECK(option(packet, SOL_PACKET, PACKET_VERSION) == TPACKET_V2 && option(packet, SOL_PACKET, PACKET_AUXDATA) == 1 && option(packet, SOL_PACKET, 23) == 1, "options of the packet socket");
	/* Not told before Linux 6.9. */
	CHECK(option(packet, SOL_PACKET, PACKET_COPY_THRESH) == 4000 || option(packet, SOL_PACKET, PACKET_COPY_THRESH) == -ENOPROTOOPT,
	      "PACKET_COPY_THRESH is %d", option(packet, SOL_PACKET, PACKET_COPY_THRESH));
	CHECK(sendto(packet, "packet", 6, 0, (void *)&to, sizeof(to)) == 6, "send a packet: %s", strerror(errno));
	for (int i = 0; i < 100 && recv(packet, text, sizeof(text), MSG_DONTWAIT) < 0; i++)
		usleep(10000);
	CHECK(!strcmp(text, "packet"), "received the packet \"%s\"", text);
	while (recv(packet, text, sizeof(text), MSG_DONTWAIT) > 0)
		;
	CHECK(option(fan[0], SOL_PACKET, PACKET_FANOUT) == option(fan[1], SOL_PACKET, PACKET_FANOUT) && option(fan[0], SOL_PACKET, PACKET_FANOUT) >> 16 == PACKET_FANOUT_LB, "fanout");
	CHECK(option(netlink, SOL_NETLINK, NETLINK_EXT_ACK) == 1 && option(netlink, SOL_NETLINK, NETLINK_GET_STRICT_CHK) == 1 && option(netlink, SOL_NETLINK, NETLINK_PKTINFO) == 1, "options of netlink");
}

static void check(void)
{
	struct sockaddr_in6 peer, mapped = { .sin6_family = AF_INET6, .sin6_port = talker_name.sin_port };
	socklen_t n = sizeof(peer);
	static char large[60001];
	struct icmp6_filter icmp6;
	uint32_t icmp;

	from(plain, "one", &talker_name, sizeof(talker_name));
	from(plain, "", &talker_name, sizeof(talker_name));
	from(plain, "three", &talker_name, sizeof(talker_name));
	CHECK(recv(plain, large, sizeof(large), MSG_DONTWAIT) == 60000 && filled(large, 60000, 3), "large datagram");
	CHECK(recv(plain, large, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN, "more than was sent");
	from(six, "by six", &talker_six_name, sizeof(talker_six_name));
	mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
	memcpy(mapped.sin6_addr.s6_addr + 12, &talker_name.sin_addr, 4);
	from(six, "by four", &mapped, sizeof(mapped));
	check_told();
	if (lite >= 0)
		CHECK(recv(lite, large, 9, MSG_DONTWAIT) == 5 && !memcmp(large, "light", 5) && option(lite, 136, 11) == 20, "UDP-Lite");
	CHECK(getpeername(connected, (void *)&peer, &n) == 0 && !memcmp(&peer, &talker_name, n), "connected");
	put(connected, NULL, 0, "x");
	from(talker, "x", &connected_name, sizeof(connected_name));
	CHECK(option(plain, IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_DO && option(plain, IPPROTO_IP, IP_RECVERR) == 1, "options of IP");
	CHECK(option(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 9 && option(six, IPPROTO_IPV6, IPV6_RECVTCLASS) == 1 && option(six, IPPROTO_IPV6, IPV6_MULTICAST_IF) == 1, "options of IPv6");
	CHECK(option(plain, IPPROTO_UDP, 103) == 1200 && option(plain, IPPROTO_UDP, 104) == 1, "options of UDP");
	CHECK(option(member, IPPROTO_IP, IP_MULTICAST_TTL) == 5 && option(member, IPPROTO_IP, IP_MULTICAST_LOOP) == 0 && option(member, IPPROTO_IP, IP_MULTICAST_ALL) == 0, "options of multicast");
	is_member(member, IPPROTO_IP, &group, sizeof(group), MCAST_INCLUDE, 1, "group");
	is_member(member_six, IPPROTO_IPV6, &group_six, sizeof(group_six), MCAST_EXCLUDE, 0, "group of IPv6");
	CHECK(option(shared[0], SOL_SOCKET, SO_REUSEPORT) == 1 && option(shared[1], SOL_SOCKET, SO_REUSEPORT) == 1, "shared port");
	CHECK(getsockopt(filtered, SOL_SOCKET, 26 /* SO_GET_FILTER */, NULL, (n = 0, &n)) == 0 && n == 1, "filter: %d", n);
	CHECK(option(filtered, SOL_SOCKET, SO_LOCK_FILTER) == 1, "lock of the filter");
	if (raw >= 0) {
		n = sizeof(icmp);
		CHECK(getsockopt(raw, 255, ICMP_FILTER, &icmp, &n) == 0 && icmp == ~(1u << ICMP_ECHOREPLY), "filter of ICMP: %x", icmp);
		CHECK(option(raw, IPPROTO_IP, IP_HDRINCL) == 1 && option(raw, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_ICMP, "raw socket");
		n = sizeof(icmp6);
		CHECK(getsockopt(raw_six, IPPROTO_ICMPV6, ICMP6_FILTER, &icmp6, &n) == 0 && ICMP6_FILTER_WILLPASS(ICMP6_ECHO_REPLY, &icmp6) && ICMP6_FILTER_WILLBLOCK(ICMP6_ECHO_REQUEST, &icmp6), "filter of ICMPv6");
		n = sizeof(peer);
		CHECK(getsockname(raw_six, (void *)&peer, &n) == 0 && !memcmp(&peer.sin6_addr, &in6addr_loopback, 16), "address of the raw socket");
		CHECK(option(raw_tcp, SOL_SOCKET, SO_TYPE) == SOCK_RAW && option(raw_tcp, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP, "raw socket of TCP");
	}
	check_packet();
	queue();
}

static void set_up_groups(void)
{
	struct group_source_req one = { .gsr_interface = 1 };
	struct group_req all = { .gr_interface = 1 };

	group.sin_addr.s_addr = htonl(0xefff1234);
	source.sin_addr.s_addr = htonl(0xc6336401);
	inet_pton(AF_INET6, "ff01::4321", &group_six.sin6_addr);
	member = socket(AF_INET, SOCK_DGRAM, 0);
	member_six = socket(AF_INET6, SOCK_DGRAM, 0);
	memcpy(&one.gsr_group, &group, sizeof(group));
	memcpy(&one.gsr_source, &source, sizeof(source));
	NEED(setsockopt(member, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &one, sizeof(one)) == 0);
	memcpy(&all.gr_group, &group_six, sizeof(group_six));
	NEED(setsockopt(member_six, IPPROTO_IPV6, MCAST_JOIN_GROUP, &all, sizeof(all)) == 0);
	set(member, IPPROTO_IP, IP_MULTICAST_TTL, 5);
	set(member, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	set(member, IPPROTO_IP, IP_MULTICAST_ALL, 0);
}

static void set_up_raw(void)
{
	struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct icmp6_filter icmp6;
	struct sockaddr_in nobody = { .sin_family = AF_INET };
	uint32_t icmp = ~(1u << ICMP_ECHOREPLY);

	raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	raw_six = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	NEED(raw >= 0 && raw_six >= 0 && setsockopt(raw, 255, ICMP_FILTER, &icmp, sizeof(icmp)) == 0);
	set(raw, IPPROTO_IP, IP_HDRINCL, 1);
	ICMP6_FILTER_SETBLOCKALL(&icmp6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &icmp6);
	NEED(setsockopt(raw_six, IPPROTO_ICMPV6, ICMP6_FILTER, &icmp6, sizeof(icmp6)) == 0);
	NEED(bind(raw_six, (void *)&name, sizeof(name)) == 0);
	/* Nobody sends anything to that address. */
	nobody.sin_addr.s_addr = htonl(0x7f4d0606);
	raw_tcp = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	NEED(raw_tcp >= 0 && bind(raw_tcp, (void *)&nobody, sizeof(nobody)) == 0);
}

static void set_up_packet(void)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = 1 };
	struct packet_mreq all = { .mr_ifindex = 1, .mr_type = PACKET_MR_ALLMULTI };
	int threshold = 4000;

	packet = socket(AF_PACKET, SOCK_DGRAM, 0);
	NEED(packet >= 0 && bind(packet, (void *)&name, sizeof(name)) == 0);
	set(packet, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	set(packet, SOL_PACKET, PACKET_AUXDATA, 1);
	set(packet, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, 1);
	NEED(setsockopt(packet, SOL_PACKET, PACKET_COPY_THRESH, &threshold, sizeof(threshold)) == 0);
	NEED(setsockopt(packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) == 0);
	for (int i = 0; i < 2; i++) {
		fan[i] = socket(AF_PACKET, SOCK_RAW, 0);
		name.sll_protocol = htons(0x88b6);
		NEED(bind(fan[i], (void *)&name, sizeof(name)) == 0);
		set(fan[i], SOL_PACKET, PACKET_FANOUT, (getpid() & 0xffff) | PACKET_FANOUT_LB << 16);
	}
	netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	set(netlink, SOL_NETLINK, NETLINK_EXT_ACK, 1);
	set(netlink, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
	set(netlink, SOL_NETLINK, NETLINK_PKTINFO, 1);
}

int main(void)
{
	struct sockaddr_in port;
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	struct sock_fprog program = { 1, &all };
	struct sockaddr_in lite_name;

	subject_begin();
	plain = bound(AF_INET, 0, &own);
	set(plain, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	set(plain, IPPROTO_IP, IP_RECVERR, 1);
	set(plain, IPPROTO_UDP, 103 /* UDP_SEGMENT */, 1200);
	set(plain, IPPROTO_UDP, 104 /* UDP_GRO */, 1);
	six = bound(AF_INET6, 0, &own_six);
	set(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9);
	set(six, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	set(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1);
	talker = bound(AF_INET, 0, &talker_name);
	set(talker, IPPROTO_IP, IP_TTL, 17);
	talker_six = bound(AF_INET6, 0, &talker_six_name);
	talker_six_name.sin6_addr = in6addr_loopback;
	hears = bound(AF_INET, 0, &told_name);
	set(hears, IPPROTO_IP, IP_RECVTTL, 1);
	set(hears, IPPROTO_IP, IP_PKTINFO, 1);
	connected = bound(AF_INET, 0, &connected_name);
	NEED(connect(connected, (void *)&talker_name, sizeof(talker_name)) == 0);
	lite = bound(AF_INET, 136, &lite_name);
	if (lite >= 0)
		set(lite, 136, 11 /* UDPLITE_RECV_CSCOV */, 20);
	shared[0] = bound(AF_INET, 0, &port);
	close(shared[0]);
	for (int i = 0; i < 2; i++) {
		shared[i] = socket(AF_INET, SOCK_DGRAM, 0);
		set(shared[i], SOL_SOCKET, SO_REUSEPORT, 1);
		NEED(bind(shared[i], (void *)&port, sizeof(port)) == 0);
	}
	filtered = socket(AF_INET, SOCK_DGRAM, 0);
	NEED(setsockopt(filtered, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
	set(filtered, SOL_SOCKET, SO_LOCK_FILTER, 1);
	set_up_groups();
	set_up_raw();
	set_up_packet();
	queue();
	NEED(failures == 0);
	subject_rounds(check);
}
