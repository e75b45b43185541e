/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_SESSION_H
#define SOCKTRACE_CMD_SESSION_H

#include "cmd/options.h"
#include "cmd/signals.h"
#include "cmd/targets.h"

/* One traced run, from start to report, for `attach` and `run`. */
struct session {
	struct options options;
	const char *mode; /* as in the report */
	char **command;	  /* what was typed */
	char *name;	  /* run: of the command, escaped */
	struct target *targets;
	size_t nr_targets, cap_targets;
	struct signals signals; /* open */
	pid_t child;		/* run: the command, a target too; 0: none */
	int go_fd;		/* run: a byte written here lets the child go on to its execve(2) */
	int failed_fd;		/* run: gives the negative errno if the command cannot be executed */
	int exec_error;		/* run: that */
	int child_status;	/* run: as wait(2) gives it; valid if has_child_ended */
	bool has_child_ended;
	uint64_t began_ns; /* CLOCK_MONOTONIC */
};

/*
 * Traces, reports, and returns the exit status: EXIT_COMPLETE, EXIT_FAILED or EXIT_UNTRUSTED.
 */
int session_run(struct session *s);
/* Of the command: the negative errno with which it could not be executed, or 0. */
int session_exec_error(struct session *s);
uint64_t session_now_ns(void); /* CLOCK_MONOTONIC */

#endif
