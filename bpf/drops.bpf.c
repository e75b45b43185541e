// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Packets that the kernel throws away. kfree_skb is the one place that counts; how much it tells
 * grew over time, and the first of its programs that this kernel takes is used. Where it does not
 * name the socket (before 6.11), __udp_enqueue_schedule_skb(), which returns just before on the
 * same CPU, does for the datagrams that found no room. (The tracepoint udp_fail_queue_rcv_skb came
 * after kfree_skb before 6.10, and not at all for IPv6.)
 */
#include "packet.h"
#include "sockets.h"

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

static __noinline int dropped(struct sk_buff *skb, __u64 where, __u32 reason, struct sock *sk)
{
	struct drop_key key = {.reason = reason};
	struct sock_record *s = NULL;
	struct packet packet = {};
	__u32 index = 0, fill, len = skb->len;

	look_at_packet(&packet, skb);
	if (is_no_loss(&packet, reason))
		return 0;
	if (MUTATED(DROP))
		return 0;
	if (sk)
		s = sock_find(sk, &index);
	if (s && sock_matches(s, inode_of(sk))) {
		fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
		if (fill > s->queue_peak)
			s->queue_peak = fill;
		s->receive_buffer = BPF_CORE_READ(sk, sk_rcvbuf);
		ADD(s->drops, 1);
		s->has_drops = 1;
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
	return tracing ? dropped(skb, (__u64)where, reason, sk) : 0;
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
	return tracing ? dropped(skb, (__u64)where, reason, failed_sock(skb)) : 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_plain, struct sk_buff *skb, void *where)
{
	return tracing ? dropped(skb, (__u64)where, REASON_NONE, failed_sock(skb)) : 0;
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
