// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "workload/gateway_engine.h"

#define HASH_BITS 18
#define WORDS	  ((MAX_PRICE + 1) / 64)

_Static_assert(WORDS == 64, "one word tells which of the others have a bit set");

/* In the pool; 0 as an index is none. */
struct order {
	uint64_t id;
	struct order_owner *owner;
	uint32_t quantity, remaining;
	uint32_t older, younger; /* at the same price */
	uint32_t next_hashed;	 /* with the same hash; of a free one: the next free */
	uint32_t owner_older, owner_younger;
	uint16_t symbol, price;
	uint8_t side;
};

struct level {
	uint32_t oldest, youngest;
};

/* The prices at which there are orders. */
struct prices {
	uint64_t words_used, words[WORDS];
};

struct book {
	struct prices prices[NR_SIDES];
	/* A price is one of buyers or of sellers, never of both: they would have traded. */
	struct level levels[MAX_PRICE + 1];
};

struct engine {
	struct engine_totals totals;
	struct book books[NR_SYMBOLS];
	uint32_t hash[1 << HASH_BITS];
	uint32_t first_free, nr_used, capacity;
	struct order orders[];
};

struct engine *engine_new(uint32_t capacity)
{
	/* Zeroed pages of the kernel: what is never used takes no memory. */
	struct engine *e = xcalloc(1, sizeof(*e) + (capacity + 1ULL) * sizeof(e->orders[0]));

	e->capacity = capacity;
	return e;
}

void engine_free(struct engine *e)
{
	free(e);
}

const struct engine_totals *engine_totals(const struct engine *e)
{
	return &e->totals;
}

/* --- prices ---------------------------------------------------------------------------------- */

static void prices_set(struct prices *p, unsigned int price)
{
	p->words[price / 64] |= 1ULL << price % 64;
	p->words_used |= 1ULL << price / 64;
}

static void prices_clear(struct prices *p, unsigned int price)
{
	p->words[price / 64] &= ~(1ULL << price % 64);
	if (!p->words[price / 64])
		p->words_used &= ~(1ULL << price / 64);
}

/* The highest that a buyer offers, or the lowest that a seller wants; 0: nobody there. */
static unsigned int best_price(const struct book *b, unsigned int side)
{
	const struct prices *p = &b->prices[side];
	unsigned int word;

	if (!p->words_used)
		return 0;
	if (side == SIDE_BUY) {
		word = 63 - __builtin_clzll(p->words_used);
		return word * 64 + 63 - __builtin_clzll(p->words[word]);
	}
	word = __builtin_ctzll(p->words_used);
	return word * 64 + __builtin_ctzll(p->words[word]);
}

/* --- orders that rest ------------------------------------------------------------------------ */

static uint32_t *hash_head(struct engine *e, const struct order_owner *owner, uint64_t id)
{
	uint64_t key = (id + ((uint64_t)owner->number << 32)) * 0x9e3779b97f4a7c15ULL;

	return &e->hash[key >> (64 - HASH_BITS)];
}

/* Its index, or 0. */
static uint32_t find(struct engine *e, const struct order_owner *owner, uint64_t id)
{
	for (uint32_t i = *hash_head(e, owner, id); i; i = e->orders[i].next_hashed) {
		if (e->orders[i].id == id && e->orders[i].owner == owner)
			return i;
	}
	return 0;
}

static uint32_t take_free(struct engine *e)
{
	uint32_t i = e->first_free;

	if (!i)
		return ++e->nr_used;
	e->first_free = e->orders[i].next_hashed;
	return i;
}

static void join_level(struct engine *e, uint32_t i)
{
	struct order *o = &e->orders[i];
	struct level *l = &e->books[o->symbol].levels[o->price];

	o->older = l->youngest;
	o->younger = 0;
	if (l->youngest)
		e->orders[l->youngest].younger = i;
	else
		l->oldest = i;
	l->youngest = i;
	prices_set(&e->books[o->symbol].prices[o->side], o->price);
}

static void leave_level(struct engine *e, const struct order *o)
{
	struct level *l = &e->books[o->symbol].levels[o->price];

	*(o->older ? &e->orders[o->older].younger : &l->oldest) = o->younger;
	*(o->younger ? &e->orders[o->younger].older : &l->youngest) = o->older;
	if (!l->oldest)
		prices_clear(&e->books[o->symbol].prices[o->side], o->price);
}

static void join_owner(struct engine *e, uint32_t i)
{
	struct order_owner *owner = e->orders[i].owner;

	e->orders[i].owner_older = owner->first;
	e->orders[i].owner_younger = 0;
	if (owner->first)
		e->orders[owner->first].owner_younger = i;
	owner->first = i;
}

static void rest(struct engine *e, struct order_owner *owner, const struct request *r,
		 uint32_t remaining)
{
	uint32_t i = take_free(e), *head = hash_head(e, owner, r->id);
	struct order *o = &e->orders[i];

	*o = (struct order){
		.id = r->id,
		.owner = owner,
		.quantity = r->quantity,
		.remaining = remaining,
		.next_hashed = *head,
		.symbol = r->symbol,
		.price = r->price,
		.side = r->side,
	};
	*head = i;
	join_level(e, i);
	join_owner(e, i);
}

static void leave_owner(struct engine *e, const struct order *o)
{
	*(o->owner_younger ? &e->orders[o->owner_younger].owner_older : &o->owner->first) =
		o->owner_older;
	if (o->owner_older)
		e->orders[o->owner_older].owner_younger = o->owner_younger;
}

static void forget(struct engine *e, uint32_t i)
{
	struct order *o = &e->orders[i];
	uint32_t *link = hash_head(e, o->owner, o->id);

	while (*link != i)
		link = &e->orders[*link].next_hashed;
	*link = o->next_hashed;
	leave_level(e, o);
	leave_owner(e, o);
	o->next_hashed = e->first_free;
	e->first_free = i;
}

static void cancel(struct engine *e, uint32_t i)
{
	e->totals.cancelled += e->orders[i].remaining;
	forget(e, i);
}

void engine_leave(struct engine *e, struct order_owner *owner)
{
	while (owner->first)
		cancel(e, owner->first);
}

/* --- requests -------------------------------------------------------------------------------- */

static bool may_trade(const struct request *r, unsigned int price)
{
	if (r->kind == KIND_MARKET)
		return true;
	return r->side == SIDE_BUY ? price <= r->price : price >= r->price;
}

/* Trades with what rests on the other side. Returns the quantity left. */
static uint32_t match(struct engine *e, const struct request *r)
{
	struct book *b = &e->books[r->symbol];
	uint32_t left = r->quantity;
	unsigned int price;

	while (left && (price = best_price(b, !r->side)) && may_trade(r, price)) {
		uint32_t i = b->levels[price].oldest;
		struct order *o = &e->orders[i];
		uint32_t traded = left < o->remaining ? left : o->remaining;

		left -= traded;
		o->remaining -= traded;
		e->totals.fills++;
		e->totals.bought += traded;
		e->totals.sold += traded;
		if (!o->remaining)
			forget(e, i);
	}
	return left;
}

static enum reject_reason refuse(struct engine *e, const struct order_owner *owner,
				 const struct request *r)
{
	if (r->symbol >= NR_SYMBOLS)
		return REASON_UNKNOWN_SYMBOL;
	if (r->kind == KIND_MARKET ? r->price != 0 : !r->price || r->price > MAX_PRICE)
		return REASON_BAD_PRICE;
	if (!r->quantity || r->quantity > MAX_QUANTITY)
		return REASON_BAD_QUANTITY;
	if (find(e, owner, r->id))
		return REASON_DUPLICATE_ID;
	if (!e->first_free && e->nr_used == e->capacity && r->kind == KIND_LIMIT)
		return REASON_BOOK_FULL;
	return REASON_NONE;
}

static enum reject_reason enter(struct engine *e, struct order_owner *owner,
				const struct request *r, struct reply *reply)
{
	enum reject_reason reason = refuse(e, owner, r);

	e->totals.orders++;
	if (reason)
		return reason;
	e->totals.entered += r->quantity;
	reply->header.type = FRAME_ACCEPTED;
	reply->remaining = match(e, r);
	reply->filled = r->quantity - reply->remaining;
	reply->is_resting = r->kind == KIND_LIMIT && reply->remaining;
	if (reply->is_resting)
		rest(e, owner, r, reply->remaining);
	else
		e->totals.lapsed += reply->remaining;
	return REASON_NONE;
}

static enum reject_reason take_back(struct engine *e, struct order_owner *owner,
				    const struct request *r, struct reply *reply)
{
	uint32_t i = find(e, owner, r->id);

	e->totals.cancels++;
	if (!i)
		return REASON_UNKNOWN_ORDER;
	reply->header.type = FRAME_CANCELLED;
	reply->remaining = e->orders[i].remaining;
	reply->filled = e->orders[i].quantity - reply->remaining;
	cancel(e, i);
	return REASON_NONE;
}

void engine_execute(struct engine *e, struct order_owner *owner, const struct request *r,
		    struct reply *reply)
{
	enum reject_reason reason = REASON_NONE;

	*reply = (struct reply){
		.header = {.length = sizeof(*reply),
			   .magic = FRAME_MAGIC,
			   .version = FRAME_VERSION,
			   .type = FRAME_HEARTBEAT,
			   .sequence = r->header.sequence},
		.id = r->id,
	};
	e->totals.requests++;
	if (r->header.type == FRAME_NEW)
		reason = enter(e, owner, r, reply);
	else if (r->header.type == FRAME_CANCEL)
		reason = take_back(e, owner, r, reply);
	else
		e->totals.heartbeats++;
	if (!reason)
		return;
	e->totals.rejects++;
	e->totals.book_full += reason == REASON_BOOK_FULL;
	reply->header.type = FRAME_REJECTED;
	reply->reason = reason;
}

/* --- books ----------------------------------------------------------------------------------- */

uint64_t engine_resting(const struct engine *e)
{
	uint64_t quantity = 0;

	for (int symbol = 0; symbol < NR_SYMBOLS; symbol++) {
		for (int price = 0; price <= MAX_PRICE; price++) {
			uint32_t i = e->books[symbol].levels[price].oldest;

			for (; i; i = e->orders[i].younger)
				quantity += e->orders[i].remaining;
		}
	}
	return quantity;
}

const char *engine_check(const struct engine *e)
{
	const struct engine_totals *t = &e->totals;

	if (t->bought != t->sold)
		return "more was bought than sold, or less";
	if (t->entered - t->bought - t->sold - t->cancelled - t->lapsed != engine_resting(e))
		return "what rests is not what was entered less what was filled, cancelled or "
		       "lapsed";
	for (int symbol = 0; symbol < NR_SYMBOLS; symbol++) {
		unsigned int bid = best_price(&e->books[symbol], SIDE_BUY);
		unsigned int ask = best_price(&e->books[symbol], SIDE_SELL);

		if (bid && ask && bid >= ask)
			return "a buyer and a seller who agree have not traded";
	}
	return NULL;
}
