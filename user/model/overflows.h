/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_OVERFLOWS_H
#define SOCKTRACE_MODEL_OVERFLOWS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How often the accept queue of one listener was full. The kernel counts overflows for a whole
 * network namespace, and with every overflow a "listen drop" there and one in the listener's own
 * counter. Listen drops have other causes, too (the queue of requests was full, an ICMP error), and
 * so has the listener's counter: packets that were seen thrown away.
 */
struct listen_evidence {
	uint64_t counter;		/* the listener's own */
	uint64_t seen_least, seen_most; /* of these, seen for another reason than a listen drop */
	uint64_t overflows, drops;	/* of its namespace: ListenOverflows, ListenDrops */
	bool is_counted;		/* these two are known */
	bool is_alone;			/* no other listener of its namespace has any */
};

/* METRIC_UNKNOWN if the counts leave more than one answer, or contradict each other. */
uint64_t listen_overflows(const struct listen_evidence *e);

#endif
