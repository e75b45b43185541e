// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "workload/gateway_server.h"

/*
 * The gateway as one event loop. A connection that is readable is received from once, answered
 * with one send, and read again in a later round if more is there: none keeps the others waiting.
 */

#define EVENTS	    256
#define ACCEPT_ONCE 64

struct loop {
	struct gateway gateway;
	struct part *part;
	int epoll;
	bool is_stopping;
};

static int end_client(struct loop *l, struct client *c)
{
	call_close(l->part->tally, c->fd);
	client_end(c);
	return 0;
}

/* The peer is gone: what is left for it cannot be delivered. */
static int lose_client(struct loop *l, struct client *c)
{
	l->gateway.resets++;
	return end_client(l, c);
}

static uint32_t wanted(const struct loop *l, const struct client *c)
{
	uint32_t pending = session_pending(c->session), events = pending ? EPOLLOUT : 0;

	if (!c->is_ended && !c->session->is_malformed && pending <= l->gateway.output_limit)
		events |= EPOLLIN;
	return events;
}

/* Waits for what the connection now needs. It needs something, or it would have ended. */
static int update_interest(struct loop *l, struct client *c)
{
	struct epoll_event event = {.events = wanted(l, c), .data.ptr = c};

	if (event.events == c->interest)
		return 0;
	if (c->interest & EPOLLIN & ~event.events && !c->is_ended && !c->session->is_malformed)
		l->gateway.pauses++;
	if (call_epoll_ctl(l->part->tally, l->epoll, EPOLL_CTL_MOD, c->fd, &event))
		return part_fail(l->part, "epoll_ctl: %s", strerror(errno));
	c->interest = event.events;
	return 0;
}

static int send_replies(struct loop *l, struct client *c)
{
	struct session *s = c->session;
	ssize_t sent;

	if (session_pending(s)) {
		sent = call_send(l->part->tally, c->fd, s->out + s->out_start, session_pending(s),
				 MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return lose_client(l, c);
		session_sent(s, sent > 0 ? sent : 0);
	}
	if (!session_pending(s) && (c->is_ended || s->is_malformed))
		return end_client(l, c);
	return update_interest(l, c);
}

static int receive_requests(struct loop *l, struct client *c)
{
	struct session *s = c->session;
	ssize_t received =
		call_recv(l->part->tally, c->fd, s->in + s->nr_in, sizeof(s->in) - s->nr_in, 0);

	if (received < 0)
		return errno == EAGAIN ? 0 : lose_client(l, c);
	if (received) {
		s->nr_in += received;
		session_execute(s, l->gateway.engine);
	} else {
		c->is_ended = true;
		session_end(s);
	}
	/* What could not be sent waits for EPOLLOUT. */
	return c->interest & EPOLLOUT ? update_interest(l, c) : send_replies(l, c);
}

static int accept_clients(struct loop *l)
{
	struct tally *t = l->part->tally;

	for (int i = 0; i < ACCEPT_ONCE; i++) {
		int fd = gateway_accept(&l->gateway, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = {.events = EPOLLIN};

		if (fd == -EAGAIN)
			return 0;
		if (fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			return part_fail(l->part, "accept a connection: %s", strerror(-fd));
		event.data.ptr = client_new(&l->gateway, fd);
		if (call_epoll_ctl(t, l->epoll, EPOLL_CTL_ADD, fd, &event))
			return part_fail(l->part, "epoll_ctl: %s", strerror(errno));
		((struct client *)event.data.ptr)->interest = EPOLLIN;
	}
	return 0;
}

/* No new connections; those that there are come to their end. */
static int stop(struct loop *l)
{
	l->is_stopping = true;
	call_close(l->part->tally, l->gateway.listener);
	if (call_epoll_ctl(l->part->tally, l->epoll, EPOLL_CTL_DEL, l->part->stop_fd, NULL))
		return part_fail(l->part, "epoll_ctl: %s", strerror(errno));
	return 0;
}

/* Listener and stop_fd are told from clients by where their event's data points. */
static int handle(struct loop *l, const struct epoll_event *event)
{
	struct client *c = event->data.ptr;

	if (event->data.ptr == &l->gateway.listener)
		return l->is_stopping ? 0 : accept_clients(l);
	if (event->data.ptr == &l->is_stopping)
		return stop(l);
	/* EPOLLERR and EPOLLHUP come unasked; the next receive or send tells what it is. */
	if (c->interest & EPOLLIN && event->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		return receive_requests(l, c);
	return send_replies(l, c);
}

static int run_loop(struct loop *l)
{
	struct epoll_event events[EVENTS];

	while (!l->is_stopping || l->gateway.nr_open) {
		int nr = call_epoll_wait(l->part->tally, l->epoll, events, EVENTS,
					 l->is_stopping ? GATEWAY_PATIENCE_MS : -1);

		/* Stopped and continued, or looked at by a debugger: signal(7). */
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return part_fail(l->part, "epoll_wait: %s", strerror(errno));
		if (!nr)
			return part_fail(l->part,
					 "%u connections were still open %u s after the stop",
					 l->gateway.nr_open, GATEWAY_PATIENCE_MS / 1000);
		for (int i = 0; i < nr; i++) {
			if (handle(l, &events[i]))
				return -1;
		}
	}
	return 0;
}

static int watch(struct loop *l, int fd, void *data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

	if (!call_epoll_ctl(l->part->tally, l->epoll, EPOLL_CTL_ADD, fd, &event))
		return 0;
	return part_fail(l->part, "epoll_ctl: %s", strerror(errno));
}

int gateway_epoll(struct part *p)
{
	struct loop l = {.part = p};
	int err;

	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l.epoll < 0)
		return part_fail(p, "epoll_create1: %s", strerror(errno));
	if (gateway_start(&l.gateway, p, p->tally, true))
		return -1;
	err = watch(&l, l.gateway.listener, &l.gateway.listener) ?:
	      watch(&l, p->stop_fd, &l.is_stopping) ?:
	      run_loop(&l);
	return gateway_finish(&l.gateway, !err);
}
