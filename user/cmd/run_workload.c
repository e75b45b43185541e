// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/strings.h"
#include "cmd/cmd.h"
#include "cmd/trials.h"
#include "cmd/workload_options.h"

enum { KEY_TRIALS = 1024, KEY_BASELINE, KEY_PORT };

#define ALL_ROLES UINT32_MAX

static const struct argp_option rows[] = {
	{"trials", KEY_TRIALS, "N", 0, "Trials of each combination of values (default 3)", 0},
	{"baseline", KEY_BASELINE, NULL, 0,
	 "Run each trial once more untraced, so that the report shows what tracing costs", 0},
	{"port", KEY_PORT, "PORT", 0, "Where the service listens (default 0: any free port)", 0},
	{},
};

static error_t parse_trials(int key, char *arg, struct argp_state *state)
{
	struct trials *t = state->input;

	switch (key) {
	case KEY_TRIALS:
		t->nr = options_number(state, "--trials", arg, 1, 1000);
		return 0;
	case KEY_BASELINE:
		t->has_baseline = true;
		return 0;
	case KEY_PORT:
		t->port = options_number(state, "--port", arg, 0, UINT16_MAX);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp_trials = {.options = rows, .parser = parse_trials};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options_input *input = state->input;
	struct trials *t = input->own;
	int nr_options = t->sweep.workload->nr_options;

	switch (key) {
	case ARGP_KEY_INIT:
		options_init_children(state, 3);
		state->child_inputs[3] = t;
		return 0;
	case ARGP_KEY_ARG:
		workload_refuse_argument(state, arg);
		return 0;
	case ARGP_KEY_END:
		sweep_check(state, &t->sweep);
		return 0;
	}
	if (key < KEY_WORKLOAD_OPTION || key >= KEY_WORKLOAD_OPTION + nr_options)
		return ARGP_ERR_UNKNOWN;
	sweep_set(state, &t->sweep, key - KEY_WORKLOAD_OPTION, arg);
	return 0;
}

static const struct argp_child children[] = {{.argp = &argp_tracing},
					     {.argp = &argp_output},
					     {.argp = &argp_workload_output},
					     {.argp = &argp_trials},
					     {}};

static int run_as_said(struct trials *t, int argc, char **argv)
{
	const struct workload *w = t->sweep.workload;
	__cleanup(free) struct argp_option *own = workload_option_rows(w, ALL_ROLES, 0);
	__cleanup(free) char *doc = xasprintf(
		"%s\vEach of the workload's own options takes several values, separated by commas: "
		"every combination is tried. Its parts run as an ordinary user.",
		w->summary);
	const struct argp argp = {
		.options = own, .parser = parse, .doc = doc, .children = children};
	__cleanup(free) char *name = xasprintf("run-workload %s", w->name);

	workload_join_switches(w, &argc, argv);
	argv[0] = name;
	options_parse(&argp, 0, argc, argv, &t->options, t);
	return trials_run(t);
}

static int run(int argc, char **argv)
{
	struct trials t = {.nr = 3, .command = strings_clean(argv)};
	const struct workload *w;
	int code;

	w = workload_argument(&argc, argv, "run-workload NAME [OPTION...]", &code);
	if (w) {
		sweep_init(&t.sweep, w);
		code = run_as_said(&t, argc, argv);
		sweep_free(&t.sweep);
	}
	strings_free(t.command);
	return code;
}

const struct command command_run_workload = {
	"run-workload",
	"NAME [OPTION...]",
	"drive a shipped workload (gateway, feed, forwarder) and trace it",
	run,
};
