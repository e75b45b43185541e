// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "workload/feed.h"

#define FIRST_PRICE 10000
#define SPREAD	    16 /* an order is at most so many ticks from the middle */

/* Of 100 messages; the rest are cancels. Half of the executions end their order. */
#define ADDS	   48
#define EXECUTIONS 12

/* A bijection that changes about half of the bits for each bit changed (SplitMix64). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t next_random(uint64_t *state)
{
	return mix(*state += 0x9e3779b97f4a7c15);
}

uint64_t feed_checksum(const struct feed_message *m, uint64_t seed)
{
	uint64_t words[FEED_MESSAGE_BYTES / 8], sum = mix(seed + FEED_MAGIC);

	memcpy(words, m, sizeof(words));
	words[offsetof(struct feed_message, checksum) / 8] = 0;
	for (size_t i = 0; i < sizeof(words) / 8; i++)
		sum = mix(sum ^ words[i]);
	return sum;
}

void feed_padding(unsigned char *bytes, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = next_random(&seed);
}

void feed_flow_start(struct feed_flow *f, uint64_t seed)
{
	*f = (struct feed_flow){.random = seed};
	for (int i = 0; i < FEED_SYMBOLS; i++)
		f->middle[i] = FIRST_PRICE;
}

/* From 0 to @nr - 1. */
static uint32_t choose(struct feed_flow *f, uint32_t nr)
{
	return ((next_random(&f->random) >> 32) * nr) >> 32;
}

static struct feed_order *add_order(struct feed_flow *f)
{
	struct feed_order *o = &f->live[f->nr_live++];
	uint32_t *middle, off = 1 + choose(f, SPREAD);

	o->symbol = choose(f, FEED_SYMBOLS);
	middle = &f->middle[o->symbol];
	*middle += choose(f, 3) - 1;
	if (*middle <= 2 * SPREAD)
		*middle = 2 * SPREAD;
	o->id = ++f->last_order;
	o->side = choose(f, 2) ? 'B' : 'S';
	o->price = o->side == 'B' ? *middle - off : *middle + off;
	o->quantity = 100 * (1 + choose(f, 10));
	return o;
}

static enum feed_kind choose_kind(struct feed_flow *f)
{
	uint32_t percent = choose(f, 100);

	if (!f->nr_live)
		return FEED_ADD;
	if (percent < EXECUTIONS)
		return FEED_EXECUTE;
	return percent < EXECUTIONS + ADDS && f->nr_live < FEED_LIVE_ORDERS ? FEED_ADD
									    : FEED_CANCEL;
}

void feed_flow_next(struct feed_flow *f, struct feed_message *m)
{
	enum feed_kind kind = choose_kind(f);
	struct feed_order *o = kind == FEED_ADD ? add_order(f) : &f->live[choose(f, f->nr_live)];
	uint32_t quantity = o->quantity;

	if (kind == FEED_EXECUTE && choose(f, 2))
		quantity = 1 + choose(f, o->quantity);
	*m = (struct feed_message){
		.sequence = ++f->sequence,
		.order = o->id,
		.price = o->price,
		.quantity = quantity,
		.symbol = o->symbol,
		.kind = kind,
		.side = o->side,
		.magic = FEED_MAGIC,
	};
	if (kind == FEED_ADD)
		return;
	o->quantity -= quantity;
	if (!o->quantity)
		*o = f->live[--f->nr_live];
}
