// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "workload/forwarder_flow.h"

/* A flow moves that many buffers before others have their turn. */
#define FLOW_TURNS 4

struct buffer {
	struct buffer *next;
	size_t start, end; /* what is in it; of a pipe only the difference counts */
	int pipe[2];
	char bytes[];
};

/* --- buffers ------------------------------------------------------------------------------- */

/* A pipe whose capacity is that of a buffer. -1 and errno. */
static int make_pipe(struct pool *pool, struct buffer *b)
{
	if (call_pipe(pool->tally, b->pipe, O_CLOEXEC | O_NONBLOCK))
		return -1;
	/* A user's pipes beyond fs.pipe-user-pages-soft stay small: more calls, nothing worse. */
	if (fcntl(b->pipe[1], F_SETPIPE_SZ, (int)pool->buffer_bytes) < 0)
		pool->nr_small_pipes++;
	return 0;
}

/* NULL and errno without a pipe. */
static struct buffer *buffer_take(struct pool *pool)
{
	struct buffer *b = pool->free;

	if (b) {
		pool->free = b->next;
		return b;
	}
	b = xcalloc(1, sizeof(*b) + (pool->uses_splice ? 0 : pool->buffer_bytes));
	if (pool->uses_splice && make_pipe(pool, b)) {
		free(b);
		return NULL;
	}
	pool->nr_buffers++;
	return b;
}

static void buffer_close(struct pool *pool, struct buffer *b)
{
	if (pool->uses_splice) {
		call_close(pool->tally, b->pipe[0]);
		call_close(pool->tally, b->pipe[1]);
	}
	free(b);
	pool->nr_buffers--;
}

/* Gives back an empty buffer. */
static void buffer_return(struct pool *pool, struct buffer *b)
{
	b->start = b->end = 0;
	b->next = pool->free;
	pool->free = b;
}

void pool_free(struct pool *pool)
{
	while (pool->free) {
		struct buffer *b = pool->free;

		pool->free = b->next;
		buffer_close(pool, b);
	}
}

/* --- flows --------------------------------------------------------------------------------- */

/*
 * Reads into a buffer of its own, which the flow holds if there was something. The pipe is empty,
 * so that EAGAIN can but mean the socket.
 */
static ssize_t fill(struct pool *pool, struct flow *flow, int from)
{
	struct buffer *b = buffer_take(pool);
	ssize_t nr;

	if (!b)
		return -1;
	if (pool->uses_splice)
		nr = call_splice(pool->tally, from, b->pipe[1], pool->buffer_bytes,
				 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	else
		nr = call_recv(pool->tally, from, b->bytes, pool->buffer_bytes, 0);
	if (nr <= 0) {
		int err = errno;

		buffer_return(pool, b);
		errno = err;
		return nr;
	}
	b->end = nr;
	flow->held = b;
	pool->received_bytes += nr;
	return nr;
}

/*
 * Sends what is held. Without SPLICE_F_MORE (MSG_MORE): whether more follows is not known here, and
 * the kernel would keep the last, partly filled segment back for up to 200 ms.
 */
static ssize_t drain(struct pool *pool, struct flow *flow, int to)
{
	struct buffer *b = flow->held;
	ssize_t nr;

	if (pool->uses_splice)
		nr = call_splice(pool->tally, b->pipe[0], to, b->end - b->start,
				 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	else
		nr = call_send(pool->tally, to, b->bytes + b->start, b->end - b->start,
			       MSG_NOSIGNAL);
	if (nr < 0)
		return nr;
	b->start += nr;
	pool->sent_bytes += nr;
	if (b->start == b->end) {
		buffer_return(pool, b);
		flow->held = NULL;
	}
	return nr;
}

enum flow_state flow_move(struct pool *pool, struct flow *flow, int from, int to)
{
	for (int turn = 0; turn < FLOW_TURNS; turn++) {
		/* Bytes from before: the source has waited, and is read next. */
		size_t nr_read = pool->buffer_bytes;

		if (!flow->held) {
			ssize_t nr = fill(pool, flow, from);

			if (!nr)
				return FLOW_ENDED;
			if (nr < 0)
				return errno == EAGAIN ? FLOW_GOES_ON : FLOW_BROKEN;
			nr_read = nr;
		}
		if (drain(pool, flow, to) < 0)
			return errno == EAGAIN ? FLOW_GOES_ON : FLOW_BROKEN;
		/* A part of it was taken, or of the buffer filled: epoll tells when there is more.
		 */
		if (flow->held || nr_read < pool->buffer_bytes)
			return FLOW_GOES_ON;
	}
	return FLOW_GOES_ON;
}

void flow_drop(struct pool *pool, struct flow *flow)
{
	struct buffer *b = flow->held;

	flow->held = NULL;
	if (!b)
		return;
	if (pool->uses_splice)
		buffer_close(pool, b); /* there is no other way to empty a pipe */
	else
		buffer_return(pool, b);
}
