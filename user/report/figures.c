// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>

#include "base/alloc.h"
#include "base/units.h"
#include "report/workload.h"

/* --- texts -------------------------------------------------------------------------------- */

/* A whole number that is surely in range, whatever a saved report holds. */
static uint64_t rounded(double value)
{
	return value < 1e18 ? (uint64_t)(value + 0.5) : (uint64_t)1e18;
}

/* With @decimals (1 to 3) behind the point, whatever the locale. */
static char *decimal_text(double value, int decimals, const char *suffix)
{
	static const unsigned int powers[] = {1, 10, 100, 1000};
	unsigned int power = powers[decimals];
	uint64_t scaled = rounded(value * power);
	char whole[UNITS_TEXT_LEN];

	return xasprintf("%s.%0*ju%s", units_count(scaled / power, whole), decimals,
			 (uintmax_t)(scaled % power), suffix);
}

/* Three significant digits, more where there are more before the point. */
static char *number_text(double value, const char *suffix)
{
	char whole[UNITS_TEXT_LEN];

	if (value >= 99.95)
		return xasprintf("%s%s", units_count(rounded(value), whole), suffix);
	if (value >= 9.995)
		return decimal_text(value, 1, suffix);
	if (value > 0 && value < 0.0005)
		return xasprintf("<0.001%s", suffix);
	return decimal_text(value, value >= 0.9995 ? 2 : 3, suffix);
}

static char *bits_text(double value)
{
	static const char *const suffixes[] = {" bit/s", " kbit/s", " Mbit/s", " Gbit/s"};
	size_t i = 0;

	while (i + 1 < sizeof(suffixes) / sizeof(suffixes[0]) && value >= 999.5) {
		value /= 1000;
		i++;
	}
	return number_text(value, suffixes[i]);
}

char *figure_text(enum figure_unit unit, double value)
{
	switch (unit) {
	case FIGURE_NS:
		return time_text(rounded(value));
	case FIGURE_BYTES:
		return size_text(rounded(value));
	case FIGURE_BITS_PER_SECOND:
		return bits_text(value);
	case FIGURE_SHARE:
		return decimal_text(value * 100, 1, "%");
	default:
		if (value == (double)rounded(value))
			return count_text(rounded(value));
		return number_text(value, "");
	}
}

char *ratio_text(double value)
{
	return decimal_text(value, 3, "");
}

/* --- over the trials of a cell ------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct figure_values figure_values_of(const struct workload_figure *f, const struct trial_group *g,
				      bool traced)
{
	double *values = xcalloc(g->nr, sizeof(*values));
	struct figure_values v = {0};

	for (size_t i = 0; i < g->nr; i++)
		if (g->trials[i]->traced == traced &&
		    workload_figure_of(f, g->trials[i], &values[v.nr]))
			v.nr++;
	if (v.nr) {
		qsort(values, v.nr, sizeof(*values), compare);
		v.min = values[0];
		v.max = values[v.nr - 1];
		v.median = (values[(v.nr - 1) / 2] + values[v.nr / 2]) / 2;
	}
	free(values);
	return v;
}

/* --- the table ---------------------------------------------------------------------------- */

/* What the rows of one figure say, the first in the row of its name. */
enum row { ROW_MEDIAN, ROW_MIN, ROW_MAX, ROW_UNTRACED, ROW_RATIO, NR_ROWS };

static const char *const row_names[NR_ROWS] = {
	[ROW_MIN] = "min",
	[ROW_MAX] = "max",
	[ROW_UNTRACED] = "untraced",
	[ROW_RATIO] = "traced/untraced",
};

/* What the load itself measures in time: what tracing may slow down. */
static bool is_of_load(const struct workload_figure *f)
{
	return f->unit == FIGURE_PER_SECOND || f->unit == FIGURE_BITS_PER_SECOND ||
	       (f->unit == FIGURE_NS && !*f->denominator);
}

static bool is_rate(const struct workload_figure *f)
{
	return f->unit == FIGURE_PER_SECOND || f->unit == FIGURE_BITS_PER_SECOND;
}

/* The cell of the table, or NULL if there is nothing to say. */
static char *value_text(const struct workload_figure *f, const struct trial_group *g, enum row row)
{
	struct figure_values traced = figure_values_of(f, g, true);
	struct figure_values untraced = figure_values_of(f, g, false);

	switch (row) {
	case ROW_MEDIAN:
		return traced.nr ? figure_text(f->unit, traced.median) : NULL;
	case ROW_MIN:
		return is_rate(f) && traced.nr > 1 ? figure_text(f->unit, traced.min) : NULL;
	case ROW_MAX:
		return is_rate(f) && traced.nr > 1 ? figure_text(f->unit, traced.max) : NULL;
	case ROW_UNTRACED:
		if (!untraced.nr || f->unit == FIGURE_BYTES)
			return NULL;
		return figure_text(f->unit, untraced.median);
	case ROW_RATIO:
		if (!is_of_load(f) || !traced.nr || !untraced.nr || untraced.median <= 0)
			return NULL;
		return ratio_text(traced.median / untraced.median);
	default:
		return NULL;
	}
}

static bool has_row(const struct workload_figure *f, const struct trial_groups *g, enum row row)
{
	for (size_t i = 0; i < g->nr; i++) {
		char *text = value_text(f, &g->items[i], row);

		free(text);
		if (text)
			return true;
	}
	return false;
}

static void add_row(struct table *t, const struct workload_figure *f, const struct trial_groups *g,
		    enum row row, bool is_last)
{
	for (size_t i = 0; i < g->nr; i++) {
		char *text = value_text(f, &g->items[i], row);

		if (!i && row == ROW_MEDIAN)
			table_add_cell(t, workload_figure_heading(f, g->items[0].trials[0]));
		else if (!i)
			table_add_cell(t, xasprintf("%s %s", is_last ? "└" : "├", row_names[row]));
		table_add_cell(t, text ? text : xstrdup("-"));
	}
}

/* A figure that no trial has is left out. */
static void add_figure(struct table *t, const struct workload_figure *f,
		       const struct trial_groups *g)
{
	enum row last = ROW_MEDIAN;

	for (enum row row = ROW_MEDIAN; row < NR_ROWS; row++)
		if (has_row(f, g, row))
			last = row;
	if (last == ROW_MEDIAN && !has_row(f, g, ROW_MEDIAN))
		return;
	for (enum row row = ROW_MEDIAN; row <= last; row++)
		if (row == ROW_MEDIAN || has_row(f, g, row))
			add_row(t, f, g, row, row == last);
}

/* The first swept parameter makes the headings, each further one a row. */
static void add_head(struct table *t, const struct trial_groups *g)
{
	const struct workload_run *w = g->run;
	size_t swept = 0;

	for (size_t p = 0; p < w->nr_parameters; p++) {
		if (!w->parameters[p].is_swept)
			continue;
		if (!swept)
			table_add_column(t, w->parameters[p].name, COLUMN_NAME, 0);
		else
			table_add_cell(t, xstrdup(w->parameters[p].name));
		for (size_t i = 0; i < g->nr; i++) {
			const char *value = g->items[i].trials[0]->cell[swept];

			if (!swept)
				table_add_column(t, value, COLUMN_FIGURE, 1);
			else
				table_add_cell(t, xstrdup(value))->is_name = true;
		}
		swept++;
	}
	if (!swept) {
		table_add_column(t, "FIGURE", COLUMN_NAME, 0);
		table_add_column(t, g->run->nr_trials > 1 ? "MEDIAN" : "VALUE", COLUMN_FIGURE, 1);
	}
}

static void add_trial_counts(struct table *t, const struct trial_groups *g)
{
	table_add_cell(t, xstrdup("traced trials"));
	for (size_t i = 0; i < g->nr; i++) {
		size_t nr = 0;

		for (size_t k = 0; k < g->items[i].nr; k++)
			nr += g->items[i].trials[k]->traced;
		table_add_cell(t, count_text(nr));
	}
}

void document_add_figures(struct document *d, const struct trial_groups *g)
{
	struct table *t;

	document_add(d, BLOCK_HEADING,
		     xstrdup(g->run->nr_trials > 1 ? "Figures: medians over the traced trials"
						   : "Figures"));
	if (!g->nr) {
		document_add(d, BLOCK_TEXT, xstrdup("No trial was run."))->style = STYLE_WARNING;
		return;
	}
	t = &document_add(d, BLOCK_TABLE, NULL)->table;
	t->continues_below = true;
	add_head(t, g);
	add_trial_counts(t, g);
	for (size_t i = 0; i < nr_workload_figures; i++)
		add_figure(t, &workload_figures[i], g);
}
