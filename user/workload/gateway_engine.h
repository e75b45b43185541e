/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_GATEWAY_ENGINE_H
#define SOCKTRACE_WORKLOAD_GATEWAY_ENGINE_H

#include <stdint.h>

#include "workload/gateway_wire.h"

/*
 * A matching engine: a book per symbol, best price first, oldest order first at a price. A limit
 * order fills what it can and rests with the remainder; what a market order cannot fill lapses.
 * An order trades at the resting order's price. It may trade with others of its owner.
 *
 * Memory is bounded: what rests comes from a pool. Every operation takes a time that does not
 * depend on how much rests. The same requests in the same order give the same replies.
 */

#define NR_SYMBOLS   8
#define MAX_PRICE    4095 /* ticks; from 1 */
#define MAX_QUANTITY 1000000
#define MAX_RESTING  (1 << 20) /* orders, in the gateway */

/* Whoever enters orders: ids are its own, and with it go its resting orders. */
struct order_owner {
	uint32_t number; /* unlike that of any other owner at the time */
	uint32_t first;	 /* its youngest resting order; 0: none */
};

/* What was asked for, and what became of it. */
struct engine_totals {
	uint64_t requests, orders, cancels, heartbeats, rejects;
	uint64_t book_full; /* rejects for that */
	uint64_t fills;	    /* trades */
	/* Quantities. */
	uint64_t entered, bought, sold, cancelled, lapsed;
};

struct engine;

/* An engine whose books hold at most @capacity resting orders. Ends the process without memory. */
struct engine *engine_new(uint32_t capacity);
void engine_free(struct engine *e);
/* Does what a well-formed request of @owner asks for, and fills in the whole reply. */
void engine_execute(struct engine *e, struct order_owner *owner, const struct request *request,
		    struct reply *reply);
/* Cancels what rests of @owner. */
void engine_leave(struct engine *e, struct order_owner *owner);
const struct engine_totals *engine_totals(const struct engine *e);
/* The quantity that rests, by walking the books. */
uint64_t engine_resting(const struct engine *e);
/* What does not balance in the books (a static text), or NULL. */
const char *engine_check(const struct engine *e);

#endif
