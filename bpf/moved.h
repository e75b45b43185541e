/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_MOVED_H
#define SOCKTRACE_BPF_MOVED_H

/* The current task has sent or received through a socket: the one place that counts it. */

#include "arch.h"
#include "sockets.h"

/* include/linux/socket.h */
#define MSG_PEEK     0x2
#define MSG_TRUNC    0x20
#define MSG_ERRQUEUE 0x2000

struct moved {
	long ret;    /* bytes, or -errno */
	__u32 calls; /* sendmmsg(2) and recvmmsg(2): messages */
	__u32 flags;
	bool is_whole_call; /* as the process sees it, not a piece */
	/* of the socket */
	__u64 ino;
	__u32 receive_fill; /* bytes in its receive queue */
	__u32 corked;	    /* packets not yet sent; for UDP: one that is being put together */
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
}

static __always_inline void look_probed(struct moved *m, struct sock *sk)
{
	m->ino = inode_of(sk);
	m->receive_fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	m->corked = BPF_CORE_READ(sk, sk_write_queue.qlen);
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

/* A send is one datagram, unless it is corked (MSG_MORE, UDP_CORK) or segmented (UDP_SEGMENT). */
static __always_inline void count_datagrams(struct sock_record *s, struct sock_counts *c,
					    struct sock *sk, const struct moved *m)
{
	long segment;

	if (unlikely(m->corked))
		ADD(c->corked_calls, m->calls);
	if (unlikely(s->is_corked != (m->corked != 0)))
		s->is_corked = m->corked != 0;
	if (likely(!s->is_segmented) || m->calls != 1)
		return;
	segment = BPF_CORE_READ((struct udp_sock *)sk, gso_size);
	if (segment && m->ret > segment)
		ADD(c->extra_segments, ((__u64)m->ret - 1) / segment);
}

/*
 * The call that returns now began before the socket's base was taken, which so has a part of its
 * bytes. Now that all of them are counted, the base is what makes the books agree; unless other
 * processes count elsewhere what they moved through the socket: then nobody can tell.
 */
static __always_inline bool is_across_base(const struct task_record *t, const struct sock_record *s)
{
	return s->base_ns && (t->call == CALL_UNKNOWN || (detail_full && t->enter_ns < s->base_ns));
}

static __noinline int mend_base_sent(struct sock_record *s, struct sock *sk)
{
	struct tcp_sums x;

	if (!s)
		return 0;
	if (s->is_shared) {
		s->is_opaque = 1;
		return 0;
	}
	tcp_read_sums(sk, &x);
	s->base_sent = x.sent - s->has_fin_sent + s->prior_sent - s->counts.send_bytes;
	return 0;
}

static __noinline int mend_base_received(struct sock_record *s, struct sock *sk)
{
	struct tcp_sums x;

	if (!s)
		return 0;
	if (s->is_shared) {
		s->is_opaque = 1;
		return 0;
	}
	tcp_read_sums(sk, &x);
	s->base_received = x.received + s->prior_received - seen_received(s) -
			   (x.fin_read && !s->has_fin_in_base);
	return 0;
}

/*
 * sendfile(2) and splice(2) send in pieces, each of which the kernel's send functions show. What
 * they do is one call, which is counted when it returns (socket_calls.h). Without entries of calls
 * the kernel has to tell the call under way: bpf_task_pt_regs(), Linux 5.15 (dd6e10fbd9fb).
 */
static __always_inline bool knows_pieces(void)
{
	return detail_full || bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs);
}

static __always_inline bool is_piece(const struct task_record *t)
{
	__u32 key = t->call, op;

	if (!knows_pieces())
		return false;
	if (!detail_full) {
		key = returned_call_key(
			(struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	}
	if (key >= KEYS)
		return false;
	/* Before 6.8 or so the verifier forgets that an OR of 32 bits is 32 bits wide. */
	asm volatile("" : "+r"(key)); /* else the compiler knows that the mask is not needed */
	op = row_kinds[key & (KEYS - 1)] >> SOCKET_OP_SHIFT;
	return op == OP_SENDFILE || op == OP_SPLICE;
}

/* A record that was made for this call has the call's bytes in its base. */
static __always_inline void take_off_base(struct sock_record *s, __u64 sent, __u64 received)
{
	s->is_fresh = 0;
	if (s->has_base) {
		s->base_sent -= sent;
		s->base_received -= received;
	}
}

static __noinline int sock_sent(struct cpu_slot *slot, struct sock *sk, const struct moved *m)
{
	struct task_record *t = slot ? slot_record(slot) : NULL;
	struct sock_counts *c;
	struct sock_record *s;
	__u32 index = 0;

	if (!t || !sk || !m)
		return 0;
	s = moved_sock(t, sk, m, &index);
	c = s ? counts_of(s, index, t->process) : NULL;
	if (!c)
		return 0;
	if (unlikely(s->is_fresh))
		take_off_base(s, m->ret > 0 ? m->ret : 0, 0);
	if (unlikely(!m->is_whole_call && is_piece(t))) {
		if (m->ret > 0) {
			ADD(c->send_bytes, m->ret);
			t->sockets.sent_bytes += m->ret;
			if (unlikely(is_across_base(t, s)))
				mend_base_sent(s, sk);
		}
		return 0;
	}
	if (m->ret < 0) {
		ADD(c->send_errors, 1);
		return 0;
	}
	ADD(c->send_calls, m->calls);
	ADD(c->send_bytes, m->ret);
	t->sockets.sent_calls += m->calls;
	t->sockets.sent_bytes += m->ret;
	if (s->protocol == PROTO_UDP)
		count_datagrams(s, c, sk, m);
	else if (unlikely(is_across_base(t, s)))
		mend_base_sent(s, sk);
	return 0;
}

static __always_inline void received_data(struct sock_record *s, __u32 process,
					  const struct moved *m)
{
	if (s->owner != process)
		s->owner = process;
	if (s->protocol == PROTO_TCP) {
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
	s = moved_sock(t, sk, m, &index);
	c = s ? counts_of(s, index, t->process) : NULL;
	if (!c)
		return 0;
	if (unlikely(s->is_fresh))
		take_off_base(s, 0, m->ret > 0 && !(m->flags & MSG_PEEK) ? m->ret : 0);
	if (m->ret < 0) {
		ADD(c->receive_errors, 1);
		return 0;
	}
	if (unlikely(m->flags & MSG_PEEK)) {
		ADD(c->peek_calls, m->calls);
		ADD(c->peek_bytes, m->ret);
		return 0;
	}
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
	if (unlikely(is_across_base(t, s)))
		mend_base_received(s, sk);
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

/* A call that sent in pieces, whose bytes were counted with these, has returned. */
GLOBAL int sent_in_pieces(__u64 sk, long ret)
{
	struct task_record *t = current_record();
	struct sock_counts *c;
	struct sock_record *s;
	__u32 index = 0;

	s = t ? sock_get((struct sock *)sk, t->process, &index) : NULL;
	c = s ? counts_of(s, index, t->process) : NULL;
	if (!c || !knows_pieces())
		return 0;
	if (ret < 0) {
		ADD(c->send_errors, 1);
		return 0;
	}
	ADD(c->send_calls, 1);
	t->sockets.sent_calls++;
	return 0;
}

/* The same where all that is known of the socket is its address. */
GLOBAL int socket_sent(__u64 sk, long ret, __u32 calls, bool is_whole_call)
{
	struct moved m = {.ret = ret, .calls = calls, .is_whole_call = is_whole_call};

	look_probed(&m, (struct sock *)sk);
	return sock_sent(busy_slot(), (struct sock *)sk, &m);
}

GLOBAL int socket_received(__u64 sk, long ret, __u32 calls, __u32 flags)
{
	struct moved m = {.ret = ret, .calls = calls, .flags = flags};

	look_probed(&m, (struct sock *)sk);
	return sock_received(busy_slot(), (struct sock *)sk, &m);
}

#endif
