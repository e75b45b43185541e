// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "workload/forwarder_stream.h"

/* Blocks moved before other streams have their turn. */
#define BULK_TURNS 4

static const char *const phase_names[] = {
	[PHASE_CONNECT] = "connecting",
	[PHASE_READY] = "connected",
	[PHASE_BULK_SEND] = "sending",
	[PHASE_BULK_COUNT] = "waiting for the other end's count",
	[PHASE_BULK_RECEIVE] = "receiving",
	[PHASE_REQUEST_SEND] = "sending a request",
	[PHASE_RESPONSE_RECEIVE] = "waiting for the response",
	[PHASE_REQUEST_RECEIVE] = "waiting for a request",
	[PHASE_RESPONSE_SEND] = "sending a response",
	[PHASE_END_RECEIVE] = "waiting for the other end to close",
};

/* --- the load ------------------------------------------------------------------------------ */

void load_init(struct load *l, struct part *p, bool is_client)
{
	*l = (struct load){
		.part = p,
		.tally = p->tally,
		.kind = part_option(p, "load"),
		.is_client = is_client,
		.is_sender = is_client != (bool)part_option(p, "reverse"),
		.size = part_option(p, "size"),
		.block = part_option(p, "block"),
		.seconds_ns = part_option(p, "seconds"),
		.epoll = -1,
	};
	l->data = xcalloc(1, l->block);
	memset(l->data, 0x5a, l->block);
}

void load_free(struct load *l)
{
	free(l->data);
}

void load_facts(const struct load *l)
{
	part_fact(l->part, "sent_bytes", l->nr_sent_bytes);
	part_fact(l->part, "received_bytes", l->nr_received_bytes);
	part_fact(l->part, "half_closes", l->nr_half_closes);
	if (l->kind == LOAD_BULK)
		part_fact(l->part, "payload_bytes", l->nr_payload_bytes);
	else
		part_fact(l->part, "requests", l->nr_requests);
}

/* --- a stream ------------------------------------------------------------------------------ */

void stream_init(const struct load *l, struct stream *s, uint64_t number)
{
	*s = (struct stream){.fd = -1};
	if (l->kind == LOAD_BULK)
		return;
	s->message = xcalloc(1, l->size);
	s->response = xcalloc(1, l->size);
	for (size_t i = 0; i < l->size; i++)
		s->message[i] = number * 151 + i * 31;
}

void stream_free(struct stream *s)
{
	free(s->message);
	free(s->response);
}

const char *stream_phase(const struct stream *s)
{
	return phase_names[s->phase];
}

static enum step failed(const struct load *l, const struct stream *s, const char *why)
{
	part_fail(l->part, "a stream failed while %s: %s", phase_names[s->phase], why);
	return STEP_FAILED;
}

int stream_watch(struct load *l, struct stream *s, uint32_t interest)
{
	int op = s->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (interest == s->interest)
		return 0;
	s->interest = interest;
	if (forwarder_watch(l->tally, l->epoll, op, s->fd, interest, s))
		return part_fail(l->part, "epoll_ctl: %s", strerror(errno));
	return 0;
}

int stream_check(struct load *l, const struct stream *s)
{
	if (l->now_ns < s->moved_ns + FORWARDER_LIMIT_NS)
		return 0;
	return failed(l, s, "nothing moved for 10 s");
}

static enum step close_stream(struct load *l, struct stream *s)
{
	if (call_close(l->tally, s->fd))
		return failed(l, s, strerror(errno));
	s->fd = -1;
	s->interest = 0;
	return STEP_CLOSED;
}

static enum step end_sending(struct load *l, struct stream *s, enum phase next)
{
	if (call_shutdown(l->tally, s->fd, SHUT_WR))
		return failed(l, s, strerror(errno));
	l->nr_half_closes++;
	s->phase = next;
	s->moved = 0;
	return stream_watch(l, s, EPOLLIN) ? STEP_FAILED : STEP_GOES_ON;
}

/*
 * Sends what is left of @len bytes. STEP_CLOSED stands for: all is sent. Waits for room as long as
 * there is none.
 */
static enum step send_rest(struct load *l, struct stream *s, const void *from, size_t len)
{
	ssize_t nr = call_send(l->tally, s->fd, (const char *)from + s->moved, len - s->moved,
			       MSG_NOSIGNAL);

	if (nr < 0 && errno != EAGAIN)
		return failed(l, s, strerror(errno));
	if (nr > 0) {
		l->nr_sent_bytes += nr;
		s->moved += nr;
		s->moved_ns = l->now_ns;
	}
	if (s->moved == len)
		return STEP_CLOSED;
	return stream_watch(l, s, EPOLLOUT) ? STEP_FAILED : STEP_GOES_ON;
}

/* Receives up to @len bytes. The number; 0: the end; -1: none now (EAGAIN) or failed. */
static ssize_t receive(struct load *l, struct stream *s, void *into, size_t len)
{
	ssize_t nr = call_recv(l->tally, s->fd, into, len, 0);

	if (nr >= 0)
		s->moved_ns = l->now_ns;
	if (nr > 0)
		l->nr_received_bytes += nr;
	return nr;
}

/* Receives what is left of a message of @len bytes. STEP_CLOSED stands for: it is there. */
static enum step receive_rest(struct load *l, struct stream *s, void *into, size_t len)
{
	ssize_t nr = receive(l, s, (char *)into + s->moved, len - s->moved);

	if (nr < 0)
		return errno == EAGAIN ? STEP_GOES_ON : failed(l, s, strerror(errno));
	if (!nr)
		return failed(l, s, "the other end closed the connection");
	s->moved += nr;
	return s->moved == len ? STEP_CLOSED : STEP_GOES_ON;
}

static enum step receive_end(struct load *l, struct stream *s)
{
	char byte;
	ssize_t nr = receive(l, s, &byte, 1);

	if (nr < 0)
		return errno == EAGAIN ? STEP_GOES_ON : failed(l, s, strerror(errno));
	return nr ? failed(l, s, "it sent more than it should") : close_stream(l, s);
}

/* --- bulk ---------------------------------------------------------------------------------- */

static enum step bulk_send(struct load *l, struct stream *s)
{
	for (int turn = 0; turn < BULK_TURNS; turn++) {
		ssize_t nr;

		if (l->now_ns >= s->begin_ns + l->seconds_ns)
			return end_sending(l, s, PHASE_BULK_COUNT);
		nr = call_send(l->tally, s->fd, l->data, l->block, MSG_NOSIGNAL);
		if (nr < 0)
			return errno == EAGAIN ? STEP_GOES_ON : failed(l, s, strerror(errno));
		l->nr_sent_bytes += nr;
		s->bytes += nr;
		s->moved_ns = l->now_ns;
		if ((size_t)nr < l->block)
			break;
	}
	return STEP_GOES_ON;
}

static enum step bulk_count(struct load *l, struct stream *s)
{
	enum step step = receive_rest(l, s, s->count, sizeof(s->count));
	uint64_t count;

	if (step != STEP_CLOSED)
		return step;
	memcpy(&count, s->count, sizeof(count));
	if (be64toh(count) != s->bytes) {
		part_fail(l->part,
			  "a stream sent %" PRIu64 " bytes, but the other end got %" PRIu64,
			  s->bytes, be64toh(count));
		return STEP_FAILED;
	}
	l->nr_payload_bytes += s->bytes;
	s->phase = PHASE_END_RECEIVE;
	return STEP_GOES_ON;
}

static enum step bulk_receive(struct load *l, struct stream *s)
{
	uint64_t count;

	for (int turn = 0; turn < BULK_TURNS; turn++) {
		ssize_t nr = receive(l, s, l->data, l->block);

		if (nr < 0)
			return errno == EAGAIN ? STEP_GOES_ON : failed(l, s, strerror(errno));
		s->bytes += nr;
		if (!nr)
			break;
		if ((size_t)nr < l->block)
			return STEP_GOES_ON;
		if (turn == BULK_TURNS - 1)
			return STEP_GOES_ON;
	}
	l->nr_payload_bytes += s->bytes;
	count = htobe64(s->bytes);
	s->moved = 0;
	if (send_rest(l, s, &count, sizeof(count)) != STEP_CLOSED)
		return failed(l, s, "there is no room for 8 bytes in an idle direction");
	return close_stream(l, s);
}

/* --- requests ------------------------------------------------------------------------------ */

/* Makes the request differ from the one before, as far as it is long enough. */
static void number_message(struct load *l, struct stream *s)
{
	uint64_t number = l->nr_requests;

	for (size_t i = 0; i < sizeof(number) && i < l->size; i++)
		s->message[i] = number >> 8 * i;
}

static enum step send_request(struct load *l, struct stream *s)
{
	enum step step = send_rest(l, s, s->message, l->size);

	if (step != STEP_CLOSED)
		return step;
	s->phase = PHASE_RESPONSE_RECEIVE;
	s->moved = 0;
	return stream_watch(l, s, EPOLLIN) ? STEP_FAILED : STEP_GOES_ON;
}

static enum step begin_request(struct load *l, struct stream *s)
{
	number_message(l, s);
	s->phase = PHASE_REQUEST_SEND;
	s->moved = 0;
	s->begin_ns = s->moved_ns = part_now_ns();
	return send_request(l, s);
}

static enum step receive_response(struct load *l, struct stream *s)
{
	enum step step = receive_rest(l, s, s->response, l->size);

	if (step != STEP_CLOSED)
		return step;
	if (memcmp(s->message, s->response, l->size))
		return failed(l, s, "it is not what was asked for");
	l->nr_requests++;
	if (l->kind == LOAD_CRR) {
		s->phase = PHASE_END_RECEIVE;
		return receive_end(l, s);
	}
	l->now_ns = part_now_ns();
	latency_add(&l->latency, l->now_ns - s->begin_ns);
	if (l->now_ns >= l->end_ns)
		return end_sending(l, s, PHASE_END_RECEIVE);
	return begin_request(l, s);
}

static enum step send_response(struct load *l, struct stream *s)
{
	enum step step = send_rest(l, s, s->message, l->size);

	if (step != STEP_CLOSED)
		return step;
	l->nr_requests++;
	if (l->kind == LOAD_CRR)
		return close_stream(l, s);
	s->phase = PHASE_REQUEST_RECEIVE;
	s->moved = 0;
	return stream_watch(l, s, EPOLLIN) ? STEP_FAILED : STEP_GOES_ON;
}

static enum step receive_request(struct load *l, struct stream *s)
{
	ssize_t nr = receive(l, s, s->message + s->moved, l->size - s->moved);

	if (nr < 0)
		return errno == EAGAIN ? STEP_GOES_ON : failed(l, s, strerror(errno));
	if (!nr)
		return s->moved ? failed(l, s, "the connection ended within a request")
				: close_stream(l, s);
	s->moved += nr;
	if (s->moved < l->size)
		return STEP_GOES_ON;
	s->phase = PHASE_RESPONSE_SEND;
	s->moved = 0;
	return send_response(l, s);
}

/* --- what all have in common --------------------------------------------------------------- */

enum step stream_begin(struct load *l, struct stream *s)
{
	s->begin_ns = s->moved_ns = l->now_ns;
	if (l->kind == LOAD_BULK) {
		s->phase = l->is_sender ? PHASE_BULK_SEND : PHASE_BULK_RECEIVE;
		return stream_watch(l, s, l->is_sender ? EPOLLOUT : EPOLLIN) ? STEP_FAILED
									     : STEP_GOES_ON;
	}
	if (l->is_client)
		return begin_request(l, s);
	s->phase = PHASE_REQUEST_RECEIVE;
	return stream_watch(l, s, EPOLLIN) ? STEP_FAILED : STEP_GOES_ON;
}

enum step stream_step(struct load *l, struct stream *s)
{
	switch (s->phase) {
	case PHASE_BULK_SEND:
		return bulk_send(l, s);
	case PHASE_BULK_COUNT:
		return bulk_count(l, s);
	case PHASE_BULK_RECEIVE:
		return bulk_receive(l, s);
	case PHASE_REQUEST_SEND:
		return send_request(l, s);
	case PHASE_RESPONSE_RECEIVE:
		return receive_response(l, s);
	case PHASE_REQUEST_RECEIVE:
		return receive_request(l, s);
	case PHASE_RESPONSE_SEND:
		return send_response(l, s);
	case PHASE_END_RECEIVE:
		return receive_end(l, s);
	case PHASE_CONNECT:
	case PHASE_READY:
		break;
	}
	return failed(l, s, "an event came out of turn");
}
