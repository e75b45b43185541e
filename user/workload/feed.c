// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <stddef.h>

#include "workload/feed.h"
#include "workload/part.h"

#define SUBSCRIBER 1U
#define PUBLISHER  2U

static const struct workload_option options[] = {
	{"messages", "N", "10000", "Messages to publish (default 10000)", OPTION_NUMBER, 1,
	 1000000000000, NULL, PUBLISHER},
	{"rate", "N", "0", "Messages per second, in even steps (default 0: as fast as it can)",
	 OPTION_NUMBER, 0, 1000000000, NULL, PUBLISHER},
	{"batch", "N", "1", "Messages per call: 1 for sendto, more for sendmmsg (default 1)",
	 OPTION_NUMBER, 1, 1024, NULL, PUBLISHER},
	{"size", "BYTES", "48", "Bytes of a datagram's payload (default 48: no padding)",
	 OPTION_SIZE, FEED_MESSAGE_BYTES, 65507, NULL, SUBSCRIBER | PUBLISHER},
	{"seed", "N", "42", "Seed of the flow, the same for both roles (default 42)", OPTION_NUMBER,
	 0, UINT64_MAX, NULL, SUBSCRIBER | PUBLISHER},
	{"multicast", NULL, "no", "Publish to the group " FEED_GROUP " instead (default no)",
	 OPTION_SWITCH, 0, 0, NULL, SUBSCRIBER | PUBLISHER},
	{"rcvbuf", "BYTES", "0", "Receive buffer to ask for (default 0: the system's default)",
	 OPTION_SIZE, 0, INT32_MAX, NULL, SUBSCRIBER},
	{"receive-batch", "N", "1",
	 "Messages per call: 1 for recvfrom, more for recvmmsg (default 1)", OPTION_NUMBER, 1, 1024,
	 NULL, SUBSCRIBER},
	{"work", "NS", "0", "CPU time to spend on each message in ns (default 0)", OPTION_NUMBER, 0,
	 1000000000, NULL, SUBSCRIBER},
	{"idle", "SEC", "0.1",
	 "Seconds without a message after which to end, once asked to (default 0.1)",
	 OPTION_SECONDS, 0, 60000000000, NULL, SUBSCRIBER},
};

static const struct role roles[] = {
	{.name = "subscriber",
	 .summary = "Receives the feed over UDP and checks each message.",
	 .run = feed_subscribe,
	 .listens = true,
	 .is_subject = true},
	{.name = "publisher",
	 .summary = "Publishes a seeded flow of market data over UDP.",
	 .run = feed_publish,
	 .connects = true},
};

static const char *const sysctls[] = {
	"net.core.rmem_default",       "net.core.rmem_max",	"net.core.wmem_default",
	"net.core.netdev_max_backlog", "net.ipv4.udp_rmem_min", NULL,
};

const struct workload workload_feed = {
	.name = "feed",
	.summary = "market data over UDP: a publisher's burst or paced flow, a subscriber's losses",
	.options = options,
	.nr_options = sizeof(options) / sizeof(options[0]),
	.roles = roles,
	.nr_roles = sizeof(roles) / sizeof(roles[0]),
	.sysctls = sysctls,
};

struct sockaddr_in feed_group(const struct sockaddr_in *address)
{
	struct sockaddr_in group = {.sin_family = AF_INET, .sin_port = address->sin_port};

	inet_pton(AF_INET, FEED_GROUP, &group.sin_addr);
	return group;
}
