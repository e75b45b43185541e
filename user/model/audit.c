// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/audit.h"
#include "model/merge.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A reason names this many threads or sockets and counts the others. */
#define MOST_NAMED 3

/* One figure of one thread or row of sockets, as the programs and as the kernel counted it. */
struct comparison {
	const char *what;
	uint64_t observed, expected, tolerance; /* METRIC_UNKNOWN: not known */
	uint64_t nr, nr_failed, nr_unknown;	/* as in struct socket_book */
};
#define MOST_COMPARISONS 2

/* What an audit of a process looks at one by one: its threads, or its sockets. */
struct audited {
	size_t (*count)(const struct process *p);
	char *(*title)(const struct process *p, size_t i);
	/* How much of what the process did this one stands for; NULL: not told. */
	uint64_t (*weigh)(const struct process *p, size_t i);
	/* Why counts of this one are not known; NULL: nothing to say. */
	const char *(*why_unknown)(const struct process *p, size_t i);
	const char *name;
	const char *if_none; /* why there is nothing to audit; NULL: then no audit is made */
};

/* One kind of audit: fills the comparisons of a thread or socket, returns how many. */
struct audit_kind {
	const char *name;
	const struct audited *audited;
	size_t (*compare)(const struct process *p, size_t i, uint64_t tick_ns,
			  struct comparison *c);
};

/* --- threads ------------------------------------------------------------------------------ */

static size_t count_threads(const struct process *p)
{
	return p->nr_threads;
}

static char *thread_title(const struct process *p, size_t i)
{
	const struct thread *t = &p->threads[i];

	if (t->nr_folded > 1)
		return xasprintf("%ju ended threads", (uintmax_t)t->nr_folded);
	return t->tid ? xasprintf("thread %d", t->tid) : xstrdup("an ended thread");
}

static const struct audited threads = {
	.count = count_threads,
	.title = thread_title,
	.name = "threads",
	.if_none = "no thread was traced",
};

static struct comparison compare_counts(const char *what, uint64_t observed, uint64_t expected,
					uint64_t tolerance)
{
	struct comparison c = {what, observed, expected, tolerance, 0, 0, 0};
	uint64_t apart = observed > expected ? observed - expected : expected - observed;

	if (observed == METRIC_UNKNOWN || expected == METRIC_UNKNOWN) {
		c.nr_unknown = 1;
	} else {
		c.nr = 1;
		c.nr_failed = apart > tolerance;
	}
	return c;
}

static size_t compare_switches(const struct process *p, size_t i, uint64_t tick_ns,
			       struct comparison *c)
{
	const struct task_books *b = &p->threads[i].books;

	(void)tick_ns;
	c[0] = compare_counts("voluntary switches", b->seen_voluntary, b->kernel_voluntary, 0);
	c[1] = compare_counts("involuntary switches", b->seen_involuntary, b->kernel_involuntary,
			      0);
	return 2;
}

static size_t compare_calls(const struct process *p, size_t i, uint64_t tick_ns,
			    struct comparison *c)
{
	const struct thread *t = &p->threads[i];
	uint64_t expected = 0;

	(void)tick_ns;
	for (size_t k = 0; k < t->calls.nr; k++) {
		const struct call_stats *s = &t->calls.items[k].stats;

		expected += s->calls + s->in_flight + s->no_return;
	}
	c[0] = compare_counts("entries", t->books.entries, expected, 0);
	return 1;
}

static size_t compare_cpu_time(const struct process *p, size_t i, uint64_t tick_ns,
			       struct comparison *c)
{
	const struct thread *t = &p->threads[i];
	uint64_t ticks = tick_ns * (t->nr_folded ? t->nr_folded : 1);
	uint64_t expected = t->books.kernel_exec_ns;

	c[0] = compare_counts("ns on a CPU", t->books.seen_exec_ns, expected,
			      expected == METRIC_UNKNOWN ? 0 : expected / 100 + ticks);
	return 1;
}

/* --- sockets ------------------------------------------------------------------------------ */

static size_t count_sockets(const struct process *p)
{
	return p->nr_sockets;
}

static char *socket_title(const struct process *p, size_t i)
{
	const struct socket *s = &p->sockets[i];

	return xasprintf("%s %s - %s", s->protocol, s->local ? s->local : "?",
			 s->remote ? s->remote : "?");
}

static const char *why_socket_unknown(const struct process *p, size_t i)
{
	return p->sockets[i].books.why_unknown;
}

static uint64_t socket_bytes(const struct process *p, size_t i)
{
	const struct socket_stats *s = &p->sockets[i].stats;

	return known_sum(known_sum(s->send_bytes, s->receive_bytes), 0);
}

static const struct audited sockets = {
	.count = count_sockets,
	.title = socket_title,
	.weigh = socket_bytes,
	.why_unknown = why_socket_unknown,
	.name = "sockets",
};

static struct comparison compare_book(const char *what, const struct socket_book *b)
{
	return (struct comparison){what,  b->observed,	b->expected,  0,
				   b->nr, b->nr_failed, b->nr_unknown};
}

static size_t compare_tcp_bytes(const struct process *p, size_t i, uint64_t tick_ns,
				struct comparison *c)
{
	const struct socket *s = &p->sockets[i];

	(void)tick_ns;
	if (strcmp(s->protocol, "tcp"))
		return 0;
	c[0] = compare_book("bytes sent", &s->books.sent);
	c[1] = compare_book("bytes received", &s->books.received);
	return 2;
}

static size_t compare_udp_drops(const struct process *p, size_t i, uint64_t tick_ns,
				struct comparison *c)
{
	const struct socket *s = &p->sockets[i];

	(void)tick_ns;
	if (strcmp(s->protocol, "udp"))
		return 0;
	c[0] = compare_book("drops", &s->books.drops);
	return 1;
}

/* --- one audit of one process ------------------------------------------------------------- */

static const struct audit_kind kinds[] = {
	{"context_switches", &threads, compare_switches},
	{"syscall_balance", &threads, compare_calls},
	{"cpu_time", &threads, compare_cpu_time},
	{"tcp_bytes", &sockets, compare_tcp_bytes},
	{"udp_drops", &sockets, compare_udp_drops},
};

/* An audit under way. */
struct finding {
	uint64_t observed, expected, tolerance;
	uint64_t nr, nr_unknown; /* threads or sockets; for nr_unknown, a count is missing */
	size_t nr_failed;	 /* rows for which it fails */
	uint64_t weight, weight_failed;
	char *failed, *unknown; /* the first few: "thread 12: 3 of 4 entries; thread 13: …" */
	const char *why_unknown;
};

static char *failed_details(const struct comparison *c, size_t nr)
{
	char *text = NULL;

	for (size_t i = 0; i < nr; i++) {
		if (!c[i].nr_failed)
			continue;
		text_append(&text, ", ",
			    xasprintf("%ju of %ju %s", (uintmax_t)c[i].observed,
				      (uintmax_t)c[i].expected, c[i].what));
		if (c[i].nr > 1)
			text_append(&text, " ",
				    xasprintf("(%ju of %ju connections differ)",
					      (uintmax_t)c[i].nr_failed, (uintmax_t)c[i].nr));
	}
	return text;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Adds the sums; returns of how many of the threads or sockets in them a count is not known. */
static uint64_t add_sums(struct finding *f, const struct comparison *c, size_t nr)
{
	uint64_t nr_all = 0, nr_unknown = 0;

	for (size_t i = 0; i < nr; i++) {
		nr_all = larger(nr_all, c[i].nr + c[i].nr_unknown);
		nr_unknown = larger(nr_unknown, c[i].nr_unknown);
		if (!c[i].nr)
			continue;
		f->observed = known_sum(f->observed, c[i].observed);
		f->expected = known_sum(f->expected, c[i].expected);
		f->tolerance = saturating_sum(f->tolerance, c[i].tolerance);
	}
	f->nr += nr_all;
	return nr_unknown;
}

static void add_item(struct finding *f, const struct process *p, size_t i,
		     const struct audited *audited, const struct comparison *c, size_t nr)
{
	uint64_t nr_unknown = add_sums(f, c, nr);
	char *details = failed_details(c, nr);

	if (nr && audited->weigh) {
		f->weight = saturating_sum(f->weight, audited->weigh(p, i));
		if (details)
			f->weight_failed = saturating_sum(f->weight_failed, audited->weigh(p, i));
	}
	if (details && f->nr_failed++ < MOST_NAMED) {
		text_append(&f->failed, "; ", audited->title(p, i));
		text_append(&f->failed, ": ", xstrdup(details));
	}
	if (nr_unknown && f->nr_unknown < MOST_NAMED)
		text_append(&f->unknown, "; ", audited->title(p, i));
	if (nr_unknown && !f->why_unknown && audited->why_unknown)
		f->why_unknown = audited->why_unknown(p, i);
	f->nr_unknown += nr_unknown;
	free(details);
}

static char *failed_text(const struct finding *f)
{
	char *text = xasprintf("fails for %s", f->failed);

	if (f->nr_failed > MOST_NAMED)
		text_append(&text, "; ", xasprintf("and %zu more", f->nr_failed - MOST_NAMED));
	if (f->weight)
		text_append(&text, "; ",
			    xasprintf("they have %.3g %% of the bytes of such sockets",
				      100.0 * f->weight_failed / f->weight));
	return text;
}

static char *unknown_text(const struct finding *f, const struct audited *audited)
{
	return xasprintf("one of the two counts is not known for %ju of %ju %s (%s%s)%s%s",
			 (uintmax_t)f->nr_unknown, (uintmax_t)f->nr, audited->name, f->unknown,
			 f->nr_unknown > MOST_NAMED ? "; …" : "", f->why_unknown ? ": " : "",
			 f->why_unknown ? f->why_unknown : "");
}

static void conclude(struct audit *a, const struct finding *f, const struct audited *audited)
{
	if (f->nr_failed) {
		a->ok = NO;
		a->reason = failed_text(f);
	} else if (f->nr_unknown) {
		a->ok = UNKNOWN;
		a->reason = unknown_text(f, audited);
	} else if (!f->nr) {
		a->ok = UNKNOWN;
		a->reason = xstrdup(audited->if_none);
	} else {
		a->ok = YES;
	}
}

static void audit_process(struct report *r, const struct process *p, const struct audit_kind *kind,
			  uint64_t tick_ns)
{
	struct finding f = {.observed = METRIC_UNKNOWN, .expected = METRIC_UNKNOWN};
	struct audit *a;

	for (size_t i = 0; i < kind->audited->count(p); i++) {
		struct comparison c[MOST_COMPARISONS];
		size_t nr = kind->compare(p, i, tick_ns, c);

		add_item(&f, p, i, kind->audited, c, nr);
	}
	if (!f.nr && !kind->audited->if_none)
		return;
	a = vec_push(r->audits, r->nr_audits, r->cap_audits);
	*a = (struct audit){
		.name = xstrdup(kind->name),
		.subject = xasprintf("pid %d", p->pid),
		.expected = f.expected,
		.observed = f.observed,
		.tolerance = f.tolerance,
	};
	conclude(a, &f, kind->audited);
	free(f.failed);
	free(f.unknown);
}

/* --- the report as a whole ---------------------------------------------------------------- */

static void audit_lost(struct report *r)
{
	struct audit *a = vec_push(r->audits, r->nr_audits, r->cap_audits);

	*a = (struct audit){.name = xstrdup("lost"), .subject = xstrdup("capture"), .ok = YES};
	for (size_t i = 0; i < r->capture.nr_lost; i++) {
		const struct lost_count *lost = &r->capture.lost[i];

		if (!lost->count)
			continue;
		a->ok = NO;
		a->observed += lost->count;
		text_append(&a->reason, ", ",
			    xasprintf("%s %ju", lost->reason, (uintmax_t)lost->count));
	}
}

static enum tristate books_agree(const struct socket_books *b)
{
	const struct socket_book *all[] = {&b->sent, &b->received, &b->drops};
	uint64_t nr = 0, nr_failed = 0, nr_unknown = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		nr += all[i]->nr;
		nr_failed += all[i]->nr_failed;
		nr_unknown += all[i]->nr_unknown;
	}
	return nr_failed ? NO : nr && !nr_unknown ? YES : UNKNOWN;
}

static void mark_sockets(struct process *p)
{
	for (size_t i = 0; i < p->nr_sockets; i++)
		p->sockets[i].agrees = books_agree(&p->sockets[i].books);
}

void report_audit(struct report *r, uint64_t tick_ns)
{
	for (size_t i = 0; i < r->nr_processes; i++)
		mark_sockets(&r->processes[i]);
	for (size_t i = 0; i < r->nr_processes; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			audit_process(r, &r->processes[i], &kinds[k], tick_ns);
	audit_lost(r);
}
