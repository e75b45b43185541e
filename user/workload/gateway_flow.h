/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_GATEWAY_FLOW_H
#define SOCKTRACE_WORKLOAD_GATEWAY_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "workload/gateway_engine.h"

/*
 * What one connection asks for: a heartbeat, then orders around prices that wander, cancels of its
 * own orders, some requests that must be refused, and heartbeats between. It depends on the seed
 * and the connection's number alone, not on replies or time. All connections of a seed see the
 * same prices.
 */

/* The orders of its own that it may cancel, at most. */
#define FLOW_KEPT 32

struct kept_order {
	uint64_t id;
	uint32_t quantity;
};

struct flow {
	uint64_t random, market_random;
	uint64_t next_id;
	uint32_t sequence;
	uint32_t nr_orders, orders_per_heartbeat, orders_sent, heartbeats_sent;
	uint32_t nr_kept, oldest_kept;
	uint16_t middle[NR_SYMBOLS]; /* prices */
	struct kept_order kept[FLOW_KEPT];
};

/* A request that was sent, and what its reply may be. */
struct asked {
	uint64_t id, sent_ns;
	uint32_t sequence, quantity;
	uint8_t type;	/* of the request */
	uint8_t reason; /* that it must be refused for, REASON_NONE: for none */
	bool may_be_refused;
	bool may_rest; /* or be refused because the book is full */
};

/*
 * Flow number @connection of @seed: @nr_orders orders, and a heartbeat at the start and behind
 * every @orders_per_heartbeat of them (0: at the start only).
 */
void flow_start(struct flow *f, uint64_t seed, uint32_t connection, uint32_t nr_orders,
		uint32_t orders_per_heartbeat);
/* How many requests that makes. */
uint64_t flow_requests(uint32_t nr_orders, uint32_t orders_per_heartbeat);
bool flow_is_at_end(const struct flow *f);
/* The next request (of @length bytes as a frame), and what may be the reply. */
void flow_next(struct flow *f, uint32_t length, struct request *r, struct asked *asked);
/* What is wrong with the reply (a static text), or NULL. */
const char *asked_check(const struct asked *asked, const struct reply *reply);

#endif
