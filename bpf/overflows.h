/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_OVERFLOWS_H
#define SOCKTRACE_BPF_OVERFLOWS_H

/*
 * What it takes to know how often a listener's accept queue was full. The kernel counts that for a
 * whole network namespace only (ListenOverflows). The listener's own counter has each of them, but
 * also whatever else it threw away, and an acknowledgement that met a full queue twice. So the
 * record takes both, and what was seen thrown away by name; user/model/overflows.c makes the
 * figure of them, or says that there is none.
 */

#include "sockets.h"

/* --- the counts of a network namespace -------------------------------------------------------- */

static __always_inline bool add_counts_of_cpu(struct listen_counts *sum, __u64 counts)
{
	__u64 overflows, drops, cookies;

	if (bpf_probe_read_kernel(&overflows, 8, (void *)(counts + 8 * mib_listen_overflows)) ||
	    bpf_probe_read_kernel(&drops, 8, (void *)(counts + 8 * mib_listen_drops)) ||
	    bpf_probe_read_kernel(&cookies, 8, (void *)(counts + 8 * mib_cookies_received)))
		return false;
	sum->overflows += overflows;
	sum->drops += drops;
	sum->cookies += cookies;
	return true;
}

/* Into listen.now of the record; 1: they are there. */
GLOBAL int read_listen_counts(__u32 index, __u64 address)
{
	struct sock_record *s = sock_at(index);
	struct sock *sk = (struct sock *)address;
	struct listen_counts sum = {};
	struct cpu_slot *slot;
	__u64 counts;

	counts = (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net, mib.net_statistics);
	slot = this_cpu_slot();
	if (!s || !counts || !mib_listen_overflows || !slot || !slot->has_percpu_offset)
		return 0;
	for (__u64 cpu = 0; cpu < nr_cpus; cpu++) {
		__u32 key = cpu; /* the verifier loses sight of what lies in memory */

		slot = bpf_map_lookup_elem(&cpu_slots, &key);
		/* One that was off when tracing began. */
		if (!slot || !slot->has_percpu_offset)
			continue;
		if (!add_counts_of_cpu(&sum, counts + slot->percpu_offset))
			return 0;
	}
	s->listen.now = sum;
	return 1;
}

/* --- a traced listener ------------------------------------------------------------------------ */

/* @s listens from now on, or is found listening: it is counted from here. */
GLOBAL int listener_begin(__u32 index, __u64 address)
{
	struct sock_record *s = sock_at(index);

	if (!s)
		return 0;
	s->listen.net = net_of((struct sock *)address);
	s->listen.is_counted = read_listen_counts(index, address);
	s->listen.base = s->listen.now;
	/* Of what it threw away as a connection nothing is left then. */
	s->base_drops = kernel_drops(address) - (__u32)s->drops;
	return 0;
}

/*
 * Other CPUs may be between two of these counts: read until nothing moves, which is at once unless
 * the queue overflows right now.
 */
GLOBAL int listener_refresh(__u32 index, __u64 address)
{
	struct sock_record *s = sock_at(index);
	__u64 before = 0, drops;

	if (!s)
		return 0;
	for (int i = 0; i < 8; i++) {
		s->books.seen_drops = s->drops;
		s->listen.seen_doubtful = s->listen.doubtful;
		drops = kernel_drops(address) - (__u32)s->base_drops;
		s->books.kernel_drops = drops;
		if (s->listen.is_counted)
			s->listen.is_counted = read_listen_counts(index, address);
		drops += s->books.seen_drops + s->listen.now.overflows + s->listen.now.drops;
		if (i && drops == before)
			break;
		before = drops;
	}
	return 0;
}

/* --- all listeners -----------------------------------------------------------------------------
 */

/*
 * Before 6.11 the kernel does not tell whose packet it throws away. There, an overflow belongs to a
 * listener if no other in its namespace has thrown anything away; so all are watched.
 */
struct listener {
	__u32 net, drops;
	__u32 has_grown; /* and was counted in grown_listeners */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* struct sock */
	__type(value, struct listener);
} listeners __weak SEC(".maps");

/* By network namespace: how many listeners have thrown something away. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} grown_listeners __weak SEC(".maps");

static __always_inline void listener_has_grown(__u32 net)
{
	__u32 one = 1, *n = bpf_map_lookup_elem(&grown_listeners, &net);

	if (n)
		ADD(*n, 1);
	else if ((int)bpf_map_update_elem(&grown_listeners, &net, &one, BPF_NOEXIST))
		misses_listeners = 1;
}

/* @is_new: it has just begun to listen. */
GLOBAL int watch_listener(__u64 address, bool is_new)
{
	struct listener fresh = {}, *l;

	if (!watches_listeners)
		return 0;
	l = is_new ? NULL : bpf_map_lookup_elem(&listeners, &address);
	fresh.drops = kernel_drops(address);
	if (l) {
		if (l->drops != fresh.drops && !l->has_grown) {
			l->has_grown = 1;
			listener_has_grown(l->net);
		}
		return 0;
	}
	fresh.net = net_of((struct sock *)address);
	if ((int)bpf_map_update_elem(&listeners, &address, &fresh, BPF_ANY))
		misses_listeners = 1;
	return 0;
}

static __always_inline void forget_listener(struct sock *sk)
{
	__u64 key = address_of(sk);

	watch_listener(key, false);
	bpf_map_delete_elem(&listeners, &key);
}

#endif
