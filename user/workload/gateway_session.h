/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_GATEWAY_SESSION_H
#define SOCKTRACE_WORKLOAD_GATEWAY_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "workload/gateway_engine.h"

/*
 * What the gateway knows of one connection, without the socket: bytes that came, replies that are
 * to go. As a reply is no longer than its request, SESSION_IN bytes make at most as many.
 */

#define SESSION_IN FRAME_MAX

struct session {
	struct order_owner owner;
	uint32_t next_sequence;
	bool is_malformed; /* no more is taken from it; what is in out still goes */
	uint32_t nr_in;
	uint32_t out_start, out_end;
	uint32_t out_capacity;
	uint8_t in[SESSION_IN];
	uint8_t out[];
};

/* A session that holds up to @output_limit bytes of replies beyond those to one full in[]. */
struct session *session_new(uint32_t output_limit);
/* For the next connection. */
void session_reset(struct session *s, uint32_t number);
/*
 * Executes the requests that are whole in in[], and appends the replies. There must be room for
 * SESSION_IN bytes of them: session_pending() <= output_limit.
 */
void session_execute(struct session *s, struct engine *e);
/* The peer sends no more: half a request is a malformed one. */
void session_end(struct session *s);
/* @bytes from the start of the replies were sent. */
void session_sent(struct session *s, uint32_t bytes);

static inline uint32_t session_pending(const struct session *s)
{
	return s->out_end - s->out_start;
}

#endif
