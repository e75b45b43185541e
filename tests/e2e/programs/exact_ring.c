// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Ways of exact.c that io_uring moves bytes by: in the calling thread, in one of its workers
 * (IOSQE_ASYNC), in the thread that polls for submissions (SQPOLL). No system call is made for a
 * socket, so the hook `calls` sees none of it.
 */
#include <linux/io_uring.h>
#include <poll.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "exact.h"

#ifndef IORING_FEAT_NATIVE_WORKERS
#define IORING_FEAT_NATIVE_WORKERS (1U << 9)
#endif

enum { PLAIN, WORKER, POLLER };

static struct ring {
	int fd;
	unsigned int mode, features;
	unsigned int *sq_head, *sq_tail, *sq_mask, *sq_flags, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring;

/* --- the ring -----------------------------------------------------------------------------------
 */

static void *map(struct cell *c, size_t size, off_t at)
{
	void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, at);

	cell_check(c, m != MAP_FAILED, "mmap of the ring");
	return m;
}

static void ring_map(struct cell *c, const struct io_uring_params *p)
{
	char *sq = map(c, p->sq_off.array + p->sq_entries * sizeof(int), IORING_OFF_SQ_RING);
	char *cq = map(c, p->cq_off.cqes + p->cq_entries * sizeof(*ring.cqes), IORING_OFF_CQ_RING);

	ring.sqes = map(c, p->sq_entries * sizeof(*ring.sqes), IORING_OFF_SQES);
	ring.sq_head = (void *)(sq + p->sq_off.head);
	ring.sq_tail = (void *)(sq + p->sq_off.tail);
	ring.sq_mask = (void *)(sq + p->sq_off.ring_mask);
	ring.sq_flags = (void *)(sq + p->sq_off.flags);
	ring.sq_array = (void *)(sq + p->sq_off.array);
	ring.cq_head = (void *)(cq + p->cq_off.head);
	ring.cq_tail = (void *)(cq + p->cq_off.tail);
	ring.cq_mask = (void *)(cq + p->cq_off.ring_mask);
	ring.cqes = (void *)(cq + p->cq_off.cqes);
}

static bool knows(int op)
{
	static char room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
	struct io_uring_probe *p = (void *)room;

	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PROBE, p, 256) != 0)
		return false;
	return op <= p->last_op && p->ops[op].flags & IO_URING_OP_SUPPORTED;
}

static void ring_open(struct cell *c, int op)
{
	struct io_uring_params p = {.sq_thread_idle = 20 /* ms */};

	ring.mode = c->way->mode;
	p.flags = ring.mode == POLLER ? IORING_SETUP_SQPOLL : 0;
	ring.fd = syscall(SYS_io_uring_setup, 8, &p);
	if (ring.fd < 0)
		cell_skip(c, "io_uring_setup");
	errno = 0;
	if (!knows(op))
		cell_skip(c, "io_uring has no such operation here");
	if ((ring.mode != PLAIN || op == IORING_OP_SPLICE) &&
	    !(p.features & IORING_FEAT_NATIVE_WORKERS))
		cell_skip(c, "workers of io_uring are no threads of the process before 5.12");
	ring_map(c, &p);
}

static struct io_uring_sqe *ring_next(int op, int fd)
{
	unsigned int index = *ring.sq_tail & *ring.sq_mask;
	struct io_uring_sqe *sqe = &ring.sqes[index];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->flags = ring.mode == WORKER ? IOSQE_ASYNC : 0;
	ring.sq_array[index] = index;
	return sqe;
}

static void ring_submit(struct cell *c)
{
	unsigned int tail = *ring.sq_tail + 1;
	int flags = IORING_ENTER_SQ_WAKEUP;

	__atomic_store_n(ring.sq_tail, tail, __ATOMIC_SEQ_CST);
	if (ring.mode != POLLER) {
		cell_check(c, syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0) == 1,
			   "io_uring_enter");
		return;
	}
	if (__atomic_load_n(ring.sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
		cell_check(c, syscall(SYS_io_uring_enter, ring.fd, 0, 0, flags, NULL, 0) >= 0,
			   "io_uring_enter");
	while (__atomic_load_n(ring.sq_head, __ATOMIC_ACQUIRE) != tail)
		sched_yield();
}

static bool ring_is_done(void)
{
	return *ring.cq_head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
}

/* What it returned, -1 with errno; whether it will have more to say. */
static long ring_wait(struct cell *c, bool *more)
{
	struct io_uring_cqe *cqe;
	int result;

	while (!ring_is_done())
		cell_check(c,
			   syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL,
				   0) >= 0 ||
				   errno == EINTR,
			   "io_uring_enter");
	cqe = &ring.cqes[*ring.cq_head & *ring.cq_mask];
	result = cqe->res;
	*more = cqe->flags & IORING_CQE_F_MORE;
	__atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/* --- out ----------------------------------------------------------------------------------------
 */

static void prepare(struct cell *c, struct io_uring_sqe *sqe, char *base, size_t n, int flags)
{
	struct msghdr *m = message(c, base, n / 2, n - n / 2);

	switch (sqe->opcode) {
	case IORING_OP_SENDMSG:
	case IORING_OP_RECVMSG:
	case IORING_OP_SENDMSG_ZC:
		sqe->addr = (uintptr_t)m;
		sqe->len = 1;
		break;
	case IORING_OP_WRITEV:
	case IORING_OP_READV:
		sqe->addr = (uintptr_t)m->msg_iov;
		sqe->len = 2;
		break;
	default:
		sqe->addr = (uintptr_t)base;
		sqe->len = n;
	}
	sqe->msg_flags = flags;
}

/* @pipe to @fd or the other way round; sockets and pipes have no offsets. */
static void prepare_splice(struct io_uring_sqe *sqe, int from, size_t n)
{
	sqe->off = -1;
	sqe->splice_off_in = -1;
	sqe->splice_fd_in = from;
	sqe->len = n;
}

static void ring_out(struct cell *c)
{
	bool more;

	ring_open(c, c->way->op);
	c->sent_unknown = true;
	for (int i = 0; i < TIMES; i++) {
		struct io_uring_sqe *sqe = ring_next(c->way->op, c->a);

		if (c->way->op == IORING_OP_SPLICE) {
			cell_check(c, write(c->pipe[1], buffer, LEN + i) == LEN + i, "pipe");
			prepare_splice(sqe, c->pipe[0], LEN + i);
		} else {
			prepare(c, sqe, buffer, LEN + i, 0);
		}
		ring_submit(c);
		cell_moved(c, sent_unseen(c->ea, ring_wait(c, &more)), LEN + i);
		take(c, LEN + i);
		if (more) /* a notice that the memory is free again */
			cell_check(c, ring_wait(c, &more) >= 0, "notice");
	}
}

/* --- in -----------------------------------------------------------------------------------------
 */

static void ring_in_flagged(struct cell *c, int flags)
{
	bool more;

	ring_open(c, c->way->op);
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		arrived(c, LEN);
		prepare(c, ring_next(c->way->op, c->b), other, 4096, flags);
		ring_submit(c);
		cell_moved(c, received_unseen(c->eb, flags, ring_wait(c, &more)), whole(c, LEN));
		if (flags & MSG_PEEK)
			take(c, LEN);
	}
}

static void ring_in(struct cell *c)
{
	ring_in_flagged(c, 0);
}

static void ring_in_peek(struct cell *c)
{
	ring_in_flagged(c, MSG_PEEK);
}

static void ring_in_trunc(struct cell *c)
{
	ring_in_flagged(c, MSG_TRUNC);
}

static void ring_in_splice(struct cell *c)
{
	bool more;

	ring_open(c, c->way->op);
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		arrived(c, LEN);
		prepare_splice(ring_next(c->way->op, c->pipe[1]), c->b, 4096);
		ring_submit(c);
		cell_moved(c, received_unseen(c->eb, 0, ring_wait(c, &more)), whole(c, LEN));
		cell_check(c, read(c->pipe[0], other, 4096) == (long)whole(c, LEN), "pipe");
	}
}

#define GROUP 1

#define ASKED 7 /* user_data */

/* Of a socket that a request still holds, nobody reads the last counts. */
static void ring_cancel(struct cell *c)
{
	bool more;

	ring_next(IORING_OP_ASYNC_CANCEL, -1)->addr = ASKED;
	ring_submit(c);
	ring_wait(c, &more);
	ring_wait(c, &more); /* of the request, and of this one */
}

/*
 * One operation that goes on receiving. Between two messages it finds nothing; at the end of the
 * stream it receives that, as a call would.
 */
static void ring_in_again(struct cell *c)
{
	struct io_uring_sqe *sqe;
	bool more;

	ring_open(c, c->way->op);
	sqe = ring_next(IORING_OP_PROVIDE_BUFFERS, 2 * TIMES);
	sqe->addr = (uintptr_t)other;
	sqe->len = 4096;
	sqe->buf_group = GROUP;
	ring_submit(c);
	cell_moved(c, ring_wait(c, &more), 0);
	sqe = ring_next(c->way->op, c->b);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = ASKED;
	ring_submit(c);
	if (ring_is_done()) /* refused */
		cell_moved(c, ring_wait(c, &more), 0);
	for (int i = 0; i < TIMES; i++) {
		put(c, LEN);
		cell_moved(c, received_unseen(c->eb, 0, ring_wait(c, &more)), whole(c, LEN));
	}
	if (!(c->family->is & (STREAM | HANGS_UP))) {
		ring_cancel(c);
		return;
	}
	cell_check(c, shutdown(c->a, SHUT_WR) == 0, "shutdown");
	cell_moved(c, received_unseen(c->eb, 0, ring_wait(c, &more)), 0);
}

/* --- what goes wrong ----------------------------------------------------------------------------
 */

/* The first try finds nothing: the kernel waits and tries again. */
static void ring_waits_in(struct cell *c)
{
	bool more;

	ring_open(c, c->way->op);
	for (int i = 0; i < TIMES; i++) {
		prepare(c, ring_next(c->way->op, c->b), other, 4096, 0);
		ring_submit(c);
		usleep(500);
		cell_check(c, !ring_is_done(), "nothing is there");
		put(c, LEN);
		cell_moved(c, received_unseen(c->eb, 0, ring_wait(c, &more)), whole(c, LEN));
	}
}

enum { SENDMMSG, SENDFILE, SPLICE_IN };

static long put_by(struct cell *c, int call)
{
	struct mmsghdr m = {.msg_hdr = {.msg_iov = vector(buffer, LEN, 0), .msg_iovlen = 1}};
	off_t at = 0;

	switch (call) {
	case SENDMMSG:
		return sendmmsg(c->a, &m, 1, 0) == 1 ? (long)m.msg_len : -1;
	case SENDFILE:
		return sendfile(c->a, c->file, &at, LEN);
	}
	cell_check(c, write(c->pipe[1], buffer, LEN) == LEN, "pipe");
	return splice(c->pipe[0], NULL, c->a, NULL, LEN, 0);
}

/*
 * The kernel tries again at the end of the next call of this thread: what it moves then is not that
 * call's, whose pieces and messages are counted otherwise.
 */
static void ring_waits_in_call(struct cell *c)
{
	bool more;

	ring_open(c, IORING_OP_RECV);
	c->sent_unknown = c->way->op != SENDMMSG;
	for (int i = 0; i < TIMES; i++) {
		prepare(c, ring_next(IORING_OP_RECV, c->b), other, 4096, 0);
		ring_submit(c);
		usleep(500);
		cell_moved(c, sent(c->ea, put_by(c, c->way->op)), LEN);
		cell_moved(c, received_unseen(c->eb, 0, ring_wait(c, &more)), whole(c, LEN));
	}
}

static void ring_waits_out(struct cell *c)
{
	size_t n = c->family->is & STREAM ? 1 : LEN;
	bool more;

	ring_open(c, c->way->op);
	fill(c);
	prepare(c, ring_next(c->way->op, c->a), buffer, n, 0);
	ring_submit(c);
	usleep(500);
	while (!ring_is_done()) {
		empty(c);
		/* Lets the kernel go on in this thread. */
		syscall(SYS_io_uring_enter, ring.fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	}
	c->sent_unknown = true;
	cell_moved(c, sent_unseen(c->ea, ring_wait(c, &more)), n);
	empty(c);
}

static void ring_in_fails(struct cell *c)
{
	bool more;

	ring_open(c, c->way->op);
	for (int i = 0; i < TIMES; i++) {
		prepare(c, ring_next(c->way->op, c->b), other, 4096, MSG_DONTWAIT);
		ring_submit(c);
		cell_fails(c, received_unseen(c->eb, 0, ring_wait(c, &more)), EAGAIN);
	}
}

static void ring_out_fails(struct cell *c)
{
	bool more;

	ring_open(c, c->way->op);
	cell_check(c, shutdown(c->a, SHUT_WR) == 0, "shutdown");
	for (int i = 0; i < TIMES; i++) {
		prepare(c, ring_next(c->way->op, c->a), buffer, LEN, MSG_NOSIGNAL);
		ring_submit(c);
		cell_fails(c, sent_unseen(c->ea, ring_wait(c, &more)), EPIPE);
	}
}

static void ring_out_nowhere(struct cell *c)
{
	bool more;

	ring_open(c, c->way->op);
	for (int i = 0; i < TIMES; i++) {
		prepare(c, ring_next(c->way->op, c->a), (char *)8, LEN, 0);
		ring_submit(c);
		cell_fails(c, sent_unseen(c->ea, ring_wait(c, &more)), EFAULT);
	}
}

/* --- the table ----------------------------------------------------------------------------------
 */

#define TELLS_LENGTH (UDP | UDPLITE | RAW | PING | NETLINK | PACKET)

#define IN_EACH_MODE(name, needs, either, lacks, run, op)                               \
	{"ring-" name, needs, either, lacks, NOT_CALLS, run, op, PLAIN},                \
		{"ring-async-" name, needs, either, lacks, NOT_CALLS, run, op, WORKER}, \
	{                                                                               \
		"ring-sqpoll-" name, needs, either, lacks, NOT_CALLS, run, op, POLLER   \
	}

const struct way ring_ways[] = {
	IN_EACH_MODE("send", 0, 0, 0, ring_out, IORING_OP_SEND),
	IN_EACH_MODE("sendmsg", 0, 0, 0, ring_out, IORING_OP_SENDMSG),
	IN_EACH_MODE("write", 0, 0, 0, ring_out, IORING_OP_WRITE),
	IN_EACH_MODE("writev", 0, 0, 0, ring_out, IORING_OP_WRITEV),
	IN_EACH_MODE("send-zc", 0, TCP | UDP, 0, ring_out, IORING_OP_SEND_ZC),
	IN_EACH_MODE("sendmsg-zc", 0, TCP | UDP, 0, ring_out, IORING_OP_SENDMSG_ZC),
	IN_EACH_MODE("splice-in", 0, 0, 0, ring_out, IORING_OP_SPLICE),
	IN_EACH_MODE("recv", 0, 0, 0, ring_in, IORING_OP_RECV),
	IN_EACH_MODE("recvmsg", 0, 0, 0, ring_in, IORING_OP_RECVMSG),
	IN_EACH_MODE("read", 0, 0, 0, ring_in, IORING_OP_READ),
	IN_EACH_MODE("readv", 0, 0, 0, ring_in, IORING_OP_READV),
	IN_EACH_MODE("recv-peek", 0, 0, 0, ring_in_peek, IORING_OP_RECV),
	IN_EACH_MODE("recv-trunc", 0, TELLS_LENGTH, 0, ring_in_trunc, IORING_OP_RECV),
	IN_EACH_MODE("recv-multishot", 0, 0, 0, ring_in_again, IORING_OP_RECV),
	IN_EACH_MODE("splice-out", 0, MESSAGES | MPTCP, 0, ring_in_splice, IORING_OP_SPLICE),
	/* Of these the kernel takes the bytes by functions of their own. */
	{"ring-splice-out", STREAM, TCP | UNIX, 0, NO_HOOK, ring_in_splice, IORING_OP_SPLICE,
	 PLAIN},
	{"ring-async-splice-out", STREAM, TCP | UNIX, 0, NO_HOOK, ring_in_splice, IORING_OP_SPLICE,
	 WORKER},
	{"ring-sqpoll-splice-out", STREAM, TCP | UNIX, 0, NO_HOOK, ring_in_splice, IORING_OP_SPLICE,
	 POLLER},
	IN_EACH_MODE("recv-waits", 0, 0, 0, ring_waits_in, IORING_OP_RECV),
	{"ring-recv-waits-sendmmsg", 0, 0, 0, NOT_CALLS, ring_waits_in_call, SENDMMSG, PLAIN},
	{"ring-recv-waits-sendfile", 0, 0, 0, NOT_CALLS, ring_waits_in_call, SENDFILE, PLAIN},
	{"ring-recv-waits-splice", 0, 0, 0, NOT_CALLS, ring_waits_in_call, SPLICE_IN, PLAIN},
	IN_EACH_MODE("recvmsg-waits", 0, 0, 0, ring_waits_in, IORING_OP_RECVMSG),
	IN_EACH_MODE("read-waits", 0, 0, 0, ring_waits_in, IORING_OP_READ),
	/* Linux 6.18 sends nothing in the second try where the first has looked at the message. */
	IN_EACH_MODE("send-waits", BLOCKS, 0, ADDRESSED, ring_waits_out, IORING_OP_SEND),
	IN_EACH_MODE("recv-eagain", 0, 0, 0, ring_in_fails, IORING_OP_RECV),
	IN_EACH_MODE("send-epipe", STREAM, 0, 0, ring_out_fails, IORING_OP_SEND),
	IN_EACH_MODE("send-efault", 0, 0, 0, ring_out_nowhere, IORING_OP_SEND),
};

const unsigned int nr_ring_ways = sizeof(ring_ways) / sizeof(*ring_ways);
