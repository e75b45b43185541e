// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "model/names.h"
#include "model/reader.h"

static char *place_text(const struct place *at)
{
	char *up, *text;

	if (!at->up)
		return xstrdup("");
	up = place_text(at->up);
	if (at->key)
		text = xasprintf("%s%s%s", up, *up ? "." : "", at->key);
	else
		text = xasprintf("%s[%zu]", up, at->index);
	free(up);
	return text;
}

int place_fail(const struct place *at, const char *fmt, ...)
{
	char *place = place_text(at), *shown = escape_terminal(place), *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	while (at->up)
		at = at->up;
	free(*at->why);
	*at->why = xasprintf("%s: %s", *shown ? shown : "the report", what ? what : "not valid");
	free(place);
	free(shown);
	free(what);
	return -EINVAL;
}

/* --- values ------------------------------------------------------------------------------- */

int read_number(const struct place *at, struct json_object *value, uint64_t max, uint64_t *number)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return place_fail(at, "a whole number, 0 or above, is expected");
	*number = json_object_get_uint64(value);
	if (*number == UINT64_MAX) /* json-c 0.16 makes this of anything larger, too */
		return place_fail(at, "the number is too large");
	if (*number > max)
		return place_fail(at, "%ju is above %ju", (uintmax_t)*number, (uintmax_t)max);
	return 0;
}

static int read_text(const struct place *at, struct json_object *value, char **text)
{
	if (!json_object_is_type(value, json_type_string))
		return place_fail(at, "a string is expected");
	*text = utf8_clean(json_object_get_string(value), json_object_get_string_len(value));
	return 0;
}

static int read_bool(const struct place *at, struct json_object *value, bool *truth)
{
	if (!json_object_is_type(value, json_type_boolean))
		return place_fail(at, "true or false is expected");
	*truth = json_object_get_boolean(value);
	return 0;
}

static int read_strings(const struct place *at, struct json_object *value, char ***strings)
{
	size_t nr;

	if (!json_object_is_type(value, json_type_array))
		return place_fail(at, "an array of strings is expected");
	nr = json_object_array_length(value);
	*strings = xcalloc(nr + 1, sizeof(**strings));
	for (size_t i = 0; i < nr; i++) {
		struct place item = {.up = at, .index = i};
		int err = read_text(&item, json_object_array_get_idx(value, i), &(*strings)[i]);

		if (err)
			return err;
	}
	return 0;
}

static int read_signal(const struct place *at, struct json_object *value, int *number)
{
	if (!json_object_is_type(value, json_type_string))
		return place_fail(at, "the name of a signal is expected");
	*number = signal_number(json_object_get_string(value));
	return *number > 0 ? 0 : place_fail(at, "no signal has this name");
}

static int read_abi(const struct place *at, struct json_object *value, const char **abi)
{
	if (!json_object_is_type(value, json_type_string))
		return place_fail(at, "the name of an ABI is expected");
	*abi = abi_find(json_object_get_string(value));
	return *abi ? 0 : place_fail(at, "no ABI has this name");
}

/* One of a list of words. */
static int read_word(const struct place *at, struct json_object *value, enum word_list list,
		     const char **word)
{
	if (!json_object_is_type(value, json_type_string))
		return place_fail(at, "a string is expected");
	*word = word_find(list, json_object_get_string(value));
	return *word ? 0 : place_fail(at, "not one of the words that stand here");
}

/* --- plain fields ------------------------------------------------------------------------- */

/* A value that is null, or missing because an earlier version did not have the field. */
static int read_absent(const struct place *at, enum field_kind kind, void *target)
{
	switch (kind) {
	case FIELD_TEXT_OR_NULL:
	case FIELD_STRINGS: /* NULL already */
	case FIELD_STATE:
	case FIELD_CLOSED_BY:
	case FIELD_SIGNAL: /* 0 already */
	case FIELD_ORDINAL:
		return 0;
	case FIELD_TRISTATE:
		*(enum tristate *)target = UNKNOWN;
		return 0;
	case FIELD_METRIC:
		*(uint64_t *)target = METRIC_UNKNOWN;
		return 0;
	case FIELD_STATUS:
		*(int *)target = -1;
		return 0;
	default:
		return place_fail(at, "missing");
	}
}

static int read_present(const struct place *at, enum field_kind kind, struct json_object *value,
			void *target)
{
	uint64_t number = 0;
	bool truth = false;
	int err = 0;

	switch (kind) {
	case FIELD_TEXT:
	case FIELD_TEXT_OR_NULL:
		return read_text(at, value, target);
	case FIELD_STRINGS:
		return read_strings(at, value, target);
	case FIELD_BOOL:
		return read_bool(at, value, target);
	case FIELD_TRISTATE:
		err = read_bool(at, value, &truth);
		*(enum tristate *)target = truth ? YES : NO;
		return err;
	case FIELD_COUNT:
	case FIELD_METRIC:
		return read_number(at, value, UINT64_MAX, target);
	case FIELD_ORDINAL:
		err = read_number(at, value, UINT64_MAX, &number);
		*(uint64_t *)target = number;
		return err || number ? err : place_fail(at, "a number from 1 up is expected");
	case FIELD_U32:
		err = read_number(at, value, UINT32_MAX, &number);
		*(uint32_t *)target = number;
		return err;
	case FIELD_PID:
		err = read_number(at, value, INT_MAX, &number);
		*(pid_t *)target = number;
		return err;
	case FIELD_STATUS:
		err = read_number(at, value, 255, &number);
		*(int *)target = number;
		return err;
	case FIELD_SIGNAL:
		return read_signal(at, value, target);
	case FIELD_ABI:
		return read_abi(at, value, target);
	case FIELD_PROTOCOL:
		return read_word(at, value, WORDS_PROTOCOL, target);
	case FIELD_FAMILY:
		return read_word(at, value, WORDS_FAMILY, target);
	case FIELD_ROLE:
		return read_word(at, value, WORDS_ROLE, target);
	case FIELD_STATE:
		return read_word(at, value, WORDS_STATE, target);
	case FIELD_CLOSED_BY:
		return read_word(at, value, WORDS_CLOSED_BY, target);
	}
	return place_fail(at, "of an unknown kind");
}

int read_value(const struct place *up, struct json_object *from, const char *name,
	       enum field_kind kind, void *target)
{
	struct place at = {.up = up, .key = name};
	struct json_object *value = NULL;

	json_object_object_get_ex(from, name, &value);
	return value ? read_present(&at, kind, value, target) : read_absent(&at, kind, target);
}

int read_fields(const struct place *at, struct json_object *from, const struct field *fields,
		void *into)
{
	int err = 0;

	for (const struct field *f = fields; f->name && !err; f++)
		err = read_value(at, from, f->name, f->kind, (char *)into + f->offset);
	return err;
}

/* --- metrics ------------------------------------------------------------------------------ */

static int read_metric(const struct place *up, struct json_object *from, const struct metric *m,
		       void *stats)
{
	struct place at = {.up = up, .key = m->group};
	struct json_object *group = NULL;

	json_object_object_get_ex(from, m->group, &group);
	if (group && !json_object_is_type(group, json_type_object))
		return place_fail(&at, "an object is expected");
	return read_value(&at, group, m->name, FIELD_METRIC, metric_at(m, stats));
}

int read_metrics(const struct place *at, struct json_object *from, const struct metric *metrics,
		 size_t nr, void *stats)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i++)
		err = read_metric(at, from, &metrics[i], stats);
	return err;
}

/* --- objects and arrays ------------------------------------------------------------------- */

int read_member(const struct place *at, struct json_object *from, enum json_type type,
		struct json_object **value)
{
	*value = NULL;
	json_object_object_get_ex(from, at->key, value);
	if (!*value)
		return place_fail(at, "missing");
	if (!json_object_is_type(*value, type))
		return place_fail(at, type == json_type_array ? "an array is expected"
							      : "an object is expected");
	return 0;
}

int read_object(const struct place *up, struct json_object *from, const char *name,
		const struct field *fields, void *into)
{
	struct place at = {.up = up, .key = name};
	struct json_object *object;
	int err = read_member(&at, from, json_type_object, &object);

	return err ? err : read_fields(&at, object, fields, into);
}

int read_list(const struct place *up, struct json_object *from, const char *name,
	      read_item_fn *read_item, void *owner)
{
	struct place at = {.up = up, .key = name};
	struct json_object *array;
	int err = read_member(&at, from, json_type_array, &array);

	for (size_t i = 0; !err && i < json_object_array_length(array); i++) {
		struct place place = {.up = &at, .index = i};
		struct json_object *item = json_object_array_get_idx(array, i);

		if (!json_object_is_type(item, json_type_object))
			err = place_fail(&place, "an object is expected");
		else
			err = read_item(&place, item, owner);
	}
	return err;
}

int read_pairs(const struct place *at, struct json_object *object, read_pair_fn *read_pair,
	       void *owner)
{
	struct json_object_iterator it = json_object_iter_begin(object);
	struct json_object_iterator end = json_object_iter_end(object);
	int err = 0;

	for (; !err && !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		const char *key = json_object_iter_peek_name(&it);
		struct place place = {.up = at, .key = key};

		err = read_pair(&place, key, json_object_iter_peek_value(&it), owner);
	}
	return err;
}

int read_map(const struct place *up, struct json_object *from, const char *name,
	     read_pair_fn *read_pair, void *owner)
{
	struct place at = {.up = up, .key = name};
	struct json_object *object;
	int err = read_member(&at, from, json_type_object, &object);

	return err ? err : read_pairs(&at, object, read_pair, owner);
}
