// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/strings.h"
#include "base/text.h"
#include "base/vec.h"
#include "cmd/sweep.h"
#include "cmd/workload_options.h"

#define MAX_CELLS 256

static void set_values(struct sweep *s, size_t index, char **texts, size_t nr)
{
	strings_free(s->texts[index]);
	s->texts[index] = texts;
	s->nr[index] = nr;
}

static char **split(const char *list, size_t *nr)
{
	char **texts = NULL;
	size_t cap = 0;

	for (*nr = 0;; list++) {
		size_t len = strcspn(list, ",");

		*vec_push(texts, *nr, cap) = xstrndup(list, len);
		list += len;
		if (!*list)
			break;
	}
	*vec_push(texts, *nr, cap) = NULL;
	(*nr)--;
	return texts;
}

void sweep_init(struct sweep *s, const struct workload *w)
{
	*s = (struct sweep){.workload = w, .nr_cells = 1};
	for (size_t i = 0; i < w->nr_options; i++) {
		size_t nr;
		char **texts = split(w->options[i].fallback, &nr);

		set_values(s, i, texts, nr);
	}
}

void sweep_set(struct argp_state *state, struct sweep *s, size_t index, const char *list)
{
	const struct workload_option *o = &s->workload->options[index];
	bool is_switch = o->kind == OPTION_SWITCH;
	size_t nr;
	char **texts;

	if (is_switch)
		list = !list ? "yes" : !strcmp(list, "both") ? "no,yes" : list;
	texts = split(list, &nr);
	for (size_t i = 0; i < nr; i++) {
		uint64_t value = workload_option_value(state, o, texts[i]);

		for (size_t j = 0; j < i; j++) {
			if (value == workload_option_value(state, o, texts[j]))
				argp_error(state, "--%s has %s twice", o->name, texts[i]);
		}
	}
	set_values(s, index, texts, nr);
}

void sweep_cell(const struct sweep *s, size_t cell, const char *texts[MAX_OPTIONS],
		uint64_t values[MAX_OPTIONS])
{
	for (size_t i = s->workload->nr_options; i--;) {
		texts[i] = s->texts[i][cell % s->nr[i]];
		cell /= s->nr[i];
		if (workload_option_parse(&s->workload->options[i], texts[i], &values[i]))
			abort(); /* checked when it was set; a default is the table's own */
	}
}

void sweep_check(struct argp_state *state, struct sweep *s)
{
	const char *texts[MAX_OPTIONS];
	uint64_t values[MAX_OPTIONS];

	s->nr_cells = 1;
	for (size_t i = 0; i < s->workload->nr_options; i++) {
		s->nr_cells *= s->nr[i];
		if (s->nr_cells > MAX_CELLS)
			argp_error(state, "these options have more than %d combinations",
				   MAX_CELLS);
	}
	for (size_t cell = 0; cell < s->nr_cells && s->workload->check; cell++) {
		const char *wrong;

		sweep_cell(s, cell, texts, values);
		wrong = s->workload->check(values);
		if (wrong)
			argp_error(state, "%s", wrong);
	}
}

char *sweep_name(const struct sweep *s, size_t cell)
{
	const char *texts[MAX_OPTIONS];
	uint64_t values[MAX_OPTIONS];
	char *name = NULL;

	sweep_cell(s, cell, texts, values);
	for (size_t i = 0; i < s->workload->nr_options; i++) {
		if (s->nr[i] > 1)
			text_append(&name, " ",
				    xasprintf("%s=%s", s->workload->options[i].name, texts[i]));
	}
	return name;
}

void sweep_free(struct sweep *s)
{
	for (size_t i = 0; i < s->workload->nr_options; i++)
		strings_free(s->texts[i]);
}
