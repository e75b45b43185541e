// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <string.h>

#include "workload/forwarder.h"

enum { SERVER = 1, FORWARDER = 2, CLIENT = 4, ALL = 7 };

static const struct workload_option options[] = {
	{"load", "LOAD", "bulk",
	 "What goes through: bulk, rr (requests), crr (a connection for each), iperf3 (default "
	 "bulk)",
	 OPTION_CHOICE, .choices = "bulk|rr|crr|iperf3", .roles = SERVER | CLIENT},
	{"streams", "P", "4", "Connections at once (default 4)", OPTION_NUMBER, 1, 10000,
	 .roles = ALL},
	{"size", "BYTES", "32", "Bytes of a request, and of its response (default 32)", OPTION_SIZE,
	 1, 1 << 20, .roles = SERVER | CLIENT},
	{"block", "SIZE", "128K", "Bytes that bulk and iperf3 hand to each send (default 128K)",
	 OPTION_SIZE, 1, 1 << 20, .roles = SERVER | CLIENT},
	{"seconds", "SEC", "1", "Seconds of load (default 1)", OPTION_SECONDS,
	 .max = 3600000000000ULL, .roles = SERVER | CLIENT},
	{"reverse", NULL, "no", "bulk and iperf3: from the server to the client (default no)",
	 OPTION_SWITCH, .roles = SERVER | CLIENT},
	{"buffer", "SIZE", "64K", "Bytes that the forwarder moves with one call (default 64K)",
	 OPTION_SIZE, 1, 1 << 20, .roles = FORWARDER},
	{"splice", NULL, "no",
	 "The forwarder moves data with splice(2) through a pipe (default no)", OPTION_SWITCH,
	 .roles = FORWARDER},
	{"sockbuf", "SIZE", "0",
	 "SO_SNDBUF and SO_RCVBUF of the forwarder's sockets, bytes; 0: as the kernel does "
	 "(default "
	 "0)",
	 OPTION_SIZE, 0, 1 << 30, .roles = FORWARDER},
	{"nodelay", NULL, "yes", "TCP_NODELAY on all sockets (default yes)", OPTION_SWITCH,
	 .roles = ALL},
	{"topology", "WHERE", "loopback",
	 "loopback, or veth: each part in a network namespace of its own (default loopback)",
	 OPTION_CHOICE, .choices = "loopback|veth", .roles = ALL},
};

static const struct role roles[] = {
	{.name = "server",
	 .summary = "The far end of the load: takes what comes, and answers.",
	 .run = forwarder_server,
	 .listens = true},
	{.name = "forwarder",
	 .summary = "Forwards TCP connections: one thread, epoll, non-blocking.",
	 .run = forwarder_relay,
	 .listens = true,
	 .connects = true,
	 .is_subject = true},
	{.name = "client",
	 .summary = "Connects to the forwarder and makes the load.",
	 .run = forwarder_client,
	 .connects = true},
};

static const char *check(const uint64_t *values);

static const char *const sysctls[] = {
	"net.core.somaxconn",
	"net.core.rmem_max",
	"net.core.wmem_max",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_wmem",
	"net.ipv4.tcp_congestion_control",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_tw_reuse",
	"fs.pipe-max-size",
	"fs.pipe-user-pages-soft",
	NULL,
};

static uint64_t nr_sockets(const uint64_t *values);

const struct workload workload_forwarder = {
	.name = "forwarder",
	.summary = "a TCP forwarder between a server and a client: bulk, requests, connections",
	.options = options,
	.nr_options = sizeof(options) / sizeof(options[0]),
	.roles = roles,
	.nr_roles = sizeof(roles) / sizeof(roles[0]),
	.check = check,
	.nr_sockets = nr_sockets,
	.sysctls = sysctls,
};

static uint64_t value_of(const uint64_t *values, const char *name)
{
	return values[workload_option_index(&workload_forwarder, name)];
}

/* Four ends of each connection, and as many that have just ended. */
static uint64_t nr_sockets(const uint64_t *values)
{
	return 8 * value_of(values, "streams");
}

static const char *check(const uint64_t *values)
{
	uint64_t load = value_of(values, "load");
	bool is_reverse = value_of(values, "reverse");

	if (is_reverse && (load == LOAD_RR || load == LOAD_CRR))
		return "--reverse is for the loads bulk and iperf3";
	if (load != LOAD_IPERF3)
		return NULL;
	if (value_of(values, "seconds") % 1000000000)
		return "iperf3 takes whole --seconds";
	return value_of(values, "streams") > 128 ? "iperf3 has at most 128 --streams" : NULL;
}

/* --- what the parts share ------------------------------------------------------------------ */

int forwarder_watch(struct tally *t, int epoll, int op, int fd, uint32_t events, void *of)
{
	struct epoll_event event = {.events = events, .data.ptr = of};

	return call_epoll_ctl(t, epoll, op, fd, &event);
}

static int set_option(struct part *p, int fd, int level, int name, int value)
{
	return call_setsockopt(p->tally, fd, level, name, &value, sizeof(value));
}

int forwarder_tune(struct part *p, int fd, uint64_t sockbuf)
{
	if (part_option(p, "nodelay") && set_option(p, fd, IPPROTO_TCP, TCP_NODELAY, 1))
		return -1;
	if (!sockbuf)
		return 0;
	return set_option(p, fd, SOL_SOCKET, SO_SNDBUF, sockbuf) ||
			       set_option(p, fd, SOL_SOCKET, SO_RCVBUF, sockbuf)
		       ? -1
		       : 0;
}

int forwarder_listen(struct part *p, uint64_t sockbuf, void *of_listener, int *epoll, char *address)
{
	int fd = part_listen_tcp(p, true, address);

	if (fd < 0)
		return -1;
	*epoll = call_epoll_create(p->tally);
	if (*epoll < 0 || forwarder_tune(p, fd, sockbuf) ||
	    forwarder_watch(p->tally, *epoll, EPOLL_CTL_ADD, fd, EPOLLIN, of_listener) ||
	    forwarder_watch(p->tally, *epoll, EPOLL_CTL_ADD, p->stop_fd, EPOLLIN, NULL))
		return part_fail(p, "prepare to listen on %s: %s", address, strerror(errno));
	return fd;
}

uint64_t forwarder_need_descriptors(struct part *p, uint64_t nr)
{
	uint64_t limit = part_raise_descriptors();

	if (limit >= nr)
		return limit;
	part_fail(p,
		  "it needs up to %" PRIu64 " descriptors, the hard limit is %" PRIu64
		  ": fewer --streams, or a higher `ulimit -Hn`",
		  nr, limit);
	return 0;
}
