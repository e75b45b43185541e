/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_FEED_H
#define SOCKTRACE_WORKLOAD_FEED_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct part;

/*
 * Workload feed: a publisher sends a flow of market data, one message a datagram, to a subscriber,
 * which holds each against its checksum and its place in the sequence.
 */

/* Of the range that RFC 2365 leaves to an organization (239.192.0.0/14). */
#define FEED_GROUP "239.192.83.84"

/* --- the message --------------------------------------------------------------------------- */

#define FEED_MAGIC 0x53464431 /* "SFD1" */

enum feed_kind {
	FEED_ADD = 'A',	    /* an order enters the book */
	FEED_EXECUTE = 'E', /* some or all of an order is filled */
	FEED_CANCEL = 'X',  /* the rest of an order leaves the book */
};

/* At the start of each datagram, in the byte order of the machine, which both ends are on. */
struct feed_message {
	uint64_t sequence; /* from 1 */
	uint64_t sent_ns;  /* CLOCK_MONOTONIC, just before the call that sends it */
	uint64_t checksum; /* feed_checksum() */
	uint64_t order;
	uint32_t price; /* ticks */
	uint32_t quantity;
	uint16_t symbol;
	uint8_t kind; /* enum feed_kind */
	uint8_t side; /* 'B' or 'S' */
	uint32_t magic;
};

#define FEED_MESSAGE_BYTES sizeof(struct feed_message)
_Static_assert(sizeof(struct feed_message) == 48, "no holes: all of it is in the checksum");

/* Of the whole message but its checksum, with @seed: another seed's message does not pass. */
uint64_t feed_checksum(const struct feed_message *m, uint64_t seed);
/* What fills a datagram up to --size. */
void feed_padding(unsigned char *bytes, size_t len, uint64_t seed);

/* --- the flow ------------------------------------------------------------------------------ */

#define FEED_SYMBOLS	 3
#define FEED_LIVE_ORDERS 1024

struct feed_order {
	uint64_t id;
	uint32_t price, quantity; /* what is left of it */
	uint16_t symbol;
	uint8_t side;
};

struct feed_flow {
	uint64_t random, sequence, last_order;
	uint32_t middle[FEED_SYMBOLS]; /* the price that each symbol's orders are around, ticks */
	uint32_t nr_live;
	struct feed_order live[FEED_LIVE_ORDERS]; /* in no order */
};

/* The same flow for the same seed. */
void feed_flow_start(struct feed_flow *f, uint64_t seed);
/* The next message, but for sent_ns and checksum. */
void feed_flow_next(struct feed_flow *f, struct feed_message *m);

/* --- the sequence, as received ------------------------------------------------------------- */

#define FEED_WINDOW 65536 /* how many messages late one can be told from one that comes again */

struct feed_sequence {
	uint64_t highest;
	uint64_t received; /* duplicates included */
	uint64_t duplicates;
	uint64_t out_of_order; /* came, for the first time, after a later one */
	uint64_t seen[FEED_WINDOW / 64];
};

/* Notes that message @sequence came. False: too late to tell, or 0; it is then not counted. */
bool feed_sequence_note(struct feed_sequence *s, uint64_t sequence);
/* How many before the highest are missing. */
uint64_t feed_sequence_gaps(const struct feed_sequence *s);

/* --- the parts ----------------------------------------------------------------------------- */

/* The group of a multicast feed, at the port of @address. */
struct sockaddr_in feed_group(const struct sockaddr_in *address);
int feed_publish(struct part *p);
int feed_subscribe(struct part *p);

#endif
