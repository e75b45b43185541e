// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/units.h"
#include "base/vec.h"
#include "model/merge.h"
#include "model/names.h"
#include "model/workload.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A reason names this many counts and leaves the others to a number. */
#define MOST_NAMED 3

/* --- whose a process is ------------------------------------------------------------------- */

static bool is_process_of(const struct workload_part *part, const struct process *p)
{
	return part->pid && part->pid == p->pid &&
	       (!part->started_ns || part->started_ns == p->started_ns);
}

bool workload_owns(const struct workload_trial *t, const struct workload_part *part,
		   const struct process *p)
{
	if (is_process_of(part, p))
		return true;
	for (size_t i = 0; i < t->nr_parts; i++)
		if (is_process_of(&t->parts[i], p))
			return false;
	return part->is_subject && part->pid;
}

/* --- what a trace can tell ---------------------------------------------------------------- */

/* Unlike known_sum(): what is compared must be known in full. */
static uint64_t full_sum(uint64_t a, uint64_t b)
{
	return a == METRIC_UNKNOWN || b == METRIC_UNKNOWN ? METRIC_UNKNOWN : saturating_sum(a, b);
}

/* The sum of a metric over the calls named @name, of every ABI. */
static uint64_t sum_of_calls(const struct process *p, const char *name, size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->calls.nr; i++) {
		const struct syscall *c = &p->calls.items[i];

		if (!strcmp(c->name, name))
			sum = full_sum(sum, *(const uint64_t *)((const char *)&c->stats + offset));
	}
	return sum;
}

/* The caller of a call that the kernel restarts made one, where the trace has two. */
static uint64_t count_calls(const struct process *p, const char *name)
{
	uint64_t calls = sum_of_calls(p, name, offsetof(struct call_stats, calls));
	uint64_t restarts = sum_of_calls(p, name, offsetof(struct call_stats, restarts));

	if (calls == METRIC_UNKNOWN || restarts == METRIC_UNKNOWN)
		return METRIC_UNKNOWN;
	return calls > restarts ? calls - restarts : 0;
}

static uint64_t count_errors(const struct process *p, const char *name)
{
	return sum_of_calls(p, name, offsetof(struct call_stats, errors));
}

static uint64_t count_bytes(const struct process *p, const char *name)
{
	return sum_of_calls(p, name, offsetof(struct call_stats, bytes));
}

/*
 * How many connections of a row were made in the trace: those of which @duration, of their making,
 * is known. Connections that are older, or that were never made or accepted, have none.
 */
static uint64_t made(const struct socket *s, uint64_t duration_ns, size_t spread)
{
	return s->connections > 1 ? s->spreads[spread].count : duration_ns != METRIC_UNKNOWN;
}

static uint64_t accepted_of(const struct socket *s)
{
	return made(s, s->stats.tcp_accept_wait_ns, SPREAD_accept_wait);
}

static uint64_t opened_of(const struct socket *s)
{
	return made(s, s->stats.tcp_connect_ns, SPREAD_connect);
}

static uint64_t sent_of(const struct socket *s)
{
	return s->stats.send_bytes;
}

static uint64_t received_of(const struct socket *s)
{
	return s->stats.receive_bytes;
}

static uint64_t datagrams_sent_of(const struct socket *s)
{
	return s->stats.udp_datagrams_sent;
}

static uint64_t datagrams_received_of(const struct socket *s)
{
	return s->stats.udp_datagrams_received;
}

static uint64_t sum_of_sockets(const struct process *p, const char *protocol,
			       uint64_t (*count)(const struct socket *s))
{
	uint64_t sum = process_has_sockets_traced(p) ? 0 : METRIC_UNKNOWN;

	for (size_t i = 0; i < p->nr_sockets; i++)
		if (!strcmp(p->sockets[i].protocol, protocol))
			sum = full_sum(sum, count(&p->sockets[i]));
	return sum;
}

/* What the name of a fact stands for; a name that ends with a dot goes on with a system call. */
static const struct observable {
	const char *name, *kind, *what;
	/* Of a system call, or of the sockets of a protocol. */
	uint64_t (*count_call)(const struct process *p, const char *name);
	const char *protocol;
	uint64_t (*count_socket)(const struct socket *s);
} observables[] = {
	{"calls.", "calls", " calls", count_calls, NULL, NULL},
	{"errors.", "errors", " errors", count_errors, NULL, NULL},
	{"bytes.", "bytes", " bytes", count_bytes, NULL, NULL},
	{"connections_accepted", "connections", "", NULL, "tcp", accepted_of},
	{"connections_opened", "connections", "", NULL, "tcp", opened_of},
	{"sent_bytes", "socket bytes", "", NULL, "tcp", sent_of},
	{"received_bytes", "socket bytes", "", NULL, "tcp", received_of},
	{"datagrams_sent", "datagrams", "", NULL, "udp", datagrams_sent_of},
	{"datagrams_received", "datagrams", "", NULL, "udp", datagrams_received_of},
};

/* The kinds in the order of their audits. */
static const char *const kinds[] = {
	"calls", "errors", "bytes", "connections", "socket bytes", "datagrams",
};

/* The system call in the name of a fact of @o; "" for others. */
static const char *call_in(const struct observable *o, const char *name)
{
	return o->count_call ? name + strlen(o->name) : "";
}

static bool is_of(const struct observable *o, const char *name)
{
	if (!o->count_call)
		return !strcmp(o->name, name);
	if (strncmp(o->name, name, strlen(o->name)))
		return false;
	return o->count_call != count_bytes || syscall_moves_bytes(call_in(o, name));
}

/* NULL: no trace can tell. */
static const struct observable *observable_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(observables); i++)
		if (is_of(&observables[i], name))
			return &observables[i];
	return NULL;
}

static uint64_t count_in(const struct observable *o, const struct process *p, const char *name)
{
	if (o->count_call)
		return o->count_call(p, call_in(o, name));
	return sum_of_sockets(p, o->protocol, o->count_socket);
}

/* METRIC_UNKNOWN, too, if the part was not traced at all. */
static uint64_t observe(const struct report *r, const struct workload_trial *t,
			const struct workload_part *part, const char *name)
{
	const struct observable *o = observable_of(name);
	bool is_traced = false;
	uint64_t sum = 0;

	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];

		if (!workload_owns(t, part, p))
			continue;
		is_traced |= is_process_of(part, p);
		sum = full_sum(sum, count_in(o, p, name));
	}
	return is_traced ? sum : METRIC_UNKNOWN;
}

/* --- truth -------------------------------------------------------------------------------- */

static struct audit *add_audit(struct report *r, const char *name, char *subject)
{
	struct audit *a = vec_push(r->audits, r->nr_audits, r->cap_audits);

	*a = (struct audit){.name = xstrdup(name), .subject = subject, .ok = YES};
	return a;
}

static char *part_title(const struct workload_part *part)
{
	if (!part->pid)
		return xstrdup(part->role);
	return xasprintf("%s (pid %d)", part->role, part->pid);
}

static char *difference(const char *name, uint64_t observed, uint64_t expected)
{
	const struct observable *o = observable_of(name);
	char seen[UNITS_TEXT_LEN], made[UNITS_TEXT_LEN];
	const char *call = call_in(o, name);

	return xasprintf("%s: %s%s seen, %s made", *call ? call : name, units_count(observed, seen),
			 o->what, units_count(expected, made));
}

/* One audit under way: of one kind of count of one part. */
struct truth_check {
	uint64_t expected, observed;
	size_t nr, nr_failed, nr_unknown;
	char *failed;
};

static void check_fact(struct truth_check *c, const char *name, uint64_t observed,
		       uint64_t expected)
{
	c->nr++;
	c->expected = full_sum(c->expected, expected);
	c->observed = full_sum(c->observed, observed);
	if (observed == METRIC_UNKNOWN || expected == METRIC_UNKNOWN) {
		c->nr_unknown++;
	} else if (observed != expected) {
		if (c->nr_failed++ < MOST_NAMED)
			text_append(&c->failed, "; ", difference(name, observed, expected));
	}
}

static const char *why_unknown(const struct report *r, const struct workload_trial *t,
			       const struct workload_part *part)
{
	for (size_t i = 0; i < r->nr_processes; i++)
		if (workload_owns(t, part, &r->processes[i]))
			return process_has_sockets_traced(&r->processes[i])
				       ? "this trace does not count it"
				       : "sockets were not traced (--no-sockets)";
	return "its process is not in the trace";
}

static void conclude(struct report *r, struct audit *a, struct truth_check *c, const char *why)
{
	a->expected = c->expected;
	a->observed = c->observed;
	if (c->nr_failed) {
		a->ok = NO;
		a->reason = c->failed;
		if (c->nr_failed > MOST_NAMED)
			text_append(&a->reason, "; ",
				    xasprintf("and %zu more", c->nr_failed - MOST_NAMED));
		r->capture.complete = false;
	} else if (c->nr_unknown) {
		a->ok = UNKNOWN;
		a->reason = xstrdup(why);
	}
}

/* Yields whether this kind is exact; nothing of the kind is. */
static enum tristate audit_kind(struct report *r, const struct workload_trial *t,
				const struct workload_part *part, const char *kind)
{
	struct truth_check c = {0};
	struct audit *a;
	char *title;

	for (size_t i = 0; i < part->observed.nr; i++) {
		const struct workload_fact *f = &part->observed.items[i];

		if (!strcmp(observable_of(f->name)->kind, kind))
			check_fact(&c, f->name, f->value, facts_get(&part->truth, f->name));
	}
	if (!c.nr)
		return YES;
	title = part_title(part);
	a = add_audit(r, "workload_truth", xasprintf("%s: %s", title, kind));
	free(title);
	conclude(r, a, &c, why_unknown(r, t, part));
	return a->ok;
}

static enum tristate both(enum tristate a, enum tristate b)
{
	if (a == NO || b == NO)
		return NO;
	return a == YES && b == YES ? YES : UNKNOWN;
}

static enum tristate observe_part(struct report *r, const struct workload_trial *t,
				  struct workload_part *part)
{
	enum tristate exact = YES;

	for (size_t i = 0; i < r->nr_processes; i++)
		if (is_process_of(part, &r->processes[i]))
			part->started_ns = r->processes[i].started_ns;
	for (size_t i = 0; i < part->truth.nr; i++) {
		const char *name = part->truth.items[i].name;

		if (observable_of(name))
			facts_set(&part->observed, name, observe(r, t, part, name));
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		exact = both(exact, audit_kind(r, t, part, kinds[i]));
	return exact;
}

/* --- datagrams ---------------------------------------------------------------------------- */

static const struct workload_part *receiver_of(const struct workload_trial *t)
{
	for (size_t i = 0; i < t->nr_parts; i++)
		if (facts_get(&t->parts[i].truth, "datagrams_received") != METRIC_UNKNOWN)
			return &t->parts[i];
	return NULL;
}

static uint64_t dropped_of(const struct socket *s)
{
	return drops_packets(&s->drops);
}

static bool sees_drops(const struct report *r)
{
	for (size_t i = 0; i < r->capture.nr_probes; i++)
		if (!strcmp(r->capture.probes[i].name, "drops"))
			return r->capture.probes[i].attached;
	return true; /* not in question */
}

static uint64_t queued_of(const struct socket *s)
{
	return s->stats.udp_datagrams_queued;
}

bool workload_balance(const struct report *r, const struct workload_trial *t,
		      struct datagram_balance *b)
{
	const struct workload_part *part = receiver_of(t);

	if (!part)
		return false;
	*b = (struct datagram_balance){METRIC_UNKNOWN, METRIC_UNKNOWN, METRIC_UNKNOWN,
				       METRIC_UNKNOWN};
	for (size_t i = 0; i < t->nr_parts; i++)
		if (&t->parts[i] != part)
			b->published = known_sum(b->published,
						 facts_get(&t->parts[i].truth, "datagrams_sent"));
	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];

		if (!workload_owns(t, part, p) || !process_has_sockets_traced(p))
			continue;
		b->received =
			known_sum(b->received, sum_of_sockets(p, "udp", datagrams_received_of));
		if (sees_drops(r))
			b->dropped = known_sum(b->dropped, sum_of_sockets(p, "udp", dropped_of));
		b->queued = known_sum(b->queued, sum_of_sockets(p, "udp", queued_of));
	}
	return true;
}

uint64_t balance_seen(const struct datagram_balance *b)
{
	if (b->received == METRIC_UNKNOWN || b->dropped == METRIC_UNKNOWN)
		return METRIC_UNKNOWN;
	return known_sum(known_sum(b->received, b->dropped), b->queued);
}

static char *balance_text(const struct datagram_balance *b)
{
	char received[UNITS_TEXT_LEN], dropped[UNITS_TEXT_LEN], queued[UNITS_TEXT_LEN];

	return xasprintf("received %s, dropped %s, queued %s", units_count(b->received, received),
			 units_count(b->dropped, dropped), units_count(b->queued, queued));
}

/* The queue of a socket that was closed is not known: what is missing may have been there. */
static void audit_balance(struct report *r, const struct workload_trial *t)
{
	const struct workload_part *part = receiver_of(t);
	struct datagram_balance b;
	struct audit *a;

	if (!workload_balance(r, t, &b))
		return;
	a = add_audit(r, "udp_balance", part_title(part));
	a->expected = b.published;
	a->observed = balance_seen(&b);
	if (a->observed == METRIC_UNKNOWN) {
		a->ok = UNKNOWN;
		a->reason = xstrdup(why_unknown(r, t, part));
	} else if (a->expected == METRIC_UNKNOWN) {
		a->ok = UNKNOWN;
		a->reason = xstrdup("no other part counted what it sent");
	} else if (a->observed < a->expected && b.queued == METRIC_UNKNOWN) {
		a->ok = UNKNOWN;
		a->reason = xstrdup("a socket was closed before its queue was read");
	} else if (a->observed != a->expected) {
		a->ok = NO;
		a->reason = balance_text(&b);
		r->capture.complete = false;
	}
}

/* --- the whole --------------------------------------------------------------------------- */

/* Whether there is anything that a trace can tell. */
static bool is_observed(const struct workload_trial *t)
{
	for (size_t i = 0; i < t->nr_parts; i++)
		if (t->parts[i].observed.nr)
			return true;
	return false;
}

void workload_observe(struct report *r, struct workload_trial *t)
{
	t->exact = YES;
	for (size_t i = 0; i < t->nr_parts; i++)
		t->exact = both(t->exact, observe_part(r, t, &t->parts[i]));
	if (!is_observed(t))
		t->exact = UNKNOWN;
	audit_balance(r, t);
	trial_sum_subject(r, t);
}
