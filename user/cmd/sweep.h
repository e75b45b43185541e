/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_SWEEP_H
#define SOCKTRACE_CMD_SWEEP_H

#include <argp.h>

#include "workload/workload.h"

/* The values of a workload's options; of those with several, every combination is a cell. */
struct sweep {
	const struct workload *workload;
	char **texts[MAX_OPTIONS]; /* by index of the option: NULL-terminated, at least one */
	size_t nr[MAX_OPTIONS];
	size_t nr_cells;
};

/* The values that all have: the options' defaults. */
void sweep_init(struct sweep *s, const struct workload *w);
/* Option @index takes the values of @list, separated by commas; NULL: a switch alone. */
void sweep_set(struct argp_state *state, struct sweep *s, size_t index, const char *list);
/* Values that cannot go together are wrong usage: the program ends. Counts the cells. */
void sweep_check(struct argp_state *state, struct sweep *s);
/* What cell @cell (from 0) sets: by index of the option. The texts belong to @s. */
void sweep_cell(const struct sweep *s, size_t cell, const char *texts[MAX_OPTIONS],
		uint64_t values[MAX_OPTIONS]);
/* "mode=epoll buffer=8K": what tells the cell from others; freed by the caller. NULL: no sweep. */
char *sweep_name(const struct sweep *s, size_t cell);
void sweep_free(struct sweep *s);

#endif
