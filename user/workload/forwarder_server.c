// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "workload/forwarder_stream.h"

#define OTHER_DESCRIPTORS 64

struct server {
	struct load load;
	int listener;
	uint64_t nr_open, nr_accepted;
	bool is_stopping;
	uint64_t stop_ns; /* until when streams may go on */
};

static int take_step(struct server *s, struct stream *stream, enum step step)
{
	if (step == STEP_CLOSED) {
		s->nr_open--;
		stream_free(stream);
		free(stream);
	}
	return step == STEP_FAILED ? -1 : 0;
}

static int accept_all(struct server *s)
{
	struct load *l = &s->load;

	for (;;) {
		struct stream *stream;
		int fd = call_accept4(l->tally, s->listener, NULL, NULL,
				      SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			return 0;
		if (fd < 0)
			return part_fail(l->part, "accept: %s", strerror(errno));
		stream = xcalloc(1, sizeof(*stream));
		stream_init(l, stream, 0);
		stream->fd = fd;
		s->nr_accepted++;
		s->nr_open++;
		if (take_step(s, stream, stream_begin(l, stream)))
			return -1;
	}
}

/* Accepts no more; streams may come to their end. */
static int stop(struct server *s)
{
	struct load *l = &s->load;

	s->is_stopping = true;
	s->stop_ns = l->now_ns + FORWARDER_LIMIT_NS;
	if (forwarder_watch(l->tally, l->epoll, EPOLL_CTL_DEL, l->part->stop_fd, 0, NULL) ||
	    call_close(l->tally, s->listener))
		return part_fail(l->part, "stop: %s", strerror(errno));
	return 0;
}

static int event(struct server *s, void *of)
{
	if (!of)
		return stop(s);
	if (of == s)
		return s->is_stopping ? 0 : accept_all(s);
	return take_step(s, of, stream_step(&s->load, of));
}

static int serve(struct server *s)
{
	struct epoll_event events[FORWARDER_EVENTS];
	struct load *l = &s->load;

	while (!s->is_stopping || s->nr_open) {
		int nr = call_epoll_wait(l->tally, l->epoll, events, FORWARDER_EVENTS,
					 s->is_stopping ? 1000 : -1);

		/* Stopped and continued, or looked at by a debugger: signal(7). */
		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return part_fail(l->part, "epoll_pwait: %s", strerror(errno));
		l->now_ns = part_now_ns();
		for (int i = 0; i < nr; i++) {
			if (event(s, events[i].data.ptr))
				return -1;
		}
		if (s->is_stopping && s->nr_open && l->now_ns > s->stop_ns)
			return part_fail(l->part,
					 "%" PRIu64
					 " connections are still open 10 s after it shall stop",
					 s->nr_open);
	}
	return 0;
}

int forwarder_server(struct part *p)
{
	struct server s = {};
	char address[64];
	int err;

	if (part_option(p, "load") == LOAD_IPERF3)
		return forwarder_iperf3_server(p);
	if (!forwarder_need_descriptors(p, part_option(p, "streams") + OTHER_DESCRIPTORS))
		return -1;
	load_init(&s.load, p, false);
	s.listener = forwarder_listen(p, 0, &s, &s.load.epoll, address);
	err = s.listener < 0 || part_ready(p, address) ? -1 : serve(&s);
	if (!err) {
		load_facts(&s.load);
		part_fact(p, "connections_accepted", s.nr_accepted);
	}
	load_free(&s.load);
	return err;
}
