// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "workload/gateway_flow.h"
#include "workload/gateway_server.h"
#include "workload/latency.h"

/*
 * The load: many connections in one event loop, each with so many requests outstanding; a reply
 * makes room for the next request. All connections of the first cycle are open, and the server has
 * answered on each of them, before the first order goes.
 */

/* However many connections share them. */
#define DEFAULT_ORDERS 240000
#define EVENTS	       256
#define OPENING_MAX    256	   /* at once, so that they fit the listener's queue */
#define OUT_MAX	       (64U << 10) /* bytes of a connection that wait to be sent, at most */
#define CHECK_MS       1000
#define PATIENCE_NS    10000000000ULL
#define PIPELINE_MAX   1024
#define IN_MAX	       ((PIPELINE_MAX + 1) * sizeof(struct reply))

enum link_state { LINK_OPENING, LINK_ASKING, LINK_ENDING, LINK_DONE };

struct link {
	int fd;
	enum link_state state;
	uint32_t interest;
	uint32_t index, cycle;
	uint32_t nr_asked; /* outstanding */
	uint32_t out_start, out_end;
	uint32_t nr_part; /* bytes of half a reply */
	uint8_t part[sizeof(struct reply)];
	uint64_t opened_ns, progress_ns;
	struct flow flow;
	struct asked *asked; /* by sequence number modulo the pipeline's depth */
	uint8_t *out;
};

struct load {
	struct part *part;
	struct tally *tally;
	struct sockaddr_in server;
	int epoll;
	uint64_t seed;
	uint32_t nr_links, cycles, orders, pipeline, length, heartbeats;
	uint32_t out_capacity;
	struct link *links;
	uint32_t nr_opened, nr_greeted, nr_done; /* links, in the first cycle; at their end */
	bool is_let_go;
	uint64_t now_ns, start_ns, end_ns, checked_ns;
	uint64_t connected_ns; /* the last connection */
	uint64_t requests, connections, new_orders, cancels, heartbeats_answered, rejects;
	struct latency latency, connect;
	/* With one connection at a time: the server's engine once more, and what it must say. */
	struct engine *twin;
	struct order_owner twin_owner;
	struct reply *expected;
	uint8_t in[IN_MAX];
};

static int fail_link(struct load *l, const struct link *k, const char *what, const char *why)
{
	return part_fail(l->part, "connection %u, cycle %u, request %u: %s: %s", k->index + 1,
			 k->cycle + 1, k->flow.sequence, what, why);
}

static int set_interest(struct load *l, struct link *k, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = k};
	int op = k->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (events == k->interest)
		return 0;
	if (call_epoll_ctl(l->tally, l->epoll, op, k->fd, &event))
		return fail_link(l, k, "epoll_ctl", strerror(errno));
	k->interest = events;
	return 0;
}

/* --- ask ------------------------------------------------------------------------------------- */

/* One more request behind those to be sent. */
static void ask_one(struct load *l, struct link *k, uint64_t now_ns)
{
	struct asked *asked = &k->asked[(k->flow.sequence + 1) % l->pipeline];
	struct request request;

	flow_next(&k->flow, l->length, &request, asked);
	asked->sent_ns = now_ns;
	if (l->twin)
		engine_execute(l->twin, &l->twin_owner, &request,
			       &l->expected[asked->sequence % l->pipeline]);
	/* The padding stays zero. */
	memcpy(k->out + k->out_end, &request, sizeof(request));
	k->out_end += l->length;
	k->nr_asked++;
}

static bool may_ask(const struct load *l, const struct link *k)
{
	if (!l->is_let_go && k->flow.sequence)
		return false;
	return k->nr_asked < l->pipeline && !flow_is_at_end(&k->flow) &&
	       k->out_end + l->length <= l->out_capacity;
}

static int send_out(struct load *l, struct link *k)
{
	ssize_t sent = call_send(l->tally, k->fd, k->out + k->out_start, k->out_end - k->out_start,
				 MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		return fail_link(l, k, "send", strerror(errno));
	k->out_start += sent > 0 ? sent : 0;
	if (k->out_start == k->out_end)
		k->out_start = k->out_end = 0;
	return set_interest(l, k, k->out_end ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Fills the pipeline, and sends. @can_send: false: the socket was full and has not said more. */
static int ask(struct load *l, struct link *k, bool can_send)
{
	uint64_t now_ns = may_ask(l, k) ? part_now_ns() : 0;

	while (may_ask(l, k))
		ask_one(l, k, now_ns);
	return can_send && k->out_end ? send_out(l, k) : 0;
}

/* --- open and close -------------------------------------------------------------------------- */

static int open_link(struct load *l, struct link *k)
{
	int one = 1;

	k->fd = call_socket(l->tally, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0)
		return fail_link(l, k, "make a socket", strerror(errno));
	if (call_setsockopt(l->tally, k->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return fail_link(l, k, "TCP_NODELAY", strerror(errno));
	k->state = LINK_OPENING;
	k->interest = k->nr_asked = k->nr_part = k->out_start = k->out_end = 0;
	flow_start(&k->flow, l->seed, k->cycle * l->nr_links + k->index, l->orders, l->heartbeats);
	k->opened_ns = k->progress_ns = part_now_ns();
	if (call_connect(l->tally, k->fd, (struct sockaddr *)&l->server, sizeof(l->server)) &&
	    errno != EINPROGRESS)
		return fail_link(l, k, "connect", strerror(errno));
	return set_interest(l, k, EPOLLOUT);
}

static int open_links(struct load *l)
{
	while (l->nr_opened < l->nr_links && l->nr_opened - l->nr_greeted < OPENING_MAX) {
		if (open_link(l, &l->links[l->nr_opened++]))
			return -1;
	}
	return 0;
}

static int link_is_open(struct load *l, struct link *k)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (call_getsockopt(l->tally, k->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error)
		return fail_link(l, k, "connect", strerror(error ?: errno));
	l->connected_ns = part_now_ns();
	latency_add(&l->connect, l->connected_ns - k->opened_ns);
	k->state = LINK_ASKING;
	return ask(l, k, true) ?: set_interest(l, k, EPOLLIN);
}

static int end_link(struct load *l, struct link *k)
{
	if (call_shutdown(l->tally, k->fd, SHUT_WR))
		return fail_link(l, k, "shutdown", strerror(errno));
	if (l->twin)
		engine_leave(l->twin, &l->twin_owner);
	k->state = LINK_ENDING;
	return 0;
}

/* The server has closed its side. */
static int link_has_ended(struct load *l, struct link *k)
{
	if (k->state != LINK_ENDING || k->nr_part)
		return fail_link(l, k, "the server closed the connection", "replies are missing");
	call_close(l->tally, k->fd);
	l->connections++;
	if (++k->cycle < l->cycles)
		return open_link(l, k);
	k->state = LINK_DONE;
	l->nr_done++;
	return 0;
}

/* --- replies --------------------------------------------------------------------------------- */

static void count_reply(struct load *l, const struct asked *asked, const struct reply *reply)
{
	l->requests++;
	l->new_orders += asked->type == FRAME_NEW;
	l->cancels += asked->type == FRAME_CANCEL;
	l->heartbeats_answered += asked->type == FRAME_HEARTBEAT;
	l->rejects += reply->header.type == FRAME_REJECTED;
}

static int take_reply(struct load *l, struct link *k, const struct reply *reply, uint64_t now_ns)
{
	/* The oldest of those outstanding; none: whatever it is, it is not the next reply. */
	uint32_t slot = (k->flow.sequence - k->nr_asked + 1) % l->pipeline;
	const struct asked *asked = &k->asked[slot];
	const char *wrong = k->nr_asked ? asked_check(asked, reply) : "a reply too many";

	if (!wrong && l->twin && memcmp(reply, &l->expected[slot], sizeof(*reply)))
		wrong = "not what the engine says";
	if (wrong)
		return part_fail(l->part,
				 "connection %u, cycle %u: reply %u (%s) to request %u (%s): %s",
				 k->index + 1, k->cycle + 1, reply->header.sequence,
				 frame_type_name(reply->header.type), asked->sequence,
				 frame_type_name(asked->type), wrong);
	latency_add(&l->latency, now_ns - asked->sent_ns);
	count_reply(l, asked, reply);
	k->nr_asked--;
	return 0;
}

static int take_replies(struct load *l, struct link *k, uint32_t nr)
{
	uint64_t now_ns = part_now_ns();
	uint32_t at = 0;

	for (; nr - at >= sizeof(struct reply); at += sizeof(struct reply)) {
		struct reply reply;

		memcpy(&reply, l->in + at, sizeof(reply));
		if (take_reply(l, k, &reply, now_ns))
			return -1;
	}
	k->nr_part = nr - at;
	memcpy(k->part, l->in + at, k->nr_part);
	l->end_ns = now_ns;
	return 0;
}

/* All connections are open: the load starts. */
static int let_go(struct load *l)
{
	l->is_let_go = true;
	l->latency = (struct latency){};
	l->now_ns = part_now_ns();
	for (uint32_t i = 0; i < l->nr_links; i++) {
		l->links[i].progress_ns = l->now_ns;
		if (ask(l, &l->links[i], true))
			return -1;
	}
	return 0;
}

/* In the first cycle: the server has answered here, and so accepted the connection. */
static int greet(struct load *l)
{
	l->nr_greeted++;
	return l->nr_greeted == l->nr_links ? let_go(l) : open_links(l);
}

static int receive(struct load *l, struct link *k)
{
	ssize_t received;

	memcpy(l->in, k->part, k->nr_part);
	received = call_recv(l->tally, k->fd, l->in + k->nr_part, IN_MAX - k->nr_part, 0);
	if (received < 0)
		return errno == EAGAIN ? 0 : fail_link(l, k, "receive", strerror(errno));
	if (!received)
		return link_has_ended(l, k);
	if (take_replies(l, k, k->nr_part + received))
		return -1;
	if (!l->is_let_go)
		return k->nr_asked ? 0 : greet(l);
	if (!k->nr_asked && flow_is_at_end(&k->flow))
		return k->state == LINK_ASKING ? end_link(l, k) : 0;
	return ask(l, k, !(k->interest & EPOLLOUT));
}

static int handle(struct load *l, struct link *k, uint32_t events)
{
	k->progress_ns = l->now_ns;
	if (k->state == LINK_OPENING)
		return link_is_open(l, k);
	if (events & EPOLLOUT && k->out_end && send_out(l, k))
		return -1;
	return events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? receive(l, k) : 0;
}

/* --- the loop -------------------------------------------------------------------------------- */

static bool waits_for_server(const struct link *k)
{
	return k->state == LINK_OPENING || k->state == LINK_ENDING || k->nr_asked;
}

/* No connection may stand still for longer than the patience. */
static int check_progress(struct load *l)
{
	if (l->now_ns - l->checked_ns < CHECK_MS * 1000000ULL)
		return 0;
	l->checked_ns = l->now_ns;
	for (uint32_t i = 0; i < l->nr_opened; i++) {
		const struct link *k = &l->links[i];

		if (k->state != LINK_DONE && waits_for_server(k) &&
		    k->progress_ns + PATIENCE_NS < l->now_ns)
			return fail_link(l, k, "nothing came from the server", "for 10 s");
	}
	return 0;
}

static int run_loop(struct load *l)
{
	struct epoll_event events[EVENTS];

	while (l->nr_done < l->nr_links) {
		int nr = call_epoll_wait(l->tally, l->epoll, events, EVENTS, CHECK_MS);

		/* EINTR: stopped and continued, or looked at by a debugger: signal(7). */
		if (nr < 0 && errno != EINTR)
			return part_fail(l->part, "epoll_wait: %s", strerror(errno));
		l->now_ns = part_now_ns();
		for (int i = 0; i < nr; i++) {
			if (handle(l, events[i].data.ptr, events[i].events))
				return -1;
		}
		if (check_progress(l))
			return -1;
	}
	return 0;
}

/* Orders of each connection and cycle, so that all of them together make DEFAULT_ORDERS. */
static uint64_t share_of_orders(uint64_t connections, uint64_t cycles)
{
	uint64_t share = DEFAULT_ORDERS / (connections * cycles);

	return share ? share : 1;
}

static int prepare(struct load *l, struct part *p)
{
	uint64_t descriptors = part_raise_descriptors();

	l->part = p;
	l->tally = p->tally;
	l->seed = part_option(p, "seed");
	l->nr_links = part_option(p, "connections");
	l->cycles = part_option(p, "cycles");
	l->orders = part_option(p, "orders") ?: share_of_orders(l->nr_links, l->cycles);
	l->pipeline = part_option(p, "pipeline");
	l->length = part_option(p, "order-size") ?: sizeof(struct request);
	l->heartbeats = part_option(p, "heartbeats");
	if (address_parse(p->connect, &l->server))
		return part_fail(p, "%s is no address to connect to", p->connect);
	if (descriptors < l->nr_links + 16)
		return part_fail(
			p,
			"%u connections take %u descriptors, and %ju are allowed: raise the hard "
			"limit (ulimit -Hn)",
			l->nr_links, l->nr_links + 16, (uintmax_t)descriptors);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return part_fail(p, "epoll_create1: %s", strerror(errno));
	return 0;
}

static void make_links(struct load *l)
{
	uint64_t out = (uint64_t)l->pipeline * l->length;

	l->out_capacity = out < OUT_MAX ? out : OUT_MAX;
	l->links = xcalloc(l->nr_links, sizeof(*l->links));
	for (uint32_t i = 0; i < l->nr_links; i++) {
		l->links[i].index = i;
		l->links[i].asked = xcalloc(l->pipeline, sizeof(*l->links[i].asked));
		l->links[i].out = xcalloc(1, l->out_capacity);
	}
	if (l->nr_links > 1)
		return;
	l->twin = engine_new(MAX_RESTING);
	l->twin_owner.number = 1;
	l->expected = xcalloc(l->pipeline, sizeof(*l->expected));
}

static void free_links(struct load *l)
{
	for (uint32_t i = 0; l->links && i < l->nr_links; i++) {
		free(l->links[i].asked);
		free(l->links[i].out);
	}
	free(l->links);
	free(l->expected);
	engine_free(l->twin);
}

static void state_facts(const struct load *l)
{
	const struct call_tally *calls = l->tally->of;
	struct part *p = l->part;

	part_fact(p, "connections_opened", l->connections);
	part_fact(p, "sent_bytes", calls[CALL_sendto].bytes);
	part_fact(p, "received_bytes", calls[CALL_recvfrom].bytes);
	part_fact(p, "requests", l->requests);
	part_fact(p, "orders", l->new_orders);
	part_fact(p, "cancels", l->cancels);
	part_fact(p, "heartbeats", l->heartbeats_answered);
	part_fact(p, "rejects", l->rejects);
	part_result(p, "requests", l->requests);
	part_result(p, "connections", l->connections);
	part_result(p, "connect_duration_ns", l->connected_ns - l->start_ns);
	part_result(p, "duration_ns", l->end_ns - l->start_ns);
	latency_results(&l->latency, p, "latency");
	latency_results(&l->connect, p, "connect");
}

int gateway_client(struct part *p)
{
	struct load *l = xcalloc(1, sizeof(*l));
	int err = prepare(l, p);

	if (!err) {
		make_links(l);
		err = part_ready(p, NULL);
	}
	l->start_ns = l->checked_ns = part_now_ns();
	err = err ?: open_links(l) ?: run_loop(l);
	if (!err)
		state_facts(l);
	free_links(l);
	free(l);
	return err;
}
