/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_REPORT_WORKLOAD_H
#define SOCKTRACE_REPORT_WORKLOAD_H

#include "model/workload.h"
#include "report/document.h"

/* The trials of a workload by the cell of the sweep that they belong to. */

struct trial_group {
	const struct workload_trial **trials; /* in the order in which they ran */
	size_t nr, cap;
	const struct workload_trial *last_traced; /* NULL: none was traced */
};

struct trial_groups {
	const struct workload_run *run;
	struct trial_group *items; /* in the order of their first trials */
	size_t nr, cap;
};

struct trial_groups trial_groups_of(const struct workload_run *w);
void trial_groups_free(struct trial_groups *g);
/* "clients=8 size=64", of a trial of the cell; NULL where nothing is swept. The caller frees it. */
char *cell_title(const struct workload_run *w, const struct workload_trial *t);
/* @r with the processes of a trial alone. The caller frees @processes of it, and nothing else. */
struct report report_of_trial(const struct report *r, uint64_t number);
/* The process of a part, or NULL. @r is of the part's trial. */
const struct process *process_of_part(const struct report *r, const struct workload_part *part);

/* A figure over the traced or the untraced trials of a cell. */
struct figure_values {
	size_t nr; /* trials of which it is known; 0: the rest is not set */
	double median, min, max;
};
struct figure_values figure_values_of(const struct workload_figure *f, const struct trial_group *g,
				      bool traced);
/* For a person: "12,345", "1.23 µs", "9.41 Gbit/s"; the caller frees it. */
char *figure_text(enum figure_unit unit, double value);
/* "0.973"; the caller frees it. */
char *ratio_text(double value);

/* The parts, each in a file of its own. */
void document_add_figures(struct document *d, const struct trial_groups *g);
void document_add_trials(struct document *d, const struct report *r, const struct trial_groups *g,
			 const struct report_options *o);
void document_add_datagrams(struct document *d, const struct report *r,
			    const struct trial_groups *g);

#endif
