// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>

#include "workload/latency.h"
#include "workload/part.h"

#define SUB (1 << LATENCY_SUB_BITS)

static const struct {
	const char *name;
	unsigned int permille;
} percentiles[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}};

/* Below 2 * SUB ns a bucket is 1 ns wide; above, the SUB_BITS bits below the highest choose. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift = ns < 2 * SUB ? 0 : 63 - LATENCY_SUB_BITS - __builtin_clzll(ns);

	return (shift << LATENCY_SUB_BITS) + (ns >> shift);
}

static uint64_t bucket_middle(unsigned int bucket)
{
	unsigned int shift = bucket < 2 * SUB ? 0 : (bucket >> LATENCY_SUB_BITS) - 1;
	uint64_t low = (uint64_t)(bucket - (shift << LATENCY_SUB_BITS)) << shift;

	return low + ((1ULL << shift) - 1) / 2;
}

void latency_add(struct latency *l, uint64_t ns)
{
	l->count++;
	if (ns > l->max_ns)
		l->max_ns = ns;
	l->buckets[bucket_of(ns)]++;
}

uint64_t latency_percentile(const struct latency *l, unsigned int permille)
{
	uint64_t rank = (l->count * permille + 999) / 1000, seen = 0;

	for (unsigned int i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t middle = bucket_middle(i);

		seen += l->buckets[i];
		if (seen && seen >= rank)
			return middle < l->max_ns ? middle : l->max_ns;
	}
	return 0;
}

void latency_results(const struct latency *l, struct part *part, const char *prefix)
{
	char name[FACT_NAME_LEN];

	if (!l->count)
		return;
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		snprintf(name, sizeof(name), "%s_%s_ns", prefix, percentiles[i].name);
		part_result(part, name, latency_percentile(l, percentiles[i].permille));
	}
	snprintf(name, sizeof(name), "%s_max_ns", prefix);
	part_result(part, name, l->max_ns);
}
