/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_FORWARDER_FLOW_H
#define SOCKTRACE_WORKLOAD_FORWARDER_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workload/calls.h"

/*
 * One direction of a forwarded connection: from one socket to another, through one bounded buffer.
 * A flow that holds bytes, because its target takes no more, does not read its source.
 */

struct buffer; /* memory, or a pipe for splice(2) */

struct flow {
	struct buffer *held; /* what the target has not taken yet; NULL: nothing */
	bool has_ended;	     /* the source ended it, and the target was told */
};

/*
 * Buffers of all flows. A flow has one only while it holds bytes, so that the common case, all
 * that was received is sent at once, uses the same memory again and again, for all connections.
 */
struct pool {
	struct tally *tally;
	size_t buffer_bytes;
	bool uses_splice;
	struct buffer *free;
	uint64_t received_bytes, sent_bytes;
	uint64_t nr_buffers;	 /* that exist */
	uint64_t nr_small_pipes; /* that the kernel did not let be as large as a buffer */
};

enum flow_state {
	FLOW_GOES_ON,
	FLOW_ENDED,  /* the source has no more: the target is to be told */
	FLOW_BROKEN, /* one of the two sockets failed */
};

/* Moves what there is, up to a few buffers full. */
enum flow_state flow_move(struct pool *pool, struct flow *flow, int from, int to);
/* Forgets what is held. */
void flow_drop(struct pool *pool, struct flow *flow);
void pool_free(struct pool *pool);

#endif
