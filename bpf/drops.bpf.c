// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Packets that the kernel throws away. kfree_skb is the one place that counts; how much it tells
 * grew over time, and the first of its programs that this kernel takes is used. Where it does not
 * name the socket (before 6.11), __udp_enqueue_schedule_skb(), which returns just before on the
 * same CPU, does for the datagrams that found no room. (The tracepoint udp_fail_queue_rcv_skb came
 * after kfree_skb before 6.10, and not at all for IPv6.)
 */
#include "arch.h"
#include "descriptors.h"
#include "packet.h"

static __always_inline void count_drop(struct drop_key *key, __u32 len, __u64 now)
{
	struct drop_count fresh = {.first_ns = now, .last_ns = now}, *d;

	if (MUTATED(DROP_ROW))
		return;
	d = bpf_map_lookup_elem(&drops, key);
	if (!d) {
		bpf_map_update_elem(&drops, key, &fresh, BPF_NOEXIST);
		d = bpf_map_lookup_elem(&drops, key);
	}
	if (!d) {
		lose(LOST_DROPS_FULL);
		return;
	}
	ADD(d->packets, 1);
	ADD(d->bytes, len);
	d->last_ns = now;
}

/*
 * The kernel frees at kfree_skb, too, what it has done with: the FIN of a connection that is
 * closed, an acknowledgement that came late, the answer to a probe (keepalive). A TCP segment
 * without payload that is freed for one of these reasons is no loss, unless it asks for a
 * connection.
 */
#define NO_LOSS_WITHOUT_PAYLOAD(REASON)          \
	REASON(SKB_DROP_REASON_NOT_SPECIFIED)    \
	REASON(SKB_DROP_REASON_NO_SOCKET)        \
	REASON(SKB_DROP_REASON_TCP_OLD_SEQUENCE) \
	REASON(SKB_DROP_REASON_TCP_RESET)        \
	REASON(SKB_DROP_REASON_TCP_CLOSE)        \
	REASON(SKB_DROP_REASON_TCP_OLD_ACK)      \
	REASON(SKB_DROP_REASON_QUEUE_PURGE)

/* Numbers differ between kernels, and not every kernel has every reason. */
#define REASON_IS(reason, name)                                    \
	(bpf_core_enum_value_exists(enum skb_drop_reason, name) && \
	 (reason) == bpf_core_enum_value(enum skb_drop_reason, name))
#define OR_REASON_IS(name) || REASON_IS(reason, name)

static __always_inline bool is_no_loss(const struct packet *p, __u32 reason)
{
	if (p->protocol != IPPROTO_TCP || p->payload || p->tcp_flags & TCP_SYN)
		return false;
	return reason == REASON_NONE NO_LOSS_WITHOUT_PAYLOAD(OR_REASON_IS);
}

/* Raw sockets and the like do not count what their filter does not want. */
static __always_inline bool counts_drop(const struct sock_record *s, __u32 reason)
{
	return s->protocol == PROTO_UDP || s->protocol == PROTO_UDPLITE ||
	       !(REASON_IS(reason, SKB_DROP_REASON_SOCKET_FILTER) ||
		 REASON_IS(reason, SKB_DROP_REASON_SECURITY_HOOK));
}

/*
 * A listener's own counter has a packet that it throws away as so many as it was received as, but
 * for some: those with a wrong checksum, acknowledgements that belong to no request
 * (tcp_v4_do_rcv() frees them), and those of SYN cookies (cookie_v4_check() does). The last can
 * only partly be told by the reason: what may be one is doubtful.
 */
static __always_inline void listener_dropped(struct sock_record *s, struct sk_buff *skb,
					     const struct packet *p, __u32 reason)
{
	struct skb_shared_info *shared = (void *)(skb->head + skb->end);
	bool is_answer = p->tcp_flags & TCP_ACK;
	__u32 segments = BPF_CORE_READ(shared, gso_segs);

	if (!segments)
		segments = 1;
	s->has_drops = 1;
	if (REASON_IS(reason, SKB_DROP_REASON_TCP_CSUM) ||
	    REASON_IS(reason, SKB_DROP_REASON_NO_SOCKET) ||
	    (is_answer && REASON_IS(reason, SKB_DROP_REASON_TCP_FLAGS)))
		return;
	ADD(s->drops, segments);
	if (is_answer && !REASON_IS(reason, SKB_DROP_REASON_TCP_LISTEN_OVERFLOW))
		ADD(s->listen.doubtful, segments);
}

static __always_inline void sock_dropped(struct sock_record *s, struct sock *sk, __u32 reason)
{
	__u32 fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);

	if (fill > s->queue_peak)
		s->queue_peak = fill;
	s->receive_buffer = BPF_CORE_READ(sk, sk_rcvbuf);
	if (counts_drop(s, reason))
		ADD(s->drops, 1);
	s->has_drops = 1;
}

/*
 * A datagram that is thrown away while it is read (its checksum is wrong, or the reader's buffer no
 * memory) has left the queue, and the kernel does not name the socket. It is that of the call under
 * way, if this has one for its first argument and the kernel has counted there what was not seen.
 * The calls that wait for several (poll(2)) check the first datagram, too: then nobody knows.
 */
static __noinline struct sock *socket_read_now(__u16 port)
{
	struct sock_record *s;
	struct pt_regs *regs;
	struct sock *sk;
	__u32 index = 0;
	__u64 fd;

	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return NULL;
	regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	fd = arch_call_arg(regs, 0, is_compat());
	sk = fd <= (__u32)-1 ? (struct sock *)sock_of_fd(fd) : NULL;
	s = sk ? sock_find(sk, &index) : NULL;
	if (!s || !sock_matches(s, inode_of(sk)) || s->local_port != port)
		return NULL;
	return kernel_drops(address_of(sk)) - (__u32)s->base_drops > s->drops ? sk : NULL;
}

static __always_inline struct sock *unnamed_sock(const struct packet *p)
{
	struct sock *sk;

	if (p->protocol != IPPROTO_UDP || !p->is_unpacked)
		return NULL;
	sk = socket_read_now(p->to_port);
	/* Else no traced thread is reading: it is a socket of another that goes. */
	if (!sk && current_record())
		ADD(drops_when_read[p->to_port], 1);
	return sk;
}

/* The record of @sk, or of the MPTCP socket that it belongs to, which @sk is then. */
static __always_inline struct sock_record *find_owner(struct sock **sk, const struct packet *p,
						      __u32 *index)
{
	struct sock_record *s = sock_find(*sk, index);

	if (s || p->protocol != IPPROTO_TCP)
		return s;
	*sk = (struct sock *)holder_of(address_of(*sk));
	return *sk ? sock_find(*sk, index) : NULL;
}

/* @is_named: the kernel tells the socket where it knows it. */
static __noinline int dropped(struct sk_buff *skb, __u64 where, __u32 reason, struct sock *sk,
			      bool is_named)
{
	struct drop_key key = {.reason = reason};
	struct sock_record *s = NULL;
	struct packet packet = {};
	bool is_listener;
	__u32 index = 0, len = skb->len;

	look_at_packet(&packet, skb);
	if (!sk && is_named)
		sk = unnamed_sock(&packet);
	is_listener = sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN;
	if (is_listener)
		s = find_owner(&sk, &packet, &index);
	if (is_listener && s)
		listener_dropped(s, skb, &packet, reason);
	if (is_no_loss(&packet, reason))
		return 0;
	if (MUTATED(DROP))
		return 0;
	if (sk && !is_listener)
		s = find_owner(&sk, &packet, &index);
	if (s && sk && sock_matches(s, inode_of(sk))) {
		if (!is_listener)
			sock_dropped(s, sk, reason);
		key.sock = index;
		len = packet.payload;
	} else {
		key.where = where;
	}
	count_drop(&key, len, bpf_ktime_get_ns());
	return 0;
}

/* Linux 6.11 (c53795d48ee8) */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_sock, struct sk_buff *skb, void *where, __u32 reason, struct sock *sk)
{
	return tracing ? dropped(skb, (__u64)where, reason, sk, true) : 0;
}

static __always_inline struct sock *failed_sock(struct sk_buff *skb)
{
	struct cpu_slot *slot = this_cpu_slot();

	return slot && slot->failed_skb == address_of(skb) ? (struct sock *)slot->failed_sk : NULL;
}

/* Linux 5.17 (c504e5c2f964) */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_reason, struct sk_buff *skb, void *where, __u32 reason)
{
	return tracing ? dropped(skb, (__u64)where, reason, failed_sock(skb), false) : 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_plain, struct sk_buff *skb, void *where)
{
	return tracing ? dropped(skb, (__u64)where, REASON_NONE, failed_sock(skb), false) : 0;
}

SEC("fexit/__udp_enqueue_schedule_skb")
int BPF_PROG(fexit___udp_enqueue_schedule_skb, struct sock *sk, struct sk_buff *skb, int ret)
{
	struct cpu_slot *slot = tracing ? this_cpu_slot() : NULL;

	if (!slot)
		return 0;
	slot->failed_skb = ret ? address_of(skb) : 0;
	slot->failed_sk = address_of(sk);
	return 0;
}
