// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/units.h"
#include "report/workload.h"

/* How many threads and system calls of a part are shown where --top does not say. */
#define DEFAULT_TOP 8

static size_t top_of(const struct report_options *o)
{
	return o->top ? o->top : DEFAULT_TOP;
}

/* --- threads ------------------------------------------------------------------------------ */

static const struct thread_column {
	const char *heading;
	size_t offset; /* in struct task_stats */
	bool is_time;
	unsigned int drop;
} thread_columns[] = {
	{"ON-CPU", offsetof(struct task_stats, on_cpu_ns), true, 1},
	{"USER", offsetof(struct task_stats, user_ns), true, 40},
	{"KERNEL", offsetof(struct task_stats, kernel_ns), true, 41},
	{"WAIT-CPU", offsetof(struct task_stats, runnable_ns), true, 10},
	{"BLOCKED", offsetof(struct task_stats, blocked_ns), true, 20},
	{"VOL-SW", offsetof(struct task_stats, voluntary), false, 50},
	{"INVOL-SW", offsetof(struct task_stats, involuntary), false, 60},
};
#define NR_THREAD_COLUMNS (sizeof(thread_columns) / sizeof(thread_columns[0]))

static int by_cpu_time(const void *a, const void *b)
{
	const struct thread *x = *(const struct thread *const *)a;
	const struct thread *y = *(const struct thread *const *)b;
	uint64_t x_ns = known(x->stats.on_cpu_ns), y_ns = known(y->stats.on_cpu_ns);

	if (x_ns != y_ns)
		return x_ns < y_ns ? 1 : -1;
	return (x > y) - (x < y);
}

static char *thread_name(const struct thread *t)
{
	if (t->nr_folded > 1)
		return xasprintf("%s (%ju ended)", t->comm, (uintmax_t)t->nr_folded);
	return t->tid ? xasprintf("%s (%d)", t->comm, t->tid) : xstrdup(t->comm);
}

static void add_thread(struct table *table, const char *role, const struct thread *t)
{
	table_add_cell(table, xstrdup(role));
	table_add_cell(table, thread_name(t));
	for (size_t i = 0; i < NR_THREAD_COLUMNS; i++) {
		uint64_t value =
			*(const uint64_t *)((const char *)&t->stats + thread_columns[i].offset);

		table_add_cell(table,
			       thread_columns[i].is_time ? time_text(value) : count_text(value));
	}
}

/* The busiest @top; returns how many are left out. */
static size_t add_threads_of(struct table *table, const char *role, const struct process *p,
			     size_t top)
{
	const struct thread **threads = xcalloc(p->nr_threads, sizeof(*threads));
	size_t nr_shown = p->nr_threads < top ? p->nr_threads : top;

	for (size_t i = 0; i < p->nr_threads; i++)
		threads[i] = &p->threads[i];
	qsort(threads, p->nr_threads, sizeof(*threads), by_cpu_time);
	for (size_t i = 0; i < nr_shown; i++)
		add_thread(table, role, threads[i]);
	free(threads);
	return p->nr_threads - nr_shown;
}

static void add_left_out(struct document *d, size_t nr, const char *what)
{
	if (nr)
		document_add_fact(d, "left out",
				  xasprintf("%zu more %s%s (--top)", nr, what, nr == 1 ? "" : "s"));
}

static void add_threads(struct document *d, const struct report *r, const struct workload_trial *t,
			const struct report_options *o)
{
	struct table *table = &document_add(d, BLOCK_TABLE, NULL)->table;
	size_t nr_left_out = 0;

	table_add_column(table, "ROLE", COLUMN_NAME, 0);
	table_add_column(table, "THREAD", COLUMN_NAME, 0);
	for (size_t i = 0; i < NR_THREAD_COLUMNS; i++)
		table_add_column(table, thread_columns[i].heading, COLUMN_FIGURE,
				 thread_columns[i].drop);
	for (size_t i = 0; i < t->nr_parts; i++) {
		const struct process *p = process_of_part(r, &t->parts[i]);

		if (p)
			nr_left_out += add_threads_of(table, t->parts[i].role, p, top_of(o));
	}
	add_left_out(d, nr_left_out, "thread");
}

/* --- calls -------------------------------------------------------------------------------- */

static const struct call_column {
	const char *metric;
	unsigned int drop;
} call_columns[] = {
	{"calls", 1},	    {"errors", 30}, {"on_cpu_ns", 2}, {"runnable_ns", 40},
	{"blocked_ns", 10}, {"p50_ns", 50}, {"p99_ns", 51},   {"bytes", 45},
};
#define NR_CALL_COLUMNS (sizeof(call_columns) / sizeof(call_columns[0]))

static const struct metric *metric_of(const struct call_column *column)
{
	const struct metric *m = call_metrics;

	while (strcmp(m->name, column->metric))
		m++;
	return m;
}

static int by_calls(const void *a, const void *b)
{
	const struct syscall *x = *(const struct syscall *const *)a;
	const struct syscall *y = *(const struct syscall *const *)b;

	if (x->stats.calls != y->stats.calls)
		return known(x->stats.calls) < known(y->stats.calls) ? 1 : -1;
	return (x > y) - (x < y);
}

static void add_call(struct table *table, const char *role, const struct syscall *c)
{
	table_add_cell(table, xstrdup(role));
	table_add_cell(table, xstrdup(c->name));
	for (size_t i = 0; i < NR_CALL_COLUMNS; i++) {
		const struct metric *m = metric_of(&call_columns[i]);

		table_add_cell(table, metric_text(m, *metric_at(m, &c->stats)));
	}
}

/* Those most often made; returns how many that returned are left out. */
static size_t add_calls_of(struct table *table, const char *role, const struct process *p,
			   size_t top)
{
	const struct syscall **calls = xcalloc(p->calls.nr, sizeof(*calls));
	size_t nr = 0, nr_shown;

	for (size_t i = 0; i < p->calls.nr; i++)
		if (known(p->calls.items[i].stats.calls))
			calls[nr++] = &p->calls.items[i];
	qsort(calls, nr, sizeof(*calls), by_calls);
	nr_shown = nr < top ? nr : top;
	for (size_t i = 0; i < nr_shown; i++)
		add_call(table, role, calls[i]);
	free(calls);
	return nr - nr_shown;
}

static void add_calls(struct document *d, const struct report *r, const struct workload_trial *t,
		      const struct report_options *o)
{
	struct table *table = &document_add(d, BLOCK_TABLE, NULL)->table;
	size_t nr_left_out = 0;

	table_add_column(table, "ROLE", COLUMN_NAME, 0);
	table_add_column(table, "SYSCALL", COLUMN_NAME, 0);
	for (size_t i = 0; i < NR_CALL_COLUMNS; i++)
		table_add_column(table, metric_of(&call_columns[i])->heading, COLUMN_FIGURE,
				 call_columns[i].drop);
	for (size_t i = 0; i < t->nr_parts; i++) {
		const struct process *p = process_of_part(r, &t->parts[i]);

		if (p)
			nr_left_out += add_calls_of(table, t->parts[i].role, p, top_of(o));
	}
	add_left_out(d, nr_left_out, "system call");
}

/* --- trials ------------------------------------------------------------------------------- */

static char *trial_title(const struct workload_run *w, const struct workload_trial *t)
{
	char *cell = cell_title(w, t);
	char *title = xasprintf("%s%strial %ju", cell ? cell : "", cell ? ", " : "",
				(uintmax_t)t->number);

	free(cell);
	return title;
}

void document_add_trials(struct document *d, const struct report *r, const struct trial_groups *g,
			 const struct report_options *o)
{
	bool is_first = true;

	for (size_t i = 0; i < g->nr; i++) {
		const struct workload_trial *t = g->items[i].last_traced;
		struct report trial;

		if (!t)
			continue;
		if (is_first)
			document_add(d, BLOCK_HEADING,
				     xstrdup("Threads and system calls: the last traced trial of "
					     "each cell"));
		is_first = false;
		trial = report_of_trial(r, t->number);
		document_add(d, BLOCK_SUBHEADING, trial_title(g->run, t));
		add_threads(d, &trial, t, o);
		document_add(d, BLOCK_SUBHEADING,
			     xstrdup("System calls, most often made first; BLOCKED is time asleep, "
				     "not a cost"));
		add_calls(d, &trial, t, o);
		free(trial.processes);
	}
}
