// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The families of exact.c: a pair of sockets of each. */
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "exact.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define OWN_PROTOCOL  253    /* for experiments: RFC 3692 */
#define OWN_ETHERTYPE 0x88b5 /* likewise: IEEE 802 */

static int new_socket(struct cell *c)
{
	const struct family *f = c->family;
	int fd = socket(f->domain, f->type, f->protocol);

	if (fd < 0 && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT || errno == ENOPROTOOPT ||
		       errno == ESOCKTNOSUPPORT))
		cell_skip(c, "socket");
	cell_check(c, fd >= 0, "socket");
	return fd;
}

/* "@" begins an abstract name. */
static socklen_t unix_address(struct sockaddr_storage *to, const char *name)
{
	struct sockaddr_un *u = (void *)to;
	int len;

	memset(to, 0, sizeof(*to));
	u->sun_family = AF_UNIX;
	len = snprintf(u->sun_path, sizeof(u->sun_path), "%s.%d", name, getpid());
	if (name[0] == '@')
		u->sun_path[0] = 0;
	else
		unlink(u->sun_path);
	return offsetof(struct sockaddr_un, sun_path) + len + (name[0] != '@');
}

static void bind_to(struct cell *c, int fd, const char *address)
{
	struct net_address own = {0};

	if (c->family->domain == AF_UNIX)
		own.len = unix_address(&own.storage, address);
	else
		own = net_address(address, 0);
	cell_check(c, bind(fd, (void *)&own.storage, own.len) == 0, "bind");
	c->to_len = sizeof(c->to);
	cell_check(c, getsockname(fd, (void *)&c->to, &c->to_len) == 0, "getsockname");
}

static void connect_a(struct cell *c)
{
	cell_check(c, connect(c->a, (void *)&c->to, c->to_len) == 0, "connect");
}

static void open_listening(struct cell *c)
{
	int listener = new_socket(c);

	bind_to(c, listener, c->family->address);
	cell_check(c, listen(listener, 8) == 0, "listen");
	endpoint_named(listener, "listen");
	c->a = new_socket(c);
	connect_a(c);
	if (c->family->is & TCP)
		net_set(c->a, IPPROTO_TCP, 1 /* TCP_NODELAY */, 1);
	c->b = accept(listener, NULL, NULL);
	cell_check(c, c->b >= 0, "accept");
	c->ea = endpoint_named(c->a, "connect");
	c->eb = endpoint_named(c->b, "accept");
	net_close(listener);
}

static void open_pair(struct cell *c)
{
	int fds[2];

	cell_check(c, socketpair(AF_UNIX, c->family->type, 0, fds) == 0, "socketpair");
	c->a = fds[0];
	c->b = fds[1];
	c->ea = endpoint_named(c->a, "none");
	c->eb = endpoint_named(c->b, "none");
}

static void open_unix_datagrams(struct cell *c)
{
	c->b = new_socket(c);
	bind_to(c, c->b, c->family->address);
	c->a = new_socket(c);
	connect_a(c);
	c->ea = endpoint(c->a);
	c->eb = endpoint_named(c->b, NULL);
}

static void open_datagrams(struct cell *c)
{
	c->a = new_socket(c);
	bind_to(c, c->a, c->family->address);
	c->b = new_socket(c);
	bind_to(c, c->b, c->family->address);
	connect_a(c);
	c->ea = endpoint_named(c->a, "connect");
	c->eb = endpoint_named(c->b, "bind");
}

/* Receives what it has sent, or the answer to it. */
static void open_to_itself(struct cell *c)
{
	struct net_address to = net_address(c->family->address, 0);

	c->a = c->b = socket(c->family->domain, c->family->type, c->family->protocol);
	if (c->a < 0)
		cell_skip(c, "socket");
	c->to = to.storage;
	c->to_len = to.len;
	connect_a(c);
	c->ea = c->eb = endpoint(c->a);
}

static void open_netlink(struct cell *c)
{
	struct sockaddr_nl any = {.nl_family = AF_NETLINK};

	c->b = new_socket(c);
	cell_check(c, bind(c->b, (void *)&any, sizeof(any)) == 0, "bind");
	c->to_len = sizeof(c->to);
	cell_check(c, getsockname(c->b, (void *)&c->to, &c->to_len) == 0, "getsockname");
	c->a = new_socket(c);
	connect_a(c);
	c->ea = endpoint(c->a);
	c->eb = endpoint(c->b);
}

static void open_packet(struct cell *c)
{
	struct sockaddr_ll *own = (void *)&c->to;

	c->a = c->b = new_socket(c);
	own->sll_family = AF_PACKET;
	own->sll_protocol = htons(OWN_ETHERTYPE);
	own->sll_ifindex = if_nametoindex("lo");
	own->sll_halen = ETH_ALEN;
	c->to_len = sizeof(*own);
	cell_check(c, bind(c->a, (void *)own, sizeof(*own)) == 0, "bind");
	c->ea = c->eb = endpoint(c->a);
}

#define DATAGRAMS   (MESSAGES | IP_DATAGRAMS | ADDRESSED)
#define UNIX_STREAM (STREAM | UNIX | BLOCKS | HANGS_UP)
#define UNIX_PACKET (MESSAGES | UNIX | BLOCKS | HANGS_UP)
#define UNIX_DGRAM  (MESSAGES | UNIX | BLOCKS)

const struct family families[] = {
	{"tcp4", AF_INET, SOCK_STREAM, 0, "127.0.0.1", STREAM | TCP | BLOCKS | HANGS_UP,
	 open_listening, 0},
	{"tcp6", AF_INET6, SOCK_STREAM, 0, "::1", STREAM | TCP | BLOCKS | HANGS_UP, open_listening,
	 0},
	{"mptcp", AF_INET, SOCK_STREAM, IPPROTO_MPTCP, "127.0.0.1", STREAM | MPTCP | BLOCKS,
	 open_listening, 0},
	{"udp4", AF_INET, SOCK_DGRAM, 0, "127.0.0.1", DATAGRAMS | UDP, open_datagrams, 0},
	{"udp6", AF_INET6, SOCK_DGRAM, 0, "::1", DATAGRAMS | UDP, open_datagrams, 0},
	{"udplite4", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, "127.0.0.1", DATAGRAMS | UDPLITE,
	 open_datagrams, 0},
	{"udplite6", AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, "::1", DATAGRAMS | UDPLITE,
	 open_datagrams, 0},
	{"raw4", AF_INET, SOCK_RAW, OWN_PROTOCOL, "127.0.0.1", DATAGRAMS | RAW, open_to_itself, 20},
	{"raw6", AF_INET6, SOCK_RAW, OWN_PROTOCOL, "::1", DATAGRAMS | RAW, open_to_itself, 0},
	{"ping4", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "127.0.0.1", DATAGRAMS | PING, open_to_itself,
	 0},
	{"ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6, "::1", DATAGRAMS | PING, open_to_itself, 0},
	{"netlink", AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK, NULL,
	 MESSAGES | NETLINK | BLOCKS | ADDRESSED, open_netlink, 0},
	{"packet", AF_PACKET, SOCK_DGRAM, 0, NULL, MESSAGES | PACKET | ADDRESSED, open_packet, 0},
	{"stream-path", AF_UNIX, SOCK_STREAM, 0, "stream", UNIX_STREAM, open_listening, 0},
	{"stream-abstract", AF_UNIX, SOCK_STREAM, 0, "@stream", UNIX_STREAM, open_listening, 0},
	{"stream-pair", AF_UNIX, SOCK_STREAM, 0, NULL, UNIX_STREAM, open_pair, 0},
	{"dgram-path", AF_UNIX, SOCK_DGRAM, 0, "dgram", UNIX_DGRAM | ADDRESSED, open_unix_datagrams,
	 0},
	{"dgram-abstract", AF_UNIX, SOCK_DGRAM, 0, "@dgram", UNIX_DGRAM | ADDRESSED,
	 open_unix_datagrams, 0},
	{"dgram-pair", AF_UNIX, SOCK_DGRAM, 0, NULL, UNIX_DGRAM, open_pair, 0},
	{"seqpacket-path", AF_UNIX, SOCK_SEQPACKET, 0, "seqpacket", UNIX_PACKET, open_listening, 0},
	{"seqpacket-abstract", AF_UNIX, SOCK_SEQPACKET, 0, "@seqpacket", UNIX_PACKET,
	 open_listening, 0},
	{"seqpacket-pair", AF_UNIX, SOCK_SEQPACKET, 0, NULL, UNIX_PACKET, open_pair, 0},
};

const unsigned int nr_families = sizeof(families) / sizeof(*families);
