// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>

#include "base/escape.h"
#include "model/fields.h"
#include "model/names.h"
#include "report/report.h"
#include "report/stream.h"
#include "report/workload.h"

/*
 * One flat table. A row belongs to a process or (tid not empty) to one of its threads, and says
 * what the task did in all or (syscall not empty) in one system call; or it is of a socket of the
 * process (protocol not empty); or of drops (drop.reason not empty) of a socket or, without a pid,
 * of none; or it is one number of a trial of a workload (workload.name not empty). Metrics in
 * groups are named as in JSON, "cpu.on_cpu_ns"; an empty field is unknown, or belongs to another
 * sort of row. Columns are only ever added, at the end of their sort.
 */
static const char *const leading[] = {
	"pid",	   "process", "started_ns", "rss_peak_bytes", "tid",	     "thread",
	"syscall", "nr",      "abi",	    "trial",	      "duration_ns",
};

/* Of a row of a workload. */
static const char *const workload_columns[] = {"cell", "traced", "role", "kind", "name", "value"};

/* One number of a trial of a workload. */
struct workload_row {
	const struct report *report;
	const struct workload_run *run;
	const struct workload_trial *trial;
	const char *role; /* NULL: of no part */
	const char *kind, *name;
	uint64_t value;
};

/* What is NULL does not belong to this sort of row. */
struct row {
	const struct report *report;
	const struct process *process;
	const struct thread *thread; /* NULL: totals of the process */
	const struct syscall *call;  /* NULL: the task itself */
	const struct task_stats *stats;
	const struct socket *socket;
	const struct drop *drop;
	const struct workload_row *workload;
};

/* --- the first line ----------------------------------------------------------------------- */

static void print_field_names(const char *prefix, const struct field *fields, FILE *out)
{
	for (; fields->name; fields++)
		fprintf(out, ",%s%s%s", prefix, *prefix ? "." : "", fields->name);
}

static void print_metric_names(const struct metric *metrics, size_t nr, FILE *out)
{
	for (size_t i = 0; i < nr; i++)
		fprintf(out, ",%s%s%s", metrics[i].group ? metrics[i].group : "",
			metrics[i].group ? "." : "", metrics[i].name);
}

static void print_header(FILE *out)
{
	for (size_t i = 0; i < sizeof(leading) / sizeof(leading[0]); i++)
		fprintf(out, "%s%s", i ? "," : "", leading[i]);
	print_metric_names(task_metrics, nr_task_metrics, out);
	print_metric_names(call_metrics, nr_call_metrics, out);
	fputs(",errnos", out);
	print_field_names("", socket_fields, out);
	print_metric_names(socket_metrics, nr_socket_metrics, out);
	print_field_names("tcp", tcp_fields, out);
	for (size_t i = 0; i < NR_SPREADS; i++)
		print_field_names(spread_names[i], spread_fields, out);
	print_field_names("drop", place_fields, out);
	print_field_names("drop", drop_fields, out);
	for (size_t i = 0; i < sizeof(workload_columns) / sizeof(workload_columns[0]); i++)
		fprintf(out, ",workload.%s", workload_columns[i]);
	fputs("\r\n", out);
}

/* --- fields ------------------------------------------------------------------------------- */

/* Each begins with the comma behind the field before it. */
static void print_text(const char *text, FILE *out)
{
	char *field = escape_csv(text ? text : "");

	fprintf(out, ",%s", field);
	free(field);
}

static void print_metric(uint64_t value, FILE *out)
{
	fputc(',', out);
	if (value != METRIC_UNKNOWN)
		fprintf(out, "%" PRIu64, value);
}

/* @stats NULL: a row of another sort, whose fields are empty. */
static void print_metrics(const struct metric *metrics, size_t nr, const void *stats, FILE *out)
{
	for (size_t i = 0; i < nr; i++)
		print_metric(stats ? *metric_at(&metrics[i], stats) : METRIC_UNKNOWN, out);
}

static const char *tristate_text(enum tristate t)
{
	return t == YES ? "true" : t == NO ? "false" : NULL;
}

/* A field of a socket, of its spreads or drops: texts, numbers and truths. */
static void print_field(const struct field *f, const void *from, FILE *out)
{
	const void *at = (const char *)from + f->offset;

	switch (f->kind) {
	case FIELD_BOOL:
		return print_text(*(const bool *)at ? "true" : "false", out);
	case FIELD_TRISTATE:
		return print_text(tristate_text(*(const enum tristate *)at), out);
	case FIELD_COUNT:
	case FIELD_METRIC:
		return print_metric(*(const uint64_t *)at, out);
	default:
		return print_text(*(const char *const *)at, out);
	}
}

/* @from NULL: a row of another sort. */
static void print_fields(const struct field *fields, const void *from, FILE *out)
{
	for (; fields->name; fields++) {
		if (from)
			print_field(fields, from, out);
		else
			fputc(',', out);
	}
}

/* @w NULL: a row of another sort. */
static void print_workload_fields(const struct workload_row *w, FILE *out)
{
	char *cell = w ? cell_title(w->run, w->trial) : NULL;

	print_text(cell, out);
	print_text(!w ? NULL : w->trial->traced ? "true" : "false", out);
	print_text(w ? w->role : NULL, out);
	print_text(w ? w->kind : NULL, out);
	print_text(w ? w->name : NULL, out);
	print_metric(w ? w->value : METRIC_UNKNOWN, out);
	free(cell);
}

/* 0: of none. */
static uint64_t trial_of(const struct row *row)
{
	if (row->workload)
		return row->workload->trial->number;
	return row->process ? row->process->trial : 0;
}

/* "EAGAIN=32 EPIPE=1" */
static void print_errnos(const struct syscall *c, FILE *out)
{
	char name[NAME_TEXT_LEN];

	fputc(',', out);
	for (size_t i = 0; c && i < c->nr_errnos; i++)
		fprintf(out, "%s%s=%" PRIu64, i ? " " : "",
			errno_name(c->errnos[i].error, name, sizeof(name)), c->errnos[i].count);
}

/* --- rows --------------------------------------------------------------------------------- */

static void print_leading(const struct row *row, FILE *out)
{
	const struct process *p = row->process;
	const struct syscall *c = row->call;

	if (p)
		fprintf(out, "%d", p->pid);
	print_text(p ? p->comm : NULL, out);
	print_metric(p ? p->started_ns : METRIC_UNKNOWN, out);
	print_metric(row->stats && !row->thread && !c ? p->rss_peak_bytes : METRIC_UNKNOWN, out);
	print_metric(row->thread ? (uint64_t)row->thread->tid : METRIC_UNKNOWN, out);
	print_text(row->thread ? row->thread->comm : NULL, out);
	print_text(c ? c->name : NULL, out);
	print_metric(c ? c->nr : METRIC_UNKNOWN, out);
	print_text(c ? c->abi : NULL, out);
	print_metric(trial_of(row) ? trial_of(row) : METRIC_UNKNOWN, out);
	print_metric(row->report->capture.duration_ns, out);
}

static void print_row(const struct row *row, FILE *out)
{
	const struct syscall *c = row->call;
	const struct socket *s = row->drop ? NULL : row->socket; /* whose figures stand here */

	print_leading(row, out);
	print_metrics(task_metrics, nr_task_metrics, c ? NULL : row->stats, out);
	print_metrics(call_metrics, nr_call_metrics, c ? &c->stats : NULL, out);
	print_errnos(c, out);
	print_fields(socket_fields, row->socket, out);
	print_metrics(socket_metrics, nr_socket_metrics, s ? &s->stats : NULL, out);
	print_fields(tcp_fields, s, out);
	for (size_t i = 0; i < NR_SPREADS; i++)
		print_fields(spread_fields, s && s->spreads[i].count ? &s->spreads[i] : NULL, out);
	print_fields(place_fields, row->drop, out);
	print_fields(drop_fields, row->drop, out);
	print_workload_fields(row->workload, out);
	fputs("\r\n", out);
}

static void print_task(struct row row, const struct syscalls *calls, FILE *out)
{
	print_row(&row, out);
	for (size_t i = 0; i < calls->nr; i++) {
		row.call = &calls->items[i];
		print_row(&row, out);
	}
}

static void print_drops(struct row row, const struct drops *drops, FILE *out)
{
	for (size_t i = 0; i < drops->nr; i++) {
		row.drop = &drops->items[i];
		print_row(&row, out);
	}
}

static void print_sockets(struct row row, const struct process *p, FILE *out)
{
	row.process = p;
	for (size_t i = 0; i < p->nr_sockets; i++) {
		row.socket = &p->sockets[i];
		print_row(&row, out);
		print_drops(row, &p->sockets[i].drops, out);
	}
}

static void print_threads(struct row row, const struct process *p, FILE *out)
{
	row.process = p;
	for (size_t i = 0; i < p->nr_threads; i++) {
		row.thread = &p->threads[i];
		row.stats = &row.thread->stats;
		print_task(row, &row.thread->calls, out);
	}
}

/* --- rows of workloads -------------------------------------------------------------------- */

static void print_number(const struct workload_row *workload, FILE *out)
{
	print_row(&(struct row){.report = workload->report, .workload = workload}, out);
}

static void print_facts(struct workload_row row, const struct facts *f, FILE *out)
{
	for (size_t i = 0; i < f->nr; i++) {
		row.name = f->items[i].name;
		row.value = f->items[i].value;
		print_number(&row, out);
	}
}

static void print_trial(struct workload_row row, FILE *out)
{
	const struct workload_trial *t = row.trial;

	row.kind = "result";
	print_facts(row, &t->results, out);
	row.kind = "stat";
	for (size_t i = 0; t->traced && i < nr_trial_metrics; i++) {
		row.name = trial_metrics[i].name;
		row.value = *metric_at(&trial_metrics[i], &t->stats);
		print_number(&row, out);
	}
	for (size_t i = 0; i < t->nr_parts; i++) {
		row.role = t->parts[i].role;
		row.kind = "truth";
		print_facts(row, &t->parts[i].truth, out);
		row.kind = "observed";
		print_facts(row, &t->parts[i].observed, out);
	}
}

static void print_workload(const struct report *r, FILE *out)
{
	const struct workload_run *w = r->workload;

	for (size_t i = 0; w && i < w->nr_trials; i++)
		print_trial((struct workload_row){.report = r, .run = w, .trial = &w->trials[i]},
			    out);
}

static int print(const struct report *r, const struct report_options *o, FILE *out)
{
	const struct row row = {.report = r};

	if (!o->is_further)
		print_header(out);
	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];
		struct row total = row;

		total.process = p;
		total.stats = &p->stats;
		print_task(total, &p->calls, out);
		if (o->with_threads)
			print_threads(row, p, out);
		print_sockets(row, p, out);
	}
	print_drops(row, &r->drops, out);
	print_workload(r, out);
	return report_flush(out);
}

const struct report_format report_csv = {.name = "csv", .print = print};
