// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "workload/forwarder_stream.h"

#define OTHER_DESCRIPTORS 64
/* Handshakes at once, while bulk and rr set up their streams: less than any backlog. */
#define MAX_CONNECTING 64
#define CHECK_NS       1000000000ULL

struct client {
	struct load load;
	struct sockaddr_in server;
	struct stream *streams;
	uint64_t nr_streams;
	uint64_t nr_begun;     /* that have been told to connect */
	uint64_t nr_connected; /* of these, that came to be */
	uint64_t nr_ended;
	uint64_t nr_opened;		   /* connections; crr makes many */
	uint64_t begin_ns;		   /* of the load */
	uint64_t connect_ns, connected_ns; /* the first connect(2), the last that succeeded */
};

/* --- connecting ---------------------------------------------------------------------------- */

static int connect_failed(struct client *c, int err)
{
	const char *hint = err == EADDRNOTAVAIL
				   ? ": all local ports are in use (net.ipv4.ip_local_port_range)"
				   : "";

	return part_fail(c->load.part, "connect to %s: %s%s", c->load.part->connect, strerror(err),
			 hint);
}

static int begin_connect(struct client *c, struct stream *s)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct load *l = &c->load;

	s->fd = call_socket(l->tally, AF_INET, type, 0);
	if (s->fd < 0 || forwarder_tune(l->part, s->fd, 0))
		return part_fail(l->part, "make a socket: %s", strerror(errno));
	s->phase = PHASE_CONNECT;
	s->connect_ns = s->moved_ns = part_now_ns();
	if (call_connect(l->tally, s->fd, (struct sockaddr *)&c->server, sizeof(c->server)) &&
	    errno != EINPROGRESS)
		return connect_failed(c, errno);
	return stream_watch(l, s, EPOLLOUT);
}

/* Bulk and rr connect a few at a time; all streams of crr are on their way from the start. */
static int connect_more(struct client *c)
{
	uint64_t most = c->load.kind == LOAD_CRR ? c->nr_streams : MAX_CONNECTING;

	while (c->nr_begun < c->nr_streams && c->nr_begun - c->nr_connected < most) {
		if (begin_connect(c, &c->streams[c->nr_begun++]))
			return -1;
	}
	return 0;
}

/* All streams are connected: the load begins. */
static enum step begin_all(struct client *c)
{
	struct load *l = &c->load;

	l->now_ns = c->begin_ns = part_now_ns();
	l->end_ns = l->now_ns + l->seconds_ns;
	for (uint64_t i = 0; i < c->nr_streams; i++) {
		if (stream_begin(l, &c->streams[i]) == STEP_FAILED)
			return STEP_FAILED;
	}
	return STEP_GOES_ON;
}

static enum step connected(struct client *c, struct stream *s, uint32_t events)
{
	struct load *l = &c->load;
	socklen_t len = sizeof(int);
	int err = 0;

	if (events & EPOLLERR) {
		if (call_getsockopt(l->tally, s->fd, SOL_SOCKET, SO_ERROR, &err, &len))
			err = errno;
		connect_failed(c, err);
		return STEP_FAILED;
	}
	c->connected_ns = part_now_ns();
	latency_add(&l->connect, c->connected_ns - s->connect_ns);
	c->nr_opened++;
	if (l->kind == LOAD_CRR)
		return stream_begin(l, s);
	c->nr_connected++;
	s->phase = PHASE_READY;
	if (c->nr_connected == c->nr_streams)
		return begin_all(c);
	/* Nothing is of interest until then, but the set has to be left for that. */
	if (forwarder_watch(l->tally, l->epoll, EPOLL_CTL_DEL, s->fd, 0, s)) {
		part_fail(l->part, "epoll_ctl: %s", strerror(errno));
		return STEP_FAILED;
	}
	s->interest = 0;
	return connect_more(c) ? STEP_FAILED : STEP_GOES_ON;
}

/* --- the load ------------------------------------------------------------------------------ */

/* The connection of stream @s has ended, as it should. */
static int ended(struct client *c, struct stream *s)
{
	struct load *l = &c->load;

	if (l->kind == LOAD_CRR) {
		l->now_ns = part_now_ns();
		latency_add(&l->latency, l->now_ns - s->connect_ns);
		if (l->now_ns < l->end_ns)
			return begin_connect(c, s);
	}
	c->nr_ended++;
	return 0;
}

static int event(struct client *c, const struct epoll_event *e)
{
	struct stream *s = e->data.ptr;
	enum step step;

	step = s->phase == PHASE_CONNECT ? connected(c, s, e->events) : stream_step(&c->load, s);
	if (step == STEP_CLOSED)
		return ended(c, s);
	return step == STEP_FAILED ? -1 : 0;
}

/* Whether all streams move. Those that are connected wait for the others. */
static int check_all(struct client *c)
{
	for (uint64_t i = 0; i < c->nr_begun; i++) {
		const struct stream *s = &c->streams[i];

		if (s->fd >= 0 && s->phase != PHASE_READY && stream_check(&c->load, s))
			return -1;
	}
	return 0;
}

static int run(struct client *c)
{
	struct epoll_event events[FORWARDER_EVENTS];
	struct load *l = &c->load;
	uint64_t check_ns = c->begin_ns + CHECK_NS;

	if (connect_more(c))
		return -1;
	while (c->nr_ended < c->nr_streams) {
		int nr = call_epoll_wait(l->tally, l->epoll, events, FORWARDER_EVENTS, 1000);

		/* Stopped and continued, or looked at by a debugger: signal(7). */
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return part_fail(l->part, "epoll_pwait: %s", strerror(errno));
		l->now_ns = part_now_ns();
		for (int i = 0; i < nr; i++) {
			if (event(c, &events[i]))
				return -1;
		}
		if (l->now_ns < check_ns)
			continue;
		check_ns = l->now_ns + CHECK_NS;
		if (check_all(c))
			return -1;
	}
	return 0;
}

static void state_results(struct client *c)
{
	const struct load *l = &c->load;
	struct part *p = l->part;

	load_facts(l);
	part_fact(p, "connections_opened", c->nr_opened);
	part_result(p, "duration_ns", part_now_ns() - c->begin_ns);
	part_result(p, "connections", c->nr_opened);
	part_result(p, "connect_duration_ns", c->connected_ns - c->connect_ns);
	if (l->kind == LOAD_BULK) {
		part_result(p, "bytes", l->nr_payload_bytes);
	} else {
		part_result(p, "requests", l->nr_requests);
		/* Both ways. */
		part_result(p, "bytes", 2 * l->size * l->nr_requests);
	}
	latency_results(&l->latency, p, "latency");
	latency_results(&l->connect, p, "connect");
}

static int drive(struct client *c)
{
	struct load *l = &c->load;

	l->epoll = call_epoll_create(l->tally);
	if (l->epoll < 0)
		return part_fail(l->part, "epoll_create1: %s", strerror(errno));
	if (part_ready(l->part, NULL))
		return -1;
	/* For crr; the others begin anew once all are connected. */
	c->begin_ns = c->connect_ns = part_now_ns();
	l->end_ns = c->begin_ns + l->seconds_ns;
	if (run(c))
		return -1;
	state_results(c);
	return 0;
}

int forwarder_client(struct part *p)
{
	struct client c = {.nr_streams = part_option(p, "streams")};
	int err;

	if (part_option(p, "load") == LOAD_IPERF3)
		return forwarder_iperf3_client(p);
	if (address_parse(p->connect, &c.server))
		return part_fail(p, "%s is no address", p->connect);
	if (!forwarder_need_descriptors(p, c.nr_streams + OTHER_DESCRIPTORS))
		return -1;
	load_init(&c.load, p, true);
	c.streams = xcalloc(c.nr_streams, sizeof(*c.streams));
	for (uint64_t i = 0; i < c.nr_streams; i++)
		stream_init(&c.load, &c.streams[i], i);
	err = drive(&c);
	for (uint64_t i = 0; i < c.nr_streams; i++)
		stream_free(&c.streams[i]);
	free(c.streams);
	load_free(&c.load);
	return err;
}
