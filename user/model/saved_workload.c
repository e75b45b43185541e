// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "model/reader.h"
#include "model/workload.h"

/* Longest name of a fact, and of a role: they are keys, and in headings. */
#define NAME_LEN 63

/* A name that needs no escaping anywhere. */
static int check_name(const struct place *at, const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	if (!len || name[len] || len > NAME_LEN)
		return place_fail(at, "not a name: up to %d of a-z, 0-9, _ and - are expected",
				  NAME_LEN);
	return 0;
}

/* --- facts -------------------------------------------------------------------------------- */

/* A number or null under @group (may be NULL), a dot, and @key. */
static int read_fact(const struct place *at, const char *group, const char *key,
		     struct json_object *value, struct facts *f)
{
	uint64_t number = METRIC_UNKNOWN;
	int err = check_name(at, key);
	char *name;

	if (!err && value)
		err = read_number(at, value, UINT64_MAX, &number);
	if (err)
		return err;
	name = xasprintf("%s%s%s", group ? group : "", group ? "." : "", key);
	facts_set(f, name, number);
	free(name);
	return 0;
}

struct group {
	const char *name;
	struct facts *facts;
};

static int read_group_fact(const struct place *at, const char *key, struct json_object *value,
			   void *owner)
{
	const struct group *group = owner;

	return read_fact(at, group->name, key, value, group->facts);
}

static int read_fact_or_group(const struct place *at, const char *key, struct json_object *value,
			      void *owner)
{
	struct group group = {.name = key, .facts = owner};
	int err;

	if (!json_object_is_type(value, json_type_object))
		return read_fact(at, NULL, key, value, owner);
	err = check_name(at, key);
	return err ? err : read_pairs(at, value, read_group_fact, &group);
}

/* --- trials ------------------------------------------------------------------------------- */

static int read_part(const struct place *at, struct json_object *item, void *owner)
{
	struct workload_trial *t = owner;
	struct workload_part *part = vec_push(t->parts, t->nr_parts, t->cap_parts);
	int err = read_fields(at, item, part_fields, part);

	if (!err)
		err = check_name(at, part->role);
	for (size_t i = 0; !err && i + 1 < t->nr_parts; i++)
		if (!strcmp(t->parts[i].role, part->role))
			err = place_fail(at, "a part with this role is there already");
	return err;
}

/* The facts of one part, which are at @offset in it. */
static int read_part_facts(const struct place *at, const char *role, struct json_object *value,
			   struct workload_trial *t, size_t offset)
{
	if (!json_object_is_type(value, json_type_object))
		return place_fail(at, "an object is expected");
	for (size_t i = 0; i < t->nr_parts; i++)
		if (!strcmp(t->parts[i].role, role))
			return read_pairs(at, value, read_fact_or_group,
					  (char *)&t->parts[i] + offset);
	return place_fail(at, "no part has this role");
}

static int read_truth(const struct place *at, const char *key, struct json_object *value,
		      void *owner)
{
	return read_part_facts(at, key, value, owner, offsetof(struct workload_part, truth));
}

static int read_observed(const struct place *at, const char *key, struct json_object *value,
			 void *owner)
{
	return read_part_facts(at, key, value, owner, offsetof(struct workload_part, observed));
}

static size_t count_strings(char *const *list)
{
	size_t nr = 0;

	while (list && list[nr])
		nr++;
	return nr;
}

static int check_trial(const struct place *at, const struct workload_run *w)
{
	const struct workload_trial *t = &w->trials[w->nr_trials - 1];
	size_t nr_swept = 0;

	for (size_t i = 0; i < w->nr_parameters; i++)
		nr_swept += w->parameters[i].is_swept;
	if (!t->cell || count_strings(t->cell) != nr_swept)
		return place_fail(at, "the cell has not one value for each swept parameter");
	if (!t->number)
		return place_fail(at, "trials are counted from 1");
	if (w->nr_trials > 1 && t[-1].number >= t->number)
		return place_fail(at, "the trials do not ascend by number");
	return 0;
}

static int read_stats(const struct place *up, struct json_object *item, struct trial_stats *stats)
{
	struct place at = {.up = up, .key = "stats"};
	struct json_object *object;
	int err = read_member(&at, item, json_type_object, &object);

	for (size_t i = 0; !err && i < nr_trial_metrics; i++)
		err = read_value(&at, object, trial_metrics[i].name, FIELD_METRIC,
				 metric_at(&trial_metrics[i], stats));
	return err;
}

static int read_trial(const struct place *at, struct json_object *item, void *owner)
{
	struct workload_run *w = owner;
	struct workload_trial *t = workload_add_trial(w, 0);
	int err = read_fields(at, item, trial_fields, t);

	if (!err)
		err = check_trial(at, w);
	if (!err)
		err = read_list(at, item, "parts", read_part, t);
	if (!err)
		err = read_map(at, item, "truth", read_truth, t);
	if (!err)
		err = read_map(at, item, "observed", read_observed, t);
	if (!err)
		err = read_map(at, item, "results", read_fact_or_group, &t->results);
	return err ? err : read_stats(at, item, &t->stats);
}

/* --- the workload ------------------------------------------------------------------------- */

static int read_parameter(const struct place *at, struct json_object *item, void *owner)
{
	struct workload_run *w = owner;
	struct workload_parameter *p = vec_push(w->parameters, w->nr_parameters, w->cap_parameters);
	int err = read_fields(at, item, parameter_fields, p);

	if (!err && !count_strings(p->values))
		err = place_fail(at, "a parameter without a value");
	return err;
}

static int read_setting(const struct place *at, struct json_object *item, void *owner)
{
	struct workload_run *w = owner;

	return read_fields(at, item, setting_fields,
			   vec_push(w->environment, w->nr_environment, w->cap_environment));
}

int read_workload(const struct place *up, struct json_object *root, struct report *r)
{
	struct place at = {.up = up, .key = "workload"};
	struct json_object *object;
	int err;

	if (!json_object_object_get_ex(root, at.key, NULL))
		return 0;
	r->workload = xcalloc(1, sizeof(*r->workload));
	err = read_member(&at, root, json_type_object, &object);
	if (!err)
		err = read_fields(&at, object, workload_fields, r->workload);
	if (!err)
		err = read_list(&at, object, "parameters", read_parameter, r->workload);
	if (!err)
		err = read_list(&at, object, "environment", read_setting, r->workload);
	return err ? err : read_list(&at, object, "trials", read_trial, r->workload);
}
