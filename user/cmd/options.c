// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/parse.h"
#include "cmd/cmd.h"
#include "cmd/options.h"

enum {
	KEY_DETAIL = 256,
	KEY_MAX_THREADS,
	KEY_MAX_SOCKETS,
	KEY_NO_SOCKETS,
	KEY_HOOK,
	KEY_NO_FOLLOW,
	KEY_THREADS,
	KEY_TOP,
	KEY_TRIAL,
	KEY_NO_COLOR,
	KEY_ALLOW_PARTIAL,
};

uint64_t options_number(struct argp_state *state, const char *what, const char *text, uint64_t min,
			uint64_t max)
{
	__cleanup(free) char *shown = escape_terminal(text);
	uint64_t value = min;

	if (parse_u64(text, min, max, &value))
		argp_error(state, "%s takes a whole number from %ju to %ju, not '%s'", what,
			   (uintmax_t)min, (uintmax_t)max, shown);
	return value;
}

static uint64_t seconds(struct argp_state *state, const char *what, const char *text)
{
	__cleanup(free) char *shown = escape_terminal(text);
	uint64_t ns = 1;

	if (parse_seconds(text, &ns))
		argp_error(state, "%s takes a number of seconds such as 5 or 0.5, not '%s'", what,
			   shown);
	return ns;
}

/* --- how long, and whom ------------------------------------------------------------------------
 */

static const struct argp_option span_rows[] = {
	{"duration", 'd', "SEC", 0, "End the trace after SEC seconds", 1},
	{"interval", 'i', "SEC", 0,
	 "Report every SEC seconds too, cumulative; with -F json, one line each", 1},
	{"follow", 'f', NULL, 0,
	 "Trace children too, across fork and exec; of attach, not those that live already", 1},
	{"no-follow", KEY_NO_FOLLOW, NULL, 0, "Do not trace children", 1},
	{},
};

static error_t parse_span(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'd':
		o->duration_ns = seconds(state, "--duration", arg);
		return 0;
	case 'i':
		o->interval_ns = seconds(state, "--interval", arg);
		return 0;
	case 'f':
	case KEY_NO_FOLLOW:
		o->follow = key == 'f';
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp argp_span = {.options = span_rows, .parser = parse_span};

/* --- how to trace ---------------------------------------------------------------------------- */

static const struct argp_option tracing_rows[] = {
	{"detail", KEY_DETAIL, "count|full", 0,
	 "full (default): durations, histograms, blocked time; count: calls, errors and bytes "
	 "only, "
	 "at less than half the cost",
	 1},
	{"max-threads", KEY_MAX_THREADS, "N", 0,
	 "Threads traced at once (default 6144); memory grows with it, about 3 KiB each", 1},
	{"no-sockets", KEY_NO_SOCKETS, NULL, 0,
	 "Leave sockets out: no bytes by connection, no drops; a little cheaper", 1},
	{"max-sockets", KEY_MAX_SOCKETS, "N", 0,
	 "Sockets traced at once (default 12288, and twice the descriptors that the processes have "
	 "open at the start); memory grows with it, about 0.6 KiB each",
	 1},
	{"hook", KEY_HOOK, "PROBE=HOOK", 0,
	 "Take this hook for that probe, or fail; for tests and comparisons. Repeatable", 1},
	{},
};

static bool has_hook(const struct probe *p, const char *name)
{
	for (size_t i = 0; i < MAX_HOOKS && p->hooks[i].name; i++) {
		if (!strcmp(p->hooks[i].name, name))
			return true;
	}
	return false;
}

static void add_forced(struct argp_state *state, struct options *o, char *text)
{
	__cleanup(free) char *shown = escape_terminal(text);
	char *hook = strchr(text, '=');

	if (o->nr_forced == MAX_FORCED)
		argp_error(state, "--hook can be given %d times", MAX_FORCED);
	if (hook)
		*hook++ = '\0';
	for (size_t i = 0; hook && i < nr_probes; i++) {
		if (strcmp(probes[i].name, text) || !has_hook(&probes[i], hook))
			continue;
		o->forced[o->nr_forced++] = (struct forced_hook){text, hook};
		return;
	}
	argp_error(state,
		   "--hook takes PROBE=HOOK such as socket_bytes=calls, not '%s'; "
		   "socktrace-doctor(1) lists them",
		   shown);
}

static error_t parse_tracing(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_DETAIL:
		if (strcmp(arg, "count") && strcmp(arg, "full"))
			argp_error(state, "--detail takes 'count' or 'full'");
		o->detail_full = !strcmp(arg, "full");
		return 0;
	case KEY_MAX_THREADS:
		o->max_threads = options_number(state, "--max-threads", arg, 2, 1000000);
		return 0;
	case KEY_MAX_SOCKETS:
		o->max_sockets = options_number(state, "--max-sockets", arg, 16, 4000000);
		o->has_max_sockets = true;
		return 0;
	case KEY_NO_SOCKETS:
		o->max_sockets = 0;
		o->has_max_sockets = true;
		return 0;
	case KEY_HOOK:
		add_forced(state, o, arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp argp_tracing = {.options = tracing_rows, .parser = parse_tracing};

/* --- how to show ------------------------------------------------------------------------------ */

static const struct argp_option output_rows[] = {
	{"output", 'o', "FILE", 0,
	 "Write the report to FILE, whole or not at all (default: standard output)", 2},
	{"format", 'F', "NAME", 0, "text (default), json, md or csv", 2},
	{"threads", KEY_THREADS, NULL, 0, "Rows per thread, not only per process", 2},
	{"top", KEY_TOP, "N", 0,
	 "At most N system calls or sockets per table (text, md); drops are always shown", 2},
	{"allow-partial", KEY_ALLOW_PARTIAL, NULL, 0,
	 "Write FILE even if the report cannot be trusted; it then says \"complete\": false", 2},
	{"no-color", KEY_NO_COLOR, NULL, 0, "No colour, even on a terminal", 2},
	{"quiet", 'q', NULL, 0, "Errors only on standard error", 2},
	{"verbose", 'v', NULL, 0, "More on standard error; twice: libbpf's messages too", 2},
	{},
};

static error_t parse_output(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'o':
		if (!arg[0])
			argp_error(state, "--output takes the name of a file");
		o->output = arg;
		return 0;
	case 'F':
		o->format = report_format_find(arg);
		if (!o->format)
			argp_error(state, "--format takes one of: %s", report_format_names());
		return 0;
	case KEY_THREADS:
		o->report.with_threads = true;
		return 0;
	case KEY_TOP:
		o->report.top = options_number(state, "--top", arg, 1, 100000);
		return 0;
	case KEY_ALLOW_PARTIAL:
		o->allow_partial = true;
		return 0;
	case KEY_NO_COLOR:
		o->report.colour = false;
		return 0;
	case 'q':
		msg_set_level(MSG_QUIET);
		return 0;
	case 'v':
		msg_set_level(msg_get_level() < MSG_VERBOSE ? MSG_VERBOSE : MSG_DEBUG);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

const struct argp argp_output = {.options = output_rows, .parser = parse_output};

static const struct argp_option workload_output_rows[] = {
	{"trial", KEY_TRIAL, "N", 0,
	 "Show processes, calls and sockets of the traced trial N of a workload (text, md)", 2},
	{},
};

static error_t parse_workload_output(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	if (key != KEY_TRIAL)
		return ARGP_ERR_UNKNOWN;
	o->report.trial = options_number(state, "--trial", arg, 1, UINT32_MAX);
	return 0;
}

const struct argp argp_workload_output = {
	.options = workload_output_rows,
	.parser = parse_workload_output,
};

/* --- together -------------------------------------------------------------------------------- */

static unsigned int terminal_width(void)
{
	struct winsize w;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col)
		return 0;
	return w.ws_col;
}

/* https://no-color.org: set and not empty. */
static bool wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && term && strcmp(term, "dumb");
}

void options_init_children(struct argp_state *state, unsigned int nr_children)
{
	struct options_input *input = state->input;

	for (unsigned int i = 0; i < nr_children; i++)
		state->child_inputs[i] = input->options;
}

void options_parse(const struct argp *argp, unsigned int flags, int argc, char **argv,
		   struct options *o, void *own)
{
	struct options_input input = {.options = o, .own = own};
	char *name = xasprintf("socktrace %s", argv[0]);

	o->detail_full = true;
	o->max_threads = DEFAULT_MAX_THREADS;
	o->max_sockets = DEFAULT_MAX_SOCKETS;
	o->format = &report_text;
	o->report.width = terminal_width();
	o->report.colour = wants_colour();
	argp_err_exit_status = EXIT_USAGE;
	argv[0] = name;
	/* Other failures than wrong usage do not come back: argp ends the program. */
	if (argp_parse(argp, argc, argv, flags, NULL, &input))
		exit(EXIT_USAGE);
	if (o->output) { /* a file is no terminal */
		o->report.width = 0;
		o->report.colour = false;
	}
	o->report.compact = o->interval_ns != 0;
}
