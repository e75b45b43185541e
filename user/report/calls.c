// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/units.h"
#include "model/names.h"
#include "report/document.h"

/*
 * How the metrics of a call appear: as a column, or in words below the table where they are not
 * 0, which they seldom are. One that is not listed here is a column, the first to be left out.
 */
struct call_display {
	const char *name;
	enum { COLUMN, WORDS, NOWHERE } how;
	bool has_share; /* of the task's time on a CPU, in the next column */
	unsigned int drop;
	const char *words;
};

#define DROP_SHARE  30
#define DROP_OTHERS 95

static const struct call_display displays[] = {
	{"calls", COLUMN, false, 0, NULL},
	{"errors", COLUMN, false, 20, NULL},
	{"restarts", WORDS, false, 0, "restarts"},
	{"denied", WORDS, false, 0, "denied"},
	{"in_flight_start", WORDS, false, 0, "under way at start"},
	{"in_flight", WORDS, false, 0, "under way at end"},
	{"no_return", WORDS, false, 0, "never returned"},
	{"total_ns", NOWHERE, false, 0, NULL},
	{"on_cpu_ns", COLUMN, true, 0, NULL},
	{"runnable_ns", COLUMN, false, 60, NULL},
	{"blocked_ns", COLUMN, false, 10, NULL},
	{"min_ns", NOWHERE, false, 0, NULL},
	{"p50_ns", COLUMN, false, 40, NULL},
	{"p90_ns", NOWHERE, false, 0, NULL},
	{"p99_ns", COLUMN, false, 15, NULL},
	{"p999_ns", NOWHERE, false, 0, NULL},
	{"max_ns", COLUMN, false, 50, NULL},
	{"bytes", COLUMN, false, 45, NULL},
};

static const struct call_display *display_of(const struct metric *m)
{
	static const struct call_display other = {NULL, COLUMN, false, DROP_OTHERS, NULL};

	for (size_t i = 0; i < sizeof(displays) / sizeof(displays[0]); i++)
		if (!strcmp(displays[i].name, m->name))
			return &displays[i];
	return &other;
}

/* One list of calls to show, in its order. */
struct call_view {
	const struct syscall **calls;
	size_t nr;	    /* all of them: the words speak of each */
	size_t nr_rows;	    /* the first of them, in which a call returned */
	size_t nr_shown;    /* the first of these, in the table */
	uint64_t on_cpu_ns; /* of the task, the whole of the shares */
	const char *arch;
};

/* --- order -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct syscall *x = *(const struct syscall *const *)a;
	const struct syscall *y = *(const struct syscall *const *)b;
	uint64_t x_ns = known(x->stats.on_cpu_ns), y_ns = known(y->stats.on_cpu_ns);
	int order;

	if (!x->stats.calls != !y->stats.calls)
		return x->stats.calls ? -1 : 1;
	if (x_ns != y_ns)
		return x_ns < y_ns ? 1 : -1;
	if (x->stats.calls != y->stats.calls)
		return known(x->stats.calls) < known(y->stats.calls) ? 1 : -1;
	order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->abi, y->abi);
}

static struct call_view view_of(const struct syscalls *calls, const struct task_stats *stats,
				const char *arch, unsigned int top)
{
	struct call_view v = {
		.calls = xcalloc(calls->nr, sizeof(*v.calls)),
		.nr = calls->nr,
		.on_cpu_ns = stats->on_cpu_ns,
		.arch = arch,
	};

	for (size_t i = 0; i < v.nr; i++) {
		v.calls[i] = &calls->items[i];
		v.nr_rows += v.calls[i]->stats.calls > 0;
	}
	qsort(v.calls, v.nr, sizeof(*v.calls), compare);
	v.nr_shown = top && top < v.nr_rows ? top : v.nr_rows;
	return v;
}

/* --- the table ---------------------------------------------------------------------------- */

/* A column in which nothing is known says nothing. */
static bool is_shown(const struct metric *m, const struct call_view *v)
{
	if (display_of(m)->how != COLUMN)
		return false;
	for (size_t i = 0; i < v->nr_shown; i++)
		if (*metric_at(m, &v->calls[i]->stats) != METRIC_UNKNOWN)
			return true;
	return false;
}

/* The ABI is named where it is not the machine's own. */
static char *call_title(const struct syscall *c, const char *arch)
{
	if (arch && strcmp(c->abi, arch))
		return xasprintf("%s (%s)", c->name, c->abi);
	return xstrdup(c->name);
}

static void add_columns(struct table *t, const struct call_view *v)
{
	table_add_column(t, "SYSCALL", COLUMN_NAME, 0);
	for (size_t i = 0; i < nr_call_metrics; i++) {
		const struct call_display *display = display_of(&call_metrics[i]);

		if (!is_shown(&call_metrics[i], v))
			continue;
		table_add_column(t, call_metrics[i].heading, COLUMN_FIGURE, display->drop);
		if (display->has_share)
			table_add_column(t, "%", COLUMN_FIGURE, DROP_SHARE);
	}
}

static void add_row(struct table *t, const struct syscall *c, const struct call_view *v)
{
	table_add_cell(t, call_title(c, v->arch));
	for (size_t i = 0; i < nr_call_metrics; i++) {
		const struct metric *m = &call_metrics[i];
		uint64_t value = *metric_at(m, &c->stats);
		struct cell *cell;

		if (!is_shown(m, v))
			continue;
		cell = table_add_cell(t, metric_text(m, value));
		if (!strcmp(m->name, "errors") && known(value))
			cell->style = STYLE_WARNING;
		if (display_of(m)->has_share)
			table_add_cell(t, share_text(value, v->on_cpu_ns));
	}
}

static void add_table(struct document *d, const struct call_view *v)
{
	struct table *t = &document_add(d, BLOCK_TABLE, NULL)->table;

	add_columns(t, v);
	for (size_t i = 0; i < v->nr_shown; i++)
		add_row(t, v->calls[i], v);
}

/* --- in words ----------------------------------------------------------------------------- */

/* "5 more system calls: 1,234 calls, on a CPU for 5.67 ms" */
static void add_left_out(struct document *d, const struct call_view *v)
{
	size_t nr = v->nr_rows - v->nr_shown;
	uint64_t calls = 0, on_cpu_ns = 0;
	char count[UNITS_TEXT_LEN], time[UNITS_TEXT_LEN];
	bool has_time = false;

	if (!nr)
		return;
	for (size_t i = v->nr_shown; i < v->nr_rows; i++) {
		calls += known(v->calls[i]->stats.calls);
		on_cpu_ns += known(v->calls[i]->stats.on_cpu_ns);
		has_time |= v->calls[i]->stats.on_cpu_ns != METRIC_UNKNOWN;
	}
	document_add_fact(d, "left out",
			  xasprintf("%zu more system call%s: %s calls%s%s", nr, nr == 1 ? "" : "s",
				    units_count(calls, count), has_time ? ", on a CPU for " : "",
				    has_time ? units_ns(on_cpu_ns, time) : ""));
}

/* "read: EAGAIN 32, EINTR 1" */
static char *errors_text(const struct syscall *c, const char *arch)
{
	char name[NAME_TEXT_LEN], count[UNITS_TEXT_LEN];
	uint64_t others = known(c->stats.errors);
	char *text = call_title(c, arch);

	for (size_t i = 0; i < c->nr_errnos; i++) {
		const struct errno_count *e = &c->errnos[i];

		text_append(&text, i ? ", " : ": ",
			    xasprintf("%s %s", errno_name(e->error, name, sizeof(name)),
				      units_count(e->count, count)));
		others -= e->count < others ? e->count : others;
	}
	if (others)
		text_append(&text, c->nr_errnos ? ", " : ": ",
			    xasprintf("others %s", units_count(others, count)));
	return text;
}

static void add_errors(struct document *d, const struct call_view *v)
{
	char *text = NULL;

	for (size_t i = 0; i < v->nr; i++)
		if (known(v->calls[i]->stats.errors) || v->calls[i]->nr_errnos)
			text_append(&text, "; ", errors_text(v->calls[i], v->arch));
	if (text)
		document_add_fact(d, "errors", text)->style = STYLE_WARNING;
}

/* "epoll_wait 4; accept4 1" for one metric, nothing where all are 0. */
static void add_words(struct document *d, const struct call_view *v, const struct metric *m)
{
	char count[UNITS_TEXT_LEN];
	char *text = NULL;

	for (size_t i = 0; i < v->nr; i++) {
		uint64_t value = *metric_at(m, &v->calls[i]->stats);

		if (!known(value))
			continue;
		text_append(&text, "; ", call_title(v->calls[i], v->arch));
		text_append(&text, " ", xstrdup(units_count(value, count)));
	}
	if (text)
		document_add_fact(d, display_of(m)->words, text);
}

void document_add_calls(struct document *d, const struct syscalls *calls,
			const struct task_stats *stats, const char *arch, unsigned int top)
{
	struct call_view v = view_of(calls, stats, arch, top);

	if (v.nr_rows)
		add_table(d, &v);
	else
		document_add(d, BLOCK_TEXT, xstrdup("No system call returned."));
	add_left_out(d, &v);
	add_errors(d, &v);
	for (size_t i = 0; i < nr_call_metrics; i++)
		if (display_of(&call_metrics[i])->how == WORDS)
			add_words(d, &v, &call_metrics[i]);
	free(v.calls);
}
