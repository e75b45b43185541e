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
	__u64 flow;

	if (!s)
		return 0;
	b = &s->books;
	flow = flow_of(s, sk);
	for (int i = 0; i < 8; i++) {
		if (flow)
			b->kernel_drops = kernel_drops(flow) - (__u32)s->base_drops;
		b->seen_drops = s->drops;
		if (s->protocol == PROTO_TCP)
			tcp_read_books(s, sk);
		if (b->kernel_sent == b->seen_sent && b->kernel_received == b->seen_received &&
		    (s->protocol == PROTO_TCP || b->kernel_drops == b->seen_drops))
			break;
		asm volatile("" ::: "memory");
	}
	/* Of a namespace's counts, those after it has stopped are not its. */
	if (s->role == ROLE_LISTEN && flow && !s->closed_ns)
		listener_refresh(index, flow);
	if (is_tcp(s)) {
		if (s->role != ROLE_LISTEN && is_connection((struct sock *)flow))
			tcp_read_state(s, (struct sock *)flow);
		sk = (struct sock *)s->sk;
		s->tcp_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	}
	s->is_refreshed = 1;
	return 0;
}

/*
 * A TCP socket is used anew: what it was before, a connection or a listener, ends here. Whether a
 * process that is not traced was seen to hold it.
 */
GLOBAL int sock_end_use(__u64 address)
{
	struct sock_record *s;
	__u32 index = 0;
	int had_outsiders;

	s = sock_find((struct sock *)address, &index);
	if (!s || !is_tcp(s) || (!s->role && !s->remote_port))
		return 0;
	if (s->protocol == PROTO_TCP) {
		check_state(s, BPF_CORE_READ((struct sock *)address, __sk_common.skc_state));
		tcp_close_books(s);
	}
	had_outsiders = s->had_outsiders;
	sock_end(s, bpf_ktime_get_ns());
	return had_outsiders;
}

/* The record of @address for this use, by @process. */
static __always_inline struct sock_record *sock_use_anew(__u64 address, __u32 process, __u32 *index)
{
	int had_outsiders = sock_end_use(address);
	struct sock_record *s = sock_get((struct sock *)address, process, index);

	if (!s)
		return NULL;
	s->is_fresh = 0;
	s->owner = process;
	if (had_outsiders)
		s->had_outsiders = 1;
	return s;
}

static __always_inline void refresh_queue(struct sock_record *s, struct sock *sk)
{
	struct udp_sock *up = (struct udp_sock *)sk;
	__u32 fill = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);

	if (is_tcp(s))
		return;
	if (fill > s->queue_peak)
		s->queue_peak = fill;
	s->datagrams_queued = BPF_CORE_READ(sk, sk_receive_queue.qlen);
	if (s->protocol == PROTO_UDP)
		s->datagrams_queued += BPF_CORE_READ(up, reader_queue.qlen);
}

#endif
