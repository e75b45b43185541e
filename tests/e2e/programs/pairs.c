// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "net.h"
#include "pairs.h"

const char *pair_dir = ".";

static socklen_t inet_address(struct sockaddr_storage *to, int domain, const char *text, int port)
{
	struct sockaddr_in *v4 = (void *)to;
	struct sockaddr_in6 *v6 = (void *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = domain;
	if (domain == AF_INET) {
		v4->sin_port = port;
		truth_check(inet_pton(domain, text, &v4->sin_addr) == 1, text);
		return sizeof(*v4);
	}
	v6->sin6_port = port;
	truth_check(inet_pton(domain, text, &v6->sin6_addr) == 1, text);
	return sizeof(*v6);
}

/* "@" begins an abstract name, in which a NUL is a byte like any other. */
static socklen_t unix_address(struct sockaddr_storage *to, const char *name)
{
	struct sockaddr_un *u = (void *)to;

	memset(to, 0, sizeof(*to));
	u->sun_family = AF_UNIX;
	if (name[0] == '@') {
		int len = snprintf(u->sun_path + 1, sizeof(u->sun_path) - 1, "%s.%d", name + 1,
				   getpid());

		u->sun_path[1 + len / 2] = 0;
		return offsetof(struct sockaddr_un, sun_path) + 1 + len;
	}
	truth_check(snprintf(u->sun_path, sizeof(u->sun_path), "%s/%s", pair_dir, name) <
			    (int)sizeof(u->sun_path),
		    "length of a path");
	unlink(u->sun_path);
	return sizeof(*u);
}

static int port_of(int fd)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	truth_check(getsockname(fd, (void *)&own, &len) == 0, "getsockname");
	return own.ss_family == AF_UNIX ? 0 : ((struct sockaddr_in *)&own)->sin_port;
}

static int new_socket(int domain, int type)
{
	int fd = socket(domain, type, 0);

	truth_check(fd >= 0, "socket");
	return fd;
}

static int bound(const struct kind *k, int domain, const char *address)
{
	int fd = new_socket(domain, k->type);
	struct sockaddr_storage own;
	socklen_t len = domain == AF_UNIX ? unix_address(&own, address)
					  : inet_address(&own, domain, address, 0);

	truth_check(bind(fd, (void *)&own, len) == 0, "bind");
	return fd;
}

/* The address of @fd, as k->peer names it. */
static void address_of_peer(struct pair *p, int domain, int fd)
{
	struct sockaddr_un *u = (void *)&p->to;

	if (domain != AF_UNIX) {
		p->to_len = inet_address(&p->to, domain, p->kind->peer, port_of(fd));
		return;
	}
	p->to_len = sizeof(p->to);
	truth_check(getsockname(fd, (void *)&p->to, &p->to_len) == 0, "getsockname");
	if (u->sun_path[0])
		p->to_len = sizeof(*u);
}

static int peer_domain(const struct kind *k)
{
	return !k->peer ? k->domain : strchr(k->peer, ':') ? AF_INET6 : AF_INET;
}

static void name_accepted(struct pair *p)
{
	/* The client's own name, if it has none, is that of its peer only to the reader. */
	endpoint_named(p->a, "connect");
	endpoint_named(p->b, "accept");
	if (!(p->kind->is & TCP))
		return;
	endpoint(p->a)->closed_by = "local";
	endpoint(p->b)->closed_by = "remote";
}

static void open_listening(struct pair *p)
{
	const struct kind *k = p->kind;
	int listener = bound(k, k->domain, k->address);
	uint64_t start, connected;

	truth_check(listen(listener, 8) == 0, "listen");
	/* One that is closed before the trace begins is not in it. */
	if (!endpoints_early_now())
		endpoint_named(listener, "listen");
	address_of_peer(p, peer_domain(k), listener);
	p->a = new_socket(peer_domain(k), k->type);
	start = net_now_ns();
	truth_check(connect(p->a, (void *)&p->to, p->to_len) == 0, "connect");
	connected = net_now_ns();
	if (k->is & TCP) /* no test of patience */
		net_set(p->a, IPPROTO_TCP, TCP_NODELAY, 1);
	p->to_len = 0;
	p->b = accept(listener, NULL, NULL);
	truth_check(p->b >= 0, "accept");
	name_accepted(p);
	if ((k->is & TCP) && !endpoint(p->a)->early) {
		endpoint_figure(endpoint(p->a), "tcp.connect_ns", 1, connected - start);
		endpoint_figure(endpoint(p->b), "tcp.accept_wait_ns", 1, net_now_ns() - start);
	}
	net_close(listener);
}

static void open_pair(struct pair *p)
{
	int fds[2];

	truth_check(socketpair(p->kind->domain, p->kind->type, 0, fds) == 0, "socketpair");
	p->a = fds[0];
	p->b = fds[1];
	endpoint_named(p->a, "none");
	endpoint_named(p->b, "none");
}

static void open_datagrams(struct pair *p)
{
	const struct kind *k = p->kind;
	int domain = peer_domain(k);

	p->b = bound(k, k->domain, k->address);
	p->a = bound(k, domain, domain == AF_UNIX ? "sender" : k->peer);
	address_of_peer(p, domain, p->b);
	if (k->is & CONNECTED) {
		truth_check(connect(p->a, (void *)&p->to, p->to_len) == 0, "connect");
		p->to_len = 0;
	}
	endpoint_named(p->a, k->domain == AF_UNIX ? NULL : k->is & CONNECTED ? "connect" : "bind");
	endpoint_named(p->b, k->domain == AF_UNIX ? NULL : "bind");
}

#define HOSTILE "h\n\x1b[31m|`*<b>\"\\\xff\xe2\x80\xae"

const struct kind kinds[NR_KINDS] = {
	{"tcp4", AF_INET, SOCK_STREAM, "127.0.0.1", "127.0.0.1", STREAM | TCP | CONNECTED,
	 open_listening},
	{"tcp6", AF_INET6, SOCK_STREAM, "::1", "::1", STREAM | TCP | CONNECTED, open_listening},
	{"tcp-dual", AF_INET6, SOCK_STREAM, "::", "127.0.0.1", STREAM | TCP | CONNECTED,
	 open_listening},
	{"tcp-mapped", AF_INET, SOCK_STREAM, "127.0.0.1", "::ffff:127.0.0.1",
	 STREAM | TCP | CONNECTED, open_listening},
	{"unix-path", AF_UNIX, SOCK_STREAM, "stream", NULL, STREAM | CONNECTED, open_listening},
	{"unix-abstract", AF_UNIX, SOCK_STREAM, "@moves", NULL, STREAM | CONNECTED, open_listening},
	{"unix-hostile", AF_UNIX, SOCK_STREAM, HOSTILE, NULL, STREAM | CONNECTED, open_listening},
	{"unix-pair", AF_UNIX, SOCK_STREAM, NULL, NULL, STREAM | CONNECTED, open_pair},
	{"seqpacket-path", AF_UNIX, SOCK_SEQPACKET, "seqpacket", NULL, MESSAGES | CONNECTED,
	 open_listening},
	{"seqpacket-pair", AF_UNIX, SOCK_SEQPACKET, NULL, NULL, MESSAGES | CONNECTED, open_pair},
	{"dgram-path", AF_UNIX, SOCK_DGRAM, "dgram", NULL, MESSAGES, open_datagrams},
	{"dgram-abstract", AF_UNIX, SOCK_DGRAM, "@dgram", NULL, MESSAGES | CONNECTED,
	 open_datagrams},
	{"dgram-pair", AF_UNIX, SOCK_DGRAM, NULL, NULL, MESSAGES | CONNECTED, open_pair},
	{"udp4", AF_INET, SOCK_DGRAM, "127.0.0.1", "127.0.0.1", MESSAGES | UDP | CONNECTED,
	 open_datagrams},
	{"udp4-to", AF_INET, SOCK_DGRAM, "127.0.0.1", "127.0.0.1", MESSAGES | UDP, open_datagrams},
	{"udp6", AF_INET6, SOCK_DGRAM, "::1", "::1", MESSAGES | UDP | CONNECTED, open_datagrams},
	{"udp6-to", AF_INET6, SOCK_DGRAM, "::1", "::1", MESSAGES | UDP, open_datagrams},
	{"udp-dual", AF_INET6, SOCK_DGRAM, "::", "127.0.0.1", MESSAGES | UDP, open_datagrams},
	{"udp-mapped", AF_INET, SOCK_DGRAM, "127.0.0.1", "::ffff:127.0.0.1",
	 MESSAGES | UDP | CONNECTED, open_datagrams},
};
