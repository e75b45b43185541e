// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The life of TCP connections. Most of these programs run in interrupts, on behalf of a packet:
 * who the current task is matters only where noted.
 */
#include "refresh.h"

/* --- states ----------------------------------------------------------------------------------- */

/* The current task, if it is traced, connects or listens: the socket is its own from now on. */
static __always_inline struct sock_record *taken_by_current(struct sock *sk, __u32 *index)
{
	struct task_record *t = current_record();
	struct sock_record *s;

	if (!t)
		return NULL;
	s = sock_get(sk, t->process, index);
	if (!s)
		return NULL;
	s->owner = t->process;
	s->is_fresh = 0;
	return s;
}

static __always_inline void connecting(struct sock *sk)
{
	__u32 index = 0;
	struct sock_record *s = taken_by_current(sk, &index);

	if (!s)
		return;
	/* What the socket did in an earlier connection stands. */
	s->prior_sent = s->books.kernel_sent;
	s->prior_received = s->books.kernel_received;
	s->has_base = 0;
	s->tcp.base_retransmits = -s->tcp.retransmits;
	s->tcp.last_total = 0;
	s->tcp.base_rwnd_limited = -s->tcp.rwnd_limited;
	s->tcp.base_sndbuf_limited = -s->tcp.sndbuf_limited;
	s->role = ROLE_CONNECT;
	s->closed_by = CLOSER_NONE;
	s->closed_ns = 0;
	s->established_ns = 0;
	s->connect_ns = bpf_ktime_get_ns();
}

static __always_inline void listening(struct sock *sk)
{
	__u32 index = 0;
	struct sock_record *s = taken_by_current(sk, &index);

	watch_listener(address_of(sk), true);
	if (!s)
		return;
	s->role = ROLE_LISTEN;
	fill_name(index, address_of(sk));
	listener_begin(index, address_of(sk));
	listens_in[s->local_port] = net_of(sk);
}

static __always_inline void established(struct sock *sk, int from)
{
	__u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	struct sock_record *s;
	__u32 index = 0;

	s = sock_find(sk, &index);
	if (!s && from == TCP_SYN_RECV && listens_in[port] == net_of(sk)) {
		index = sock_add(address_of(sk), 0, PROTO_TCP);
		s = index ? sock_at(index) : NULL;
		if (s)
			s->role = ROLE_ACCEPT;
	}
	if (!s)
		return;
	s->is_fresh = 0;
	fill_name(index, address_of(sk));
	tcp_set_base(s, sk);
	s->established_ns = bpf_ktime_get_ns();
}

static __always_inline void closed(struct sock_record *s, __u32 index, struct sock *sk, int from)
{
	if (from == TCP_SYN_SENT)
		s->tcp.failed_connects++;
	sock_refresh(index, address_of(sk));
	s->closed_ns = bpf_ktime_get_ns();
}

static __noinline int state_changed(struct sock *sk, int from, int to)
{
	struct sock_record *s;
	__u32 index = 0;

	if (to == TCP_ESTABLISHED) {
		established(sk, from);
		return 0;
	}
	s = sock_find(sk, &index);
	if (!s || s->role == ROLE_LISTEN)
		return 0;
	if (to == TCP_CLOSE) {
		closed(s, index, sk, from);
		return 0;
	}
	if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) {
		sock_refresh(index, address_of(sk));
		s->has_fin_sent = s->has_base; /* tcp_send_fin() comes next */
	}
	if (!s->closed_by && (to == TCP_FIN_WAIT1 || to == TCP_CLOSE_WAIT))
		s->closed_by = to == TCP_FIN_WAIT1 ? CLOSER_LOCAL : CLOSER_REMOTE;
	return 0;
}

/* The kernel stores the new state after it tells (net/ipv4/af_inet.c, inet_sk_state_store()). */
static __always_inline void note_state(struct sock *sk, int to)
{
	struct sock_record *s;
	__u32 index = 0;

	s = sock_find(sk, &index);
	if (s)
		s->tcp_state = to;
}

static __always_inline int set_state(struct sock *sk, int from, int to)
{
	/* These two happen in connect(2) and listen(2). */
	if (from == TCP_LISTEN)
		forget_listener(sk);
	if (to == TCP_SYN_SENT)
		connecting(sk);
	else if (to == TCP_LISTEN)
		listening(sk);
	else
		state_changed(sk, from, to);
	note_state(sk, to);
	return 0;
}

/*
 * A program is skipped where it is already running on that CPU. A process that changes the state of
 * its socket can be interrupted, and the softirq that follows change another's: so there are two
 * programs, one for sockets that a process has locked, one for the rest, which runs where softirqs
 * are shut out. What the first misses is the second's business.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_locked, struct sock *sk, int from, int to)
{
	if (!tracing || !sk->sk_lock.owned || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	return set_state(sk, from, to);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
{
	if (!tracing || sk->sk_lock.owned || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	return set_state(sk, from, to);
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	struct sock_record *s;
	__u32 index = 0;

	if (!tracing)
		return 0;
	s = sock_find(sk, &index);
	if (!s)
		return 0;
	sock_refresh(index, address_of(sk));
	sock_end(s, bpf_ktime_get_ns());
	return 0;
}

/* --- what a connection suffers ---------------------------------------------------------- */

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset, struct sock *sk)
{
	struct sock_record *s;
	__u32 index = 0;

	if (!tracing || !sk)
		return 0;
	s = sock_find(sk, &index);
	if (!s)
		return 0;
	ADD(s->tcp.resets_sent, 1);
	if (!s->closed_by)
		s->closed_by = CLOSER_LOCAL;
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct sock_record *s;
	__u32 index = 0;

	if (!tracing)
		return 0;
	s = sock_find(sk, &index);
	if (!s)
		return 0;
	ADD(s->tcp.resets_received, 1);
	if (!s->closed_by)
		s->closed_by = CLOSER_REMOTE;
	return 0;
}

/*
 * The kernel counts a retransmit before it is sent, so its count, which the record takes over, has
 * attempts in it that failed; not all, because others fail before that. Since 6.15 (a0cdd2d0af12)
 * the tracepoint fires for failures too, and tells.
 */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk, struct sk_buff *skb, int err)
{
	struct tcp_skb_cb *cb = (void *)skb + bpf_core_field_offset(skb->cb);
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct sock_record *s;
	__u32 index = 0, total;

	s = tracing ? sock_find(sk, &index) : NULL;
	if (!s)
		return 0;
	total = BPF_CORE_READ(tp, total_retrans);
	if (err) {
		s->tcp.retransmits_failed += BPF_CORE_READ(cb, tcp_gso_segs);
		s->tcp.failed_in_total += total - s->tcp.last_total;
	}
	s->tcp.last_total = total;
	return 0;
}
