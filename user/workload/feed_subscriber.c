// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <inttypes.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "workload/feed.h"
#include "workload/latency.h"
#include "workload/part.h"

#define NS_PER_S 1000000000ULL

struct subscriber {
	struct part *part;
	int fd;
	unsigned int batch;
	uint64_t size, seed, work_ns, idle_ns;
	uint64_t asked_bytes, granted_bytes; /* receive buffer; asked 0: left alone */
	uint64_t received, corrupt;	     /* datagrams */
	unsigned char *padding;
	unsigned char *datagrams; /* those of one batch, each with a byte more than is expected */
	struct iovec *vectors;
	struct mmsghdr *headers;
	struct feed_sequence sequence;
	struct latency latency;
};

/* --- before it is let go ------------------------------------------------------------------- */

static void prepare_datagrams(struct subscriber *s)
{
	size_t padding = s->size - FEED_MESSAGE_BYTES;

	s->padding = xcalloc(1, padding + 1);
	feed_padding(s->padding, padding, s->seed);
	s->datagrams = xcalloc(s->batch, s->size + 1);
	s->vectors = xcalloc(s->batch, sizeof(*s->vectors));
	s->headers = xcalloc(s->batch, sizeof(*s->headers));
	for (unsigned int i = 0; i < s->batch; i++) {
		s->vectors[i] = (struct iovec){.iov_base = s->datagrams + i * (s->size + 1),
					       .iov_len = s->size + 1};
		s->headers[i].msg_hdr = (struct msghdr){.msg_iov = &s->vectors[i], .msg_iovlen = 1};
	}
}

/*
 * Not SO_RCVBUFFORCE, which is root's: the same command would measure another buffer for another
 * user. Whoever needs more than net.core.rmem_max raises that.
 */
static int size_receive_buffer(struct subscriber *s)
{
	int asked = s->asked_bytes, granted;
	socklen_t len = sizeof(granted);

	if (asked && setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &asked, sizeof(asked)))
		return part_fail(s->part, "ask for a receive buffer of %d bytes: %s", asked,
				 strerror(errno));
	if (getsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &granted, &len))
		return part_fail(s->part, "read the size of the receive buffer: %s",
				 strerror(errno));
	s->granted_bytes = granted;
	return 0;
}

/* Joins the group on the interface of --listen; the socket is bound to the group. */
static int join_group(struct subscriber *s, const struct sockaddr_in *interface)
{
	struct ip_mreq group = {
		.imr_multiaddr = feed_group(interface).sin_addr,
		.imr_interface = interface->sin_addr,
	};

	if (setsockopt(s->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)))
		return part_fail(s->part, "join " FEED_GROUP " on the interface of %s: %s",
				 s->part->listen, strerror(errno));
	return 0;
}

/* Where the publisher is to connect to, in @text: the address of --listen, the port bound to. */
static int say_address(struct subscriber *s, const struct sockaddr_in *listen, char *text)
{
	struct sockaddr_in bound;
	socklen_t len = sizeof(bound);
	char host[INET_ADDRSTRLEN];

	if (getsockname(s->fd, (struct sockaddr *)&bound, &len))
		return part_fail(s->part, "read the address of the socket: %s", strerror(errno));
	inet_ntop(AF_INET, &listen->sin_addr, host, sizeof(host));
	snprintf(text, 64, "%s:%u", host, ntohs(bound.sin_port));
	return 0;
}

static int prepare_socket(struct subscriber *s, char *text)
{
	bool is_multicast = part_option(s->part, "multicast");
	struct sockaddr_in listen, bound;

	if (address_parse(s->part->listen, &listen))
		return part_fail(s->part, "listen on %s: not an address and port", s->part->listen);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return part_fail(s->part, "make a socket: %s", strerror(errno));
	/* First, so that no datagram meets another buffer. */
	if (size_receive_buffer(s))
		return -1;
	bound = is_multicast ? feed_group(&listen) : listen;
	if (bind(s->fd, (struct sockaddr *)&bound, sizeof(bound)))
		return part_fail(s->part, "listen on %s: %s", s->part->listen, strerror(errno));
	if (is_multicast && join_group(s, &listen))
		return -1;
	return say_address(s, &listen, text);
}

/* --- each message -------------------------------------------------------------------------- */

static bool is_genuine(const struct subscriber *s, const unsigned char *datagram, size_t len,
		       struct feed_message *m)
{
	if (len != s->size)
		return false;
	memcpy(m, datagram, sizeof(*m));
	return m->magic == FEED_MAGIC && m->checksum == feed_checksum(m, s->seed) &&
	       !memcmp(datagram + sizeof(*m), s->padding, len - sizeof(*m));
}

static void work(uint64_t ns)
{
	uint64_t end_ns = part_now_ns() + ns;

	while (part_now_ns() < end_ns)
		;
}

static void take(struct subscriber *s, const unsigned char *datagram, size_t len, uint64_t now_ns)
{
	struct feed_message m;

	s->received++;
	if (!is_genuine(s, datagram, len, &m) || !feed_sequence_note(&s->sequence, m.sequence)) {
		s->corrupt++;
		return;
	}
	latency_add(&s->latency, now_ns - m.sent_ns);
	if (s->work_ns)
		work(s->work_ns);
}

/* --- the loop ------------------------------------------------------------------------------ */

/* Both: what is there, until nothing is. 0, or -1 after part_fail(). */
static int receive_one_by_one(struct subscriber *s)
{
	ssize_t n;

	while ((n = call_recv(s->part->tally, s->fd, s->datagrams, s->size + 1, MSG_DONTWAIT)) >= 0)
		take(s, s->datagrams, n, part_now_ns());
	return errno == EAGAIN ? 0 : part_fail(s->part, "receive: %s", strerror(errno));
}

static int receive_many(struct subscriber *s)
{
	struct tally *tally = s->part->tally;
	unsigned int n;

	do {
		int got = call_recvmmsg(tally, s->fd, s->headers, s->batch, MSG_DONTWAIT);
		uint64_t now = part_now_ns();

		if (got < 0)
			return errno == EAGAIN ? 0
					       : part_fail(s->part, "receive: %s", strerror(errno));
		n = got;
		for (unsigned int i = 0; i < n; i++) {
			tally->of[CALL_recvmmsg].bytes += s->headers[i].msg_len;
			take(s, s->vectors[i].iov_base, s->headers[i].msg_len, now);
		}
	} while (n == s->batch); /* fewer: there were no more */
	return 0;
}

/*
 * As event loops do: sleep in ppoll(2) until there is something, take all of it. It ends when that
 * was asked for and nothing came for a while; what comes still later stays in the queue.
 */
static int receive_all(struct subscriber *s)
{
	struct timespec idle = {s->idle_ns / NS_PER_S, s->idle_ns % NS_PER_S};
	struct pollfd fds[] = {{.fd = s->fd, .events = POLLIN},
			       {.fd = s->part->stop_fd, .events = POLLIN}};
	bool shall_end = false;

	for (;;) {
		int n = call_poll(s->part->tally, fds, shall_end ? 1 : 2, shall_end ? &idle : NULL);

		if (n < 0)
			return part_fail(s->part, "poll: %s", strerror(errno));
		if (!n)
			return 0;
		if (!shall_end && fds[1].revents)
			shall_end = true;
		if (fds[0].revents && (s->batch == 1 ? receive_one_by_one(s) : receive_many(s)))
			return -1;
	}
}

/* --- what it says -------------------------------------------------------------------------- */

/* What the kernel says of the socket: datagrams dropped, and bytes of memory of what is queued. */
static int state_queue(struct subscriber *s)
{
	uint32_t info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	if (call_getsockopt(s->part->tally, s->fd, SOL_SOCKET, SO_MEMINFO, info, &len))
		return part_fail(s->part, "read SO_MEMINFO: %s", strerror(errno));
	part_fact(s->part, "datagrams_dropped", info[SK_MEMINFO_DROPS]);
	part_fact(s->part, "queued_memory_bytes", info[SK_MEMINFO_RMEM_ALLOC]);
	return 0;
}

static int state_all(struct subscriber *s)
{
	const struct feed_sequence *q = &s->sequence;

	part_fact(s->part, "datagrams_received", s->received);
	part_fact(s->part, "datagram_bytes_received",
		  s->part->tally->of[s->batch == 1 ? CALL_recvfrom : CALL_recvmmsg].bytes);
	part_fact(s->part, "highest_sequence", q->highest);
	part_fact(s->part, "gaps", feed_sequence_gaps(q));
	part_fact(s->part, "duplicates", q->duplicates);
	part_fact(s->part, "out_of_order", q->out_of_order);
	part_fact(s->part, "corrupt", s->corrupt);
	part_result(s->part, "messages", q->received - q->duplicates);
	part_result(s->part, "bytes", (q->received - q->duplicates) * part_option(s->part, "size"));
	part_result(s->part, "gaps", feed_sequence_gaps(q));
	part_result(s->part, "receive_buffer_requested_bytes", s->asked_bytes);
	part_result(s->part, "receive_buffer_granted_bytes", s->granted_bytes);
	latency_results(&s->latency, s->part, "latency");
	if (s->corrupt)
		return part_fail(s->part,
				 "%" PRIu64 " of %" PRIu64
				 " datagrams are not what the publisher sends; have both roles the "
				 "same --seed and --size?",
				 s->corrupt, s->received);
	return 0;
}

int feed_subscribe(struct part *part)
{
	struct subscriber *s = xcalloc(1, sizeof(*s));
	char address[64];
	int err;

	s->part = part;
	s->batch = part_option(part, "receive-batch");
	s->size = part_option(part, "size");
	s->seed = part_option(part, "seed");
	s->work_ns = part_option(part, "work");
	s->idle_ns = part_option(part, "idle");
	s->asked_bytes = part_option(part, "rcvbuf");
	prepare_datagrams(s);
	err = prepare_socket(s, address);
	if (!err)
		err = part_ready(part, address);
	if (!err)
		err = receive_all(s);
	if (!err)
		err = state_queue(s);
	if (!err)
		err = state_all(s);
	free(s->padding);
	free(s->datagrams);
	free(s->vectors);
	free(s->headers);
	free(s);
	return err;
}
