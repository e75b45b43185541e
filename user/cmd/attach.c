// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "base/vec.h"
#include "capture/identity.h"
#include "cmd/cmd.h"
#include "cmd/session.h"

struct names {
	char **items;
	size_t nr, cap;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct names *names = ((struct options_input *)state->input)->own;

	switch (key) {
	case ARGP_KEY_INIT:
		options_init_children(state, 3);
		return 0;
	case ARGP_KEY_ARG:
		*vec_push(names->items, names->nr, names->cap) = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name at least one process id");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = {
	{.argp = &argp_span}, {.argp = &argp_tracing}, {.argp = &argp_output}, {}};
static const struct argp argp = {
	.parser = parse,
	.args_doc = "PID...",
	.doc = "Trace live processes, all their threads, until they end, -d SEC pass, or Ctrl-C."
	       "\vThe service is not stopped, slowed by ptrace, or changed. Needs root, or CAP_BPF "
	       "and "
	       "CAP_PERFMON.",
	.children = children,
};

static int open_targets(struct session *s, const struct names *names)
{
	for (size_t i = 0; i < names->nr; i++) {
		struct target t = {.pidfd = -1};
		bool is_new = true;
		int err = target_open(names->items[i], &t);

		for (size_t j = 0; j < s->nr_targets; j++)
			is_new &= s->targets[j].pid != t.pid;
		if (!err && is_new)
			*vec_push(s->targets, s->nr_targets, s->cap_targets) = t;
		else if (t.pidfd >= 0)
			close(t.pidfd);
		if (err)
			return err;
	}
	return 0;
}

static int run(int argc, char **argv)
{
	struct session s = {
		.mode = "attach",
		.began_ns = session_now_ns(),
		.command = strings_copy(argv),
	};
	struct names names = {};
	int err;

	options_parse(&argp, 0, argc, argv, &s.options, &names);
	err = identity_check_proc() ? EXIT_UNTRUSTED : 0;
	if (!err)
		err = signals_open(&s.signals) ? EXIT_FAILED : open_targets(&s, &names);
	if (!err)
		err = session_run(&s);
	for (size_t i = 0; i < s.nr_targets; i++)
		close(s.targets[i].pidfd);
	free(s.targets);
	free(names.items);
	signals_close(&s.signals);
	strings_free(s.command);
	return err;
}

const struct command command_attach = {
	"attach",
	"PID...",
	"trace live processes until they end or Ctrl-C",
	run,
};
