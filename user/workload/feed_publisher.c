// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/alloc.h"
#include "workload/feed.h"
#include "workload/part.h"

#define NS_PER_S 1000000000ULL
/* The last of each wait for a message's time is spent spinning, or it would be sent late. */
#define SPIN_NS 20000

struct publisher {
	struct part *part;
	int fd;
	unsigned int batch;
	uint64_t messages, rate, size, seed;
	uint64_t offered, sent, failed; /* datagrams; offered: tried to send */
	uint64_t look_ns;		/* when to look_around() next */
	bool is_told_to_end;
	unsigned char *datagrams; /* those of one batch, one after the other */
	struct iovec *vectors;
	struct mmsghdr *headers;
	struct feed_flow flow;
};

/* --- before it is let go ------------------------------------------------------------------- */

static void prepare_datagrams(struct publisher *p)
{
	p->datagrams = xcalloc(p->batch, p->size);
	p->vectors = xcalloc(p->batch, sizeof(*p->vectors));
	p->headers = xcalloc(p->batch, sizeof(*p->headers));
	for (unsigned int i = 0; i < p->batch; i++) {
		unsigned char *datagram = p->datagrams + i * p->size;

		feed_padding(datagram + FEED_MESSAGE_BYTES, p->size - FEED_MESSAGE_BYTES, p->seed);
		p->vectors[i] = (struct iovec){.iov_base = datagram, .iov_len = p->size};
		p->headers[i].msg_hdr = (struct msghdr){.msg_iov = &p->vectors[i], .msg_iovlen = 1};
	}
	feed_flow_start(&p->flow, p->seed);
}

/* Multicast leaves by the interface by which this machine reaches @subscriber. */
static int choose_interface(int fd, const struct sockaddr_in *subscriber)
{
	int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), loop = 1, err;
	struct sockaddr_in own;
	socklen_t len = sizeof(own);

	if (probe < 0)
		return -1;
	err = connect(probe, (const struct sockaddr *)subscriber, sizeof(*subscriber)) ||
	      getsockname(probe, (struct sockaddr *)&own, &len) ||
	      setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &own.sin_addr, sizeof(own.sin_addr)) ||
	      setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof(loop));
	close(probe);
	return err ? -1 : 0;
}

static int prepare_socket(struct publisher *p)
{
	struct sockaddr_in to;
	int one = 1;

	if (address_parse(p->part->connect, &to))
		return part_fail(p->part, "publish to %s: not an address and port",
				 p->part->connect);
	p->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return part_fail(p->part, "make a socket: %s", strerror(errno));
	/*
	 * Without it a datagram that a queueing discipline throws away counts as sent (ip(7)), and
	 * an ICMP error that comes back is forgotten with the next send that it makes fail.
	 */
	if (setsockopt(p->fd, IPPROTO_IP, IP_RECVERR, &one, sizeof(one)))
		return part_fail(p->part, "set IP_RECVERR: %s", strerror(errno));
	if (part_option(p->part, "multicast")) {
		if (choose_interface(p->fd, &to))
			return part_fail(p->part, "choose the interface towards %s: %s",
					 p->part->connect, strerror(errno));
		to = feed_group(&to);
	}
	if (connect(p->fd, (struct sockaddr *)&to, sizeof(to)))
		return part_fail(p->part, "connect to %s: %s", p->part->connect, strerror(errno));
	return 0;
}

/* --- the load ------------------------------------------------------------------------------ */

/*
 * Has an error come back, or shall it end? Asked once a second, and where a call does not say
 * why it failed. -1 after part_fail().
 */
static int look_around(struct publisher *p, uint64_t now_ns)
{
	struct pollfd fds[] = {{.fd = p->fd}, {.fd = p->part->stop_fd, .events = POLLIN}};
	struct timespec at_once = {};

	p->look_ns = now_ns + NS_PER_S;
	if (call_poll(p->part->tally, fds, 2, &at_once) < 0)
		return part_fail(p->part, "poll: %s", strerror(errno));
	if (fds[0].revents)
		return part_fail(p->part,
				 "publish to %s: an error came back for one of %" PRIu64
				 " datagrams; is the subscriber gone?",
				 p->part->connect, p->offered);
	p->is_told_to_end = fds[1].revents;
	return 0;
}

static void note_failed(struct publisher *p)
{
	p->offered++;
	p->failed++;
}

static void note_sent(struct publisher *p, unsigned int nr)
{
	p->offered += nr;
	p->sent += nr;
}

/* The datagram that a call began with was not taken, for the reason in errno. It is not repeated.
 */
static int note_refused(struct publisher *p)
{
	note_failed(p);
	if (errno == ENOBUFS || errno == EAGAIN)
		return 0;
	return part_fail(p->part, "publish to %s: datagram %" PRIu64 ": %s%s", p->part->connect,
			 p->offered, strerror(errno),
			 errno == ECONNREFUSED ? "; is the subscriber gone?" : "");
}

static int send_one(struct publisher *p)
{
	if (call_send(p->part->tally, p->fd, p->datagrams, p->size, MSG_DONTWAIT) < 0)
		return note_refused(p);
	note_sent(p, 1);
	return 0;
}

/*
 * sendmmsg(2) ends with the first datagram that fails. If others went before it, it says how many,
 * and nothing of the failure.
 */
static int send_many(struct publisher *p, unsigned int nr)
{
	struct tally *tally = p->part->tally;
	unsigned int done = 0;

	while (done < nr) {
		int n = call_sendmmsg(tally, p->fd, p->headers + done, nr - done, MSG_DONTWAIT);

		if (n < 0) {
			if (note_refused(p))
				return -1;
			done++;
			continue;
		}
		tally->of[CALL_sendmmsg].bytes += n * p->size;
		note_sent(p, n);
		done += n;
		if (done < nr) {
			note_failed(p);
			done++;
			if (look_around(p, part_now_ns()))
				return -1;
		}
	}
	return 0;
}

static void write_messages(struct publisher *p, unsigned int nr, uint64_t now_ns)
{
	struct feed_message m;

	for (unsigned int i = 0; i < nr; i++) {
		feed_flow_next(&p->flow, &m);
		m.sent_ns = now_ns;
		m.checksum = feed_checksum(&m, p->seed);
		memcpy(p->datagrams + i * p->size, &m, sizeof(m));
	}
}

/* When the next message is due: of absolute times, so that lateness does not add up. */
static uint64_t due_ns(const struct publisher *p, uint64_t start_ns)
{
	if (!p->rate)
		return start_ns;
	return start_ns + p->offered / p->rate * NS_PER_S +
	       p->offered % p->rate * NS_PER_S / p->rate;
}

/* Sleeps until shortly before @ns; what is left, the caller spins. */
static void sleep_until(uint64_t ns)
{
	struct timespec t = {(ns - SPIN_NS) / NS_PER_S, (ns - SPIN_NS) % NS_PER_S};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int publish_all(struct publisher *p, uint64_t start_ns)
{
	p->look_ns = start_ns + NS_PER_S;
	while (p->offered < p->messages && !p->is_told_to_end) {
		uint64_t now = part_now_ns(), due = due_ns(p, start_ns);
		uint64_t left = p->messages - p->offered;
		unsigned int nr = left < p->batch ? left : p->batch;

		if (now >= p->look_ns) {
			if (look_around(p, now))
				return -1;
		} else if (now < due) {
			if (due - now > SPIN_NS)
				sleep_until(due < p->look_ns ? due : p->look_ns);
		} else {
			write_messages(p, nr, now);
			if (p->batch == 1 ? send_one(p) : send_many(p, nr))
				return -1;
		}
	}
	return 0;
}

static int publish(struct publisher *p)
{
	uint64_t start_ns = part_now_ns(), end_ns;
	int err = publish_all(p, start_ns);

	end_ns = part_now_ns();
	if (!err)
		err = look_around(p, end_ns);
	part_fact(p->part, "datagrams_sent", p->sent);
	part_fact(p->part, "datagrams_failed", p->failed);
	part_fact(p->part, "datagram_bytes_sent", p->sent * p->size);
	part_result(p->part, "duration_ns", end_ns - start_ns);
	part_result(p->part, "messages_published", p->sent);
	return err;
}

int feed_publish(struct part *part)
{
	struct publisher p = {
		.part = part,
		.batch = part_option(part, "batch"),
		.messages = part_option(part, "messages"),
		.rate = part_option(part, "rate"),
		.size = part_option(part, "size"),
		.seed = part_option(part, "seed"),
	};
	int err = prepare_socket(&p);

	prepare_datagrams(&p);
	prctl(PR_SET_TIMERSLACK, 1); /* of 50 µs, or each sleep is that much too long */
	if (!err)
		err = part_ready(part, NULL);
	if (!err)
		err = publish(&p);
	free(p.headers);
	free(p.vectors);
	free(p.datagrams);
	return err;
}
