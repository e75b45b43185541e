/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_MOVED_H
#define SOCKTRACE_BPF_MOVED_H

/* The current task has sent or received through a socket: the one place that counts it. */

#include "descriptors.h"
#include "under_way.h"

/* include/linux/socket.h */
#define MSG_PEEK     0x2
#define MSG_PROBE    0x10
#define MSG_TRUNC    0x20
#define MSG_WAITALL  0x100
#define MSG_ERRQUEUE 0x2000
#define MSG_MORE     0x8000

/* include/uapi/asm-generic/errno*.h */
#define EBADF	 9
#define EAGAIN	 11
#define ENOMEM	 12
#define EFAULT	 14
#define EINVAL	 22
#define ENOTSOCK 88
#define EMSGSIZE 90
#define ENOBUFS	 105

/* include/linux/errno.h: the kernel restarts the call, or a signal handler makes it EINTR. */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516

struct moved {
	long ret;    /* bytes, or -errno */
	__u32 calls; /* sendmmsg(2) and recvmmsg(2): messages */
	__u32 flags;
	__u32 op; /* what the call did that has returned; OP_NONE: one is under way */
	/* of the socket */
	__u64 ino;
	__u32 receive_fill; /* bytes in its receive queue */
	__u32 corked;	    /* packets not yet sent; for UDP: one that is being put together */
	bool is_replaced;   /* see books.h */
};

/* Where the verifier trusts the pointer, reading needs no helper. */
static __always_inline void look(struct moved *m, struct sock *sk)
{
	if (bpf_core_field_exists(sk->sk_ino))
		m->ino = sk->sk_ino;
	else
		m->ino = sk->sk_socket->file->f_inode->i_ino;
	m->receive_fill = sk->sk_backlog.rmem_alloc.counter;
	m->corked = sk->sk_write_queue.qlen;
	m->is_replaced = sk->__sk_common.skc_prot != sk->sk_prot_creator;
}

static __always_inline void look_probed(struct moved *m, struct sock *sk)
{
	m->ino = inode_of(sk);
	m->receive_fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	m->corked = BPF_CORE_READ(sk, sk_write_queue.qlen);
	m->is_replaced = is_replaced(sk);
}

/* Most calls use the socket of the one before. */
static __always_inline struct sock_record *moved_sock(struct task_record *t, struct sock *sk,
						      const struct moved *m, __u32 *index)
{
	struct sock_record *s;

	*index = t->last_sock;
	s = sock_at(*index);
	if (s && s->sk == (__u64)sk && s->state == RECORD_LIVE && likely(sock_matches(s, m->ino)))
		return s;
	s = sock_get(sk, t->process, index);
	t->last_sock = s ? *index : 0;
	return s;
}

/* --- what a result says ------------------------------------------------------------------- */

static __always_inline bool is_restart(__u32 error)
{
	return error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK && error != 515;
}

/*
 * A send or receive of the kernel has failed: is that what the process is told? Not where it is to
 * be tried again: after a signal, or by io_uring once the socket is ready. Nor where messages went
 * before it, in sendmmsg(2) and recvmmsg(2): what these return says (many_returned()).
 */
static __noinline int is_result(struct task_record *t, struct sock *sk, const struct moved *m,
				__u32 index, bool receives)
{
	bool by_socketcall;
	__u32 error, op;

	if (!t || !m)
		return 0;
	error = -m->ret;
	if (is_restart(error))
		return 0;
	if (m->op)
		return 1;
	op = op_under_way(t);
	by_socketcall = op == OP_SOCKETCALL;
	if (by_socketcall)
		op = socketcall_op(current_arg(0));
	/* Where entries are not seen, the call may have returned, and io_uring be at work. */
	if (!detail_full && ((op != OP_SPLICE && !!op_receives(op) != receives) ||
			     sock_of_fd(current_descriptor(by_socketcall)) != (__u64)sk))
		op = OP_NONE;
	if (op == OP_SEND_MANY || op == OP_RECEIVE_MANY) {
		t->failed_sock = index;
		return 0;
	}
	return op != OP_NONE || error != EAGAIN;
}

/* --- datagrams ---------------------------------------------------------------------------- */

#define SOL_UDP	    17
#define UDP_SEGMENT 103 /* include/uapi/linux/udp.h */

#define MAX_CONTROLS 8

/* A control message's length and kind, as struct cmsghdr has them. */
struct control {
	__u64 len;
	__u32 level, type;
};

static __always_inline void read_control(__u64 at, bool compat, struct control *c)
{
	__u32 words[3] = {};

	c->len = 0;
	if (!compat) {
		bpf_probe_read_user(c, sizeof(*c), (void *)at);
		return;
	}
	bpf_probe_read_user(words, sizeof(words), (void *)at);
	*c = (struct control){words[0], words[1], words[2]};
}

/*
 * Whether the message at @msg, a struct msghdr of the current task, says into how many datagrams it
 * is to be cut, or has more control messages than are looked at.
 */
GLOBAL int has_segments(__u64 msg)
{
	bool compat = is_compat();
	__u64 native[2] = {}, at, end, step = compat ? 4 : 8;
	__u32 small[2] = {};
	struct control c;

	if (compat) {
		bpf_probe_read_user(small, sizeof(small), (void *)(msg + 16));
		at = small[0];
		end = at + small[1];
	} else {
		bpf_probe_read_user(native, sizeof(native), (void *)(msg + 32));
		at = native[0];
		end = at + native[1];
	}
	for (int i = 0; i < MAX_CONTROLS; i++) {
		if (!at || at >= end)
			return 0;
		read_control(at, compat, &c);
		if (c.level == SOL_UDP && c.type == UDP_SEGMENT)
			return 1;
		if (c.len < 3 * step / 2)
			return 0;
		at += (c.len + step - 1) & ~(step - 1);
	}
	return 1;
}

#define MAX_MESSAGES 1024 /* UIO_MAXIOV: sendmmsg(2) and recvmmsg(2) take no more at once */

/* sizeof(struct mmsghdr): a msghdr, msg_len, padding */
static __always_inline __u32 mmsghdr_size(bool compat)
{
	return compat ? 32 : 64;
}

/* Whether one of the first @count messages of sendmmsg(2) has_segments(). */
GLOBAL int have_segments(__u64 messages, __u32 count)
{
	__u32 size = mmsghdr_size(is_compat());

	for (__u32 i = 0; i < MAX_MESSAGES && i < count; i++) {
		if (has_segments(messages))
			return 1;
		messages += size;
	}
	return 0;
}

/*
 * Whether the send under way is one datagram for sure, or as many as the socket's own UDP_SEGMENT
 * makes of it. (Control messages of sendmmsg(2) are looked at when it returns.)
 */
static __noinline int is_plain_send(const struct task_record *t, const struct moved *m)
{
	__u32 op, flags = 0;

	if (!t || !m || m->corked)
		return 0;
	op = m->op ?: op_under_way(t);
	if (op == OP_SEND || op == OP_SEND_VECTOR)
		return 1;
	if (op == OP_SEND_TO || op == OP_SEND_MANY)
		flags = current_arg(3);
	else if (op == OP_SEND_MSG)
		flags = current_arg(2);
	else
		return 0;
	if (flags & (MSG_MORE | MSG_PROBE))
		return 0;
	return op != OP_SEND_MSG || !has_segments(current_arg(1));
}

/*
 * A send is one datagram, or as many as the socket cuts from it (UDP_SEGMENT). Where it is put
 * together of several (MSG_MORE, UDP_CORK, splice(2)), only asks for the way (MSG_PROBE), says
 * itself how to be cut, or was made by io_uring, the kernel alone knows how many left: then so does
 * the report.
 */
static __always_inline void count_datagrams(struct sock_record *s, struct sock_counts *c,
					    struct task_record *t, struct sock *sk,
					    const struct moved *m)
{
	long segment;

	if (unlikely(s->has_odd_sends))
		return;
	if (unlikely(!is_plain_send(t, m)) || unlikely(s->is_segmented && m->calls != 1)) {
		s->has_odd_sends = 1;
		return;
	}
	if (likely(!s->is_segmented))
		return;
	segment = BPF_CORE_READ((struct udp_sock *)sk, gso_size);
	if (segment && m->ret > segment)
		ADD(c->extra_segments, ((__u64)m->ret - 1) / segment);
}

/* --- connections that are older than the trace ---------------------------------------------- */

/*
 * The first bytes that a thread moves after the socket's base was taken may have begun before: then
 * the base has a part of them. Now that all of them are counted, the base is what makes the books
 * agree; unless others have moved bytes since, which may be in a further call now, or count
 * elsewhere: then nobody can tell. Only in the call that was under way, and there only once: what
 * comes after it began after.
 */
static __always_inline bool is_across_base(struct task_record *t, const struct sock_record *s,
					   const struct moved *m)
{
	__u32 entries = t->entries;
	bool is_seen;

	if (likely(!s->base_ns))
		return false;
	is_seen = detail_full && (t->call < CALL_NONE || m->op);
	if (t->call != CALL_UNKNOWN && !(is_seen && t->enter_ns < s->base_ns))
		return false;
	if (t->mended == entries)
		return false;
	t->mended = entries;
	return true;
}

/* @moved: by that call; all that has been counted, if nobody else was there. */
static __noinline int mend_base_sent(struct sock_record *s, struct sock *sk, __u64 moved)
{
	struct tcp_sums x;

	if (!s)
		return 0;
	if (s->is_shared || s->counts.send_bytes != moved) {
		s->opaque = OPAQUE_UNDER_WAY;
		return 0;
	}
	tcp_read_sums(sk, &x);
	s->base_sent = x.sent - s->has_fin_sent - moved;
	return 0;
}

static __noinline int mend_base_received(struct sock_record *s, struct sock *sk, __u64 moved)
{
	struct tcp_sums x;

	if (!s)
		return 0;
	if (s->is_shared || seen_received(s) != moved) {
		s->opaque = OPAQUE_UNDER_WAY;
		return 0;
	}
	tcp_read_sums(sk, &x);
	s->base_received = x.received - moved - (x.fin_read && !s->has_fin_in_base);
	return 0;
}

/* What a move tells of the books of its socket. */
static __always_inline void note_way(struct sock_record *s, const struct task_record *t,
				     const struct moved *m)
{
	if (unlikely(m->is_replaced))
		s->opaque = OPAQUE_REPLACED;
	if (unlikely(t->is_kernel))
		s->by_ring = 1;
}

/*
 * A record that was made for this call has the call's bytes in its base. Another thread may get
 * here first, where programs can be preempted or sockets are shared: its bytes came after.
 */
static __always_inline void take_off_base(const struct task_record *t, struct sock_record *s,
					  __u64 sent, __u64 received)
{
	if (s->maker != t->task)
		return;
	s->is_fresh = 0;
	if (s->has_base) {
		s->base_sent -= sent;
		s->base_received -= received;
	}
}

/*
 * sendfile(2) and splice(2) send in pieces, each of which the kernel's send functions show. What
 * they do is one call, which is counted when it returns (sent_in_pieces()).
 */
static __always_inline bool is_piece(__u32 op)
{
	return op == OP_SENDFILE || op == OP_SPLICE;
}

static __noinline int sock_sent(struct cpu_slot *slot, struct sock *sk, const struct moved *m)
{
	struct task_record *t = slot ? slot_record(slot) : NULL;
	struct sock_counts *c;
	struct sock_record *s;
	__u32 index = 0;
	bool piece;

	if (!t || !sk || !m)
		return 0;
	if (MUTATED(SEND))
		return 0;
	s = moved_sock(t, sk, m, &index);
	c = s ? counts_of(s, index, t->process) : NULL;
	if (!c)
		return 0;
	piece = !m->op && is_piece(op_under_way(t));
	if (unlikely(piece))
		t->piece_sock = index;
	if (unlikely(s->is_fresh))
		take_off_base(t, s, m->ret > 0 ? m->ret : 0, 0);
	note_way(s, t, m);
	if (m->ret < 0) {
		if (!piece && is_result(t, sk, m, index, false))
			ADD(c->send_errors, 1);
		return 0;
	}
	ADD(c->send_bytes, m->ret);
	t->sockets.sent_bytes += m->ret;
	if (likely(!piece)) {
		ADD(c->send_calls, m->calls);
		t->sockets.sent_calls += m->calls;
	}
	if (s->protocol == PROTO_UDP)
		count_datagrams(s, c, t, sk, m);
	else if (unlikely(is_across_base(t, s, m)))
		mend_base_sent(s, sk, m->ret);
	return 0;
}

static __always_inline void received_data(struct sock_record *s, __u32 process,
					  const struct moved *m)
{
	if (s->owner != process)
		s->owner = process;
	if (is_tcp(s)) {
		if (unlikely(!s->first_byte_ns && m->ret > 0))
			s->first_byte_ns = bpf_ktime_get_ns();
	} else if (m->receive_fill > s->queue_peak) {
		s->queue_peak = m->receive_fill;
	}
}

static __noinline int sock_received(struct cpu_slot *slot, struct sock *sk, const struct moved *m)
{
	struct task_record *t = slot ? slot_record(slot) : NULL;
	struct sock_counts *c;
	struct sock_record *s;
	__u32 index = 0;

	/* Errors and notices of sends (MSG_ZEROCOPY) are not data. */
	if (!t || !sk || !m || m->flags & MSG_ERRQUEUE)
		return 0;
	if (MUTATED(RECEIVE))
		return 0;
	s = moved_sock(t, sk, m, &index);
	c = s ? counts_of(s, index, t->process) : NULL;
	if (!c)
		return 0;
	if (unlikely(s->is_fresh))
		take_off_base(t, s, 0, m->ret > 0 && !(m->flags & MSG_PEEK) ? m->ret : 0);
	note_way(s, t, m);
	if (m->ret < 0) {
		if (is_result(t, sk, m, index, true))
			ADD(c->receive_errors, 1);
		return 0;
	}
	if (unlikely(m->flags & MSG_PEEK)) {
		ADD(c->peek_calls, m->calls);
		ADD(c->peek_bytes, m->ret);
		return 0;
	}
	if (s->protocol == PROTO_UDP && MUTATED(DATAGRAM))
		return 0;
	received_data(s, t->process, m);
	t->sockets.received_calls += m->calls;
	if (unlikely(m->flags & MSG_TRUNC)) {
		ADD(c->trunc_calls, m->calls);
		ADD(c->trunc_bytes, m->ret);
	} else {
		ADD(c->receive_calls, m->calls);
		ADD(c->receive_bytes, m->ret);
		t->sockets.received_bytes += m->ret;
	}
	if (unlikely(is_across_base(t, s, m)))
		mend_base_received(s, sk, m->ret);
	return 0;
}

/* The same for one message or call. */
static __always_inline int sent_once(struct cpu_slot *slot, struct sock *sk, int ret)
{
	struct moved m = {.ret = ret, .calls = 1};

	look(&m, sk);
	return sock_sent(slot, sk, &m);
}

static __always_inline int received_once(struct cpu_slot *slot, struct sock *sk, int ret,
					 __u32 flags)
{
	struct moved m = {.ret = ret, .calls = 1, .flags = flags};

	look(&m, sk);
	return sock_received(slot, sk, &m);
}

/* Where the current process counts for the record @index; NULL: the record is of another by now. */
static __always_inline struct sock_counts *own_counts(struct task_record *t, __u32 index)
{
	struct sock_record *s = sock_at(index);

	if (!index || !s || s->state == RECORD_FREE)
		return NULL;
	return counts_of(s, index, t->process);
}

/* A call that sent in pieces, whose bytes were counted with these, has returned. */
GLOBAL int sent_in_pieces(__u32 fd, long ret)
{
	struct task_record *t = current_record();
	struct sock_counts *c = NULL;
	struct sock_record *s;
	__u32 index = 0;
	__u64 sk;

	if (!t)
		return 0;
	if (t->piece_sock) {
		index = t->piece_sock;
		c = own_counts(t, index);
	} else {
		sk = sock_of_fd(fd);
		s = sk ? sock_get((struct sock *)sk, t->process, &index) : NULL;
		c = s ? counts_of(s, index, t->process) : NULL;
	}
	t->piece_sock = 0;
	if (!c)
		return 0;
	if (ret < 0) {
		if (!is_restart(-ret))
			ADD(c->send_errors, 1);
		return 0;
	}
	ADD(c->send_calls, 1);
	t->sockets.sent_calls++;
	return 0;
}

/* Before recvmmsg(2) comes to the socket: a wrong descriptor or argument, no memory. */
static __always_inline bool is_of_arguments(long ret)
{
	return ret == -EBADF || ret == -ENOTSOCK || ret == -EFAULT || ret == -EINVAL ||
	       ret == -EMSGSIZE || ret == -ENOBUFS || ret == -ENOMEM;
}

/*
 * The record whose error recvmmsg(2) has returned without a try: one that the socket had from
 * before, sock_error() in net/socket.c, do_recvmmsg().
 */
static __always_inline __u32 sock_of_error(struct task_record *t, __u32 fd, long ret)
{
	__u64 sk = is_of_arguments(ret) || is_restart(-ret) ? 0 : sock_of_fd(fd);
	__u32 index = 0;

	if (sk)
		sock_get((struct sock *)sk, t->process, &index);
	return index;
}

/*
 * sendmmsg(2) or recvmmsg(2) has returned. Its last try may have failed: only if there was none
 * before is that what it returns. @messages, @count: what was sent.
 */
GLOBAL int many_returned(__u32 fd, __u64 messages, long ret, bool is_send)
{
	struct task_record *t = current_record();
	struct sock_record *s;
	struct sock_counts *c;
	__u32 failed;

	if (!t)
		return 0;
	failed = t->failed_sock;
	t->failed_sock = 0;
	if (ret < 0) {
		if (!failed && !is_send && !bytes_by_calls)
			failed = sock_of_error(t, fd, ret);
		c = own_counts(t, failed);
		if (c && is_send)
			ADD(c->send_errors, 1);
		else if (c)
			ADD(c->receive_errors, 1);
		return 0;
	}
	s = sock_at(t->last_sock);
	if (is_send && s && s->protocol == PROTO_UDP && !s->has_odd_sends &&
	    have_segments(messages, ret))
		s->has_odd_sends = 1;
	return 0;
}

/* The same where all that is known of the socket is its address. */
GLOBAL int socket_sent(__u64 sk, long ret, __u32 calls, __u32 op)
{
	struct moved m = {.ret = ret, .calls = calls, .op = op};

	look_probed(&m, (struct sock *)sk);
	return sock_sent(busy_slot(), (struct sock *)sk, &m);
}

GLOBAL int socket_received(__u64 sk, long ret, __u32 calls, __u32 flags, __u32 op)
{
	struct moved m = {.ret = ret, .calls = calls, .flags = flags, .op = op};

	look_probed(&m, (struct sock *)sk);
	return sock_received(busy_slot(), (struct sock *)sk, &m);
}

#endif
