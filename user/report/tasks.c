// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/units.h"
#include "report/document.h"

/*
 * How the metrics of a task appear in the table of processes. One that is not listed here
 * appears as a column of its own as soon as it is not 0.
 */
struct task_display {
	const char *name;
	enum { ALWAYS, IF_NOT_ZERO, IF_NO_SPLIT } when;
	bool has_share; /* of the time of the threads, in the next column */
	unsigned int drop;
};

#define DROP_SHARE   5
#define DROP_THREADS 10
#define DROP_TIME    15
#define DROP_RSS     40
#define DROP_OTHERS  95

static const struct task_display displays[] = {
	{"user_ns", ALWAYS, true, 0},
	{"kernel_ns", ALWAYS, true, 0},
	{"on_cpu_ns", IF_NO_SPLIT, true, 0},
	{"runnable_ns", ALWAYS, true, 4},
	{"blocked_ns", ALWAYS, true, 0},
	{"stolen_ns", IF_NOT_ZERO, true, 60},
	{"voluntary", ALWAYS, false, 30},
	{"involuntary", ALWAYS, false, 50},
	{"migrations", ALWAYS, false, 90},
	{"minor", ALWAYS, false, 70},
	{"major", ALWAYS, false, 80},
	{"sent_bytes", IF_NOT_ZERO, false, 91},
	{"received_bytes", IF_NOT_ZERO, false, 92},
};

static const struct task_display *display_of(const struct metric *m)
{
	static const struct task_display other = {NULL, IF_NOT_ZERO, false, DROP_OTHERS};

	for (size_t i = 0; i < sizeof(displays) / sizeof(displays[0]); i++)
		if (!strcmp(displays[i].name, m->name))
			return &displays[i];
	return &other;
}

/* Whether @m has something to say of @p: what is not known says nothing. */
static bool is_worth_showing(const struct metric *m, const struct process *p)
{
	uint64_t value = *metric_at(m, &p->stats);

	switch (display_of(m)->when) {
	case ALWAYS:
		return value != METRIC_UNKNOWN;
	case IF_NOT_ZERO:
		return known(value);
	case IF_NO_SPLIT: /* time on a CPU, of which USER and KERNEL are the parts */
		return value != METRIC_UNKNOWN &&
		       (p->stats.user_ns == METRIC_UNKNOWN || p->stats.kernel_ns == METRIC_UNKNOWN);
	}
	return false;
}

static bool is_shown(const struct metric *m, const struct report *r)
{
	for (size_t i = 0; i < r->nr_processes; i++)
		if (is_worth_showing(m, &r->processes[i]))
			return true;
	return false;
}

/* The time of all threads that these figures are of. */
static uint64_t thread_time(const struct task_stats *s)
{
	if (s->on_cpu_ns == METRIC_UNKNOWN)
		return METRIC_UNKNOWN;
	return s->on_cpu_ns + known(s->runnable_ns) + known(s->blocked_ns);
}

static void add_columns(struct table *t, const struct report *r)
{
	table_add_column(t, "PID", COLUMN_FIGURE, 0);
	table_add_column(t, "COMM", COLUMN_NAME, 0);
	table_add_column(t, "THREADS", COLUMN_FIGURE, DROP_THREADS);
	table_add_column(t, "TIME", COLUMN_FIGURE, DROP_TIME);
	for (size_t i = 0; i < nr_task_metrics; i++) {
		const struct task_display *display = display_of(&task_metrics[i]);

		if (!is_shown(&task_metrics[i], r))
			continue;
		table_add_column(t, task_metrics[i].heading, COLUMN_FIGURE, display->drop);
		if (display->has_share)
			table_add_column(t, "%", COLUMN_FIGURE,
					 display->drop ? display->drop : DROP_SHARE);
	}
	table_add_column(t, "PEAK-RSS", COLUMN_FIGURE, DROP_RSS);
}

static void add_figures(struct table *t, const struct task_stats *stats, const struct report *r)
{
	uint64_t whole = thread_time(stats);
	char time[UNITS_TEXT_LEN];

	table_add_cell(t, xstrdup(units_ns(whole, time)));
	for (size_t i = 0; i < nr_task_metrics; i++) {
		uint64_t value = *metric_at(&task_metrics[i], stats);

		if (!is_shown(&task_metrics[i], r))
			continue;
		table_add_cell(t, metric_text(&task_metrics[i], value));
		if (display_of(&task_metrics[i])->has_share)
			table_add_cell(t, share_text(value, whole));
	}
}

static uint64_t count_threads(const struct process *p)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < p->nr_threads; i++)
		nr += p->threads[i].nr_folded;
	return nr;
}

static void add_process_row(struct table *t, const struct process *p, const struct report *r)
{
	char threads[UNITS_TEXT_LEN], rss[UNITS_TEXT_LEN];

	table_add_cell(t, xasprintf("%d", p->pid));
	table_add_cell(t, xstrdup(p->comm));
	table_add_cell(t, xstrdup(units_count(count_threads(p), threads)));
	add_figures(t, &p->stats, r);
	table_add_cell(t, xstrdup(units_bytes(p->rss_peak_bytes, rss)));
}

static void add_thread_row(struct table *t, const struct thread *thread, bool is_last,
			   const struct report *r)
{
	const char *branch = is_last ? "└" : "├";

	table_add_cell(t, thread->tid ? xasprintf("%d", thread->tid) : NULL);
	if (thread->nr_folded > 1)
		table_add_cell(t, xasprintf("%s %s (%ju ended)", branch, thread->comm,
					    (uintmax_t)thread->nr_folded));
	else
		table_add_cell(t, xasprintf("%s %s", branch, thread->comm));
	table_add_cell(t, NULL);
	add_figures(t, &thread->stats, r);
	table_add_cell(t, NULL);
}

void document_add_tasks(struct document *d, const struct report *r,
			const struct process_order *order, bool with_threads)
{
	struct table *t;

	document_add(d, BLOCK_HEADING, xstrdup("Where the time of the threads went"));
	if (!r->nr_processes) {
		document_add(d, BLOCK_TEXT, xstrdup("No process was traced."))->style =
			STYLE_WARNING;
		return;
	}
	t = &document_add(d, BLOCK_TABLE, NULL)->table;
	add_columns(t, r);
	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = order[i].process;

		add_process_row(t, p, r);
		for (size_t k = 0; with_threads && has_thread_rows(p) && k < p->nr_threads; k++)
			add_thread_row(t, order[i].threads[k], k + 1 == p->nr_threads, r);
	}
}
