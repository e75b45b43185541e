// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "workload/forwarder.h"
#include "workload/forwarder_flow.h"

/* Connections accepted before the others have their turn. */
#define ACCEPTS 64
/* Descriptors besides those of connections: more than enough. */
#define OTHER_DESCRIPTORS 64

/* One of the two sockets of a connection. */
struct side {
	struct connection *connection;
	int fd;
	bool is_watched;   /* is in the epoll set */
	uint32_t interest; /* in EPOLLIN, EPOLLOUT */
};

enum { CLIENT, UPSTREAM };

struct connection {
	struct side sides[2];
	struct flow flows[2]; /* by where they come from */
	bool is_connecting;   /* to the upstream */
	bool is_closed;
	struct connection *next; /* closed: to be freed after the events at hand */
};

struct relay {
	struct part *part;
	struct tally *tally;
	struct pool pool;
	struct sockaddr_in upstream;
	uint64_t sockbuf;
	int epoll, listener;
	uint64_t nr_open, max_open;
	bool is_accepting, is_stopping;
	uint64_t stop_ns; /* until when connections may go on */
	struct connection *closed;
	uint64_t nr_accepted, nr_opened, nr_refused, nr_half_closes, nr_resets;
};

/* --- the end of a connection --------------------------------------------------------------- */

static int set_accepting(struct relay *r, bool is_accepting)
{
	if (r->is_stopping || r->is_accepting == is_accepting)
		return 0;
	r->is_accepting = is_accepting;
	return forwarder_watch(r->tally, r->epoll, EPOLL_CTL_MOD, r->listener,
			       is_accepting ? EPOLLIN : 0, r);
}

/* With a reset: what has not been sent is not sent any more either. */
static int close_side(struct relay *r, struct side *side, bool is_reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	if (side->fd < 0)
		return 0;
	if (is_reset &&
	    call_setsockopt(r->tally, side->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)))
		return -1;
	return call_close(r->tally, side->fd);
}

static int close_connection(struct relay *r, struct connection *c, bool is_reset)
{
	int err = 0;

	for (int i = 0; i < 2; i++) {
		flow_drop(&r->pool, &c->flows[i]);
		err |= close_side(r, &c->sides[i], is_reset);
	}
	c->is_closed = true;
	c->next = r->closed;
	r->closed = c;
	r->nr_open--;
	r->nr_resets += is_reset;
	err |= set_accepting(r, true);
	return err ? part_fail(r->part, "close a connection: %s", strerror(errno)) : 0;
}

static void free_closed(struct relay *r)
{
	while (r->closed) {
		struct connection *c = r->closed;

		r->closed = c->next;
		free(c);
	}
}

/* --- a connection -------------------------------------------------------------------------- */

static int watch(struct relay *r, struct side *side, uint32_t interest)
{
	int op = side->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (interest == side->interest)
		return 0;
	if (forwarder_watch(r->tally, r->epoll, op, side->fd, interest, side))
		return part_fail(r->part, "epoll_ctl: %s", strerror(errno));
	side->is_watched = true;
	side->interest = interest;
	return 0;
}

/*
 * A side is read while its flow holds nothing, and written to while the other flow does. Without
 * either, it stays in the set for the sake of its errors.
 */
static int watch_both(struct relay *r, struct connection *c)
{
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		uint32_t interest = 0;

		if (!c->flows[i].has_ended && !c->flows[i].held)
			interest |= EPOLLIN;
		if (c->flows[!i].held)
			interest |= EPOLLOUT;
		err = watch(r, &c->sides[i], interest);
	}
	return err;
}

/* Nothing comes from side @from any more: the other one gets to know, unless both are done. */
static enum flow_state pass_on_end(struct relay *r, struct connection *c, int from)
{
	c->flows[from].has_ended = true;
	if (c->flows[!from].has_ended)
		return FLOW_ENDED;
	if (call_shutdown(r->tally, c->sides[!from].fd, SHUT_WR))
		return FLOW_BROKEN; /* a reset that came just now */
	r->nr_half_closes++;
	return FLOW_GOES_ON;
}

static enum flow_state move_from(struct relay *r, struct connection *c, int from)
{
	enum flow_state state;

	if (c->flows[from].has_ended)
		return FLOW_GOES_ON;
	state = flow_move(&r->pool, &c->flows[from], c->sides[from].fd, c->sides[!from].fd);
	return state == FLOW_ENDED ? pass_on_end(r, c, from) : state;
}

static int connected(struct relay *r, struct connection *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		r->nr_refused++;
		return close_connection(r, c, true);
	}
	c->is_connecting = false;
	r->nr_opened++;
	return watch_both(r, c);
}

static int side_event(struct relay *r, struct side *side, uint32_t events)
{
	struct connection *c = side->connection;
	enum flow_state state = FLOW_GOES_ON;
	int i = side - c->sides;

	if (c->is_closed)
		return 0; /* by an event of the other side just before */
	if (c->is_connecting)
		return connected(r, c, events);
	if (events & EPOLLERR)
		return close_connection(r, c, true);
	/*
	 * Both ways are shut, and its end lies unread behind bytes that the other side does not
	 * take. EPOLLHUP would be reported all the time, even without any interest.
	 */
	if (events & EPOLLHUP && !(side->interest & EPOLLIN)) {
		if (forwarder_watch(r->tally, r->epoll, EPOLL_CTL_DEL, side->fd, 0, side))
			return part_fail(r->part, "epoll_ctl: %s", strerror(errno));
		side->is_watched = false;
		side->interest = 0;
	}
	if (events & EPOLLOUT && side->interest & EPOLLOUT)
		state = move_from(r, c, !i);
	if (state == FLOW_GOES_ON && events & EPOLLIN && !c->flows[i].held)
		state = move_from(r, c, i);
	if (state != FLOW_GOES_ON)
		return close_connection(r, c, state == FLOW_BROKEN);
	return watch_both(r, c);
}

/* --- accepting ----------------------------------------------------------------------------- */

/* What is wrong here, not with the upstream: it does not get better by going on. */
static bool is_own_fault(int err)
{
	return err == EADDRNOTAVAIL || err == EAGAIN || err == EACCES || err == EINVAL;
}

static int connect_upstream(struct relay *r, struct connection *c)
{
	struct side *side = &c->sides[UPSTREAM];
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

	side->fd = call_socket(r->tally, AF_INET, type, 0);
	if (side->fd < 0)
		return close_connection(r, c, true);
	if (forwarder_tune(r->part, side->fd, r->sockbuf))
		return part_fail(r->part, "setsockopt: %s", strerror(errno));
	if (!call_connect(r->tally, side->fd, (struct sockaddr *)&r->upstream,
			  sizeof(r->upstream)) ||
	    errno == EINPROGRESS)
		return watch(r, side, EPOLLOUT);
	if (is_own_fault(errno))
		return part_fail(r->part, "connect to %s: %s", r->part->connect, strerror(errno));
	r->nr_refused++;
	return close_connection(r, c, true);
}

static int add_connection(struct relay *r, int fd)
{
	struct connection *c = xcalloc(1, sizeof(*c));

	for (int i = 0; i < 2; i++)
		c->sides[i] = (struct side){.connection = c, .fd = -1};
	c->sides[CLIENT].fd = fd;
	c->is_connecting = true;
	r->nr_open++;
	r->nr_accepted++;
	return connect_upstream(r, c);
}

/* No descriptor or memory for a connection: the next ones wait until another one has ended. */
static int wait_for_room(struct relay *r)
{
	if (!r->nr_open)
		return part_fail(r->part, "accept: %s", strerror(errno));
	if (set_accepting(r, false))
		return part_fail(r->part, "epoll_ctl: %s", strerror(errno));
	return 0;
}

static int accept_some(struct relay *r)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd;

		if (r->nr_open >= r->max_open)
			return wait_for_room(r);
		fd = call_accept4(r->tally, r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			if (add_connection(r, fd))
				return -1;
			continue;
		}
		switch (errno) {
		case EAGAIN:
			return 0;
		case ECONNABORTED:
			continue;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			return wait_for_room(r);
		default:
			return part_fail(r->part, "accept: %s", strerror(errno));
		}
	}
	return 0;
}

/* --- the role ------------------------------------------------------------------------------ */

/* Accepts no more; connections may come to their end. */
static int stop(struct relay *r)
{
	r->is_stopping = true;
	r->stop_ns = part_now_ns() + FORWARDER_LIMIT_NS;
	if (forwarder_watch(r->tally, r->epoll, EPOLL_CTL_DEL, r->part->stop_fd, 0, NULL) ||
	    call_close(r->tally, r->listener))
		return part_fail(r->part, "stop: %s", strerror(errno));
	return 0;
}

static int event(struct relay *r, const struct epoll_event *e)
{
	if (!e->data.ptr)
		return stop(r);
	if (e->data.ptr == r)
		return r->is_stopping ? 0 : accept_some(r);
	return side_event(r, e->data.ptr, e->events);
}

static int timeout_ms(const struct relay *r)
{
	uint64_t now_ns = part_now_ns();

	if (!r->is_stopping)
		return -1;
	return now_ns < r->stop_ns ? (r->stop_ns - now_ns) / 1000000 + 1 : 0;
}

static int serve(struct relay *r)
{
	struct epoll_event events[FORWARDER_EVENTS];
	int nr, err = 0;

	while (!r->is_stopping || r->nr_open) {
		if (r->is_stopping && part_now_ns() >= r->stop_ns)
			return part_fail(r->part,
					 "%" PRIu64
					 " connections are still open 10 s after it shall stop",
					 r->nr_open);
		nr = call_epoll_wait(r->tally, r->epoll, events, FORWARDER_EVENTS, timeout_ms(r));
		/* Stopped and continued, or looked at by a debugger: signal(7). */
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return part_fail(r->part, "epoll_pwait: %s", strerror(errno));
		for (int i = 0; i < nr && !err; i++)
			err = event(r, &events[i]);
		free_closed(r);
		if (err)
			return -1;
	}
	return 0;
}

static void state_facts(struct relay *r)
{
	part_fact(r->part, "connections_accepted", r->nr_accepted);
	part_fact(r->part, "connections_opened", r->nr_opened);
	part_fact(r->part, "connections_refused", r->nr_refused);
	part_fact(r->part, "received_bytes", r->pool.received_bytes);
	part_fact(r->part, "sent_bytes", r->pool.sent_bytes);
	part_fact(r->part, "half_closes", r->nr_half_closes);
	part_fact(r->part, "resets", r->nr_resets);
	part_fact(r->part, "buffers", r->pool.nr_buffers);
	if (r->pool.uses_splice)
		part_fact(r->part, "small_pipes", r->pool.nr_small_pipes);
}

int forwarder_relay(struct part *p)
{
	struct relay r = {
		.part = p,
		.tally = p->tally,
		.pool = {.tally = p->tally,
			 .buffer_bytes = part_option(p, "buffer"),
			 .uses_splice = part_option(p, "splice")},
		.sockbuf = part_option(p, "sockbuf"),
		.is_accepting = true,
	};
	/* Both sockets; and with splice, in the worst case, a pipe in each direction. */
	unsigned int each = r.pool.uses_splice ? 6 : 2;
	uint64_t limit =
		forwarder_need_descriptors(p, each * part_option(p, "streams") + OTHER_DESCRIPTORS);
	char address[64];

	if (!limit)
		return -1;
	r.max_open = (limit - OTHER_DESCRIPTORS) / each;
	if (address_parse(p->connect, &r.upstream))
		return part_fail(p, "%s is no address", p->connect);
	r.listener = forwarder_listen(p, r.sockbuf, &r, &r.epoll, address);
	if (r.listener < 0 || part_ready(p, address) || serve(&r))
		return -1;
	state_facts(&r);
	pool_free(&r.pool);
	return 0;
}
