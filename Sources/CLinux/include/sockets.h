// Structures and constants of sockets: socket(7), unix(7), recvmsg(2), sock_diag(7).
#pragma once

#include <stddef.h>
#include <stdint.h>

/// struct msghdr of the kernel on 64-bit architectures (recvmsg(2)).
struct apus_message {
	uint64_t name;
	uint32_t name_length;
	uint32_t padding;
	uint64_t pieces;
	uint64_t piece_count;
	uint64_t control;
	uint64_t control_length;
	int32_t flags;
	int32_t padding2;
};
_Static_assert(sizeof(struct apus_message) == 56, "size of struct msghdr");
_Static_assert(offsetof(struct apus_message, control) == 32, "control of struct msghdr");

// Requests and options that Swift's Glibc module lacks (asm-generic/socket.h, linux/un.h).
static const int APUS_SO_SNDBUFFORCE = 32;
static const int APUS_SO_RCVBUFFORCE = 33;
static const int APUS_SO_PEEK_OFF = 42;
static const int APUS_SO_NETNS_COOKIE = 71;
static const int APUS_SO_BUF_LOCK = 72;
/// SIOCUNIXFILE: a descriptor (O_PATH) of the file that a Unix socket is bound to; Linux 4.12.
static const unsigned long APUS_SIOCUNIXFILE = 0x89E0;
/// SIOCGIFNAME and SIOCGIFINDEX: a network device by its number, and by its name (netdevice(7)).
static const unsigned long APUS_SIOCGIFNAME = 0x8910;
static const unsigned long APUS_SIOCGIFINDEX = 0x8933;
/// SIOCOUTQ: what was sent and not taken out by the receiver.
static const unsigned long APUS_SIOCOUTQ = 0x5411;
/// SIOCOUTQNSD: what waits to be sent (linux/sockios.h).
static const unsigned long APUS_SIOCOUTQNSD = 0x894B;
