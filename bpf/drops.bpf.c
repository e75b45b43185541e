// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Packets that the kernel throws away. kfree_skb is the one place that counts; how much it tells
 * grew over time, and the first of its programs that this kernel takes is used. Where it does not
 * name the socket (before 6.11), udp_fail_queue_rcv_skb, which comes just before it on the same
 * CPU, does for the datagrams that found no room.
 */
#include "sockets.h"

static __always_inline void count_drop(struct drop_key *key, __u32 len, __u64 now)
{
	struct drop_count fresh = {.first_ns = now, .last_ns = now}, *d;

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

static __noinline int dropped(struct sk_buff *skb, __u64 where, __u32 reason, struct sock *sk)
{
	struct drop_key key = {.reason = reason};
	struct sock_record *s = NULL;
	__u32 index = 0, fill;

	if (sk)
		s = sock_find(sk, &index);
	if (s && sock_matches(s, inode_of(sk))) {
		fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
		if (fill > s->queue_peak)
			s->queue_peak = fill;
		s->receive_buffer = BPF_CORE_READ(sk, sk_rcvbuf);
		ADD(s->books.seen_drops, 1);
		s->books.kernel_drops = kernel_drops(address_of(sk)) - (__u32)s->base_drops;
		s->has_drops = 1;
		s->is_refreshed = 1;
		key.sock = index;
	} else {
		key.where = where;
	}
	count_drop(&key, BPF_CORE_READ(skb, len), bpf_ktime_get_ns());
	return 0;
}

/* Linux 6.11 (c53795d48ee8) */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_sock, struct sk_buff *skb, void *where, __u32 reason, struct sock *sk)
{
	return tracing ? dropped(skb, (__u64)where, reason, sk) : 0;
}

static __always_inline struct sock *failed_sock(void)
{
	struct cpu_slot *slot = this_cpu_slot();
	__u64 sk = slot ? slot->failed_sk : 0;

	if (sk)
		slot->failed_sk = 0;
	return (struct sock *)sk;
}

/* Linux 5.17 (c504e5c2f964) */
SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_reason, struct sk_buff *skb, void *where, __u32 reason)
{
	return tracing ? dropped(skb, (__u64)where, reason, failed_sock()) : 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(kfree_skb_plain, struct sk_buff *skb, void *where)
{
	return tracing ? dropped(skb, (__u64)where, REASON_NONE, failed_sock()) : 0;
}

SEC("tp_btf/udp_fail_queue_rcv_skb")
int BPF_PROG(udp_fail_queue_rcv_skb, int err, struct sock *sk)
{
	struct cpu_slot *slot = this_cpu_slot();

	if (tracing && slot)
		slot->failed_sk = (__u64)sk;
	return 0;
}
