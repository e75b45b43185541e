/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_FORWARDER_STREAM_H
#define SOCKTRACE_WORKLOAD_FORWARDER_STREAM_H

#include "workload/forwarder.h"
#include "workload/latency.h"

/*
 * A stream is one end of a connection of the load, at the server or at the client.
 *
 * bulk: one end sends blocks for --seconds and shuts its direction down; the other one reads up to
 * the end, says in 8 bytes (big-endian) how many bytes it got, and closes.
 * rr, crr: the client sends a request, the server sends the same bytes back. In rr over one
 * connection, until the client shuts its direction down. In crr the server closes after one
 * response: so it is the server's side, at its fixed port, where closed connections linger
 * (TIME_WAIT), and the client does not run out of ports.
 */

enum phase {
	PHASE_CONNECT,	  /* until the handshake is done */
	PHASE_READY,	  /* connected, waits for the other streams to be */
	PHASE_BULK_SEND,  /* until time is up */
	PHASE_BULK_COUNT, /* what the other end says it got */
	PHASE_BULK_RECEIVE,
	PHASE_REQUEST_SEND,
	PHASE_RESPONSE_RECEIVE,
	PHASE_REQUEST_RECEIVE,
	PHASE_RESPONSE_SEND,
	PHASE_END_RECEIVE, /* the other end closes */
};

struct stream {
	int fd; /* -1: none */
	enum phase phase;
	uint32_t interest; /* in EPOLLIN, EPOLLOUT; 0: not in the epoll set */
	size_t moved;	   /* of the message at hand */
	uint64_t bytes;	   /* bulk */
	uint8_t count[8];
	char *message, *response; /* of --size bytes */
	uint64_t connect_ns;	  /* when it began to connect */
	uint64_t begin_ns;	  /* when the request at hand, or bulk, began */
	uint64_t moved_ns;	  /* when something moved last */
};

/* All streams of a part. */
struct load {
	struct part *part;
	struct tally *tally;
	enum forwarder_load kind;
	bool is_client;
	bool is_sender; /* bulk */
	size_t size, block;
	uint64_t seconds_ns;
	int epoll;
	char *data;	 /* a block, for bulk */
	uint64_t now_ns; /* as of the events at hand */
	uint64_t end_ns; /* the client: no new request from then on */
	uint64_t nr_sent_bytes, nr_received_bytes, nr_half_closes, nr_requests, nr_payload_bytes;
	struct latency latency, connect;
};

enum step {
	STEP_FAILED = -1, /* after part_fail() */
	STEP_GOES_ON,
	STEP_CLOSED, /* the stream came to its end: its socket is closed */
};

/* From the options of @p. Before part_ready(). */
void load_init(struct load *l, struct part *p, bool is_client);
void load_free(struct load *l);
void load_facts(const struct load *l);

/* The memory that the load asks for. */
void stream_init(const struct load *l, struct stream *s, uint64_t number);
void stream_free(struct stream *s);
/* Starts what the load asks for, on a connection that is there. */
enum step stream_begin(struct load *l, struct stream *s);
/* Goes on after an event; not for PHASE_CONNECT and PHASE_READY. */
enum step stream_step(struct load *l, struct stream *s);
/* Has epoll report @interest. 0, or -1 after part_fail(). */
int stream_watch(struct load *l, struct stream *s, uint32_t interest);
/* Fails if nothing has moved for FORWARDER_LIMIT_NS. */
int stream_check(struct load *l, const struct stream *s);
/* What it is at, for a message: "waiting for the response". */
const char *stream_phase(const struct stream *s);

#endif
