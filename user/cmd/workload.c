// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "cmd/cmd.h"
#include "cmd/workload_options.h"
#include "workload/play.h"

enum { KEY_LISTEN = 1024, KEY_CONNECT, KEY_STARTED };

static const struct argp_option place_rows[] = {
	{"listen", KEY_LISTEN, "ADDRESS:PORT", 0,
	 "Where to listen (default 127.0.0.1:0; port 0: any free one, which is then said)", 2},
	{"connect", KEY_CONNECT, "ADDRESS:PORT", 0, "Where the other side listens", 2},
	/* From who started this part: descriptors to wait at, to answer at, and of memory. */
	{"started-with", KEY_STARTED, "GO,READY,TRUTH", OPTION_HIDDEN, NULL, 2},
	{},
};

struct input {
	struct play play;
	uint64_t *values;
};

static const char *address(struct argp_state *state, const char *name, const char *text)
{
	__cleanup(free) char *shown = escape_terminal(text);
	struct sockaddr_in parsed;

	if (address_parse(text, &parsed))
		argp_error(state,
			   "--%s takes an IPv4 address and port such as 127.0.0.1:8000, not '%s'",
			   name, shown);
	return text;
}

static error_t parse_place(int key, char *arg, struct argp_state *state)
{
	struct play *play = &((struct input *)state->input)->play;
	char end;

	switch (key) {
	case KEY_LISTEN:
		play->listen = address(state, "listen", arg);
		return 0;
	case KEY_CONNECT:
		play->connect = address(state, "connect", arg);
		return 0;
	case KEY_STARTED:
		play->is_by_hand = false;
		if (sscanf(arg, "%d,%d,%d%c", &play->go_fd, &play->ready_fd, &play->truth_fd,
			   &end) != 3)
			argp_error(state, "--started-with is for socktrace itself");
		return 0;
	case ARGP_KEY_END:
		if (play->role->connects && !play->connect)
			argp_error(state, "say with --connect where to connect to");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *input = state->input;
	const struct workload *w = input->play.workload;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = input;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		workload_refuse_argument(state, arg);
	if (key < KEY_WORKLOAD_OPTION || key >= KEY_WORKLOAD_OPTION + (int)w->nr_options)
		return ARGP_ERR_UNKNOWN;
	input->values[key - KEY_WORKLOAD_OPTION] =
		workload_option_value(state, &w->options[key - KEY_WORKLOAD_OPTION], arg);
	return 0;
}

static const struct argp argp_place = {.options = place_rows, .parser = parse_place};
static const struct argp_child children[] = {{.argp = &argp_place}, {}};

static int play_role(struct input *input, int argc, char **argv)
{
	const struct workload *w = input->play.workload;
	unsigned int bit = 1U << (input->play.role - w->roles);
	__cleanup(free) struct argp_option *rows = workload_option_rows(w, bit, 0);
	struct argp argp = {.options = rows, .parser = parse, .children = children};
	const char *wrong;

	argp.doc = input->play.role->summary;
	for (size_t i = 0; i < w->nr_options; i++) {
		if (workload_option_parse(&w->options[i], w->options[i].fallback,
					  &input->values[i]))
			abort(); /* the workload's own table is wrong */
	}
	workload_join_switches(w, &argc, argv);
	argp_err_exit_status = EXIT_USAGE;
	argv[0] = xasprintf("socktrace workload %s %s", w->name, input->play.role->name);
	if (argp_parse(&argp, argc, argv, 0, NULL, input))
		return EXIT_USAGE;
	wrong = w->check ? w->check(input->values) : NULL;
	if (wrong) {
		msg_error("%s: %s", w->name, wrong);
		return EXIT_USAGE;
	}
	return play(&input->play) ? EXIT_FAILED : EXIT_COMPLETE;
}

static int run(int argc, char **argv)
{
	uint64_t values[MAX_OPTIONS] = {};
	struct input input = {
		.play = {.is_by_hand = true, .listen = "127.0.0.1:0", .values = values},
		.values = values,
	};
	int code;

	input.play.workload =
		workload_argument(&argc, argv, "workload NAME ROLE [OPTION...]", &code);
	if (!input.play.workload)
		return code;
	input.play.role = workload_role_argument(&argc, argv, input.play.workload, &code);
	if (!input.play.role)
		return code;
	return play_role(&input, argc, argv);
}

const struct command command_workload = {
	"workload",
	"NAME ROLE [OPTION...]",
	"run one part of a workload by hand, untraced",
	run,
};
