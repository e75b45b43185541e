// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "report/workload.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/vec.h"

/* The order of more trials than this is cut short. */
#define MOST_IN_ORDER 6

/* --- trials ------------------------------------------------------------------------------- */

static bool are_same_cell(char *const *a, char *const *b)
{
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b))
			return false;
	return *a == *b;
}

static struct trial_group *group_of(struct trial_groups *g, const struct workload_trial *t)
{
	for (size_t i = 0; i < g->nr; i++)
		if (are_same_cell(g->items[i].trials[0]->cell, t->cell))
			return &g->items[i];
	return vec_push(g->items, g->nr, g->cap);
}

struct trial_groups trial_groups_of(const struct workload_run *w)
{
	struct trial_groups g = {.run = w};

	for (size_t i = 0; i < w->nr_trials; i++) {
		const struct workload_trial *t = &w->trials[i];
		struct trial_group *group = group_of(&g, t);

		*vec_push(group->trials, group->nr, group->cap) = t;
		if (t->traced)
			group->last_traced = t;
	}
	return g;
}

void trial_groups_free(struct trial_groups *g)
{
	for (size_t i = 0; i < g->nr; i++)
		free(g->items[i].trials);
	free(g->items);
}

char *cell_title(const struct workload_run *w, const struct workload_trial *t)
{
	char *const *value = t->cell;
	char *title = NULL;

	for (size_t i = 0; i < w->nr_parameters && *value; i++)
		if (w->parameters[i].is_swept)
			text_append(&title, " ",
				    xasprintf("%s=%s", w->parameters[i].name, *value++));
	return title;
}

struct report report_of_trial(const struct report *r, uint64_t number)
{
	struct report trial = *r;

	trial.processes = xcalloc(r->nr_processes, sizeof(*trial.processes));
	trial.nr_processes = trial.cap_processes = 0;
	for (size_t i = 0; i < r->nr_processes; i++)
		if (r->processes[i].trial == number)
			trial.processes[trial.nr_processes++] = r->processes[i];
	return trial;
}

const struct process *process_of_part(const struct report *r, const struct workload_part *part)
{
	for (size_t i = 0; part->pid && i < r->nr_processes; i++)
		if (r->processes[i].pid == part->pid &&
		    r->processes[i].started_ns == part->started_ns)
			return &r->processes[i];
	return NULL;
}

/* --- what ran ----------------------------------------------------------------------------- */

static void add_parameters(struct document *d, const struct workload_run *w)
{
	char *text = NULL;

	for (size_t i = 0; i < w->nr_parameters; i++) {
		const struct workload_parameter *p = &w->parameters[i];

		text_append(&text, ", ", xasprintf("%s=%s", p->name, p->values[0]));
		for (char **value = p->values + 1; *value; value++)
			text_append(&text, "|", xstrdup(*value));
	}
	if (text)
		document_add_fact(d, "parameters", text);
}

static void add_environment(struct document *d, const struct workload_run *w)
{
	char *text = NULL;

	for (size_t i = 0; i < w->nr_environment; i++)
		text_append(&text, ", ",
			    xasprintf("%s=%s", w->environment[i].name,
				      w->environment[i].value ? w->environment[i].value : "-"));
	if (text)
		document_add_fact(d, "environment", text);
}

/* All trials have the same. */
static void add_parts(struct document *d, const struct workload_run *w)
{
	const struct workload_trial *t = w->nr_trials ? &w->trials[0] : NULL;
	char *text = NULL;

	for (size_t i = 0; t && i < t->nr_parts; i++)
		text_append(&text, ", ",
			    xasprintf("%s%s", t->parts[i].role,
				      t->parts[i].is_subject ? " (the subject)" : ""));
	if (text)
		document_add_fact(d, "parts", text);
}

static size_t count_traced(const struct workload_run *w)
{
	size_t nr = 0;

	for (size_t i = 0; i < w->nr_trials; i++)
		nr += w->trials[i].traced;
	return nr;
}

static void add_order(struct document *d, const struct workload_run *w)
{
	char *text = NULL;

	for (size_t i = 0; i < w->nr_trials && i < MOST_IN_ORDER; i++) {
		const struct workload_trial *t = &w->trials[i];
		char *title = cell_title(w, t);

		text_append(&text, "; ",
			    xasprintf("%ju%s%s%s", (uintmax_t)t->number, title ? " " : "",
				      title ? title : "", t->traced ? "" : " untraced"));
		free(title);
	}
	if (w->nr_trials > MOST_IN_ORDER)
		text_append(&text, "; ", xasprintf("and %zu more", w->nr_trials - MOST_IN_ORDER));
	if (w->nr_trials > 1)
		document_add_fact(d, "order", text);
	else
		free(text);
}

static void add_exactness(struct document *d, const struct workload_run *w)
{
	size_t nr_traced = count_traced(w), nr_exact = 0, nr_wrong = 0;
	struct block *b;

	for (size_t i = 0; i < w->nr_trials; i++) {
		nr_exact += w->trials[i].traced && w->trials[i].exact == YES;
		nr_wrong += w->trials[i].traced && w->trials[i].exact == NO;
	}
	if (!nr_traced)
		return;
	b = document_add_fact(d, "truth",
			      xasprintf("every part's own counts equal the trace in %zu of %zu "
					"traced trial%s%s",
					nr_exact, nr_traced, nr_traced == 1 ? "" : "s",
					nr_exact == nr_traced ? "" : "; the end says why"));
	b->style = nr_wrong ? STYLE_FAILURE : nr_exact == nr_traced ? STYLE_PLAIN : STYLE_WARNING;
}

void document_add_workload(struct document *d, const struct report *r,
			   const struct report_options *o)
{
	const struct workload_run *w = r->workload;
	struct trial_groups g = trial_groups_of(w);
	size_t nr_traced = count_traced(w);

	document_add(d, BLOCK_HEADING, xasprintf("Workload %s", w->name));
	add_parts(d, w);
	add_parameters(d, w);
	add_environment(d, w);
	document_add_fact(
		d, "trials",
		xasprintf("%zu traced, %zu untraced", nr_traced, w->nr_trials - nr_traced));
	add_order(d, w);
	add_exactness(d, w);
	document_add_figures(d, &g);
	document_add_trials(d, r, &g, o);
	document_add_datagrams(d, r, &g);
	trial_groups_free(&g);
}
