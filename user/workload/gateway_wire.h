/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_GATEWAY_WIRE_H
#define SOCKTRACE_WORKLOAD_GATEWAY_WIRE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The frames between client and gateway. All numbers are little-endian, as on every machine that
 * this is built for, so that a frame is its struct. A request may be longer than its struct: what
 * follows is padding. A reply never is.
 *
 * Each request has one reply, in order, with its sequence number. A connection counts its requests
 * from 1.
 */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are little-endian");

#define FRAME_MAGIC   0x4f47 /* "GO" */
#define FRAME_VERSION 1
#define FRAME_MAX     16384 /* bytes */

enum frame_type {
	/* requests */
	FRAME_NEW = 1,
	FRAME_CANCEL,
	FRAME_HEARTBEAT, /* and its reply, with the same id */
	/* replies */
	FRAME_ACCEPTED, /* of a new order: what was filled at once, what is left */
	FRAME_CANCELLED,
	FRAME_REJECTED,
};

enum order_side { SIDE_BUY, SIDE_SELL, NR_SIDES };
enum order_kind { KIND_LIMIT, KIND_MARKET, NR_KINDS };

enum reject_reason {
	REASON_NONE,
	REASON_MALFORMED, /* the connection ends with it */
	REASON_UNKNOWN_SYMBOL,
	REASON_BAD_PRICE,
	REASON_BAD_QUANTITY,
	REASON_DUPLICATE_ID,
	REASON_UNKNOWN_ORDER,
	REASON_BOOK_FULL,
	NR_REASONS,
};

struct frame_header {
	uint32_t length; /* of the whole frame, bytes */
	uint16_t magic;
	uint8_t version;
	uint8_t type;
	uint32_t sequence;
};

struct request {
	struct frame_header header;
	uint16_t symbol;
	uint8_t side, kind;
	uint64_t id; /* of the order, chosen by the client; a heartbeat's token */
	uint32_t quantity;
	uint32_t price; /* ticks; 0 for a market order */
};

struct reply {
	struct frame_header header;
	uint16_t reason; /* enum reject_reason */
	uint8_t is_resting;
	uint8_t zero;
	uint64_t id;
	/* Of the order in its life so far, and what is left of it: they add up to what was ordered.
	 */
	uint32_t filled, remaining;
};

_Static_assert(sizeof(struct request) == 32 && sizeof(struct reply) == 32, "no holes in frames");

/*
 * The length of the frame at the start of @len bytes: 0 if more are needed to tell or to have it
 * whole, -1 if this is not a request, or not the one with number @sequence.
 */
int frame_check(const void *bytes, size_t len, uint32_t sequence);
/* What a person calls it. */
const char *frame_type_name(unsigned int type);
const char *reason_name(unsigned int reason);

#endif
