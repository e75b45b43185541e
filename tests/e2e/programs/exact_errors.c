// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Ways of exact.c that fail, and those that look as if they did: an error is what a call returned
 * to the process, not what it met inside the kernel.
 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

#include "exact.h"

#define NOWHERE ((void *)8)

enum { RECV, RECVMSG, READ, RECVMMSG, SPLICE };

static long try_in(struct cell *c, int op, int flags)
{
	struct msghdr *m = message(c, other, 100, 2 * LEN);
	struct mmsghdr many = {.msg_hdr = *m};
	long ret;

	switch (op) {
	case RECV:
		return recv(c->b, other, 4096, flags);
	case RECVMSG:
		return recvmsg(c->b, m, flags);
	case READ:
		return read(c->b, other, 4096);
	case RECVMMSG:
		ret = recvmmsg(c->b, &many, 1, flags, NULL);
		return ret == 1 ? (long)many.msg_len : ret;
	}
	return splice(c->b, NULL, c->pipe[1], NULL, 4096, 0);
}

/* --- nothing there, no room ---------------------------------------------------------------------
 */

static void empty_fails(struct cell *c)
{
	cell_check(c, fcntl(c->b, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	for (int i = 0; i < TIMES; i++)
		cell_fails(c, received(c->eb, 0, try_in(c, c->way->op, MSG_DONTWAIT)), EAGAIN);
}

static void timeout_fails(struct cell *c)
{
	struct timeval t = {.tv_usec = 2000};

	cell_check(c, setsockopt(c->b, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0, "SO_RCVTIMEO");
	for (int i = 0; i < TIMES; i++)
		cell_fails(c, received(c->eb, 0, try_in(c, c->way->op, 0)), EAGAIN);
}

static void full_fails(struct cell *c)
{
	fill(c);
	empty(c);
}

/* --- recvmmsg and sendmmsg: what moved before the error is what they return ---------------------
 */

static void many_received(struct cell *c)
{
	struct mmsghdr m[3] = {0};

	for (int k = 0; k < 3; k++)
		m[k].msg_hdr = *message(c, other, 100, LEN);
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		put(c, LEN);
		cell_check(c, recvmmsg(c->b, m, 3, MSG_DONTWAIT, NULL) == 2, "recvmmsg");
		received(c->eb, 0, m[0].msg_len);
		received(c->eb, 0, m[1].msg_len);
	}
}

static void many_sent(struct cell *c)
{
	struct iovec good = {buffer, LEN}, bad = {NOWHERE, LEN};
	struct mmsghdr m[3] = {{.msg_hdr = {.msg_iov = &good, .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &good, .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &bad, .msg_iovlen = 1}}};

	for (int i = 0; i < TIMES; i++) {
		cell_check(c, sendmmsg(c->a, m, 3, 0) == 2, "sendmmsg");
		sent(c->ea, m[0].msg_len);
		sent(c->ea, m[1].msg_len);
		take(c, 2 * LEN);
		cell_fails(c, sent(c->ea, sendmmsg(c->a, &m[2], 1, 0)), EFAULT);
	}
}

/* --- bad arguments ------------------------------------------------------------------------------
 */

static void bad_memory_sent(struct cell *c)
{
	for (int i = 0; i < TIMES; i++)
		cell_fails(c, sent(c->ea, send(c->a, NOWHERE, LEN, 0)), EFAULT);
	put(c, LEN);
	take(c, LEN);
}

/* A message is gone then, and the socket counts some of these as drops. */
static void bad_memory_received(struct cell *c)
{
	c->drops_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		arrived(c, LEN);
		cell_fails(c, received(c->eb, 0, recv(c->b, NOWHERE, LEN, 0)), EFAULT);
		if (c->family->is & STREAM)
			take(c, LEN);
		else
			empty(c);
	}
}

static void too_long(struct cell *c)
{
	for (int i = 0; i < TIMES; i++)
		cell_fails(c, sent(c->ea, send(c->a, buffer, BUFFER, 0)), EMSGSIZE);
	put(c, LEN);
	take(c, LEN);
}

/* --- the other end ------------------------------------------------------------------------------
 */

enum { SEND = 100, WRITE, SENDFILE, SPLICE_IN }; /* not RECV */

static long try_out(struct cell *c)
{
	off_t at = 0;

	switch (c->way->op) {
	case SEND:
		return send(c->a, buffer, LEN, MSG_NOSIGNAL);
	case WRITE:
		return write(c->a, buffer, LEN);
	case SENDFILE:
		return syscall(SYS_sendfile, c->a, c->file, &at, (long)LEN);
	}
	cell_check(c, write(c->pipe[1], buffer, LEN) == LEN, "pipe");
	return splice(c->pipe[0], NULL, c->a, NULL, LEN, 0);
}

static void pipe_fails(struct cell *c)
{
	put(c, LEN);
	take(c, LEN);
	cell_check(c, shutdown(c->a, SHUT_WR) == 0, "shutdown");
	for (int i = 0; i < TIMES; i++)
		cell_fails(c, sent(c->ea, try_out(c)), EPIPE);
}

static void reset_fails(struct cell *c)
{
	put(c, LEN);
	arrived(c, LEN);
	net_close(c->b);
	c->b = -1;
	net_wait(c->a, POLLHUP);
	cell_fails(c, received(c->ea, 0, recv(c->a, other, LEN, 0)), ECONNRESET);
	cell_fails(c, sent(c->ea, send(c->a, buffer, LEN, MSG_NOSIGNAL)), EPIPE);
}

/* The answer to a datagram that nobody took fails the next call. */
static void refusal_fails(struct cell *c)
{
	net_close(c->b);
	c->b = -1;
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		net_wait(c->a, POLLERR);
		if (c->way->op == SEND)
			cell_fails(c, sent(c->ea, send(c->a, buffer, LEN, 0)), ECONNREFUSED);
		else
			cell_fails(c, received(c->ea, 0, recv(c->a, other, LEN, 0)), ECONNREFUSED);
	}
}

#define QUOTED 500 /* as much as ICMP sends back of a datagram */

/* With IP_RECVERR the datagram comes back, through the error queue: no data. */
static void refusal_returns(struct cell *c)
{
	bool is_v4 = c->family->domain == AF_INET;
	char control[256];

	net_set(c->a, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_RECVERR : IPV6_RECVERR, 1);
	net_close(c->b);
	c->b = -1;
	for (int i = 0; i < TIMES; i++) {
		struct msghdr *m = message(c, other, 100, QUOTED);

		put(c, QUOTED);
		net_wait(c->a, POLLERR);
		m->msg_control = control;
		m->msg_controllen = sizeof(control);
		cell_moved(c, received(c->ea, MSG_ERRQUEUE, recvmsg(c->a, m, MSG_ERRQUEUE)),
			   QUOTED);
	}
}

/* --- signals ------------------------------------------------------------------------------------
 */

static void put_one(struct cell *c)
{
	put(c, LEN);
}

/* The kernel makes the call again, and the process does not learn of it. */
static void restarted_in(struct cell *c)
{
	helper_begin(c, put_one, 3, true);
	cell_moved(c, received(c->eb, 0, try_in(c, c->way->op, 0)), whole(c, LEN));
	helper_end(c);
}

static void restarted_out(struct cell *c)
{
	size_t n = c->family->is & STREAM ? 1 : LEN;

	fill(c);
	helper_begin(c, empty, 3, true);
	cell_moved(c, sent(c->ea, send(c->a, buffer, n, 0)), n);
	helper_end(c);
	empty(c);
}

/*
 * Without SA_RESTART the process gets EINTR, which the kernel makes of the restart only once the
 * tracer has seen the call return: a report has it among the call's restarts. With a timeout there
 * is no restart, and the error is one from the beginning.
 */
static void interrupted_in(struct cell *c)
{
	struct timeval t = {.tv_sec = 20};

	if (c->way->mode)
		cell_check(c, !setsockopt(c->b, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)),
			   "SO_RCVTIMEO");
	helper_begin(c, NULL, 1, false);
	cell_fails(c, recv(c->b, other, LEN, 0), EINTR);
	if (c->way->mode)
		received(c->eb, 0, -1);
	helper_end(c);
}

/* --- the table ----------------------------------------------------------------------------------
 */

const struct way error_ways[] = {
	{"recv-eagain", 0, 0, 0, ALL_HOOKS, empty_fails, RECV, 0},
	{"recvmsg-eagain", 0, 0, 0, ALL_HOOKS, empty_fails, RECVMSG, 0},
	{"read-eagain", 0, 0, 0, ALL_HOOKS, empty_fails, READ, 0},
	{"recvmmsg-eagain", 0, 0, 0, ALL_HOOKS, empty_fails, RECVMMSG, 0},
	{"splice-out-eagain", 0, 0, 0, ALL_HOOKS, empty_fails, SPLICE, 0},
	{"recv-timeout", 0, 0, 0, ALL_HOOKS, timeout_fails, RECV, 0},
	{"recvmmsg-timeout", 0, 0, 0, ALL_HOOKS, timeout_fails, RECVMMSG, 0},
	{"send-eagain", BLOCKS, 0, 0, ALL_HOOKS, full_fails, 0, 0},
	{"recvmmsg-last-fails", MESSAGES, 0, 0, ALL_HOOKS, many_received, 0, 0},
	{"sendmmsg-last-fails", 0, 0, 0, ALL_HOOKS, many_sent, 0, 0},
	{"send-efault", 0, 0, 0, ALL_HOOKS, bad_memory_sent, 0, 0},
	{"recv-efault", 0, 0, 0, ALL_HOOKS, bad_memory_received, 0, 0},
	{"send-emsgsize", MESSAGES, 0, 0, ALL_HOOKS, too_long, 0, 0},
	{"send-epipe", STREAM, 0, 0, ALL_HOOKS, pipe_fails, SEND, 0},
	{"write-epipe", STREAM, 0, 0, ALL_HOOKS, pipe_fails, WRITE, 0},
	{"sendfile-epipe", STREAM, 0, 0, ALL_HOOKS, pipe_fails, SENDFILE, 0},
	{"splice-in-epipe", STREAM, 0, 0, ALL_HOOKS, pipe_fails, SPLICE_IN, 0},
	{"recv-econnreset", HANGS_UP, 0, 0, ALL_HOOKS, reset_fails, 0, 0},
	{"send-econnrefused", 0, UDP | UDPLITE, 0, ALL_HOOKS, refusal_fails, SEND, 0},
	{"recv-econnrefused", 0, UDP | UDPLITE, 0, ALL_HOOKS, refusal_fails, RECV, 0},
	{"recvmsg-errqueue", 0, UDP | UDPLITE, 0, ALL_HOOKS, refusal_returns, 0, 0},
	{"recv-restarted", 0, 0, 0, ALL_HOOKS, restarted_in, RECV, 0},
	{"recvmsg-restarted", 0, 0, 0, ALL_HOOKS, restarted_in, RECVMSG, 0},
	{"read-restarted", 0, 0, 0, ALL_HOOKS, restarted_in, READ, 0},
	{"recvmmsg-restarted", 0, 0, 0, ALL_HOOKS, restarted_in, RECVMMSG, 0},
	{"splice-out-restarted", 0, 0, 0, ALL_HOOKS, restarted_in, SPLICE, 0},
	{"send-restarted", BLOCKS, 0, 0, ALL_HOOKS, restarted_out, 0, 0},
	{"recv-interrupted", 0, 0, 0, ALL_HOOKS, interrupted_in, 0, false},
	{"recv-eintr", 0, 0, 0, ALL_HOOKS, interrupted_in, 0, true},
};

const unsigned int nr_error_ways = sizeof(error_ways) / sizeof(*error_ways);
