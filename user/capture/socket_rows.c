// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "capture/socket_rows.h"
#include "kernel/names.h"
#include "model/names.h"
#include "model/overflows.h"

/* --- names ------------------------------------------------------------------------------ */

static const char *const protocols[NR_PROTOS] = {
	[PROTO_NONE] = "other",
#define SOCK_PROTOCOL(id, name) [PROTO_##id] = name,
#include "socktrace/protocols.def"
#undef SOCK_PROTOCOL
};

static const char *const roles[NR_ROLES] = {
	[ROLE_NONE] = "none",	    [ROLE_LISTEN] = "listen", [ROLE_ACCEPT] = "accept",
	[ROLE_CONNECT] = "connect", [ROLE_BIND] = "bind",     [ROLE_UNKNOWN] = "none",
};

/* Such an address is one of its interface alone: "%eth0", or where there is no name to it "%3". */
static char *scope_text(struct socket_reader *r, const struct sock_record *s,
			const uint8_t *address)
{
	const struct process_record *p = pool_at(kernel_processes(r->kernel), s->process);
	const char *name;

	if (s->family != AF_INET6 || !s->scope ||
	    !IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)address))
		return xstrdup("");
	name = interface_name(&r->interfaces, s->netns, s->scope, p->pid);
	return name ? xasprintf("%%%s", name) : xasprintf("%%%u", s->scope);
}

static char *inet_name(int family, const uint8_t *address, char *scope, uint16_t port,
		       bool is_local, bool is_connected)
{
	static const uint8_t none[16];
	__cleanup(free) char *owned = scope;
	char text[INET6_ADDRSTRLEN];

	/* Where to, or (a connect(2) that failed) where from, is not known. */
	if (!port && (is_local ? is_connected : !memcmp(address, none, family == AF_INET ? 4 : 16)))
		return xstrdup("*");
	inet_ntop(family, address, text, sizeof(text));
	return xasprintf(family == AF_INET6 ? "[%s%s]:%u" : "%s%s:%u", text, owned, port);
}

/* unix(7): a name that begins with NUL is abstract; else it ends with the first NUL. */
static char *unix_name(const struct sock_record *s)
{
	char name[UNIX_NAME_LEN + 1];
	size_t len = s->name_len;

	if (!len)
		return xstrdup("*");
	memcpy(name, s->name, len);
	if (!name[0])
		name[0] = '@';
	else
		len = strnlen(name, len);
	return utf8_clean(name, len);
}

/* Of a connection that is older than the trace, and looks like one to a listener. */
static const char *role_of(const struct socket_reader *r, const struct sock_record *s)
{
	if (s->role == ROLE_UNKNOWN && kernel_listens_on(r->kernel, s->netns, s->local_port))
		return roles[ROLE_ACCEPT];
	return roles[s->role];
}

static void fill_names(struct socket_reader *r, const struct sock_record *s, struct socket *out)
{
	out->protocol = protocols[s->protocol];
	out->role = role_of(r, s);
	out->netns = s->netns ? s->netns : METRIC_UNKNOWN;
	if (s->protocol == PROTO_NETLINK || s->protocol == PROTO_PACKET) {
		out->family = out->protocol;
		return;
	}
	if (s->family == AF_UNIX) {
		out->family = "unix";
		out->local = s->is_peer_name ? xstrdup("*") : unix_name(s);
		out->remote = s->is_peer_name ? unix_name(s) : xstrdup("*");
		return;
	}
	out->family = s->family == AF_INET6 ? "ipv6" : "ipv4";
	out->dual_stack = s->is_dual;
	out->local = inet_name(s->family, s->local, scope_text(r, s, s->local), s->local_port, true,
			       s->remote_port);
	out->remote = s->has_many_peers
			      ? xstrdup("*")
			      : inet_name(s->family, s->remote, scope_text(r, s, s->remote),
					  ntohs(s->remote_port), false, false);
}

/* --- figures ---------------------------------------------------------------------------- */

/* Since the trace began; METRIC_UNKNOWN for 0, not seen. */
static uint64_t since_start(const struct socket_reader *r, uint64_t ns)
{
	if (!ns)
		return METRIC_UNKNOWN;
	return ns > r->began_ns ? ns - r->began_ns : 0;
}

/* METRIC_UNKNOWN if one of the two was not seen. */
static uint64_t between(uint64_t from, uint64_t to)
{
	return from && to && to >= from ? to - from : METRIC_UNKNOWN;
}

static void fill_counts(const struct sock_record *s, const struct sock_counts *c,
			struct socket *out)
{
	struct socket_stats *x = &out->stats;

	x->send_calls = c->send_calls;
	x->send_bytes = c->send_bytes;
	x->send_errors = c->send_errors;
	if (!s->has_ring) {
		x->receive_calls = c->receive_calls;
		x->receive_bytes = c->receive_bytes;
	}
	x->receive_errors = c->receive_errors;
	x->receive_peek_calls = c->peek_calls;
	x->receive_peek_bytes = c->peek_bytes;
	x->receive_trunc_calls = c->trunc_calls;
	x->receive_trunc_bytes = c->trunc_bytes;
	if (s->protocol == PROTO_UDP) {
		if (!s->has_odd_sends)
			x->udp_datagrams_sent = c->send_calls + c->extra_segments;
		if (!s->is_gathered)
			x->udp_datagrams_received = c->receive_calls + c->trunc_calls;
	}
}

static void fill_tcp_times(const struct sock_record *s, struct socket *out)
{
	struct socket_stats *x = &out->stats;

	if (s->role == ROLE_CONNECT)
		x->tcp_connect_ns = between(s->connect_ns, s->established_ns);
	if (s->role == ROLE_ACCEPT)
		x->tcp_accept_wait_ns = between(s->established_ns, s->accepted_ns);
	x->tcp_first_byte_ns = between(s->established_ns, s->first_byte_ns);
}

static uint64_t backlog_overflows(const struct socket_reader *r, const struct sock_record *s)
{
	const struct sock_listen *l = &s->listen;
	bool is_seen = kernel_has_probe(r->kernel, "drops") &&
		       kernel_hook_is(r->kernel, "drops", "socket");
	struct listen_evidence e = {
		.counter = s->books.kernel_drops,
		.seen_most = UINT64_MAX,
		.overflows = l->now.overflows - l->base.overflows,
		.drops = l->now.drops - l->base.drops,
		.is_counted = l->is_counted && sysconf(_SC_NPROCESSORS_ONLN) <= r->nr_online,
		.is_alone = !is_seen && kernel_has_one_grown_listener(r->kernel, l->net),
	};

	if (!s->is_refreshed)
		return METRIC_UNKNOWN;
	if (is_seen) {
		e.seen_least = e.seen_most = s->books.seen_drops;
		/* Of those seen, cookies make some doubtful. */
		if (l->now.cookies != l->base.cookies)
			e.seen_least -= l->seen_doubtful;
	}
	return listen_overflows(&e);
}

static void fill_tcp(const struct socket_reader *r, const struct sock_record *s, struct socket *out)
{
	const struct sock_tcp *t = &s->tcp;
	struct socket_stats *x = &out->stats;
	bool knows_failed = kernel_has_probe(r->kernel, "tcp_failed_retransmits");

	if (kernel_has_probe(r->kernel, "tcp_resets")) {
		x->tcp_resets_sent = t->resets_sent;
		x->tcp_resets_received = t->resets_received;
	}
	if (s->role == ROLE_LISTEN) {
		x->tcp_backlog_overflows = backlog_overflows(r, s);
		return;
	}
	x->tcp_failed_connects = t->failed_connects;
	if (!s->is_refreshed)
		return;
	if (t->srtt_us) {
		x->tcp_rtt_ns = (uint64_t)t->srtt_us * 1000 / 8;
		x->tcp_rtt_var_ns = (uint64_t)t->mdev_us * 1000 / 4;
	}
	x->tcp_retransmits = t->retransmits - t->failed_in_total;
	if (knows_failed)
		x->tcp_retransmits_failed = t->retransmits_failed;
	if (t->cwnd)
		x->tcp_cwnd = t->cwnd;
	/* net/ipv4/tcp.c, tcp_compute_delivery_rate() */
	if (t->rate_interval_us)
		x->tcp_delivery_rate =
			(uint64_t)t->rate_delivered * t->mss * 1000000 / t->rate_interval_us;
	x->tcp_rwnd_limited_ns = t->rwnd_limited * r->jiffy_ns;
	x->tcp_sndbuf_limited_ns = t->sndbuf_limited * r->jiffy_ns;
	fill_tcp_times(s, out);
}

static void fill_udp(const struct sock_record *s, struct socket *out)
{
	struct socket_stats *x = &out->stats;

	x->udp_receive_buffer_bytes = s->receive_buffer;
	x->udp_receive_queue_peak_bytes = s->queue_peak;
	if (s->state == RECORD_LIVE || s->is_end_seen)
		x->udp_datagrams_queued = s->datagrams_queued;
}

static void fill_life(const struct socket_reader *r, const struct sock_record *s,
		      struct socket *out)
{
	out->opened_ns = since_start(r, s->opened_ns);
	out->closed_ns = since_start(r, s->closed_ns);
	out->shared_by = s->holders ? s->holders : METRIC_UNKNOWN; /* closed before any look */
}

static void fill_end(const struct sock_record *s, struct socket *out)
{
	if (is_tcp(s))
		out->state = tcp_state_name(s->tcp_state);
	out->closed_by = s->closed_by == CLOSER_LOCAL	 ? "local"
			 : s->closed_by == CLOSER_REMOTE ? "remote"
							 : NULL;
}

void socket_rows_add_drops(struct socket_reader *r, uint32_t index, struct drops *drops)
{
	char reason[KERNEL_NAME_LEN];

	socket_reader_need_drops(r);
	for (size_t i = socket_reader_first_drop(r, index); i < r->nr_drops; i++) {
		const struct drop_entry *e = &r->drops[i];
		struct drop *d;

		if (e->key.sock != index)
			return;
		d = drops_get(drops, kernel_drop_reason(e->key.reason, reason),
			      index ? NULL : kernel_symbol(e->key.where));
		if (!d->packets || since_start(r, e->count.first_ns) < d->first_ns)
			d->first_ns = since_start(r, e->count.first_ns);
		if (!d->packets || since_start(r, e->count.last_ns) > d->last_ns)
			d->last_ns = since_start(r, e->count.last_ns);
		d->packets += e->count.packets;
		d->bytes += e->count.bytes;
	}
}

/*
 * Whether the kernel's count of drops was read at the socket's end, or at this report's own look:
 * one of before, at the end of a duplicate of its descriptor for instance, may have grown.
 */
static bool has_last_drops(const struct socket_reader *r, const struct sock_record *s)
{
	if (s->state == RECORD_LIVE)
		return s->refreshed_in == kernel_nr_snapshots(r->kernel);
	return s->is_end_seen;
}

static uint64_t missing_drops(const struct sock_record *s)
{
	const struct sock_books *b = &s->books;

	return b->kernel_drops > b->seen_drops ? b->kernel_drops - b->seen_drops : 0;
}

/* The same, less what has been seen since: the rows of drops are read later than the counter. */
static uint64_t untraced_drops(const struct sock_record *s)
{
	return s->books.kernel_drops > s->drops ? s->books.kernel_drops - s->drops : 0;
}

/* What the socket counted and no event told of. A TCP socket's counter counts other things, too. */
static void add_untraced_drops(const struct socket_reader *r, const struct sock_record *s,
			       struct drops *drops)
{
	struct drop *d;

	if (s->protocol == PROTO_TCP || s->protocol == PROTO_MPTCP || !untraced_drops(s) ||
	    !has_last_drops(r, s))
		return;
	d = drops_get(drops, "NOT_TRACED", NULL);
	d->packets = untraced_drops(s);
	d->bytes = METRIC_UNKNOWN;
}

/* --- books ------------------------------------------------------------------------------ */

/* One direction of a socket's books: what was counted of it, and what the kernel has. */
struct direction {
	uint64_t observed, expected;
	uint64_t moved; /* counted since the two were read together */
	uint64_t busy;	/* bytes that calls under way since then may have moved, uncounted */
};

/* Whether calls on this socket that were under way when its books were read explain what is
 * missing. */
static bool is_in_use(const struct socket_reader *r, const struct sock_record *s,
		      const struct direction *d)
{
	bool is_met = s->busy_snapshot == kernel_nr_snapshots(r->kernel);

	if (s->state != RECORD_LIVE)
		return false;
	if (s->by_ring && r->has_workers[s->process])
		return true;
	return d->expected - d->observed <= d->moved + (is_met ? d->busy : 0);
}

/* A child that is not traced has the sockets that were open when it began. */
static bool is_inherited(const struct socket_reader *r, const struct sock_record *s)
{
	const struct process_record *p = pool_at(kernel_processes(r->kernel), s->process);

	return p && p->untraced_child_ns && s->opened_ns <= p->untraced_child_ns;
}

/* Why more was counted than the kernel has, although nothing was counted twice. */
static const char *excuse_excess(const struct socket_reader *r, const struct sock_record *s)
{
	if (s->base_ns && !r->detail_full)
		return "it is older than the trace, and counts alone do not tell which calls were "
		       "under way then";
	if (s->is_shared && s->state == RECORD_LIVE)
		return "other processes moved bytes through it after its books were read";
	return NULL;
}

static const char *const opaques[NR_OPAQUES] = {
	[OPAQUE_REPLACED] =
		"TLS in the kernel or a sockmap moves its bytes past its sequence numbers",
	[OPAQUE_REPAIR] = "TCP_REPAIR sets its sequence numbers by hand",
	[OPAQUE_FAST_OPEN] = "with Fast Open its sequence numbers begin before its trace",
	[OPAQUE_URGENT] =
		"an urgent byte has a sequence number and is not received with the others",
	[OPAQUE_MAPPED] = "TCP_ZEROCOPY_RECEIVE takes bytes that are not counted",
	[OPAQUE_UNDER_WAY] = "several threads moved bytes on it while a call was under way that began before its trace",
};

/* Why the two counts may differ although nothing was missed; NULL: they may not. */
static const char *excuse(const struct socket_reader *r, const struct sock_record *s,
			  const struct direction *d)
{
	if (s->opaque)
		return opaques[s->opaque];
	if (s->is_cut_off)
		return "it was disconnected, and the kernel's counts with it, before they were "
		       "read";
	if (d->observed > d->expected)
		return excuse_excess(r, s);
	if (is_in_use(r, s, d))
		return "a call on it was under way";
	if (is_inherited(r, s))
		return "a child that is not traced may have used it (--follow)";
	if (s->had_outsiders)
		return "processes that are not traced may have used it";
	return NULL;
}

/* @excuse: for a difference; NULL: it is a fault. */
static void fill_book(const char *excuse, uint64_t observed, uint64_t expected,
		      struct socket_books *books, struct socket_book *b)
{
	*b = (struct socket_book){0};
	if (observed != expected && excuse) {
		b->nr_unknown = 1;
		books->why_unknown = excuse;
		return;
	}
	b->nr = 1;
	b->observed = observed;
	b->expected = expected;
	b->nr_failed = observed != expected;
}

/* What other processes, those that ended included, moved through a socket. */
static void add_others(struct socket_reader *r, const struct sock_record *s, uint32_t index,
		       struct direction *sent, struct direction *received)
{
	sent->observed += s->gone_sent;
	received->observed += s->gone_received;
	if (!s->is_shared)
		return;
	socket_reader_need_uses(r);
	for (uint32_t i = r->first_use[index]; i; i = r->next_use[i]) {
		const struct sock_counts *c = &use_at(r, i)->counts;

		sent->observed += c->send_bytes;
		received->observed += c->receive_bytes + c->trunc_bytes;
	}
}

static void fill_tcp_books(struct socket_reader *r, const struct sock_record *s, uint32_t index,
			   struct socket *out)
{
	const struct sock_books *b = &s->books;
	uint64_t received_now = s->counts.receive_bytes + s->counts.trunc_bytes;
	struct direction sent = {b->seen_sent, b->kernel_sent, s->counts.send_bytes - b->seen_sent,
				 s->busy_sent};
	struct direction received = {b->seen_received, b->kernel_received,
				     received_now - b->seen_received, s->busy_received};

	if (!s->is_refreshed)
		return;
	add_others(r, s, index, &sent, &received);
	fill_book(excuse(r, s, &sent), sent.observed, sent.expected, &out->books, &out->books.sent);
	fill_book(excuse(r, s, &received), received.observed, received.expected, &out->books,
		  &out->books.received);
}

/* The kernel counts a drop before it tells of it: on every CPU one may be between the two. */
static bool may_be_dropping(const struct socket_reader *r, const struct sock_record *s)
{
	return s->state == RECORD_LIVE && missing_drops(s) &&
	       missing_drops(s) <= kernel_nr_cpus(r->kernel);
}

/* Why the kernel may have counted drops that were not seen; NULL: it may not. */
static const char *why_drops_missing(const struct socket_reader *r, const struct sock_record *s)
{
	if (may_be_dropping(r, s))
		return "a drop was under way";
	if (!missing_drops(s))
		return NULL;
	if (!kernel_hook_is(r->kernel, "drops", "socket"))
		return "this kernel does not tell for every drop which socket had it";
	if (missing_drops(s) <= kernel_drops_when_read(r->kernel, s->local_port))
		return "datagrams were thrown away while they were read (a wrong checksum, a bad "
		       "address), and the kernel does not tell which socket had them";
	return NULL;
}

/* What the rows of drops have of a socket: all that the programs saw, unless there was no room. */
static uint64_t drops_shown(struct socket_reader *r, uint32_t index)
{
	uint64_t packets = 0;

	socket_reader_need_drops(r);
	for (size_t i = socket_reader_first_drop(r, index); i < r->nr_drops; i++) {
		if (r->drops[i].key.sock != index)
			break;
		packets += r->drops[i].count.packets;
	}
	return packets;
}

static void fill_udp_books(struct socket_reader *r, const struct sock_record *s, uint32_t index,
			   struct socket *out)
{
	uint64_t seen = s->books.seen_drops;

	if (!kernel_has_probe(r->kernel, "drops"))
		return;
	if (!s->is_refreshed || !has_last_drops(r, s)) {
		out->books.drops.nr_unknown = 1;
		out->books.why_unknown =
			"it was closed, and the kernel's count with it, before that was read";
		return;
	}
	if (seen && drops_shown(r, index) < seen)
		seen = drops_shown(r, index);
	fill_book(why_drops_missing(r, s), seen, s->books.kernel_drops, &out->books,
		  &out->books.drops);
}

/* --- rows ------------------------------------------------------------------------------- */

static void begin_row(struct socket_reader *r, const struct sock_record *s,
		      const struct sock_counts *c, struct socket *out)
{
	socket_init(out);
	fill_names(r, s, out);
	fill_life(r, s, out);
	fill_counts(s, c, out);
}

static uint64_t bytes_of(const struct sock_counts *c)
{
	return c->send_bytes + c->receive_bytes + c->trunc_bytes;
}

static void add_drops(struct socket_reader *r, uint32_t index, struct drops *drops)
{
	const struct sock_record *s = sock_at(r, index);

	if (s->has_drops)
		socket_rows_add_drops(r, index, drops);
	add_untraced_drops(r, s, drops);
}

/*
 * In whose row all stands that a socket has but once: of the process that moved most bytes, rather
 * of its owner if several moved as many; of a listener, of the first. 0: none has a row.
 */
static uint32_t main_process(struct socket_reader *r, uint32_t index, struct process **processes)
{
	const struct sock_record *s = sock_at(r, index);
	uint32_t best = processes[s->process] ? s->process : 0;
	uint64_t most = bytes_of(&s->counts);

	if (!s->is_shared || (best && s->role == ROLE_LISTEN))
		return best;
	socket_reader_need_uses(r);
	for (uint32_t i = r->first_use[index]; i; i = r->next_use[i]) {
		const struct sock_use *u = use_at(r, i);
		uint64_t bytes = bytes_of(&u->counts);

		if (!processes[u->process])
			continue;
		if (!best || bytes > most || (bytes == most && u->process == s->owner)) {
			best = u->process;
			most = bytes;
		}
	}
	return best;
}

static void fill_main(struct socket_reader *r, uint32_t index, struct socket *out)
{
	const struct sock_record *s = sock_at(r, index);

	fill_end(s, out);
	if (is_tcp(s)) {
		fill_tcp(r, s, out);
		if (s->protocol == PROTO_TCP && s->role != ROLE_LISTEN)
			fill_tcp_books(r, s, index, out);
	} else if (s->protocol == PROTO_UDP) {
		fill_udp(s, out);
		fill_udp_books(r, s, index, out);
	}
	add_drops(r, index, &out->drops);
}

static void add_row(struct socket_reader *r, uint32_t index, const struct sock_counts *c,
		    struct process *p, bool is_main)
{
	struct socket out;

	begin_row(r, sock_at(r, index), c, &out);
	if (is_main)
		fill_main(r, index, &out);
	else
		out.connections_elsewhere = 1;
	process_add_socket(p, &out);
}

void socket_rows_add(struct socket_reader *r, uint32_t index, struct process **processes)
{
	const struct sock_record *s = sock_at(r, index);
	uint32_t main = main_process(r, index, processes);

	if (processes[s->process])
		add_row(r, index, &s->counts, processes[s->process], main == s->process);
	if (!s->is_shared)
		return;
	socket_reader_need_uses(r);
	for (uint32_t i = r->first_use[index]; i; i = r->next_use[i]) {
		const struct sock_use *u = use_at(r, i);

		if (processes[u->process])
			add_row(r, index, &u->counts, processes[u->process], main == u->process);
	}
}

void socket_rows_add_use(struct socket_reader *r, const struct sock_use *u, struct process *p)
{
	add_row(r, u->sock, &u->counts, p, false);
}
