// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "workload/gateway_flow.h"

#define LOWEST_MIDDLE  (MAX_PRICE / 4)
#define HIGHEST_MIDDLE (MAX_PRICE / 4 * 3)
#define NO_SUCH_ORDER  (1ULL << 63)

/* splitmix64, by Sebastiano Vigna. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

/* 0 to @below - 1. */
static uint32_t pick(struct flow *f, uint32_t below)
{
	return (random_next(&f->random) >> 32) * below >> 32;
}

void flow_start(struct flow *f, uint64_t seed, uint32_t connection, uint32_t nr_orders,
		uint32_t orders_per_heartbeat)
{
	uint64_t state = seed;

	*f = (struct flow){
		.market_random = random_next(&state),
		.next_id = 1,
		.nr_orders = nr_orders,
		.orders_per_heartbeat = orders_per_heartbeat,
	};
	state += connection;
	f->random = random_next(&state);
	for (int i = 0; i < NR_SYMBOLS; i++)
		f->middle[i] = (LOWEST_MIDDLE + HIGHEST_MIDDLE) / 2;
}

uint64_t flow_requests(uint32_t nr_orders, uint32_t orders_per_heartbeat)
{
	return 1ULL + nr_orders + (orders_per_heartbeat ? nr_orders / orders_per_heartbeat : 0);
}

static bool heartbeat_is_due(const struct flow *f)
{
	uint32_t due = f->orders_per_heartbeat ? f->orders_sent / f->orders_per_heartbeat : 0;

	return f->heartbeats_sent < 1 + due;
}

bool flow_is_at_end(const struct flow *f)
{
	return f->orders_sent == f->nr_orders && !heartbeat_is_due(f);
}

/* One symbol's price goes up or down by a tick. */
static void move_market(struct flow *f)
{
	uint64_t bits = random_next(&f->market_random);
	uint16_t *middle = &f->middle[bits % NR_SYMBOLS];

	*middle += bits >> 63 ? 1 : -1;
	if (*middle < LOWEST_MIDDLE)
		*middle = LOWEST_MIDDLE;
	if (*middle > HIGHEST_MIDDLE)
		*middle = HIGHEST_MIDDLE;
}

/* --- kinds of requests ----------------------------------------------------------------------- */

/* When there are too many, the oldest stays in the book until it is filled. */
static void keep(struct flow *f, const struct request *r)
{
	if (f->nr_kept == FLOW_KEPT) {
		f->oldest_kept = (f->oldest_kept + 1) % FLOW_KEPT;
		f->nr_kept--;
	}
	f->kept[(f->oldest_kept + f->nr_kept++) % FLOW_KEPT] =
		(struct kept_order){r->id, r->quantity};
}

static void make_order(struct flow *f, struct request *r, bool is_market)
{
	bool is_sell = pick(f, 2);

	r->header.type = FRAME_NEW;
	r->symbol = pick(f, NR_SYMBOLS);
	r->side = is_sell ? SIDE_SELL : SIDE_BUY;
	r->kind = is_market ? KIND_MARKET : KIND_LIMIT;
	r->id = f->next_id++;
	r->quantity = 1 + pick(f, 100);
	if (is_market)
		return;
	/* Mostly on its own side of the middle, where it rests; at times across. */
	r->price = f->middle[r->symbol] + (is_sell ? 12 - (int)pick(f, 21) : (int)pick(f, 21) - 12);
}

static void make_limit(struct flow *f, struct request *r)
{
	make_order(f, r, false);
	keep(f, r);
}

/* Of one of those kept, which may be filled by now. */
static void make_cancel(struct flow *f, struct request *r, struct asked *asked)
{
	struct kept_order *oldest = &f->kept[f->oldest_kept];
	struct kept_order *k = &f->kept[(f->oldest_kept + pick(f, f->nr_kept)) % FLOW_KEPT];

	r->header.type = FRAME_CANCEL;
	r->id = k->id;
	asked->quantity = k->quantity;
	asked->reason = REASON_UNKNOWN_ORDER;
	asked->may_be_refused = true;
	*k = *oldest;
	f->oldest_kept = (f->oldest_kept + 1) % FLOW_KEPT;
	f->nr_kept--;
}

/* A request that must be refused, except that an order may be gone whose id is used again. */
static void make_wrong(struct flow *f, struct request *r, struct asked *asked)
{
	static const uint8_t reasons[] = {REASON_UNKNOWN_SYMBOL, REASON_BAD_PRICE,
					  REASON_BAD_QUANTITY, REASON_UNKNOWN_ORDER,
					  REASON_DUPLICATE_ID};
	const struct kept_order *k = &f->kept[(f->oldest_kept + f->nr_kept - 1) % FLOW_KEPT];

	make_order(f, r, false);
	asked->reason = reasons[pick(f, f->nr_kept ? 5 : 4)];
	switch (asked->reason) {
	case REASON_UNKNOWN_SYMBOL:
		r->symbol += NR_SYMBOLS;
		break;
	case REASON_BAD_PRICE:
		r->price = pick(f, 2) ? 0 : MAX_PRICE + 1;
		break;
	case REASON_BAD_QUANTITY:
		r->quantity = pick(f, 2) ? 0 : MAX_QUANTITY + 1;
		break;
	case REASON_UNKNOWN_ORDER:
		r->header.type = FRAME_CANCEL;
		r->id |= NO_SUCH_ORDER;
		break;
	case REASON_DUPLICATE_ID:
		r->id = k->id;
		r->quantity = k->quantity;
		asked->may_be_refused = true;
		break;
	}
}

static void make_heartbeat(struct flow *f, struct request *r)
{
	r->header.type = FRAME_HEARTBEAT;
	r->id = random_next(&f->random);
	f->heartbeats_sent++;
}

/* Of a thousand: 690 limit and 100 market orders, 190 cancels, 20 wrong. */
static void make_any(struct flow *f, struct request *r, struct asked *asked)
{
	uint32_t what = pick(f, 1000);

	f->orders_sent++;
	if (what < 190 && f->nr_kept)
		make_cancel(f, r, asked);
	else if (what < 880)
		make_limit(f, r);
	else if (what < 980)
		make_order(f, r, true);
	else
		make_wrong(f, r, asked);
}

void flow_next(struct flow *f, uint32_t length, struct request *r, struct asked *asked)
{
	*r = (struct request){
		.header = {.length = length,
			   .magic = FRAME_MAGIC,
			   .version = FRAME_VERSION,
			   .sequence = ++f->sequence},
	};
	*asked = (struct asked){.sequence = f->sequence};
	if (heartbeat_is_due(f)) {
		make_heartbeat(f, r);
	} else {
		move_market(f);
		make_any(f, r, asked);
	}
	asked->type = r->header.type;
	asked->id = r->id;
	if (r->header.type == FRAME_NEW)
		asked->quantity = r->quantity;
	asked->may_rest = r->header.type == FRAME_NEW && r->kind == KIND_LIMIT;
}

/* --- replies --------------------------------------------------------------------------------- */

static const char *check_rejected(const struct asked *a, const struct reply *r)
{
	if (r->reason == REASON_BOOK_FULL && a->may_rest)
		return NULL;
	if (!a->reason)
		return reason_name(r->reason);
	return r->reason == a->reason ? NULL : "refused for another reason than it had to be";
}

static const char *check_quantities(const struct asked *a, const struct reply *r)
{
	if (r->filled > a->quantity || a->quantity - r->filled != r->remaining)
		return "filled and remaining are not what was ordered";
	if (r->header.type == FRAME_CANCELLED)
		return r->remaining ? NULL : "nothing was left to cancel";
	if (r->is_resting != (a->may_rest && r->remaining))
		return "it rests and should not, or the other way round";
	return NULL;
}

const char *asked_check(const struct asked *a, const struct reply *r)
{
	static const uint8_t served[] = {
		[FRAME_NEW] = FRAME_ACCEPTED,
		[FRAME_CANCEL] = FRAME_CANCELLED,
		[FRAME_HEARTBEAT] = FRAME_HEARTBEAT,
	};

	if (r->header.length != sizeof(*r) || r->header.magic != FRAME_MAGIC ||
	    r->header.version != FRAME_VERSION)
		return "not a reply";
	if (r->header.sequence != a->sequence)
		return "not the next reply";
	if (r->id != a->id)
		return "of another order";
	if (r->header.type == FRAME_REJECTED)
		return check_rejected(a, r);
	if (r->header.type != served[a->type])
		return "of another kind";
	if (a->reason && !a->may_be_refused)
		return "not refused";
	return a->type == FRAME_HEARTBEAT ? NULL : check_quantities(a, r);
}
