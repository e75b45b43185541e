/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_SOCKETS_H
#define SOCKTRACE_BPF_SOCKETS_H

/*
 * The records of sockets: found by the address of struct sock, made at the first use by a traced
 * process, when a connection to one of its listeners is established, or by the first listing. A
 * TCP socket's record ends with tcp_destroy_sock. Another's ends when its only descriptor is closed
 * (descriptors.h); where that is not seen, user space finds it (kernel_snapshot()), or the next
 * socket at the same address does.
 */

#include "books.h"
#include "switches.h"

#define ADD(counter, n) __sync_fetch_and_add(&(counter), n)

static __always_inline struct sock_record *sock_at(__u32 index)
{
	return bpf_map_lookup_elem(&socks, &index);
}

static __always_inline struct sock_use *use_at(__u32 index)
{
	return bpf_map_lookup_elem(&uses, &index);
}

/* The type comes first: a raw socket's protocol number makes no tcp_sock or udp_sock of it. */
static __always_inline __u32 inet_protocol(__u16 type, __u16 protocol)
{
	if (type == SOCK_RAW)
		return PROTO_RAW;
	if (type == SOCK_STREAM)
		return protocol == IPPROTO_TCP	   ? PROTO_TCP
		       : protocol == IPPROTO_MPTCP ? PROTO_MPTCP
						   : PROTO_OTHER;
	if (type != SOCK_DGRAM)
		return PROTO_OTHER;
	return protocol == IPPROTO_UDP					? PROTO_UDP
	       : protocol == IPPROTO_UDPLITE				? PROTO_UDPLITE
	       : protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? PROTO_PING
									: PROTO_OTHER;
}

/* enum sock_protocol; PROTO_NONE: not a kind of socket that is counted */
static __always_inline __u32 protocol_of(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 type = BPF_CORE_READ(sk, sk_type);

	if (family == AF_INET || family == AF_INET6)
		return inet_protocol(type, BPF_CORE_READ(sk, sk_protocol));
	if (family == AF_UNIX)
		return type == SOCK_STREAM  ? PROTO_UNIX_STREAM
		       : type == SOCK_DGRAM ? PROTO_UNIX_DGRAM
					    : PROTO_UNIX_SEQPACKET;
	return family == AF_NETLINK  ? PROTO_NETLINK
	       : family == AF_PACKET ? PROTO_PACKET
				     : PROTO_NONE;
}

static __always_inline bool has_addresses(const struct sock_record *s)
{
	return s->family == AF_INET || s->family == AF_INET6;
}

/* 0: it has none (any more): not accepted yet, or closed. */
static __always_inline __u64 inode_of(struct sock *sk)
{
	if (bpf_core_field_exists(sk->sk_ino))
		return BPF_CORE_READ(sk, sk_ino);
	return BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
}

/* The number of its network namespace, as in /proc/PID/ns/net. */
static __always_inline __u32 net_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* --- MPTCP ----------------------------------------------------------------------------------- */

/*
 * An MPTCP socket is what a descriptor has; its subflows, TCP sockets of the kernel's own, are what
 * the network has. There is one record for them all, the former's. Its figures are those of the
 * first subflow, which listens and connects; where MPTCP is not spoken at the other end, there is
 * no other. What was accepted from a peer without MPTCP is a plain TCP socket.
 */

static __always_inline bool is_tcp(const struct sock_record *s)
{
	return s->protocol == PROTO_TCP || s->protocol == PROTO_MPTCP;
}

/* The address of the socket whose record is that of TCP's @address; 0: of a further subflow. */
GLOBAL __u64 holder_of(__u64 address)
{
	struct tcp_sock *tp = (struct tcp_sock *)address;
	struct mptcp_subflow_context *flow = NULL;
	__u8 state;

	if (!bpf_core_field_exists(tp->is_mptcp) || !bpf_core_field_exists(flow->conn))
		return address;
	/* Those in two states are smaller than a tcp_sock. */
	state = BPF_CORE_READ((struct sock *)address, __sk_common.skc_state);
	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV || !BPF_CORE_READ(tp, is_mptcp))
		return address;
	flow = BPF_CORE_READ(tp, inet_conn.icsk_ulp_data);
	if (!flow)
		return address;
	if (BPF_CORE_READ_BITFIELD_PROBED(flow, request_join) ||
	    BPF_CORE_READ_BITFIELD_PROBED(flow, mp_join))
		return 0;
	return (__u64)BPF_CORE_READ(flow, conn);
}

/* Of MPTCP's @sk, the address of the first subflow; 0: it has none (any more). */
static __always_inline __u64 first_flow(struct sock *sk)
{
	struct mptcp_sock *msk = (struct mptcp_sock *)sk;

	return bpf_core_field_exists(msk->first) ? (__u64)BPF_CORE_READ(msk, first) : 0;
}

/* The address of the TCP socket that @sk, of @s, is or has first; 0: it has none (any more). */
static __always_inline __u64 flow_of(const struct sock_record *s, struct sock *sk)
{
	if (likely(s->protocol != PROTO_MPTCP) || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP)
		return address_of(sk);
	return first_flow(sk);
}

/* --- names ----------------------------------------------------------------------------------- */

/*
 * An accepted Unix socket shares its listener's name, a connecting one seldom has a name of its
 * own; one of a pair has neither. How one came about that has a name and a peer, but shares it with
 * none (any more), is known from the call that did it, or not.
 */
static __always_inline __u32 unix_role(const struct sock_record *s, struct unix_address *own,
				       bool has_peer, __u8 state)
{
	if (state == TCP_LISTEN)
		return ROLE_LISTEN;
	if (!own)
		return has_peer && s->name_len ? ROLE_CONNECT : ROLE_NONE;
	if (!has_peer || s->protocol == PROTO_UNIX_DGRAM)
		return ROLE_BIND;
	return BPF_CORE_READ(own, refcnt.refs.counter) > 1 ? ROLE_ACCEPT : ROLE_NONE;
}

static __always_inline void fill_unix_name(struct sock_record *s, struct sock *sk)
{
	struct unix_sock *u = (struct unix_sock *)sk, *peer;
	struct unix_address *own = BPF_CORE_READ(u, addr), *name = own;
	int len;

	peer = (struct unix_sock *)BPF_CORE_READ(u, peer);
	s->is_peer_name = !own;
	if (!own)
		name = BPF_CORE_READ(peer, addr);
	len = name ? BPF_CORE_READ(name, len) - (int)sizeof(short) : 0;
	if (len > UNIX_NAME_LEN)
		len = UNIX_NAME_LEN; /* a path without a NUL: the kernel has added one */
	if (len > 0) {
		bpf_probe_read_kernel(s->name, UNIX_NAME_LEN,
				      (void *)name + bpf_core_field_offset(name->name) +
					      sizeof(short));
		s->name_len = len;
	}
	/* A peer that has closed leaves the role as it was. */
	if (s->role == ROLE_NONE || s->role == ROLE_BIND)
		s->role = unix_role(s, own, peer, BPF_CORE_READ(sk, __sk_common.skc_state));
}

static __always_inline void fill_addresses(struct sock_record *s, struct sock *sk)
{
	s->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	s->remote_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	s->scope = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	if (s->family == AF_INET6) {
		BPF_CORE_READ_INTO(&s->local, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&s->remote, sk, __sk_common.skc_v6_daddr);
		s->is_dual = !BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
		return;
	}
	BPF_CORE_READ_INTO((__be32 *)&s->local, sk, __sk_common.skc_rcv_saddr);
	BPF_CORE_READ_INTO((__be32 *)&s->remote, sk, __sk_common.skc_daddr);
}

/* A TCP socket gives its port back when it is closed, its peer's when it is disconnected. */
static __always_inline bool has_lost_name(const struct sock_record *s, struct sock *sk)
{
	return (s->local_port && !BPF_CORE_READ(sk, __sk_common.skc_num)) ||
	       (s->remote_port && !BPF_CORE_READ(sk, __sk_common.skc_dport));
}

#define UDP_FLAGS_GRO_ENABLED 3 /* include/linux/udp.h */

static __always_inline bool has_gro(struct udp_sock *up)
{
	struct udp_sock___before_6_7 *old = (struct udp_sock___before_6_7 *)up;

	if (bpf_core_field_exists(old->gro_enabled))
		return BPF_CORE_READ_BITFIELD_PROBED(old, gro_enabled);
	return BPF_CORE_READ(up, udp_flags) & (1UL << UDP_FLAGS_GRO_ENABLED);
}

static __always_inline void fill_tcp_name(struct sock_record *s, struct sock *sk)
{
	struct sock *flow = (struct sock *)flow_of(s, sk);
	struct port_key port = {};
	__u32 yes = 1;

	if (!flow || has_lost_name(s, flow))
		return;
	fill_addresses(s, flow);
	if (!s->remote_port) /* tcp_disconnect() leaves the address of an earlier peer */
		__builtin_memset(s->remote, 0, sizeof(s->remote));
	if (s->role != ROLE_LISTEN)
		return;
	port.netns = s->netns;
	port.port = s->local_port;
	bpf_map_update_elem(&ports, &port, &yes, BPF_ANY);
}

static __always_inline bool was_used(const struct sock_counts *c)
{
	return c->send_calls || c->send_errors || c->receive_calls || c->receive_errors ||
	       c->peek_calls || c->trunc_calls;
}

/* What was moved before the peer changed stands in the same record. */
static __always_inline void fill_datagram_addresses(struct sock_record *s, struct sock *sk)
{
	__u64 before[2], *now = (__u64 *)s->remote;
	__be16 port = s->remote_port;

	before[0] = now[0];
	before[1] = now[1];
	fill_addresses(s, sk);
	if ((port != s->remote_port || before[0] != now[0] || before[1] != now[1]) &&
	    (s->is_shared || s->drops || was_used(&s->counts)))
		s->has_many_peers = 1;
}

/* PACKET_RX_RING (packet(7)): packets come through memory, and no call tells of them. */
static __always_inline bool has_receive_ring(struct packet_sock *ps)
{
	return bpf_core_field_exists(ps->rx_ring) && BPF_CORE_READ(ps, rx_ring.pg_vec);
}

GLOBAL int fill_name(__u32 index, __u64 address)
{
	struct sock *sk = (struct sock *)address;
	struct sock_record *s = sock_at(index);

	if (!s)
		return 0;
	if (s->family == AF_UNIX) {
		fill_unix_name(s, sk);
		return 0;
	}
	if (is_tcp(s)) {
		fill_tcp_name(s, sk);
		return 0;
	}
	if (has_addresses(s))
		fill_datagram_addresses(s, sk);
	s->receive_buffer = BPF_CORE_READ(sk, sk_rcvbuf);
	if (s->protocol == PROTO_PACKET && has_receive_ring((struct packet_sock *)sk))
		s->has_ring = 1;
	if (!has_addresses(s))
		return 0;
	if (s->protocol == PROTO_UDP) {
		s->is_segmented = BPF_CORE_READ((struct udp_sock *)sk, gso_size) != 0;
		s->is_gathered |= has_gro((struct udp_sock *)sk);
	}
	if (s->remote_port)
		s->role = ROLE_CONNECT;
	else if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) &
		 (SOCK_BINDADDR_LOCK | SOCK_BINDPORT_LOCK))
		s->role = ROLE_BIND;
	return 0;
}

/* --- changes of state ------------------------------------------------------------------------ */

/*
 * TCP: every change of state begins where the last one has led. @state: that which the socket has
 * now. One that was not seen is lost, and what came of it.
 */
static __always_inline void check_state(struct sock_record *s, __u8 state)
{
	if (s->protocol != PROTO_TCP || !s->seen_state || likely(s->seen_state == state))
		return;
	lose(LOST_UNSEEN_STATE);
	s->seen_state = state;
}

/* --- records --------------------------------------------------------------------------------- */

static __always_inline void sock_end(struct sock_record *s, __u64 now)
{
	__u64 key = s->sk;

	if (!s->closed_ns)
		s->closed_ns = s->closing_ns ? s->closing_ns : now;
	if ((int)bpf_map_delete_elem(&sock_of, &key) == -EBUSY)
		lose(LOST_MAP_UPDATE);
	s->state = RECORD_ENDED;
	ADD(nr_ended_sockets, 1);
	/* Each wake-up costs an interrupt: not at every socket. */
	if (nr_ended_sockets >= wake_up_after_sockets && !(nr_ended_sockets % 64))
		bpf_ringbuf_output(&wake_ups, &key, sizeof(key), BPF_RB_FORCE_WAKEUP);
}

/* The record of @sk, or NULL. In interrupts too: says nothing about the current task. */
static __always_inline struct sock_record *sock_find(struct sock *sk, __u32 *index)
{
	__u64 key = (__u64)sk;
	__u32 *found = bpf_map_lookup_elem(&sock_of, &key);

	if (!found)
		return NULL;
	*index = *found;
	return sock_at(*found);
}

/* Not the one of an earlier socket at this address, which ended unseen. */
static __always_inline bool sock_matches(const struct sock_record *s, __u64 ino)
{
	return s->protocol == PROTO_TCP || s->ino == ino ||
	       (s->protocol == PROTO_MPTCP && !s->ino); /* it was not accepted then */
}

/* Only a sweep by user space finds the end of these. */
static __always_inline void note_new(__u32 protocol)
{
	__u64 nothing = 0;

	if (protocol == PROTO_TCP || protocol == PROTO_MPTCP)
		return;
	ADD(nr_new_sockets, 1);
	if (nr_new_sockets >= wake_up_after_sockets * 4 && !(nr_new_sockets % 64))
		bpf_ringbuf_output(&wake_ups, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

/* A new record for @sk, of @process (0: nobody's yet). NULL: not counted, or no room (lost). */
GLOBAL int sock_add(__u64 key, __u32 process, __u32 protocol)
{
	struct sock *sk = (struct sock *)key;
	struct sock_record *s;
	__u64 flow;
	__u32 index;
	int err;

	if (bpf_map_pop_elem(&free_socks, &index)) {
		lose(LOST_SOCKETS_FULL);
		return 0;
	}
	s = sock_at(index);
	if (!s)
		return 0;
	s->sk = key;
	s->ino = inode_of(sk);
	s->process = s->owner = process;
	s->protocol = protocol;
	s->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->is_fresh = 1;
	s->maker = (__u64)bpf_get_current_task();
	s->snapshot = nr_snapshots;
	s->netns = net_of(sk);
	flow = flow_of(s, sk);
	s->base_drops = kernel_drops(flow);
	if (!listing_sockets)
		s->opened_ns = bpf_ktime_get_ns();
	fill_name(index, key);
	if (is_tcp(s) && flow)
		tcp_late_base(s, (struct sock *)flow);
	s->state = RECORD_LIVE;
	err = bpf_map_update_elem(&sock_of, &key, &index, BPF_NOEXIST);
	if (!err) {
		note_new(protocol);
		return index;
	}
	__builtin_memset(s, 0, sizeof(*s));
	bpf_map_push_elem(&free_socks, &index, BPF_ANY);
	if (err != -17 /* EEXIST: another CPU was first */)
		lose(LOST_MAP_UPDATE);
	return 0;
}

/* The record of @sk, made for @process if missing. NULL: not counted, or no room (lost). */
static __always_inline struct sock_record *sock_get(struct sock *sk, __u32 process, __u32 *index)
{
	struct sock_record *s = sock_find(sk, index);
	__u32 protocol;

	if (s && likely(sock_matches(s, inode_of(sk))))
		return s;
	if (s)
		sock_end(s, bpf_ktime_get_ns());
	protocol = protocol_of(sk);
	if (protocol == PROTO_NONE)
		return NULL;
	*index = sock_add(address_of(sk), process, protocol);
	return *index ? sock_at(*index) : sock_find(sk, index);
}

/* --- counts of a further process ------------------------------------------------------------- */

GLOBAL int use_add(__u32 sock, __u32 process)
{
	struct sock_use_key key = {.sock = sock, .process = process};
	struct sock_use *u;
	__u32 index, *found;

	if (bpf_map_pop_elem(&free_uses, &index)) {
		lose(LOST_USES_FULL);
		return 0;
	}
	u = use_at(index);
	if (!u)
		return 0;
	u->sock = sock;
	u->process = process;
	u->state = RECORD_LIVE;
	if (!(int)bpf_map_update_elem(&use_of, &key, &index, BPF_NOEXIST))
		return index;
	u->state = RECORD_FREE;
	bpf_map_push_elem(&free_uses, &index, BPF_ANY);
	found = bpf_map_lookup_elem(&use_of, &key);
	if (found)
		return *found;
	lose(LOST_MAP_UPDATE);
	return 0;
}

static __always_inline struct sock_counts *use_counts(struct sock_record *s, __u32 sock,
						      __u32 process)
{
	struct sock_use_key key = {.sock = sock, .process = process};
	__u32 *found = bpf_map_lookup_elem(&use_of, &key);
	struct sock_use *u;
	__u32 index;

	s->is_shared = 1;
	index = found ? *found : use_add(sock, process);
	if (!index)
		return NULL;
	u = use_at(index);
	if (!u)
		return NULL;
	asm volatile("" : "+r"(u)); /* else the compiler adds first, which the verifier refuses */
	return &u->counts;
}

/* Where @process counts what it moves through @s, whose index is @sock. NULL: no room (lost). */
static __always_inline struct sock_counts *counts_of(struct sock_record *s, __u32 sock,
						     __u32 process)
{
	if (unlikely(!s->process))
		s->process = s->owner = process;
	if (likely(s->process == process))
		return &s->counts;
	return use_counts(s, sock, process);
}

#endif
