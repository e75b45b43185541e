// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/units.h"
#include "base/vec.h"
#include "model/names.h"
#include "report/workload.h"

/* --- blocks and tables -------------------------------------------------------------------- */

struct block *document_add(struct document *d, enum block_kind kind, char *text)
{
	struct block *b = vec_push(d->blocks, d->nr_blocks, d->cap_blocks);

	*b = (struct block){.kind = kind, .text = text};
	return b;
}

struct block *document_add_fact(struct document *d, const char *label, char *text)
{
	struct block *b = document_add(d, BLOCK_FACT, text);

	b->label = label;
	return b;
}

void table_add_column(struct table *t, const char *heading, enum column_kind kind,
		      unsigned int drop)
{
	struct column *c = vec_push(t->columns, t->nr_columns, t->cap_columns);

	*c = (struct column){.heading = xstrdup(heading), .kind = kind, .drop = drop};
}

struct cell *table_add_cell(struct table *t, char *text)
{
	struct cell *c = vec_push(t->cells, t->nr_cells, t->cap_cells);

	*c = (struct cell){.text = text};
	return c;
}

static void table_free(struct table *t)
{
	for (size_t i = 0; i < t->nr_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	for (size_t i = 0; i < t->nr_columns; i++)
		free(t->columns[i].heading);
	free(t->columns);
}

void document_free(struct document *d)
{
	for (size_t i = 0; i < d->nr_blocks; i++) {
		free(d->blocks[i].text);
		table_free(&d->blocks[i].table);
	}
	free(d->blocks);
	*d = (struct document){0};
}

/* --- figures ------------------------------------------------------------------------------ */

uint64_t known(uint64_t value)
{
	return value == METRIC_UNKNOWN ? 0 : value;
}

char *count_text(uint64_t count)
{
	char buf[UNITS_TEXT_LEN];

	return xstrdup(units_count(count, buf));
}

char *time_text(uint64_t ns)
{
	char buf[UNITS_TEXT_LEN];

	return xstrdup(units_ns(ns, buf));
}

char *size_text(uint64_t bytes)
{
	char buf[UNITS_TEXT_LEN];

	return xstrdup(units_bytes(bytes, buf));
}

char *metric_text(const struct metric *m, uint64_t value)
{
	switch (m->unit) {
	case UNIT_NS:
		return time_text(value);
	case UNIT_BYTES:
		return size_text(value);
	default:
		return count_text(value);
	}
}

char *share_text(uint64_t part, uint64_t whole)
{
	char buf[UNITS_TEXT_LEN];

	return xstrdup(units_percent(part, whole, buf));
}

/* --- order -------------------------------------------------------------------------------- */

static int by_cpu_time(const struct task_stats *x, const struct task_stats *y)
{
	uint64_t x_ns = known(x->on_cpu_ns), y_ns = known(y->on_cpu_ns);

	return (x_ns < y_ns) - (x_ns > y_ns);
}

/* Where the time is the same the order of the model stays, whatever qsort(3) does. */
static int compare_threads(const void *a, const void *b)
{
	const struct thread *x = *(const struct thread *const *)a;
	const struct thread *y = *(const struct thread *const *)b;
	int order = by_cpu_time(&x->stats, &y->stats);

	return order ? order : (x > y) - (x < y);
}

static int compare_processes(const void *a, const void *b)
{
	const struct process_order *x = a, *y = b;
	int order = by_cpu_time(&x->process->stats, &y->process->stats);

	return order ? order : (x->process > y->process) - (x->process < y->process);
}

static struct process_order *order_new(const struct report *r)
{
	struct process_order *order = xcalloc(r->nr_processes, sizeof(*order));

	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];

		order[i].process = p;
		order[i].threads = xcalloc(p->nr_threads, sizeof(*order[i].threads));
		for (size_t k = 0; k < p->nr_threads; k++)
			order[i].threads[k] = &p->threads[k];
		qsort(order[i].threads, p->nr_threads, sizeof(*order[i].threads), compare_threads);
	}
	qsort(order, r->nr_processes, sizeof(*order), compare_processes);
	return order;
}

static void order_free(struct process_order *order, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		free(order[i].threads);
	free(order);
}

/* --- the whole ---------------------------------------------------------------------------- */

/* What the heading of a table of calls says after the name. */
static char *share_title(const struct syscalls *calls, const struct task_stats *stats)
{
	char time[UNITS_TEXT_LEN];
	bool has_shares = false;

	for (size_t i = 0; i < calls->nr; i++)
		has_shares |= calls->items[i].stats.on_cpu_ns != METRIC_UNKNOWN;
	if (!has_shares || stats->on_cpu_ns == METRIC_UNKNOWN)
		return xstrdup("system calls");
	return xasprintf("system calls; %% is of %s on a CPU", units_ns(stats->on_cpu_ns, time));
}

static char *process_title(const struct process *p)
{
	char name[NAME_TEXT_LEN];
	char *title = xasprintf("%s (%d)", p->comm, p->pid);

	if (p->term_signal)
		text_append(&title, ", killed by ",
			    xstrdup(signal_name(p->term_signal, name, sizeof(name))));
	else if (p->ended && p->exit_status >= 0)
		text_append(&title, ", ended with status ", xasprintf("%d", p->exit_status));
	else if (p->ended)
		text_append(&title, ", ", xstrdup("ended"));
	text_append(&title, ": ", share_title(&p->calls, &p->stats));
	return title;
}

static char *thread_title(const struct thread *t)
{
	char *title;

	if (t->nr_folded > 1)
		title = xasprintf("%ju ended threads (%s)", (uintmax_t)t->nr_folded, t->comm);
	else
		title = xasprintf("thread %s (%d)%s", t->comm, t->tid, t->ended ? ", ended" : "");
	text_append(&title, ": ", share_title(&t->calls, &t->stats));
	return title;
}

static void add_process(struct document *d, const struct process_order *order, const char *arch,
			const struct report_options *o)
{
	const struct process *p = order->process;

	document_add(d, BLOCK_HEADING, process_title(p));
	document_add_calls(d, &p->calls, &p->stats, arch, o->top);
	for (size_t i = 0; o->with_threads && has_thread_rows(p) && i < p->nr_threads; i++) {
		const struct thread *t = order->threads[i];

		document_add(d, BLOCK_SUBHEADING, thread_title(t));
		document_add_calls(d, &t->calls, &t->stats, arch, o->top);
	}
}

static void add_processes(struct document *d, const struct report *r,
			  const struct report_options *o, bool with_drops)
{
	struct process_order *order = order_new(r);

	document_add_tasks(d, r, order, o->with_threads);
	document_add_sockets(d, r, o->top);
	if (with_drops)
		document_add_drops(d, r);
	for (size_t i = 0; i < r->nr_processes; i++)
		add_process(d, &order[i], r->host.arch, o);
	order_free(order, r->nr_processes);
}

/* The trial to show in detail: the one asked for, or the only one; 0: none. */
static uint64_t trial_shown(const struct workload_run *w, const struct report_options *o)
{
	if (o->trial)
		return o->trial;
	return w->nr_trials == 1 && w->trials[0].traced ? w->trials[0].number : 0;
}

/* The drops of all trials have been shown. */
static void add_trial(struct document *d, const struct report *r, const struct report_options *o)
{
	uint64_t number = trial_shown(r->workload, o);
	struct report trial;

	if (!number) {
		document_add(d, BLOCK_HEADING, xstrdup("Processes, calls and sockets"));
		document_add(d, BLOCK_TEXT, xstrdup("--trial N shows those of one traced trial."));
		return;
	}
	trial = report_of_trial(r, number);
	document_add(d, BLOCK_HEADING, xasprintf("Trial %ju in detail", (uintmax_t)number));
	add_processes(d, &trial, o, false);
	free(trial.processes);
}

void document_build(struct document *d, const struct report *r, const struct report_options *o)
{
	*d = (struct document){0};
	document_add_head(d, r);
	if (r->workload) {
		document_add_workload(d, r, o);
		add_trial(d, r, o);
	} else {
		add_processes(d, r, o, true);
	}
	document_add_trust(d, r);
}
