/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_LATENCY_H
#define SOCKTRACE_WORKLOAD_LATENCY_H

#include <stdint.h>

struct part;

/*
 * Durations in a log-linear histogram: each power of two is cut into 64, so that a percentile is
 * within 0.8 %. The maximum is exact.
 */
#define LATENCY_SUB_BITS 6
#define LATENCY_BUCKETS	 (59 << LATENCY_SUB_BITS)

struct latency {
	uint64_t count, max_ns;
	uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *l, uint64_t ns);
/* What @permille / 1000 of the durations did not exceed (nearest rank), ns; 0 if there is none. */
uint64_t latency_percentile(const struct latency *l, unsigned int permille);
/* The results PREFIX_p50_ns, _p90_ns, _p99_ns, _p999_ns and _max_ns; none if it is empty. */
void latency_results(const struct latency *l, struct part *part, const char *prefix);

#endif
