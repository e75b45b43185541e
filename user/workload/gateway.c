// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "workload/gateway_server.h"

enum { SERVER = 1 << 0, CLIENT = 1 << 1 };

static const struct workload_option options[] = {
	{.name = "mode",
	 .arg = "threaded|epoll",
	 .fallback = "epoll",
	 .help = "One thread per connection, or one event loop (default epoll)",
	 .kind = OPTION_CHOICE,
	 .choices = "threaded|epoll",
	 .roles = SERVER},
	{.name = "connections",
	 .arg = "M",
	 .fallback = "16",
	 .help = "Connections at once (default 16)",
	 .kind = OPTION_NUMBER,
	 .min = 1,
	 .max = 20000,
	 .roles = CLIENT},
	{.name = "cycles",
	 .arg = "K",
	 .fallback = "1",
	 .help = "Open, use and close each connection K times (default 1)",
	 .kind = OPTION_NUMBER,
	 .min = 1,
	 .max = 100000,
	 .roles = CLIENT},
	{.name = "orders",
	 .arg = "N",
	 .fallback = "0",
	 .help = "Orders and cancels of a connection in a cycle (default 0: so many that all"
		 " connections together make 240,000)",
	 .kind = OPTION_NUMBER,
	 .max = 100000000,
	 .roles = CLIENT},
	{.name = "pipeline",
	 .arg = "P",
	 .fallback = "1",
	 .help = "Requests of a connection that wait for their replies, at most (default 1)",
	 .kind = OPTION_NUMBER,
	 .min = 1,
	 .max = 1024,
	 .roles = CLIENT},
	{.name = "order-size",
	 .arg = "BYTES",
	 .fallback = "32",
	 .help = "Length of a request, padded (default 32: not padded)",
	 .kind = OPTION_SIZE,
	 .min = sizeof(struct request),
	 .max = FRAME_MAX,
	 .roles = CLIENT},
	{.name = "heartbeats",
	 .arg = "N",
	 .fallback = "100",
	 .help = "A heartbeat behind every N orders; 0: only the first on each connection"
		 " (default 100)",
	 .kind = OPTION_NUMBER,
	 .max = 100000000,
	 .roles = CLIENT},
	{.name = "seed",
	 .arg = "S",
	 .fallback = "42",
	 .help = "The orders depend on this number (default 42)",
	 .kind = OPTION_NUMBER,
	 .max = UINT64_MAX,
	 .roles = CLIENT},
	{.name = "output-limit",
	 .arg = "BYTES",
	 .fallback = "64K",
	 .help = "Do not read from a connection while more replies than this wait to be sent to"
		 " it; mode epoll (default 64K)",
	 .kind = OPTION_SIZE,
	 .max = 16 << 20,
	 .roles = SERVER},
};

static int run_server(struct part *p)
{
	static int (*const modes[])(struct part *) = {gateway_threaded, gateway_epoll};

	return modes[part_option(p, "mode")](p);
}

static const struct role roles[] = {
	{.name = "server",
	 .summary = "An order gateway: takes orders over TCP and matches them.",
	 .run = run_server,
	 .listens = true,
	 .connects = false,
	 .is_subject = true},
	{.name = "client",
	 .summary = "Sends orders over many connections and checks every reply.",
	 .run = gateway_client,
	 .listens = false,
	 .connects = true,
	 .is_subject = false},
};

/* What keeps connections waiting, and ports from being used again. */
static const char *const sysctls[] = {
	"net.core.somaxconn",
	"net.ipv4.tcp_max_syn_backlog",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_tw_reuse",
	NULL,
};

static uint64_t value_of(const uint64_t *values, const char *name)
{
	return values[workload_option_index(&workload_gateway, name)];
}

/* Both ends of a connection, and as many that have just ended. */
static uint64_t nr_sockets(const uint64_t *values)
{
	return 4 * value_of(values, "connections");
}

/* One for each connection, and as many that have just ended. */
static uint64_t nr_threads(const uint64_t *values)
{
	return 2 * value_of(values, "connections") + 16;
}

const struct workload workload_gateway = {
	.name = "gateway",
	.summary = "a TCP order gateway with a matching engine, threaded or epoll",
	.options = options,
	.nr_options = sizeof(options) / sizeof(options[0]),
	.roles = roles,
	.nr_roles = sizeof(roles) / sizeof(roles[0]),
	.nr_sockets = nr_sockets,
	.nr_threads = nr_threads,
	.sysctls = sysctls,
};
