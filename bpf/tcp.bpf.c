// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The life of TCP connections. Most of these programs run in interrupts, on behalf of a packet:
 * who the current task is matters only where noted. "flow" is the TCP socket that they are about,
 * which has a record of its own unless it is MPTCP's: see sockets.h.
 */
#include "refresh.h"

static __always_inline struct sock_record *flow_find(struct sock *flow, __u32 *index)
{
	struct sock *sk = (struct sock *)holder_of(address_of(flow));

	return sk ? sock_find(sk, index) : NULL;
}

/* --- states ----------------------------------------------------------------------------------- */

/*
 * The current task, if it is traced, connects or listens: the socket is its own from now on. A
 * record is that of one connection: what the socket was before ends here.
 */
static __always_inline struct sock_record *taken_by_current(struct sock *flow, __u32 *index)
{
	__u64 sk = holder_of(address_of(flow));
	struct task_record *t = current_record();

	if (!sk)
		return NULL;
	if (t)
		return sock_use_anew(sk, t->process, index);
	sock_end_use(sk);
	return NULL;
}

static __always_inline void connecting(struct sock *flow)
{
	__u32 index = 0;
	struct sock_record *s = taken_by_current(flow, &index);

	if (!s)
		return;
	fill_name(index, address_of(flow));
	tcp_set_state_base(s, flow);
	s->has_base = 0; /* the socket looks like a connection already */
	s->base_ns = 0;
	s->role = ROLE_CONNECT;
	s->awaits_result = 1;
	s->connect_ns = bpf_ktime_get_ns();
}

static __always_inline void listening(struct sock *flow)
{
	__u32 index = 0;
	struct sock_record *s = taken_by_current(flow, &index);

	watch_listener(address_of(flow), true);
	if (!s)
		return;
	s->role = ROLE_LISTEN;
	fill_name(index, address_of(flow));
	listener_begin(index, address_of(flow));
}

/*
 * @flow is a connection to a listener, of which it is a copy yet: its empty list of segments begins
 * and ends in the listener's (inet_csk_clone_lock(); tcp_create_openreq_child() makes the list its
 * own). Nothing else tells of several listeners on one port which has it. It is established next,
 * on this CPU, with interrupts of packets shut out; but for one by Fast Open, which may be accepted
 * before it is.
 */
static __always_inline void born(struct sock *flow)
{
	struct cpu_slot *slot = this_cpu_slot();
	struct tcp_sock *tp = (struct tcp_sock *)flow;
	struct sock_record *listener;
	__u64 list;
	__u32 index = 0;

	if (!slot || !bpf_core_field_exists(tp->tsorted_sent_queue))
		return;
	list = (__u64)BPF_CORE_READ(tp, tsorted_sent_queue.next);
	listener = flow_find((struct sock *)(list - bpf_core_field_offset(tp->tsorted_sent_queue)),
			     &index);
	slot->born = listener && listener->role == ROLE_LISTEN ? address_of(flow) : 0;
}

/* Whether @flow is the one that was born last. */
static __always_inline bool is_born(struct sock *flow)
{
	struct cpu_slot *slot = this_cpu_slot();

	if (!slot || slot->born != address_of(flow))
		return false;
	slot->born = 0;
	return true;
}

static __always_inline void established(struct sock *flow, int from)
{
	struct sock *sk = (struct sock *)holder_of(address_of(flow));
	struct sock_record *s;
	__u32 index = 0;

	if (!sk)
		return;
	s = sock_find(sk, &index);
	if (from == TCP_SYN_RECV && is_born(flow)) {
		if (s) { /* of an earlier one at this address */
			check_state(s, TCP_CLOSE);
			sock_end(s, bpf_ktime_get_ns());
		}
		index = sock_add(address_of(sk), 0, sk == flow ? PROTO_TCP : PROTO_MPTCP);
		s = index ? sock_at(index) : NULL;
		if (s)
			s->role = ROLE_ACCEPT;
	}
	if (!s)
		return;
	s->is_fresh = 0;
	fill_name(index, address_of(flow));
	if (s->protocol == PROTO_TCP)
		tcp_set_base(s, flow);
	s->base_ns = 0; /* no call can have begun before it */
	s->awaits_result = 0;
	s->established_ns = bpf_ktime_get_ns();
}

static __always_inline void closed(struct sock_record *s, __u32 index, struct sock *flow, int from)
{
	if (from == TCP_SYN_SENT || (from == TCP_SYN_RECV && s->role == ROLE_CONNECT))
		s->tcp.failed_connects++;
	sock_refresh(index, address_of(flow));
	/* An MPTCP connection may have other subflows. */
	if (s->protocol == PROTO_TCP || s->tcp.failed_connects)
		s->closed_ns = bpf_ktime_get_ns();
}

static __noinline int state_changed(struct sock *flow, int from, int to)
{
	struct sock_record *s;
	__u32 index = 0;

	if (to == TCP_ESTABLISHED) {
		established(flow, from);
		return 0;
	}
	s = flow_find(flow, &index);
	if (!s)
		return 0;
	if (to == TCP_CLOSE) {
		closed(s, index, flow, from);
		return 0;
	}
	if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK) {
		sock_refresh(index, address_of(flow));
		s->has_fin_sent = s->has_base; /* tcp_send_fin() comes next */
	}
	if (s->protocol == PROTO_TCP && !s->closed_by &&
	    (to == TCP_FIN_WAIT1 || to == TCP_CLOSE_WAIT))
		s->closed_by = to == TCP_FIN_WAIT1 ? CLOSER_LOCAL : CLOSER_REMOTE;
	return 0;
}

/* The kernel stores the new state after it tells (net/ipv4/af_inet.c, inet_sk_state_store()). */
static __always_inline void note_state(struct sock *sk, int from, int to)
{
	struct sock_record *s;
	__u32 index = 0;

	s = sock_find(sk, &index);
	if (!s)
		return;
	check_state(s, from);
	s->tcp_state = s->seen_state = to;
}

static __always_inline bool is_dead(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_flags) & (1UL << SOCK_DEAD);
}

/* The state of an MPTCP socket itself: which end closed first is told by this, not by subflows. */
static __noinline int mptcp_changed(struct sock *sk, int to)
{
	struct sock_record *s;
	__u32 index = 0;

	s = sock_find(sk, &index);
	if (!s)
		return 0;
	s->tcp_state = to;
	if (!s->closed_by && (to == TCP_FIN_WAIT1 || to == TCP_CLOSE_WAIT))
		s->closed_by = to == TCP_FIN_WAIT1 ? CLOSER_LOCAL : CLOSER_REMOTE;
	if (to == TCP_CLOSE && !s->closed_ns && s->role)
		s->closed_ns = bpf_ktime_get_ns();
	if (to == TCP_CLOSE && s->is_flow_gone && is_dead(sk))
		sock_end(s, bpf_ktime_get_ns());
	return 0;
}

static __always_inline int set_state(struct sock *sk, int from, int to)
{
	if (sk->sk_protocol == IPPROTO_MPTCP)
		return mptcp_changed(sk, to);
	if (to == TCP_SYN_RECV && from == TCP_LISTEN) {
		born(sk);
		return 0;
	}
	if (from == TCP_LISTEN)
		forget_listener(sk);
	/* These two happen in connect(2) and listen(2). */
	if (to == TCP_SYN_SENT)
		connecting(sk);
	else if (to == TCP_LISTEN)
		listening(sk);
	else
		state_changed(sk, from, to);
	note_state(sk, from, to);
	return 0;
}

static __always_inline bool is_of_tcp(const struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_MPTCP;
}

/*
 * A program is skipped where it is already running on that CPU, and a process that changes the
 * state of its socket can be interrupted there by a softirq that changes another's. So there are
 * two: what the first has missed is done by the second, of which that softirq cannot have
 * interrupted the process too. Sockets that no process has locked change where softirqs are shut
 * out: on a CPU one after the other, so one note of what the first has done is enough.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int from, int to)
{
	struct cpu_slot *slot;

	if (!tracing || !is_of_tcp(sk))
		return 0;
	if (MUTATED(STATE))
		return 0;
	set_state(sk, from, to);
	slot = sk->sk_lock.owned ? NULL : this_cpu_slot();
	if (slot)
		slot->state_done = address_of(sk) + to;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state_again, struct sock *sk, int from, int to)
{
	struct cpu_slot *slot;

	if (!tracing || sk->sk_lock.owned || !is_of_tcp(sk))
		return 0;
	slot = this_cpu_slot();
	if (!slot)
		return 0;
	if (likely(slot->state_done == address_of(sk) + to))
		slot->state_done = 0;
	else
		set_state(sk, from, to);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *flow)
{
	struct sock_record *s;
	struct sock *sk;
	__u32 index = 0;

	if (!tracing)
		return 0;
	s = flow_find(flow, &index);
	if (!s)
		return 0;
	check_state(s, BPF_CORE_READ(flow, __sk_common.skc_state));
	sock_refresh(index, address_of(flow));
	if (s->protocol == PROTO_MPTCP) {
		s->is_flow_gone = 1;
		sk = (struct sock *)s->sk;
		if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE || !is_dead(sk))
			return 0; /* it has other subflows, or a descriptor */
	}
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
	s = flow_find(sk, &index);
	if (!s)
		return 0;
	ADD(s->tcp.resets_sent, 1);
	if (!s->closed_by && s->protocol == PROTO_TCP)
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
	s = flow_find(sk, &index);
	if (!s)
		return 0;
	ADD(s->tcp.resets_received, 1);
	if (!s->closed_by && s->protocol == PROTO_TCP)
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

	s = tracing ? flow_find(sk, &index) : NULL;
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
