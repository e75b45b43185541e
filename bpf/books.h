/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_BOOKS_H
#define SOCKTRACE_BPF_BOOKS_H

/*
 * What the kernel itself keeps of a socket, read into its record: the counts that ours are held
 * against, and the state of a TCP connection.
 */

#include "state.h"

#define AF_UNIX	   1
#define AF_INET	   2
#define AF_INET6   10
#define AF_NETLINK 16
#define AF_PACKET  17

#define IPPROTO_ICMP	1
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IPPROTO_ICMPV6	58
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP	262

/* include/linux/net.h */
#define SOCK_STREAM    1
#define SOCK_DGRAM     2
#define SOCK_RAW       3
#define SOCK_SEQPACKET 5

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED	 1
#define TCP_SYN_SENT	 2
#define TCP_SYN_RECV	 3
#define TCP_FIN_WAIT1	 4
#define TCP_TIME_WAIT	 6
#define TCP_CLOSE	 7
#define TCP_CLOSE_WAIT	 8
#define TCP_LAST_ACK	 9
#define TCP_LISTEN	 10
#define TCP_NEW_SYN_RECV 12

/* bind(2) was given an address, a port: include/net/sock.h */
#define SOCK_BINDADDR_LOCK 4
#define SOCK_BINDPORT_LOCK 8

#define SOCK_DEAD 0 /* bit of sk_flags: no process has it any more */
#define SOCK_DONE 1 /* bit of sk_flags: FIN received, tcp_fin(); include/net/sock.h */

/* enum tcp_chrono, include/linux/tcp.h */
#define TCP_CHRONO_RWND_LIMITED	  2
#define TCP_CHRONO_SNDBUF_LIMITED 3

/*
 * Bytes that the application gave to and took from the connection, by its sequence numbers, but
 * for SYN and FIN, which have one each. bytes_acked and bytes_received grow with snd_una and
 * rcv_nxt and do not wrap (RFC 4898; net/ipv4/tcp_input.c, tcp_snd_una_update(),
 * tcp_rcv_nxt_update()).
 */
struct tcp_sums {
	__u64 sent, received;
	bool fin_read; /* the reader has met the FIN, which then counts as received */
};

/* Functions of their own, as the stack of Linux 5.10's verifier is used up where they are called.
 */
static __noinline __u64 tcp_sent(struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u32 unacked = BPF_CORE_READ(tp, write_seq) - BPF_CORE_READ(tp, snd_una);

	return BPF_CORE_READ(tp, bytes_acked) + unacked;
}

static __noinline __u64 tcp_received(struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u32 unread = BPF_CORE_READ(tp, rcv_nxt) - BPF_CORE_READ(tp, copied_seq);

	return BPF_CORE_READ(tp, bytes_received) - unread;
}

static __noinline int tcp_has_read_fin(struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	return BPF_CORE_READ(tp, rcv_nxt) == BPF_CORE_READ(tp, copied_seq) &&
	       BPF_CORE_READ(sk, __sk_common.skc_flags) & (1UL << SOCK_DONE);
}

/* Without the socket's lock: a packet may come between the reads. See tcp_set_base(). */
static __always_inline void tcp_read_sums(struct sock *sk, struct tcp_sums *x)
{
	x->sent = tcp_sent(sk);
	x->received = tcp_received(sk);
	x->fin_read = tcp_has_read_fin(sk);
}

/*
 * net/core: sk_drops_read(). Since 6.18, UDP sockets count in two places by NUMA node. A function
 * of its own: within a loop, the compiler moves the field's offset out of it and past the check
 * that there is such a field, and without one the verifier refuses the program.
 */
GLOBAL __u32 kernel_drops(__u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct numa_drop_counters *two = NULL;
	__u32 n = BPF_CORE_READ(sk, sk_drops.counter);

	if (bpf_core_field_exists(sk->sk_drop_counters))
		two = BPF_CORE_READ(sk, sk_drop_counters);
	if (two)
		n += BPF_CORE_READ(two, drops0.counter) + BPF_CORE_READ(two, drops1.counter);
	return n;
}

/*
 * Sockets whose functions were replaced move bytes past their sequence numbers: TLS in the kernel,
 * a sockmap. It gives them back before the socket is closed.
 */
static __always_inline bool is_replaced(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_prot) != BPF_CORE_READ(sk, sk_prot_creator);
}

/* --- the state of a connection -------------------------------------------------------------- */

/* Jiffies of one chrono, the stretch under way included: tcp_get_info_chrono_stats(). */
static __always_inline __u32 chrono(struct tcp_sock *tp, __u32 which)
{
	__u32 running = BPF_CORE_READ_BITFIELD_PROBED(tp, chrono_type), stat = 0;

	bpf_probe_read_kernel(&stat, sizeof(stat),
			      (void *)tp + bpf_core_field_offset(tp->chrono_stat) +
				      (which - 1) * sizeof(stat));
	if (running == which)
		stat += (__u32)bpf_jiffies64() - BPF_CORE_READ(tp, chrono_start);
	return stat;
}

static __always_inline void tcp_read_state(struct sock_record *s, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct sock_tcp *t = &s->tcp;

	t->srtt_us = BPF_CORE_READ(tp, srtt_us);
	t->mdev_us = BPF_CORE_READ(tp, mdev_us);
	t->cwnd = BPF_CORE_READ(tp, snd_cwnd);
	t->mss = BPF_CORE_READ(tp, mss_cache);
	t->rate_delivered = BPF_CORE_READ(tp, rate_delivered);
	t->rate_interval_us = BPF_CORE_READ(tp, rate_interval_us);
	t->retransmits = BPF_CORE_READ(tp, total_retrans) - t->base_retransmits;
	t->rwnd_limited = chrono(tp, TCP_CHRONO_RWND_LIMITED) - t->base_rwnd_limited;
	t->sndbuf_limited = chrono(tp, TCP_CHRONO_SNDBUF_LIMITED) - t->base_sndbuf_limited;
	if (!s->has_base)
		return;
	if (BPF_CORE_READ(tp, inet_conn.icsk_ulp_ops) || is_replaced(sk))
		s->opaque = OPAQUE_REPLACED;
	if (BPF_CORE_READ(tp, urg_seq) != s->base_urg_seq)
		s->opaque = OPAQUE_URGENT;
}

/* It has a peer, or has tried to have one. */
static __always_inline bool is_connection(struct sock *sk)
{
	return sk && BPF_CORE_READ(sk, __sk_common.skc_dport);
}

/*
 * The connection of @s is established, or was already when its trace began: then a packet may come
 * between two reads, and they are made again.
 */
static __always_inline void tcp_set_base(struct sock_record *s, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	s->base_sent = tcp_sent(sk);
	if (s->base_sent != tcp_sent(sk))
		s->base_sent = tcp_sent(sk);
	s->has_fin_in_base = tcp_has_read_fin(sk);
	s->base_received = tcp_received(sk);
	if (s->base_received != tcp_received(sk) || s->has_fin_in_base != tcp_has_read_fin(sk)) {
		s->has_fin_in_base = tcp_has_read_fin(sk);
		s->base_received = tcp_received(sk);
	}
	s->has_fin_sent = 0;
	s->base_urg_seq = BPF_CORE_READ(tp, urg_seq);
	if (BPF_CORE_READ_BITFIELD_PROBED(tp, syn_data) ||
	    BPF_CORE_READ_BITFIELD_PROBED(tp, syn_fastopen))
		s->opaque = OPAQUE_FAST_OPEN;
	s->has_base = 1;
}

/* What adds up is reported from here on. */
static __always_inline void tcp_set_state_base(struct sock_record *s, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;

	s->tcp.base_retransmits = s->tcp.last_total = BPF_CORE_READ(tp, total_retrans);
	s->tcp.base_rwnd_limited = chrono(tp, TCP_CHRONO_RWND_LIMITED);
	s->tcp.base_sndbuf_limited = chrono(tp, TCP_CHRONO_SNDBUF_LIMITED);
}

/* A record is made for a connection that is under way. */
static __always_inline void tcp_late_base(struct sock_record *s, struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == TCP_CLOSE && s->protocol == PROTO_TCP)
		s->seen_state = TCP_CLOSE; /* only its process takes it out of this */
	/* What a connection that was cut has left can still be read. */
	if (state == TCP_LISTEN || (state == TCP_CLOSE && !is_connection(sk)))
		return;
	tcp_set_state_base(s, sk);
	s->awaits_result = state == TCP_SYN_SENT;
	if (s->protocol != PROTO_TCP || s->awaits_result)
		return;
	tcp_set_base(s, sk);
	s->base_ns = bpf_ktime_get_ns();
}

/* --- the books ------------------------------------------------------------------------------- */

static __always_inline __u64 seen_received(const struct sock_record *s)
{
	return s->counts.receive_bytes + s->counts.trunc_bytes;
}

/* tcp_disconnect() has set everything anew: what was read before stands. */
static __always_inline bool is_disconnected(const struct sock_record *s, struct sock *sk)
{
	return s->has_base && !is_connection(sk);
}

/* The kernel's counts are of the end of the connection: what was read since is in ours alone. */
static __always_inline void tcp_close_books(struct sock_record *s)
{
	struct sock_books *b = &s->books;

	if (b->seen_sent != s->counts.send_bytes || b->seen_received != seen_received(s))
		s->is_cut_off = 1;
	b->seen_sent = s->counts.send_bytes;
	b->seen_received = seen_received(s);
}

static __always_inline void tcp_read_books(struct sock_record *s, struct sock *sk)
{
	struct sock_books *b = &s->books;
	struct tcp_sums x;

	if (is_disconnected(s, sk)) {
		tcp_close_books(s);
		return;
	}
	b->seen_sent = s->counts.send_bytes;
	b->seen_received = seen_received(s);
	if (s->has_base) {
		tcp_read_sums(sk, &x);
		b->kernel_sent = x.sent - s->base_sent - s->has_fin_sent;
		b->kernel_received = x.received - s->base_received;
		if (x.fin_read && !s->has_fin_in_base)
			b->kernel_received--;
	}
	/* After the kernel's: a call that returns meanwhile moves ours alone. */
	b->seen_sent = s->counts.send_bytes;
	b->seen_received = seen_received(s);
}

#endif
