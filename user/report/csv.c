// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>

#include "base/escape.h"
#include "model/names.h"
#include "report/report.h"
#include "report/stream.h"

/*
 * One flat table. A row belongs to a process or (tid not empty) to one of its threads, and says
 * what the task did in all or (syscall not empty) in one system call. The metrics of tasks are
 * named as in JSON, "cpu.on_cpu_ns"; an empty field is unknown, or belongs to the other sort of
 * row.
 */
static const char *const leading[] = {
	"pid", "process", "started_ns", "rss_peak_bytes", "tid", "thread", "syscall", "nr", "abi",
};

struct row {
	const struct process *process;
	const struct thread *thread; /* NULL: totals of the process */
	const struct syscall *call;  /* NULL: the task itself */
	const struct task_stats *stats;
};

static void print_header(FILE *out)
{
	for (size_t i = 0; i < sizeof(leading) / sizeof(leading[0]); i++)
		fprintf(out, "%s,", leading[i]);
	for (size_t i = 0; i < nr_task_metrics; i++)
		fprintf(out, "%s.%s,", task_metrics[i].group, task_metrics[i].name);
	for (size_t i = 0; i < nr_call_metrics; i++)
		fprintf(out, "%s,", call_metrics[i].name);
	fputs("errnos\r\n", out);
}

static void print_text(const char *text, FILE *out)
{
	char *field = escape_csv(text ? text : "");

	fprintf(out, "%s,", field);
	free(field);
}

static void print_metric(uint64_t value, FILE *out)
{
	if (value != METRIC_UNKNOWN)
		fprintf(out, "%" PRIu64, value);
	fputc(',', out);
}

/* @stats NULL: a row of the other sort, whose fields are empty. */
static void print_metrics(const struct metric *metrics, size_t nr, const void *stats, FILE *out)
{
	for (size_t i = 0; i < nr; i++)
		print_metric(stats ? *metric_at(&metrics[i], stats) : METRIC_UNKNOWN, out);
}

/* "EAGAIN=32 EPIPE=1" */
static void print_errnos(const struct syscall *c, FILE *out)
{
	char name[NAME_TEXT_LEN];

	for (size_t i = 0; c && i < c->nr_errnos; i++)
		fprintf(out, "%s%s=%" PRIu64, i ? " " : "",
			errno_name(c->errnos[i].error, name, sizeof(name)), c->errnos[i].count);
}

static void print_row(const struct row *row, FILE *out)
{
	const struct process *p = row->process;
	const struct syscall *c = row->call;

	fprintf(out, "%d,", p->pid);
	print_text(p->comm, out);
	fprintf(out, "%" PRIu64 ",", p->started_ns);
	print_metric(row->thread || c ? METRIC_UNKNOWN : p->rss_peak_bytes, out);
	print_metric(row->thread ? (uint64_t)row->thread->tid : METRIC_UNKNOWN, out);
	print_text(row->thread ? row->thread->comm : NULL, out);
	print_text(c ? c->name : NULL, out);
	print_metric(c ? c->nr : METRIC_UNKNOWN, out);
	print_text(c ? c->abi : NULL, out);
	print_metrics(task_metrics, nr_task_metrics, c ? NULL : row->stats, out);
	print_metrics(call_metrics, nr_call_metrics, c ? &c->stats : NULL, out);
	print_errnos(c, out);
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

static int print(const struct report *r, const struct report_options *o, FILE *out)
{
	print_header(out);
	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];

		print_task((struct row){.process = p, .stats = &p->stats}, &p->calls, out);
		for (size_t k = 0; o->with_threads && k < p->nr_threads; k++) {
			const struct thread *t = &p->threads[k];

			print_task((struct row){.process = p, .thread = t, .stats = &t->stats},
				   &t->calls, out);
		}
	}
	return report_flush(out);
}

const struct report_format report_csv = {.name = "csv", .print = print};
