// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/workload.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "base/vec.h"
#include "model/merge.h"

/* --- facts -------------------------------------------------------------------------------- */

static struct workload_fact *find(const struct facts *f, const char *name)
{
	for (size_t i = 0; i < f->nr; i++)
		if (!strcmp(f->items[i].name, name))
			return &f->items[i];
	return NULL;
}

void facts_set(struct facts *f, const char *name, uint64_t value)
{
	struct workload_fact *fact = find(f, name);

	if (!fact) {
		fact = vec_push(f->items, f->nr, f->cap);
		fact->name = xstrdup(name);
	}
	fact->value = value;
}

uint64_t facts_get(const struct facts *f, const char *name)
{
	const struct workload_fact *fact = find(f, name);

	return fact ? fact->value : METRIC_UNKNOWN;
}

void facts_free(struct facts *f)
{
	for (size_t i = 0; i < f->nr; i++)
		free(f->items[i].name);
	free(f->items);
	*f = (struct facts){0};
}

/* --- lifecycle ---------------------------------------------------------------------------- */

const struct metric trial_metrics[] = {
#define WORKLOAD_SUM(field, unit, help) \
	{NULL, #field, NULL, help, offsetof(struct trial_stats, field), KIND_SUM, UNIT_##unit},
#include "model/metrics.def"
};

const size_t nr_trial_metrics = sizeof(trial_metrics) / sizeof(trial_metrics[0]);

_Static_assert(sizeof(struct trial_stats) ==
		       sizeof(trial_metrics) / sizeof(trial_metrics[0]) * sizeof(uint64_t),
	       "struct trial_stats holds metrics only");

static void trial_free(struct workload_trial *t)
{
	strings_free(t->cell);
	facts_free(&t->results);
	for (size_t i = 0; i < t->nr_parts; i++) {
		free(t->parts[i].role);
		facts_free(&t->parts[i].truth);
		facts_free(&t->parts[i].observed);
	}
	free(t->parts);
}

void workload_run_free(struct workload_run *w)
{
	if (!w)
		return;
	free(w->name);
	for (size_t i = 0; i < w->nr_parameters; i++) {
		free(w->parameters[i].name);
		strings_free(w->parameters[i].values);
	}
	free(w->parameters);
	for (size_t i = 0; i < w->nr_environment; i++) {
		free(w->environment[i].name);
		free(w->environment[i].value);
	}
	free(w->environment);
	for (size_t i = 0; i < w->nr_trials; i++)
		trial_free(&w->trials[i]);
	free(w->trials);
	free(w);
}

struct workload_trial *workload_add_trial(struct workload_run *w, uint64_t number)
{
	struct workload_trial *t = vec_push(w->trials, w->nr_trials, w->cap_trials);

	*t = (struct workload_trial){.number = number, .exact = UNKNOWN};
	for (size_t i = 0; i < nr_trial_metrics; i++)
		*metric_at(&trial_metrics[i], &t->stats) = METRIC_UNKNOWN;
	return t;
}

/* --- absorbing ---------------------------------------------------------------------------- */

/* Marks what stays apart in a report of several trials. */
static void mark(struct report *trial, uint64_t number)
{
	for (size_t i = 0; i < trial->nr_processes; i++)
		trial->processes[i].trial = number;
	for (size_t i = 0; i < trial->nr_audits; i++) {
		char *subject = trial->audits[i].subject;

		trial->audits[i].subject =
			xasprintf("trial %ju: %s", (uintmax_t)number, subject ? subject : "");
		free(subject);
	}
}

static void absorb_lost(struct report *into, const struct lost_count *lost)
{
	struct lost_count *to = NULL;

	for (size_t i = 0; i < into->capture.nr_lost; i++)
		if (!strcmp(into->capture.lost[i].reason, lost->reason))
			to = &into->capture.lost[i];
	if (!to) {
		to = vec_push(into->capture.lost, into->capture.nr_lost, into->capture.cap_lost);
		to->reason = xstrdup(lost->reason);
	}
	to->count = saturating_sum(to->count, lost->count);
}

static void absorb_program(struct report *into, const struct program_cost *cost)
{
	struct program_cost *to = NULL;

	for (size_t i = 0; i < into->capture.nr_programs; i++)
		if (!strcmp(into->capture.programs[i].name, cost->name))
			to = &into->capture.programs[i];
	if (!to) {
		to = vec_push(into->capture.programs, into->capture.nr_programs,
			      into->capture.cap_programs);
		*to = (struct program_cost){xstrdup(cost->name), METRIC_UNKNOWN, METRIC_UNKNOWN,
					    METRIC_UNKNOWN};
	}
	to->runs = known_sum(to->runs, cost->runs);
	to->run_ns = known_sum(to->run_ns, cost->run_ns);
	to->recursion_misses = known_sum(to->recursion_misses, cost->recursion_misses);
}

static void absorb_capture(struct report *into, const struct report *trial)
{
	into->capture.duration_ns =
		saturating_sum(into->capture.duration_ns, trial->capture.duration_ns);
	into->capture.complete &= trial->capture.complete;
	/* One process traced them all: its time at the end of the last is that of all. */
	into->capture.self_cpu_ns =
		known_max(into->capture.self_cpu_ns, trial->capture.self_cpu_ns);
	into->capture.self_rss_bytes =
		known_max(into->capture.self_rss_bytes, trial->capture.self_rss_bytes);
	into->capture.map_bytes = known_max(into->capture.map_bytes, trial->capture.map_bytes);
	into->capture.setup_ns = known_max(into->capture.setup_ns, trial->capture.setup_ns);
	for (size_t i = 0; i < trial->capture.nr_lost; i++)
		absorb_lost(into, &trial->capture.lost[i]);
	for (size_t i = 0; i < trial->capture.nr_programs; i++)
		absorb_program(into, &trial->capture.programs[i]);
}

/* Times since the beginnings of different traces do not compare. */
static void forget_drop_times(struct drops *drops)
{
	for (size_t i = 0; i < drops->nr; i++)
		drops->items[i].first_ns = drops->items[i].last_ns = METRIC_UNKNOWN;
}

static void absorb_lists(struct report *into, struct report *trial)
{
	for (size_t i = 0; i < trial->nr_processes; i++)
		*vec_push(into->processes, into->nr_processes, into->cap_processes) =
			trial->processes[i];
	for (size_t i = 0; i < trial->nr_audits; i++)
		*vec_push(into->audits, into->nr_audits, into->cap_audits) = trial->audits[i];
	trial->nr_processes = trial->nr_audits = 0;
	drops_merge(&into->drops, &trial->drops);
	forget_drop_times(&into->drops);
	processes_sort(into);
}

void report_absorb(struct report *into, struct report *trial, uint64_t number)
{
	struct workload_run *workload = into->workload;

	mark(trial, number);
	if (!into->capture.mode) { /* the first */
		*into = *trial;
		into->workload = workload;
		*trial = (struct report){0};
		return;
	}
	absorb_capture(into, trial);
	absorb_lists(into, trial);
	report_free(trial);
}
