/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_TRIALS_H
#define SOCKTRACE_CMD_TRIALS_H

#include "cmd/options.h"
#include "cmd/sweep.h"

/* All trials of run-workload, and the one report of them. */
struct trials {
	struct options options;
	struct sweep sweep;
	char **command;	   /* what was typed */
	unsigned int nr;   /* of each cell */
	bool has_baseline; /* each once more, untraced */
	unsigned int port; /* of the subject; 0: any free one */
};

/* Runs them and reports. Returns the exit status. */
int trials_run(struct trials *t);

#endif
