/* packetrings.c: packet sockets with rings in memory, of each version, in the midst of a round, with packets that wait; full ones. */
#include "subject.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

enum { FRAMES = 8, BLOCKS = 4, BLOCK = 4096 };

/* How a program reads such a ring: it knows by itself where it is. */
struct ring {
	int fd, version, proto;
	unsigned place; /* of the frame or block that comes next */
	unsigned sent, received;
	char *memory;
};

static struct ring rings[6];
static int sender;

static void send_one(struct ring *r, size_t size)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(r->proto), .sll_ifindex = 1, .sll_halen = 6 };
	unsigned char packet[2000] = { 0 };

	packet[12] = r->proto >> 8, packet[13] = r->proto & 255;
	memcpy(packet + 14, &r->sent, sizeof(r->sent));
	CHECK(sendto(sender, packet, size, 0, (void *)&to, sizeof(to)) == (ssize_t)size, "send: %s", strerror(errno));
	r->sent++;
}

static void take(struct ring *r, const char *data)
{
	unsigned number;

	memcpy(&number, data + 14, sizeof(number));
	CHECK(number == r->received, "version %d: packet %u in place of %u", r->version + 1, number, r->received);
	r->received = number + 1;
}

static unsigned *status(struct ring *r, unsigned place)
{
	if (r->version == TPACKET_V3)
		return &((struct tpacket_block_desc *)(r->memory + place * BLOCK))->hdr.bh1.block_status;
	return (unsigned *)(r->memory + place * (BLOCK / 2));
}

/* Takes what is at the place where the program is: nothing, one packet, or a block of them. */
static int read_next(struct ring *r)
{
	char *start = r->memory + r->place * (r->version == TPACKET_V3 ? BLOCK : BLOCK / 2);

	if (!(*(volatile unsigned *)status(r, r->place) & TP_STATUS_USER))
		return 0;
	__sync_synchronize();
	if (r->version == TPACKET_V1) {
		take(r, start + ((struct tpacket_hdr *)start)->tp_mac);
	} else if (r->version == TPACKET_V2) {
		take(r, start + ((struct tpacket2_hdr *)start)->tp_mac);
	} else {
		struct tpacket_hdr_v1 *block = &((struct tpacket_block_desc *)start)->hdr.bh1;
		char *packet = start + block->offset_to_first_pkt;

		for (unsigned i = 0; i < block->num_pkts; i++) {
			take(r, packet + ((struct tpacket3_hdr *)packet)->tp_mac);
			packet += ((struct tpacket3_hdr *)packet)->tp_next_offset;
		}
	}
	__sync_synchronize();
	*status(r, r->place) = TP_STATUS_KERNEL;
	r->place = (r->place + 1) % (r->version == TPACKET_V3 ? BLOCKS : FRAMES);
	return 1;
}

static void read_all(struct ring *r)
{
	for (int i = 0; i < 3000 && r->received < r->sent; i++)
		if (!read_next(r))
			usleep(1000);
	CHECK(r->received == r->sent, "version %d: %u packets received, %u sent", r->version + 1, r->received, r->sent);
}

/* Until nothing more fits, and the kernel says so. */
static void fill_up(struct ring *r)
{
	if (r->version != TPACKET_V3) {
		for (int i = 0; i < FRAMES; i++)
			send_one(r, 200);
		return;
	}
	for (int i = 0; i < BLOCKS; i++) {
		send_one(r, 1500);
		send_one(r, 1500);
	}
	for (int place = 0; place < BLOCKS; place++)
		for (int i = 0; i < 3000 && !(*(volatile unsigned *)status(r, place) & TP_STATUS_USER); i++)
			usleep(1000);
}

static void make(struct ring *r, int version, int proto, int type)
{
	struct sockaddr_ll name = { .sll_family = AF_PACKET, .sll_protocol = htons(proto), .sll_ifindex = 1 };
	struct tpacket_req3 request = { BLOCK, BLOCKS, BLOCK / 2, FRAMES, 20, 0, 0 };
	struct tpacket_req3 other = { BLOCK, 1, BLOCK / 2, 2, 0, 0, 0 };
	size_t size = BLOCKS * BLOCK;

	r->version = version, r->proto = proto;
	NEED((r->fd = socket(AF_PACKET, type, 0)) >= 0);
	NEED(setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) == 0);
	NEED(setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &request, version == TPACKET_V3 ? sizeof(request) : sizeof(struct tpacket_req)) == 0);
	if (version == TPACKET_V2) {
		/* One for sending beside it, which is mapped behind it. */
		NEED(setsockopt(r->fd, SOL_PACKET, PACKET_TX_RING, &other, sizeof(struct tpacket_req)) == 0);
		size += BLOCK;
	}
	r->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	NEED(r->memory != MAP_FAILED && bind(r->fd, (void *)&name, sizeof(name)) == 0);
}

static void leave_some(struct ring *r)
{
	send_one(r, 100);
	send_one(r, 300);
}

static void check(void)
{
	for (int i = 0; i < 6; i++) {
		struct ring *r = rings + i;
		struct sockaddr_ll name;
		socklen_t n = sizeof(name);

		CHECK(getsockname(r->fd, (void *)&name, &n) == 0 && name.sll_protocol == htons(r->proto) && name.sll_ifindex == 1, "name");
		read_all(r);
		for (int k = 0; k < 3; k++)
			send_one(r, 150);
		read_all(r);
		/* The fourth is always empty, the last two full. */
		if (i < 3)
			leave_some(r);
		else if (i > 3)
			fill_up(r);
	}
}

int main(void)
{
	unsigned short random;
	static const int versions[] = { TPACKET_V1, TPACKET_V2, TPACKET_V3, TPACKET_V2, TPACKET_V2, TPACKET_V3 };

	subject_begin();
	/* Another of these may be at work on the same device. */
	NEED(getentropy(&random, sizeof(random)) == 0);
	NEED((sender = socket(AF_PACKET, SOCK_RAW, 0)) >= 0);
	for (int i = 0; i < 6; i++) {
		make(rings + i, versions[i], 0x9000 + random % 0x900 * 8 + i, SOCK_RAW);
		for (int k = 0; k < 3 + i; k++) {
			send_one(rings + i, 120);
			read_all(rings + i);
		}
	}
	check();
	subject_rounds(check);
}
