/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_REFRESH_H
#define SOCKTRACE_BPF_REFRESH_H

#include "overflows.h"

/*
 * Brings a record up to date with its socket. A thread on another CPU may be between the kernel's
 * count and ours: read until they agree, which takes less than a microsecond unless a call is under
 * way.
 */
GLOBAL int sock_refresh(__u32 index, __u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct sock_record *s = sock_at(index);
	struct sock_books *b;

	if (!s)
		return 0;
	b = &s->books;
	for (int i = 0; i < 8; i++) {
		b->kernel_drops = kernel_drops(address) - (__u32)s->base_drops;
		b->seen_drops = s->drops;
		if (s->protocol == PROTO_TCP)
			tcp_read_books(s, sk);
		if (b->kernel_sent == b->seen_sent && b->kernel_received == b->seen_received &&
		    (s->protocol == PROTO_TCP || b->kernel_drops == b->seen_drops))
			break;
		asm volatile("" ::: "memory");
	}
	if (s->role == ROLE_LISTEN && s->protocol == PROTO_TCP)
		listener_refresh(index, address);
	if (s->protocol == PROTO_TCP && s->has_base && !is_disconnected(s, sk))
		tcp_read_state(s, sk);
	else if (s->protocol == PROTO_TCP)
		s->tcp_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	s->is_refreshed = 1;
	return 0;
}

static __always_inline void refresh_queue(struct sock_record *s, struct sock *sk)
{
	struct udp_sock *up = (struct udp_sock *)sk;
	__u32 fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);

	if (s->protocol == PROTO_TCP)
		return;
	if (fill > s->queue_peak)
		s->queue_peak = fill;
	s->datagrams_queued = BPF_CORE_READ(sk, sk_receive_queue.qlen);
	if (s->protocol == PROTO_UDP)
		s->datagrams_queued += BPF_CORE_READ(up, reader_queue.qlen);
}

#endif
