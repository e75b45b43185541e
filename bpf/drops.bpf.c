// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Packets that the kernel throws away. kfree_skb is the one place that counts; how much it tells
 * grew over time, and the first of its programs that this kernel takes is used. Where it does not
 * name the socket (before 6.11), __udp_enqueue_schedule_skb(), which returns just before on the
 * same CPU, does for the datagrams that found no room. (The tracepoint udp_fail_queue_rcv_skb came
 * after kfree_skb before 6.10, and not at all for IPv6.)
 */
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

#define UDP_HEADER_LEN 8

/* A datagram's payload; where it was dropped tells whether its header still counts in its length.
 */
static __always_inline __u32 payload_len(struct sk_buff *skb)
{
	__u64 at = BPF_CORE_READ(skb, data) - BPF_CORE_READ(skb, head);
	__u32 len = BPF_CORE_READ(skb, len);

	if (at == BPF_CORE_READ(skb, transport_header) && len >= UDP_HEADER_LEN)
		return len - UDP_HEADER_LEN;
	return len;
}

static __noinline int dropped(struct sk_buff *skb, __u64 where, __u32 reason, struct sock *sk)
{
	struct drop_key key = {.reason = reason};
	struct sock_record *s = NULL;
	__u32 index = 0, fill, len = BPF_CORE_READ(skb, len);

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
		if (s->protocol == PROTO_UDP)
			len = payload_len(skb);
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
