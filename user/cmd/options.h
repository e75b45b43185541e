/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_OPTIONS_H
#define SOCKTRACE_CMD_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel.h"
#include "report/report.h"

/* With these, socktrace and its maps take less than 32 MiB. */
#define DEFAULT_MAX_THREADS 6144
#define DEFAULT_MAX_SOCKETS 12288 /* and twice the descriptors that the targets have open */
#define MAX_FORCED	    16

/* What the commands' options say. */
struct options {
	uint64_t duration_ns, interval_ns; /* 0: none */
	bool follow;
	bool detail_full;
	unsigned int max_threads;
	unsigned int max_sockets; /* 0: sockets are not traced */
	bool has_max_sockets;	  /* given, not the default */
	struct forced_hook forced[MAX_FORCED];
	size_t nr_forced;
	const char *output; /* NULL: standard output */
	bool allow_partial;
	const struct report_format *format;
	struct report_options report;
	const char *user; /* run: whom to become; NULL: nobody else */
};

/*
 * Parsers for struct argp_child: of how long and whom to trace, how, how to show the report, and
 * what of a report with a workload.
 */
extern const struct argp argp_span, argp_tracing, argp_output, argp_workload_output;

/*
 * Parses @argv with @argp, whose children are some of these. Sets the defaults first. Ends the
 * program with status 2 on wrong usage.
 */
void options_parse(const struct argp *argp, unsigned int flags, int argc, char **argv,
		   struct options *o, void *input);
/* The input that a command's own parser finds in state->input. */
struct options_input {
	struct options *options;
	void *own;
};
/* To be called by a command's own parser at ARGP_KEY_INIT: hands the options to its children. */
void options_init_children(struct argp_state *state, unsigned int nr_children);

/* A number within [min, max], or wrong usage (the program ends). @what: "--top". */
uint64_t options_number(struct argp_state *state, const char *what, const char *text, uint64_t min,
			uint64_t max);

#endif
