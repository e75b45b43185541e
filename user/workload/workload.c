// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parse.h"
#include "workload/workload.h"

const struct workload *const workloads[] = {
	&workload_gateway,
	&workload_feed,
	&workload_forwarder,
};
const size_t nr_workloads = sizeof(workloads) / sizeof(workloads[0]);

const struct workload *workload_find(const char *name)
{
	for (size_t i = 0; i < nr_workloads; i++) {
		if (!strcmp(workloads[i]->name, name))
			return workloads[i];
	}
	return NULL;
}

const struct role *workload_role(const struct workload *w, const char *name)
{
	for (size_t i = 0; i < w->nr_roles; i++) {
		if (!strcmp(w->roles[i].name, name))
			return &w->roles[i];
	}
	return NULL;
}

size_t workload_option_index(const struct workload *w, const char *name)
{
	for (size_t i = 0; i < w->nr_options; i++) {
		if (!strcmp(w->options[i].name, name))
			return i;
	}
	abort(); /* the caller's own table lacks what its code asks for */
}

/* The index of @text among words that are separated by '|'. */
static int parse_choice(const char *words, const char *text, uint64_t *value)
{
	size_t len = strlen(text);
	uint64_t index = 0;

	for (;; words++, index++) {
		size_t word = strcspn(words, "|");

		if (word == len && !strncmp(words, text, len)) {
			*value = index;
			return 0;
		}
		words += word;
		if (!*words)
			return -EINVAL;
	}
}

int workload_option_parse(const struct workload_option *o, const char *text, uint64_t *value)
{
	uint64_t v;
	int err = -EINVAL;

	switch (o->kind) {
	case OPTION_NUMBER:
		return parse_u64(text, o->min, o->max, value);
	case OPTION_SIZE:
		return parse_size(text, o->min, o->max, value);
	case OPTION_SECONDS:
		err = parse_seconds(text, &v);
		if (err || (o->max && v > o->max))
			return err ?: -ERANGE;
		*value = v;
		return 0;
	case OPTION_CHOICE:
		return parse_choice(o->choices, text, value);
	case OPTION_SWITCH:
		return parse_choice("no|yes", text, value);
	}
	return err;
}

char *workload_option_takes(const struct workload_option *o)
{
	switch (o->kind) {
	case OPTION_NUMBER:
		return xasprintf("a whole number from %" PRIu64 " to %" PRIu64, o->min, o->max);
	case OPTION_SIZE:
		return xasprintf("a number of bytes from %" PRIu64 " to %" PRIu64
				 ", such as 512, 64K or 1M",
				 o->min, o->max);
	case OPTION_SECONDS:
		return xstrdup("a number of seconds such as 5 or 0.5");
	case OPTION_CHOICE:
		return xasprintf("one of %s", o->choices);
	case OPTION_SWITCH:
		return xstrdup("yes or no");
	}
	return xstrdup("something else");
}
