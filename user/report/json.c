// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "model/fields.h"
#include "model/names.h"
#include "model/workload.h"
#include "report/report.h"
#include "report/stream.h"

/*
 * Written as it goes. As a tree of json-c objects, a report of a thousand threads would take
 * some hundred MiB on the machine under trace.
 */
struct json {
	FILE *out;
	bool compact;
	unsigned int depth;
	bool is_empty; /* nothing yet in the innermost object or array */
};

/* --- structure ---------------------------------------------------------------------------- */

static void new_line(const struct json *j)
{
	if (!j->compact)
		fprintf(j->out, "\n%*s", (int)j->depth * 2, "");
}

/* What precedes a value: @key is NULL in arrays; no key needs escaping. */
static void begin_value(struct json *j, const char *key)
{
	if (!j->is_empty)
		fputc(',', j->out);
	if (j->depth)
		new_line(j);
	if (key)
		fprintf(j->out, j->compact ? "\"%s\":" : "\"%s\": ", key);
	j->is_empty = false;
}

static void open(struct json *j, const char *key, char bracket)
{
	begin_value(j, key);
	fputc(bracket, j->out);
	j->depth++;
	j->is_empty = true;
}

static void close(struct json *j, char bracket)
{
	j->depth--;
	if (!j->is_empty)
		new_line(j);
	fputc(bracket, j->out);
	j->is_empty = false;
}

/* --- values ------------------------------------------------------------------------------- */

static void put_literal(struct json *j, const char *key, const char *literal)
{
	begin_value(j, key);
	fputs(literal, j->out);
}

static void put_bool(struct json *j, const char *key, bool truth)
{
	put_literal(j, key, truth ? "true" : "false");
}

static void put_count(struct json *j, const char *key, uint64_t n)
{
	begin_value(j, key);
	fprintf(j->out, "%" PRIu64, n);
}

static void put_metric(struct json *j, const char *key, uint64_t n)
{
	if (n == METRIC_UNKNOWN)
		put_literal(j, key, "null");
	else
		put_count(j, key, n);
}

static void put_text(struct json *j, const char *key, const char *text)
{
	char *escaped = escape_json(text);

	put_literal(j, key, escaped);
	free(escaped);
}

static void put_text_or_null(struct json *j, const char *key, const char *text)
{
	if (text)
		put_text(j, key, text);
	else
		put_literal(j, key, "null");
}

static void put_strings(struct json *j, const char *key, char *const *strings)
{
	if (!strings) {
		put_literal(j, key, "null");
		return;
	}
	open(j, key, '[');
	for (; *strings; strings++)
		put_text(j, NULL, *strings);
	close(j, ']');
}

static void put_tristate(struct json *j, const char *key, enum tristate truth)
{
	if (truth == UNKNOWN)
		put_literal(j, key, "null");
	else
		put_bool(j, key, truth == YES);
}

static void put_signal(struct json *j, const char *key, int number)
{
	char name[NAME_TEXT_LEN];

	put_text_or_null(j, key, number ? signal_name(number, name, sizeof(name)) : NULL);
}

static void put_field(struct json *j, const struct field *f, const void *from)
{
	const void *at = (const char *)from + f->offset;
	const char *text;
	uint64_t count;
	int status;

	switch (f->kind) {
	case FIELD_TEXT:
		text = *(char *const *)at;
		return put_text(j, f->name, text ? text : "");
	case FIELD_TEXT_OR_NULL:
	case FIELD_PROTOCOL:
	case FIELD_FAMILY:
	case FIELD_ROLE:
	case FIELD_STATE:
	case FIELD_CLOSED_BY:
		return put_text_or_null(j, f->name, *(const char *const *)at);
	case FIELD_STRINGS:
		return put_strings(j, f->name, *(char **const *)at);
	case FIELD_BOOL:
		return put_bool(j, f->name, *(const bool *)at);
	case FIELD_TRISTATE:
		return put_tristate(j, f->name, *(const enum tristate *)at);
	case FIELD_COUNT:
		return put_count(j, f->name, *(const uint64_t *)at);
	case FIELD_METRIC:
		return put_metric(j, f->name, *(const uint64_t *)at);
	case FIELD_ORDINAL:
		count = *(const uint64_t *)at;
		return put_metric(j, f->name, count ? count : METRIC_UNKNOWN);
	case FIELD_U32:
		return put_count(j, f->name, *(const uint32_t *)at);
	case FIELD_PID:
		return put_count(j, f->name, *(const pid_t *)at);
	case FIELD_STATUS:
		status = *(const int *)at;
		return put_metric(j, f->name, status < 0 ? METRIC_UNKNOWN : (uint64_t)status);
	case FIELD_SIGNAL:
		return put_signal(j, f->name, *(const int *)at);
	case FIELD_ABI:
		return put_text(j, f->name, *(const char *const *)at);
	}
}

static void put_fields(struct json *j, const struct field *fields, const void *from)
{
	for (; fields->name; fields++)
		put_field(j, fields, from);
}

static void put_object(struct json *j, const char *key, const struct field *fields,
		       const void *from)
{
	open(j, key, '{');
	put_fields(j, fields, from);
	close(j, '}');
}

static void put_objects(struct json *j, const char *key, const struct field *fields,
			const void *items, size_t nr, size_t size)
{
	open(j, key, '[');
	for (size_t i = 0; i < nr; i++)
		put_object(j, NULL, fields, (const char *)items + i * size);
	close(j, ']');
}

static void put_metrics(struct json *j, const struct metric *metrics, size_t nr, const void *stats)
{
	for (size_t i = 0; i < nr; i++)
		put_metric(j, metrics[i].name, *metric_at(&metrics[i], stats));
}

/* --- calls -------------------------------------------------------------------------------- */

static void put_errnos(struct json *j, const struct syscall *c)
{
	char name[NAME_TEXT_LEN];

	open(j, "errnos", '{');
	for (size_t i = 0; i < c->nr_errnos; i++)
		put_count(j, errno_name(c->errnos[i].error, name, sizeof(name)),
			  c->errnos[i].count);
	close(j, '}');
}

/* On one line even where the rest is indented: it would be most of the lines. */
static void put_histogram(struct json *j, const struct histogram *h)
{
	put_literal(j, "histogram", "[");
	for (size_t i = 0; i < h->nr; i++)
		fprintf(j->out, "%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "",
			hist_low(h->buckets[i].index), h->buckets[i].count);
	fputc(']', j->out);
}

static void put_calls(struct json *j, const struct syscalls *calls)
{
	open(j, "syscalls", '[');
	for (size_t i = 0; i < calls->nr; i++) {
		const struct syscall *c = &calls->items[i];

		open(j, NULL, '{');
		put_fields(j, call_fields, c);
		put_metrics(j, call_metrics, nr_call_metrics, &c->stats);
		put_errnos(j, c);
		put_histogram(j, &c->histogram);
		close(j, '}');
	}
	close(j, ']');
}

/* --- groups of metrics -------------------------------------------------------------------- */

/* How many rows the group of the first of @metrics has: they are neighbours. */
static size_t group_size(const struct metric *metrics, size_t nr)
{
	size_t size = 1;

	while (size < nr && !strcmp(metrics[size].group, metrics->group))
		size++;
	return size;
}

static void put_task_stats(struct json *j, const struct task_stats *stats)
{
	for (size_t i = 0, size; i < nr_task_metrics; i += size) {
		size = group_size(&task_metrics[i], nr_task_metrics - i);
		open(j, task_metrics[i].group, '{');
		put_metrics(j, &task_metrics[i], size, stats);
		close(j, '}');
	}
}

static void put_socket_stats(struct json *j, const struct socket *s)
{
	for (size_t i = 0, size; i < nr_socket_metrics; i += size) {
		const struct metric *m = &socket_metrics[i];

		size = group_size(m, nr_socket_metrics - i);
		if (!socket_has_metric(s, m)) {
			put_literal(j, m->group, "null");
			continue;
		}
		open(j, m->group, '{');
		put_metrics(j, m, size, &s->stats);
		if (!strcmp(m->group, "tcp"))
			put_fields(j, tcp_fields, s);
		close(j, '}');
	}
}

/* --- sockets and drops -------------------------------------------------------------------- */

static void put_spreads(struct json *j, const struct socket *s)
{
	open(j, "spreads", '{');
	for (size_t i = 0; i < NR_SPREADS; i++)
		if (s->spreads[i].count)
			put_object(j, spread_names[i], spread_fields, &s->spreads[i]);
	close(j, '}');
}

static void put_socket(struct json *j, const struct socket *s)
{
	open(j, NULL, '{');
	put_fields(j, socket_fields, s);
	put_socket_stats(j, s);
	put_spreads(j, s);
	open(j, "drops", '{');
	for (size_t i = 0; i < s->drops.nr; i++)
		put_object(j, s->drops.items[i].reason, drop_fields, &s->drops.items[i]);
	close(j, '}');
	close(j, '}');
}

static void put_drops(struct json *j, const struct drops *drops)
{
	open(j, "drops", '[');
	for (size_t i = 0; i < drops->nr; i++) {
		open(j, NULL, '{');
		put_fields(j, place_fields, &drops->items[i]);
		put_fields(j, drop_fields, &drops->items[i]);
		close(j, '}');
	}
	close(j, ']');
}

/* --- processes and threads ---------------------------------------------------------------- */

static void put_thread(struct json *j, const struct thread *t)
{
	open(j, NULL, '{');
	put_fields(j, thread_fields, t);
	put_task_stats(j, &t->stats);
	put_calls(j, &t->calls);
	close(j, '}');
}

static void put_process(struct json *j, const struct process *p)
{
	open(j, NULL, '{');
	put_fields(j, process_fields, p);
	put_task_stats(j, &p->stats);
	open(j, "threads", '[');
	for (size_t i = 0; i < p->nr_threads; i++)
		put_thread(j, &p->threads[i]);
	close(j, ']');
	put_calls(j, &p->calls);
	open(j, "sockets", '[');
	for (size_t i = 0; i < p->nr_sockets; i++)
		put_socket(j, &p->sockets[i]);
	close(j, ']');
	close(j, '}');
}

/* --- workloads ---------------------------------------------------------------------------- */

/* How long the group is that @name begins with, with its dot: "calls." of "calls.read"; or 0. */
static size_t group_len(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? dot + 1 - name : 0;
}

static bool is_first_of_group(const struct facts *f, size_t at)
{
	size_t len = group_len(f->items[at].name);

	for (size_t i = 0; i < at; i++)
		if (len && !strncmp(f->items[i].name, f->items[at].name, len))
			return false;
	return true;
}

/* Groups are objects, where their first fact stands. */
static void put_facts(struct json *j, const char *key, const struct facts *f)
{
	open(j, key, '{');
	for (size_t i = 0; i < f->nr; i++) {
		const char *name = f->items[i].name;
		size_t len = group_len(name);
		char group[64];

		if (!len) {
			put_metric(j, name, f->items[i].value);
			continue;
		}
		if (!is_first_of_group(f, i))
			continue;
		snprintf(group, sizeof(group), "%.*s", (int)len - 1, name);
		open(j, group, '{');
		for (size_t k = i; k < f->nr; k++)
			if (!strncmp(f->items[k].name, name, len))
				put_metric(j, f->items[k].name + len, f->items[k].value);
		close(j, '}');
	}
	close(j, '}');
}

/* With three decimals, whatever the locale. */
static void put_decimal(struct json *j, const char *key, double value)
{
	uint64_t thousandths = value < 1e15 ? (uint64_t)(value * 1000 + 0.5) : (uint64_t)1e18;

	begin_value(j, key);
	fprintf(j->out, "%" PRIu64 ".%03" PRIu64, thousandths / 1000, thousandths % 1000);
}

static void put_figures(struct json *j, const struct workload_trial *t)
{
	open(j, "figures", '{');
	for (size_t i = 0; i < nr_workload_figures; i++) {
		char *name = workload_figure_name(&workload_figures[i], t);
		double value;

		if (workload_figure_of(&workload_figures[i], t, &value))
			put_decimal(j, name, value);
		free(name);
	}
	close(j, '}');
}

static void put_trial(struct json *j, const struct workload_trial *t)
{
	open(j, NULL, '{');
	put_fields(j, trial_fields, t);
	put_objects(j, "parts", part_fields, t->parts, t->nr_parts, sizeof(*t->parts));
	open(j, "truth", '{');
	for (size_t i = 0; i < t->nr_parts; i++)
		put_facts(j, t->parts[i].role, &t->parts[i].truth);
	close(j, '}');
	open(j, "observed", '{');
	for (size_t i = 0; i < t->nr_parts; i++)
		put_facts(j, t->parts[i].role, &t->parts[i].observed);
	close(j, '}');
	put_facts(j, "results", &t->results);
	open(j, "stats", '{');
	put_metrics(j, trial_metrics, nr_trial_metrics, &t->stats);
	close(j, '}');
	put_figures(j, t);
	close(j, '}');
}

static void put_workload(struct json *j, const struct workload_run *w)
{
	open(j, "workload", '{');
	put_fields(j, workload_fields, w);
	put_objects(j, "parameters", parameter_fields, w->parameters, w->nr_parameters,
		    sizeof(*w->parameters));
	put_objects(j, "environment", setting_fields, w->environment, w->nr_environment,
		    sizeof(*w->environment));
	open(j, "trials", '[');
	for (size_t i = 0; i < w->nr_trials; i++)
		put_trial(j, &w->trials[i]);
	close(j, ']');
	close(j, '}');
}

/* --- the report --------------------------------------------------------------------------- */

static void put_capture(struct json *j, const struct report *r)
{
	open(j, "capture", '{');
	put_fields(j, capture_fields, r);
	put_objects(j, "probes", probe_fields, r->capture.probes, r->capture.nr_probes,
		    sizeof(*r->capture.probes));
	open(j, "lost", '{');
	for (size_t i = 0; i < r->capture.nr_lost; i++)
		put_count(j, r->capture.lost[i].reason, r->capture.lost[i].count);
	close(j, '}');
	open(j, "overhead", '{');
	put_objects(j, "programs", program_fields, r->capture.programs, r->capture.nr_programs,
		    sizeof(*r->capture.programs));
	close(j, '}');
	put_object(j, "self", self_fields, r);
	close(j, '}');
}

static int print(const struct report *r, const struct report_options *o, FILE *out)
{
	struct json j = {.out = out, .compact = o->compact, .is_empty = true};

	open(&j, NULL, '{');
	put_text(&j, "schema", REPORT_SCHEMA);
	put_object(&j, "tool", tool_fields, r);
	put_object(&j, "host", host_fields, r);
	put_capture(&j, r);
	open(&j, "processes", '[');
	for (size_t i = 0; i < r->nr_processes; i++)
		put_process(&j, &r->processes[i]);
	close(&j, ']');
	put_drops(&j, &r->drops);
	put_objects(&j, "audits", audit_fields, r->audits, r->nr_audits, sizeof(*r->audits));
	if (r->workload)
		put_workload(&j, r->workload);
	close(&j, '}');
	fputc('\n', out);
	return report_flush(out);
}

const struct report_format report_json = {.name = "json", .print = print};
