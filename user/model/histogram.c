// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "base/vec.h"
#include "model/model.h"

#define LAST_BUCKET (HIST_BUCKETS - 1)
/* Octave k >= 1 begins at 1 << (k + OCTAVE_SHIFT). */
#define OCTAVE_SHIFT (HIST_FIRST_SHIFT - 1)

uint64_t hist_low(uint32_t index)
{
	uint32_t octave = index >> HIST_SUB_BITS, sub = index & (HIST_SUB - 1);

	if (!octave)
		return (uint64_t)sub << (HIST_FIRST_SHIFT - HIST_SUB_BITS);
	return (uint64_t)(HIST_SUB + sub) << (octave + OCTAVE_SHIFT - HIST_SUB_BITS);
}

uint64_t hist_high(uint32_t index)
{
	return index >= LAST_BUCKET ? UINT64_MAX : hist_low(index + 1);
}

uint32_t hist_index(uint64_t ns)
{
	uint32_t log2, octave;

	if (ns < 1 << HIST_FIRST_SHIFT)
		return ns >> (HIST_FIRST_SHIFT - HIST_SUB_BITS);
	log2 = 63 - __builtin_clzll(ns);
	octave = log2 - OCTAVE_SHIFT;
	if (octave >= HIST_OCTAVES)
		return LAST_BUCKET;
	return octave << HIST_SUB_BITS | ((ns >> (log2 - HIST_SUB_BITS)) & (HIST_SUB - 1));
}

/* Where @index is in @h, or where it belongs. */
static size_t find(const struct histogram *h, uint32_t index)
{
	size_t low = 0, high = h->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (h->buckets[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void hist_add(struct histogram *h, uint32_t index, uint64_t count)
{
	size_t at = find(h, index);
	struct hist_bucket *b;

	if (!count)
		return;
	if (at == h->nr || h->buckets[at].index != index) {
		b = vec_push(h->buckets, h->nr, h->cap);
		b -= h->nr - 1 - at;
		memmove(b + 1, b, (h->nr - 1 - at) * sizeof(*b));
		*b = (struct hist_bucket){.index = index};
	}
	h->buckets[at].count += count;
}

void hist_merge(struct histogram *into, const struct histogram *from)
{
	for (size_t i = 0; i < from->nr; i++)
		hist_add(into, from->buckets[i].index, from->buckets[i].count);
}

uint64_t hist_count(const struct histogram *h)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < h->nr; i++)
		sum += h->buckets[i].count;
	return sum;
}

/* The last bucket has no end; its middle is that of a bucket as wide as its neighbour. */
static uint64_t middle(uint32_t index)
{
	uint64_t width = index ? hist_low(index) - hist_low(index - 1) : hist_high(0);

	if (index < LAST_BUCKET)
		width = hist_high(index) - hist_low(index);
	return hist_low(index) + width / 2;
}

uint64_t hist_percentile(const struct histogram *h, unsigned int permille, uint64_t min,
			 uint64_t max)
{
	unsigned __int128 scaled = (unsigned __int128)hist_count(h) * permille;
	uint64_t rank = (scaled + 999) / 1000; /* 1 is the shortest call */
	uint64_t seen = 0, ns;

	for (size_t i = 0; i < h->nr; i++) {
		seen += h->buckets[i].count;
		if (seen < rank)
			continue;
		ns = middle(h->buckets[i].index);
		if (min != METRIC_UNKNOWN && ns < min)
			ns = min;
		return ns > max ? max : ns; /* an unknown max is above everything */
	}
	return METRIC_UNKNOWN;
}
