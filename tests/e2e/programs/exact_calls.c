// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Ways of exact.c that are system calls, and their flags and options. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "exact.h"

#define MSG_PROBE_ 0x10 /* MSG_PROBE: C libraries call it MSG_PROXY */
#define BIG	   20000

/* --- out: each is taken plainly ----------------------------------------------------------------
 */

enum { SEND, SENDTO, SENDMSG, SENDMSG_TO, WRITE, WRITEV, PWRITEV2, AIO_WRITE };

static long aio(struct cell *c, int op, int fd, char *base, size_t n)
{
	struct iocb cb = {.aio_lio_opcode = op,
			  .aio_fildes = fd,
			  .aio_buf = (uintptr_t)base,
			  .aio_nbytes = n};
	struct iocb *list[] = {&cb};
	struct io_event done;
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 1, &context) != 0)
		cell_skip(c, "io_setup");
	if (syscall(SYS_io_submit, context, 1L, list) != 1)
		return -1;
	cell_check(c, syscall(SYS_io_getevents, context, 1L, 1L, &done, NULL) == 1, "io_getevents");
	syscall(SYS_io_destroy, context);
	if (done.res >= 0)
		return done.res;
	errno = -done.res;
	return -1;
}

static long one_out(struct cell *c, int op, size_t n, int flags)
{
	struct msghdr *m = message(c, buffer, n / 2, n - n / 2);
	struct sockaddr *to = (void *)&c->to;

	m->msg_name = op == SENDMSG_TO ? to : NULL;
	m->msg_namelen = op == SENDMSG_TO ? c->to_len : 0;
	switch (op) {
	case SEND:
		return send(c->a, buffer, n, flags);
	case SENDTO:
		return sendto(c->a, buffer, n, flags, to, c->to_len);
	case SENDMSG:
	case SENDMSG_TO:
		return sendmsg(c->a, m, flags);
	case WRITE:
		return write(c->a, buffer, n);
	case WRITEV:
		return writev(c->a, m->msg_iov, 2);
	case PWRITEV2: /* at offset -1 it is writev */
		return syscall(SYS_pwritev2, c->a, m->msg_iov, 2L, -1L, -1L, 0L);
	}
	return aio(c, IOCB_CMD_PWRITE, c->a, buffer, n);
}

static void out(struct cell *c)
{
	c->sent_unknown = c->way->op == AIO_WRITE;
	for (int i = 0; i < TIMES; i++) {
		long ret = one_out(c, c->way->op, LEN + i, c->way->mode);

		if (c->way->op == AIO_WRITE)
			sent_unseen(c->ea, ret);
		else
			sent(c->ea, ret);
		cell_moved(c, ret, LEN + i);
		take(c, LEN + i);
	}
}

static void out_empty(struct cell *c)
{
	for (int i = 0; i < TIMES; i++) {
		cell_moved(c, sent(c->ea, send(c->a, buffer, 0, 0)), 0);
		cell_check(c,
			   received(c->eb, 0, recv(c->b, other, sizeof(other), 0)) ==
				   (long)c->family->head,
			   "an empty message");
	}
}

static long many(struct endpoint *e, long (*enter)(struct endpoint *e, long ret),
		 const struct mmsghdr *m, long ret)
{
	if (ret < 0)
		return enter(e, ret);
	for (long i = 0; i < ret; i++)
		enter(e, m[i].msg_len);
	return ret;
}

static long received_plainly(struct endpoint *e, long ret)
{
	return received(e, 0, ret);
}

static void messages(struct mmsghdr m[3], struct iovec v[3], char *base, size_t n)
{
	memset(m, 0, 3 * sizeof(*m));
	for (int i = 0; i < 3; i++) {
		v[i] = (struct iovec){base, n + i};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
}

static void out_many(struct cell *c)
{
	struct mmsghdr m[3];
	struct iovec v[3];

	for (int i = 0; i < TIMES; i++) {
		messages(m, v, buffer, LEN);
		cell_check(c, many(c->ea, sent, m, sendmmsg(c->a, m, 3, 0)) == 3, "sendmmsg");
		take(c, 3 * LEN + 3);
	}
}

/* One page, so that it is one message; a stream takes several in one call. */
static void out_file(struct cell *c)
{
	size_t n = c->family->is & STREAM ? BIG : LEN;

	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		off_t at = 0;

		cell_moved(c, sent(c->ea, sendfile(c->a, c->file, &at, n)), n);
		take(c, n);
	}
}

static void out_splice(struct cell *c)
{
	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		cell_check(c, write(c->pipe[1], buffer, LEN) == LEN, "pipe");
		cell_moved(c, sent(c->ea, splice(c->pipe[0], NULL, c->a, NULL, LEN, 0)), LEN);
		take(c, LEN);
	}
}

/* --- out, held back ----------------------------------------------------------------------------
 */

static void out_splice_more(struct cell *c)
{
	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		for (int part = 0; part < 3; part++) {
			cell_check(c, write(c->pipe[1], buffer, LEN) == LEN, "pipe");
			cell_moved(c,
				   sent(c->ea, splice(c->pipe[0], NULL, c->a, NULL, LEN,
						      part < 2 ? SPLICE_F_MORE : 0)),
				   LEN);
		}
		take(c, 3 * LEN);
	}
}

static void out_more(struct cell *c)
{
	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		for (int part = 0; part < 3; part++)
			cell_moved(c, sent(c->ea, send(c->a, buffer, LEN, part < 2 ? MSG_MORE : 0)),
				   LEN);
		take(c, 3 * LEN);
	}
}

static void set(struct cell *c, int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) != 0)
		cell_skip(c, "setsockopt");
}

static void out_cork(struct cell *c)
{
	bool is_tcp = c->family->is & (TCP | MPTCP);
	int level = is_tcp ? IPPROTO_TCP : IPPROTO_UDP, name = is_tcp ? TCP_CORK : UDP_CORK;

	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		set(c, c->a, level, name, 1);
		put(c, LEN);
		put(c, LEN);
		set(c, c->a, level, name, 0);
		take(c, 2 * LEN);
	}
}

/* Sends nothing, and is a send of nothing. */
static void out_probe(struct cell *c)
{
	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++)
		cell_moved(c, sent(c->ea, send(c->a, buffer, 0, MSG_PROBE_)), 0);
}

/* --- out, in segments --------------------------------------------------------------------------
 */

static void out_segments(struct cell *c)
{
	set(c, c->a, IPPROTO_UDP, UDP_SEGMENT, 100);
	for (int i = 0; i < TIMES; i++) {
		cell_moved(c, sent(c->ea, send(c->a, buffer, 950, 0)), 950);
		c->datagrams_sent += 9;
		take(c, 950);
	}
}

static void out_segments_by_message(struct cell *c)
{
	char control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8))) = {0};
	struct msghdr *m = message(c, buffer, 500, 450);
	struct cmsghdr *h = (void *)control;

	h->cmsg_level = IPPROTO_UDP;
	h->cmsg_type = UDP_SEGMENT;
	h->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	*(uint16_t *)CMSG_DATA(h) = 100;
	m->msg_control = control;
	m->msg_controllen = sizeof(control);
	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		cell_moved(c, sent(c->ea, sendmsg(c->a, m, 0)), 950);
		take(c, 950);
	}
}

/* --- out, without a copy; the notices in the error queue are no data ----------------------------
 */

static void out_zero_copy(struct cell *c)
{
	char control[128];

	set(c, c->a, SOL_SOCKET, SO_ZEROCOPY, 1);
	for (int i = 0; i < TIMES; i++) {
		struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};

		cell_moved(c, sent(c->ea, send(c->a, buffer, BIG, MSG_ZEROCOPY)), BIG);
		take(c, BIG);
		net_wait(c->a, POLLERR);
		cell_moved(c, received(c->ea, MSG_ERRQUEUE, recvmsg(c->a, &m, MSG_ERRQUEUE)), 0);
	}
}

/* --- in: each was put plainly ------------------------------------------------------------------
 */

enum { RECV, RECVFROM, RECVMSG, READ, READV, PREADV2, AIO_READ };

static long one_in(struct cell *c, int op, size_t n, int flags)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct msghdr *m = message(c, other, n / 2, n - n / 2);

	switch (op) {
	case RECV:
		return recv(c->b, other, n, flags);
	case RECVFROM:
		return recvfrom(c->b, other, n, flags, (void *)&from, &len);
	case RECVMSG:
		return recvmsg(c->b, m, flags);
	case READ:
		return read(c->b, other, n);
	case READV:
		return readv(c->b, m->msg_iov, 2);
	case PREADV2:
		return syscall(SYS_preadv2, c->b, m->msg_iov, 2L, -1L, -1L, 0L);
	}
	return aio(c, IOCB_CMD_PREAD, c->b, other, n);
}

static void in(struct cell *c)
{
	for (int i = 0; i < TIMES; i++) {
		long ret;

		put(c, LEN + i);
		arrived(c, LEN + i);
		ret = one_in(c, c->way->op, sizeof(other), c->way->mode);
		if (c->way->op == AIO_READ)
			received_unseen(c->eb, 0, ret);
		else
			received(c->eb, c->way->mode, ret);
		cell_moved(c, ret, whole(c, LEN + i));
		if (c->way->mode & MSG_PEEK)
			take(c, LEN + i);
	}
}

static void in_many(struct cell *c)
{
	struct mmsghdr m[3];
	struct iovec v[3];

	for (int i = 0; i < TIMES; i++) {
		for (int k = 0; k < 3; k++)
			put(c, LEN);
		messages(m, v, other, whole(c, LEN));
		cell_check(c, many(c->eb, received_plainly, m, recvmmsg(c->b, m, 3, 0, NULL)) == 3,
			   "recvmmsg");
	}
}

/*
 * Of a message, what does not fit is gone; a stream has it still. With MSG_TRUNC messages tell
 * their whole length, but for ping's, TCP throws away as much, Unix streams take no notice.
 */
static void in_part(struct cell *c)
{
	bool is_stream = c->family->is & STREAM;
	bool tells = c->way->mode & MSG_TRUNC && !(c->family->is & (STREAM | PING));

	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		arrived(c, LEN);
		cell_moved(c, received(c->eb, c->way->mode, recv(c->b, other, 100, c->way->mode)),
			   tells ? (long)whole(c, LEN) : 100);
		if (is_stream)
			take(c, LEN - 100);
	}
}

static void put_rest(struct cell *c)
{
	put(c, LEN - 100);
}

/* The process sleeps in the call until the rest is there. */
static void in_wait_all(struct cell *c)
{
	for (int i = 0; i < TIMES; i++) {
		put(c, 100);
		arrived(c, 100);
		helper_begin(c, put_rest, 0, true);
		cell_moved(c, received(c->eb, 0, recv(c->b, other, LEN, MSG_WAITALL)), LEN);
		helper_end(c);
	}
}

static void in_splice(struct cell *c)
{
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		arrived(c, LEN);
		cell_moved(c, received(c->eb, 0, splice(c->b, NULL, c->pipe[1], NULL, 4096, 0)),
			   whole(c, LEN));
		cell_check(c, read(c->pipe[0], other, 4096) == (long)whole(c, LEN), "pipe");
	}
}

/* Segments of one send in one receive; how many the kernel merges is its own affair. */
static void in_merged(struct cell *c)
{
	set(c, c->b, IPPROTO_UDP, UDP_GRO, 1);
	set(c, c->a, IPPROTO_UDP, UDP_SEGMENT, 100);
	c->received_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		put(c, 950);
		c->datagrams_sent += 9;
		take(c, 950);
	}
}

static void in_end(struct cell *c)
{
	put(c, LEN);
	cell_check(c, shutdown(c->a, SHUT_WR) == 0, "shutdown");
	take(c, LEN);
	for (int i = 0; i < TIMES; i++)
		cell_moved(c, received(c->eb, 0, one_in(c, c->way->op, LEN, 0)), 0);
}

/* --- the table ---------------------------------------------------------------------------------
 */

#define HELD_BACK (TCP | MPTCP | UDP | UDPLITE | RAW | UNIX | PACKET)

const struct way call_ways[] = {
	{"send", 0, 0, 0, ALL_HOOKS, out, SEND, 0},
	{"send-nosignal", 0, 0, 0, ALL_HOOKS, out, SEND, MSG_NOSIGNAL},
	{"send-dontwait", 0, 0, 0, ALL_HOOKS, out, SEND, MSG_DONTWAIT},
	{"send-empty", MESSAGES, 0, NETLINK | PING | PACKET, ALL_HOOKS, out_empty, 0, 0},
	{"sendto", ADDRESSED, 0, 0, ALL_HOOKS, out, SENDTO, 0},
	{"sendmsg", 0, 0, 0, ALL_HOOKS, out, SENDMSG, 0},
	{"sendmsg-to", ADDRESSED, 0, 0, ALL_HOOKS, out, SENDMSG_TO, 0},
	{"sendmmsg", 0, 0, 0, ALL_HOOKS, out_many, 0, 0},
	{"write", 0, 0, 0, ALL_HOOKS, out, WRITE, 0},
	{"writev", 0, 0, 0, ALL_HOOKS, out, WRITEV, 0},
	{"pwritev2", 0, 0, 0, ALL_HOOKS, out, PWRITEV2, 0},
	{"aio-write", 0, 0, 0, NOT_CALLS, out, AIO_WRITE, 0},
	{"sendfile", 0, 0, 0, ALL_HOOKS, out_file, 0, 0},
	{"splice-in", 0, 0, 0, ALL_HOOKS, out_splice, 0, 0},
	{"splice-in-more", 0, HELD_BACK, 0, ALL_HOOKS, out_splice_more, 0, 0},
	{"send-more", 0, HELD_BACK, 0, ALL_HOOKS, out_more, 0, 0},
	{"send-corked", 0, TCP | MPTCP | UDP | UDPLITE, 0, ALL_HOOKS, out_cork, 0, 0},
	{"send-probe", 0, UDP | UDPLITE | RAW, 0, ALL_HOOKS, out_probe, 0, 0},
	{"send-segment-option", UDP, 0, 0, ALL_HOOKS, out_segments, 0, 0},
	{"sendmsg-segment", UDP, 0, 0, ALL_HOOKS, out_segments_by_message, 0, 0},
	{"send-zerocopy", 0, TCP | MPTCP | UDP, 0, ALL_HOOKS, out_zero_copy, 0, 0},
	{"recv", 0, 0, 0, ALL_HOOKS, in, RECV, 0},
	{"recvfrom", 0, 0, 0, ALL_HOOKS, in, RECVFROM, 0},
	{"recvmsg", 0, 0, 0, ALL_HOOKS, in, RECVMSG, 0},
	{"recvmmsg", MESSAGES, 0, 0, ALL_HOOKS, in_many, 0, 0},
	{"read", 0, 0, 0, ALL_HOOKS, in, READ, 0},
	{"readv", 0, 0, 0, ALL_HOOKS, in, READV, 0},
	{"preadv2", 0, 0, 0, ALL_HOOKS, in, PREADV2, 0},
	{"aio-read", 0, 0, 0, NOT_CALLS, in, AIO_READ, 0},
	{"splice-out", 0, 0, 0, ALL_HOOKS, in_splice, 0, 0},
	{"recv-peek", 0, 0, 0, ALL_HOOKS, in, RECV, MSG_PEEK},
	{"recvmsg-peek", 0, 0, 0, ALL_HOOKS, in, RECVMSG, MSG_PEEK},
	{"recv-part", 0, 0, 0, ALL_HOOKS, in_part, 0, 0},
	{"recv-trunc", 0, TCP | UDP | UDPLITE | RAW | PING | NETLINK | PACKET | UNIX, 0, ALL_HOOKS,
	 in_part, 0, MSG_TRUNC},
	{"recv-waitall", 0, STREAM, 0, ALL_HOOKS, in_wait_all, 0, 0},
	{"recv-waitall-message", MESSAGES, 0, 0, ALL_HOOKS, in, RECV, MSG_WAITALL},
	{"recv-merged", UDP, 0, 0, ALL_HOOKS, in_merged, 0, 0},
	{"recv-end", STREAM, 0, 0, ALL_HOOKS, in_end, RECV, 0},
	{"read-end", STREAM, 0, 0, ALL_HOOKS, in_end, READ, 0},
};

const unsigned int nr_call_ways = sizeof(call_ways) / sizeof(*call_ways);
