// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "base/alloc.h"
#include "model/merge.h"
#include "model/workload.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

const struct workload_figure workload_figures[] = {
#define WORKLOAD_FIGURE(name, heading, numerator, denominator, unit, help) \
	{#name, heading, numerator, denominator, help, FIGURE_##unit},
#include "model/metrics.def"
};

const size_t nr_workload_figures = ARRAY_SIZE(workload_figures);

/* What loads count, the first that one has is its work. */
static const struct work {
	const char *result, *noun, *name;
	double scale;
} works[] = {
	{"requests", "request", "request", 1},
	{"messages", "message", "message", 1},
	{"bytes", "MiB", "mib", 1 << 20},
};

static const struct work *work_of(const struct workload_trial *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(works); i++)
		if (facts_get(&t->results, works[i].result) != METRIC_UNKNOWN)
			return &works[i];
	return NULL;
}

/* What all parts counted under @name; METRIC_UNKNOWN if none did. */
static uint64_t truth_of(const struct workload_trial *t, const char *name)
{
	uint64_t sum = METRIC_UNKNOWN;

	for (size_t i = 0; i < t->nr_parts; i++)
		sum = known_sum(sum, facts_get(&t->parts[i].truth, name));
	return sum;
}

static uint64_t datagrams_lost(const struct workload_trial *t)
{
	uint64_t sent = truth_of(t, "datagrams_sent");
	uint64_t received = truth_of(t, "datagrams_received");

	if (sent == METRIC_UNKNOWN || received == METRIC_UNKNOWN || received > sent)
		return METRIC_UNKNOWN;
	return sent - received;
}

/* A result, a sum over the subject, or a count of the parts. */
static uint64_t input_of(const struct workload_trial *t, const char *name)
{
	uint64_t result = facts_get(&t->results, name);

	if (result != METRIC_UNKNOWN)
		return result;
	for (size_t i = 0; i < nr_trial_metrics; i++)
		if (!strcmp(trial_metrics[i].name, name))
			return *metric_at(&trial_metrics[i], &t->stats);
	if (!strcmp(name, "datagrams_lost"))
		return datagrams_lost(t);
	return truth_of(t, name);
}

static double factor_of(enum figure_unit unit)
{
	switch (unit) {
	case FIGURE_PER_SECOND:
		return 1e9;
	case FIGURE_BITS_PER_SECOND:
		return 8e9;
	default:
		return 1;
	}
}

static bool is_per_work(const struct workload_figure *f)
{
	return !strcmp(f->denominator, "work");
}

bool workload_figure_of(const struct workload_figure *f, const struct workload_trial *t,
			double *value)
{
	const struct work *work = is_per_work(f) ? work_of(t) : NULL;
	uint64_t above = input_of(t, f->numerator), below;

	if (above == METRIC_UNKNOWN || (is_per_work(f) && !work))
		return false;
	*value = (double)above * factor_of(f->unit);
	if (!*f->denominator)
		return true;
	below = input_of(t, work ? work->result : f->denominator);
	if (below == METRIC_UNKNOWN || !below)
		return false;
	*value = *value / (double)below * (work ? work->scale : 1);
	return true;
}

/* @text, whose end "work" becomes @noun. */
static char *with_noun(const struct workload_figure *f, const char *text, const char *noun)
{
	if (!is_per_work(f) || !noun)
		return xstrdup(text);
	return xasprintf("%.*s%s", (int)(strlen(text) - strlen("work")), text, noun);
}

char *workload_figure_name(const struct workload_figure *f, const struct workload_trial *t)
{
	const struct work *work = work_of(t);

	return with_noun(f, f->name, work ? work->name : NULL);
}

char *workload_figure_heading(const struct workload_figure *f, const struct workload_trial *t)
{
	const struct work *work = work_of(t);

	return with_noun(f, f->heading, work ? work->noun : NULL);
}
