// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/vec.h"
#include "model/audit.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A reason names this many threads and counts the others. */
#define MOST_NAMED 3

/* One figure of one thread, as the programs and as the kernel counted it. */
struct comparison {
	const char *what;
	uint64_t observed, expected, tolerance; /* METRIC_UNKNOWN: not known */
};

/* One kind of audit: fills the comparisons of a thread, returns how many. */
struct audit_kind {
	const char *name;
	size_t (*compare)(const struct thread *t, uint64_t tick_ns, struct comparison *c);
};
#define MOST_COMPARISONS 2

static size_t compare_switches(const struct thread *t, uint64_t tick_ns, struct comparison *c)
{
	const struct task_books *b = &t->books;

	(void)tick_ns;
	c[0] = (struct comparison){"voluntary switches", b->seen_voluntary, b->kernel_voluntary, 0};
	c[1] = (struct comparison){"involuntary switches", b->seen_involuntary,
				   b->kernel_involuntary, 0};
	return 2;
}

static size_t compare_calls(const struct thread *t, uint64_t tick_ns, struct comparison *c)
{
	uint64_t expected = 0;

	(void)tick_ns;
	for (size_t i = 0; i < t->calls.nr; i++) {
		const struct call_stats *s = &t->calls.items[i].stats;

		expected += s->calls + s->in_flight + s->no_return;
	}
	c[0] = (struct comparison){"entries", t->books.entries, expected, 0};
	return 1;
}

static size_t compare_cpu_time(const struct thread *t, uint64_t tick_ns, struct comparison *c)
{
	uint64_t ticks = tick_ns * (t->nr_folded ? t->nr_folded : 1);
	uint64_t expected = t->books.kernel_exec_ns;

	c[0] = (struct comparison){"ns on a CPU", t->books.seen_exec_ns, expected,
				   expected == METRIC_UNKNOWN ? 0 : expected / 100 + ticks};
	return 1;
}

static const struct audit_kind kinds[] = {
	{"context_switches", compare_switches},
	{"syscall_balance", compare_calls},
	{"cpu_time", compare_cpu_time},
};

/* --- one audit of one process ------------------------------------------------------------- */

/* The threads for which an audit fails, or cannot be made. */
struct finding {
	size_t nr;
	char *text; /* the first few, "thread 12: 3 of 4 entries; thread 13: …" */
};

static bool is_known(const struct comparison *c)
{
	return c->observed != METRIC_UNKNOWN && c->expected != METRIC_UNKNOWN;
}

static bool holds(const struct comparison *c)
{
	uint64_t apart =
		c->observed > c->expected ? c->observed - c->expected : c->expected - c->observed;

	return apart <= c->tolerance;
}

static char *thread_text(const struct thread *t)
{
	if (t->nr_folded > 1)
		return xasprintf("%ju ended threads", (uintmax_t)t->nr_folded);
	return t->tid ? xasprintf("thread %d", t->tid) : xstrdup("an ended thread");
}

static void note_thread(struct finding *f, const struct thread *t, char *details)
{
	if (f->nr++ >= MOST_NAMED) {
		free(details);
		return;
	}
	text_append(&f->text, "; ", thread_text(t));
	if (details)
		text_append(&f->text, ": ", details);
}

static char *failed_details(const struct comparison *c, size_t nr)
{
	char *text = NULL;

	for (size_t i = 0; i < nr; i++)
		if (is_known(&c[i]) && !holds(&c[i]))
			text_append(&text, ", ",
				    xasprintf("%ju of %ju %s", (uintmax_t)c[i].observed,
					      (uintmax_t)c[i].expected, c[i].what));
	return text;
}

static char *finding_text(const struct finding *f, const char *what)
{
	if (f->nr > MOST_NAMED)
		return xasprintf("%s %s; and %zu more", what, f->text, f->nr - MOST_NAMED);
	return xasprintf("%s %s", what, f->text);
}

static void add_known(uint64_t *sum, uint64_t value)
{
	*sum = *sum == METRIC_UNKNOWN ? value : *sum + value;
}

/* Adds the figures of one thread to @a; false if one of them does not hold. */
static bool add_thread(struct audit *a, const struct comparison *c, size_t nr, bool *unknown)
{
	bool ok = true;

	for (size_t i = 0; i < nr; i++) {
		if (!is_known(&c[i])) {
			*unknown = true;
			continue;
		}
		add_known(&a->observed, c[i].observed);
		add_known(&a->expected, c[i].expected);
		a->tolerance += c[i].tolerance;
		ok &= holds(&c[i]);
	}
	return ok;
}

static void conclude(struct audit *a, const struct finding *failed, const struct finding *unknown)
{
	if (failed->nr) {
		a->ok = NO;
		a->reason = finding_text(failed, "fails for");
	} else if (unknown->nr) {
		a->ok = UNKNOWN;
		a->reason = finding_text(unknown, "one of the two counts is not known for");
	} else if (a->observed == METRIC_UNKNOWN) {
		a->ok = UNKNOWN;
		a->reason = xstrdup("no thread was traced");
	} else {
		a->ok = YES;
	}
}

static void audit_process(struct report *r, const struct process *p, const struct audit_kind *kind,
			  uint64_t tick_ns)
{
	struct finding failed = {0}, unknown = {0};
	struct audit *a = vec_push(r->audits, r->nr_audits, r->cap_audits);

	*a = (struct audit){
		.name = xstrdup(kind->name),
		.subject = xasprintf("pid %d", p->pid),
		.expected = METRIC_UNKNOWN,
		.observed = METRIC_UNKNOWN,
	};
	for (size_t i = 0; i < p->nr_threads; i++) {
		struct comparison c[MOST_COMPARISONS];
		size_t nr = kind->compare(&p->threads[i], tick_ns, c);
		bool is_unknown = false;

		if (!add_thread(a, c, nr, &is_unknown))
			note_thread(&failed, &p->threads[i], failed_details(c, nr));
		else if (is_unknown)
			note_thread(&unknown, &p->threads[i], NULL);
	}
	conclude(a, &failed, &unknown);
	free(failed.text);
	free(unknown.text);
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

void report_audit(struct report *r, uint64_t tick_ns)
{
	for (size_t i = 0; i < r->nr_processes; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			audit_process(r, &r->processes[i], &kinds[k], tick_ns);
	audit_lost(r);
}
