/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_GATEWAY_SERVER_H
#define SOCKTRACE_WORKLOAD_GATEWAY_SERVER_H

#include "workload/gateway_session.h"
#include "workload/part.h"

/* With its last connections the server comes to an end within this time, or fails. */
#define GATEWAY_PATIENCE_MS 10000

/* One connection that is served. */
struct client {
	int fd;
	uint32_t interest; /* EPOLLIN, EPOLLOUT: what is waited for */
	bool is_ended;	   /* the peer sends no more */
	struct client *next_free;
	struct gateway *gateway;
	struct session *session;
};

/* What both kinds of server have. */
struct gateway {
	struct part *part;
	struct tally *tally; /* of the thread that accepts */
	struct engine *engine;
	int listener;
	/* A descriptor to give up when there are no more, so that a connection can be refused. */
	int reserve;
	uint32_t output_limit;
	uint32_t last_number; /* of a session */
	uint32_t nr_open;
	struct client *free_clients;
	uint64_t refused, resets, malformed, pauses;
};

/* Listens and makes the engine; all before part_ready(), which it calls. 0, or -1: failed. */
int gateway_start(struct gateway *g, struct part *p, struct tally *tally, bool is_nonblocking);
/*
 * Accepts a connection, with @flags of accept4(2). Its descriptor, or: -EAGAIN: none is waiting,
 * -EINVAL: the listener was shut down, -ECONNABORTED: one has gone or was refused, try again,
 * -EIO: the part has failed.
 */
int gateway_accept(struct gateway *g, int flags);
/* One more connection was not served. */
void gateway_refuse(struct gateway *g, int fd);
struct client *client_new(struct gateway *g, int fd);
/* Its resting orders are cancelled, its memory is for the next. The descriptor is closed already.
 */
void client_end(struct client *c);
/* Checks the books, states what was done, frees all. @is_served: false: it failed before. */
int gateway_finish(struct gateway *g, bool is_served);

int gateway_epoll(struct part *p);
int gateway_threaded(struct part *p);
int gateway_client(struct part *p);

#endif
