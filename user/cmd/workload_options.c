// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "cmd/cmd.h"
#include "cmd/workload_options.h"

struct argp_option *workload_option_rows(const struct workload *w, unsigned int roles, int group)
{
	struct argp_option *rows = xcalloc(w->nr_options + 1, sizeof(*rows));
	size_t nr = 0;

	for (size_t i = 0; i < w->nr_options; i++) {
		const struct workload_option *o = &w->options[i];

		if (!(o->roles & roles))
			continue;
		rows[nr++] = (struct argp_option){
			.name = o->name,
			.key = KEY_WORKLOAD_OPTION + i,
			.arg = o->kind == OPTION_SWITCH ? "yes|no" : o->arg,
			.flags = o->kind == OPTION_SWITCH ? OPTION_ARG_OPTIONAL : 0,
			.doc = o->help,
			.group = group,
		};
	}
	return rows;
}

/* Takes argv[1] out. */
static void shift(int *argc, char **argv)
{
	memmove(argv + 1, argv + 2, (*argc - 1) * sizeof(*argv));
	(*argc)--;
}

static void print_workloads(FILE *out, const char *usage)
{
	fprintf(out, "usage: socktrace %s\n\n", usage);
	for (size_t i = 0; i < nr_workloads; i++)
		fprintf(out, "  %-10s %s\n", workloads[i]->name, workloads[i]->summary);
	fprintf(out, "\nWith --help after the name: its options.\n");
}

const struct workload *workload_argument(int *argc, char **argv, const char *usage, int *code)
{
	const char *name = *argc > 1 ? argv[1] : "";
	const struct workload *w = workload_find(name);

	if (w) {
		shift(argc, argv);
		return w;
	}
	*code = EXIT_USAGE;
	if (!strcmp(name, "--help") || !strcmp(name, "-?")) {
		*code = EXIT_COMPLETE;
	} else if (name[0]) {
		__cleanup(free) char *shown = escape_terminal(name);

		msg_error("no such workload: %s", shown);
	}
	print_workloads(*code ? stderr : stdout, usage);
	return NULL;
}

const struct role *workload_role_argument(int *argc, char **argv, const struct workload *w,
					  int *code)
{
	const char *name = *argc > 1 ? argv[1] : "";
	const struct role *role = workload_role(w, name);
	bool is_help = !strcmp(name, "--help") || !strcmp(name, "-?");

	if (role) {
		shift(argc, argv);
		return role;
	}
	*code = is_help ? EXIT_COMPLETE : EXIT_USAGE;
	if (!is_help && name[0]) {
		__cleanup(free) char *shown = escape_terminal(name);

		msg_error("%s has no role %s", w->name, shown);
	}
	fprintf(is_help ? stdout : stderr, "usage: socktrace workload %s ROLE [OPTION...]\n\n",
		w->name);
	for (size_t i = 0; i < w->nr_roles; i++)
		fprintf(is_help ? stdout : stderr, "  %-10s %s\n", w->roles[i].name,
			w->roles[i].summary);
	return NULL;
}

static bool is_switch(const struct workload *w, const char *arg)
{
	if (strncmp(arg, "--", 2))
		return false;
	for (size_t i = 0; i < w->nr_options; i++) {
		if (w->options[i].kind == OPTION_SWITCH && !strcmp(w->options[i].name, arg + 2))
			return true;
	}
	return false;
}

/* yes, no, both, or several of these: what may follow a switch. */
static bool is_switch_value(const char *text)
{
	static const char *const values[] = {"yes", "no", "both", "yes,no", "no,yes"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (!strcmp(text, values[i]))
			return true;
	}
	return false;
}

void workload_join_switches(const struct workload *w, int *argc, char **argv)
{
	for (int i = 1; i + 1 < *argc; i++) {
		if (!is_switch(w, argv[i]) || !is_switch_value(argv[i + 1]))
			continue;
		argv[i] = xasprintf("%s=%s", argv[i], argv[i + 1]);
		memmove(argv + i + 1, argv + i + 2, (*argc - i - 1) * sizeof(*argv));
		(*argc)--;
	}
}

void workload_refuse_argument(struct argp_state *state, const char *arg)
{
	__cleanup(free) char *shown = escape_terminal(arg);

	argp_error(state, "'%s' is not an option", shown);
}

uint64_t workload_option_value(struct argp_state *state, const struct workload_option *o,
			       const char *text)
{
	uint64_t value = o->kind == OPTION_SWITCH;

	if (text && workload_option_parse(o, text, &value)) {
		__cleanup(free) char *shown = escape_terminal(text);
		__cleanup(free) char *takes = workload_option_takes(o);

		argp_error(state, "--%s takes %s, not '%s'", o->name, takes, shown);
	}
	return value;
}
