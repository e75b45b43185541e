// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/vec.h"
#include "model/fields.h"
#include "model/names.h"
#include "model/saved.h"

struct saved {
	const char *text;
	size_t len, pos;
	size_t line; /* of pos, from 1 */
};

/*
 * Where the reader is: a value, by its key or (key NULL) its index in what is @up. Lives on the
 * stack of the functions that descend; fail() makes "processes[2].threads[0].tid" of it.
 */
struct place {
	const struct place *up; /* NULL: the report itself */
	const char *key;
	size_t index;
	char **why; /* in the report itself: where fail() leaves its message */
};

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

/* Says what is wrong with the value at @at. Returns -EINVAL. */
__attribute__((format(printf, 2, 3))) static int fail(const struct place *at, const char *fmt, ...)
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

static int read_number(const struct place *at, struct json_object *value, uint64_t max,
		       uint64_t *number)
{
	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return fail(at, "a whole number, 0 or above, is expected");
	*number = json_object_get_uint64(value);
	if (*number == UINT64_MAX) /* json-c 0.16 makes this of anything larger, too */
		return fail(at, "the number is too large");
	if (*number > max)
		return fail(at, "%ju is above %ju", (uintmax_t)*number, (uintmax_t)max);
	return 0;
}

static int read_text(const struct place *at, struct json_object *value, char **text)
{
	if (!json_object_is_type(value, json_type_string))
		return fail(at, "a string is expected");
	*text = utf8_clean(json_object_get_string(value), json_object_get_string_len(value));
	return 0;
}

static int read_bool(const struct place *at, struct json_object *value, bool *truth)
{
	if (!json_object_is_type(value, json_type_boolean))
		return fail(at, "true or false is expected");
	*truth = json_object_get_boolean(value);
	return 0;
}

static int read_strings(const struct place *at, struct json_object *value, char ***strings)
{
	size_t nr;

	if (!json_object_is_type(value, json_type_array))
		return fail(at, "an array of strings is expected");
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
		return fail(at, "the name of a signal is expected");
	*number = signal_number(json_object_get_string(value));
	return *number > 0 ? 0 : fail(at, "no signal has this name");
}

static int read_abi(const struct place *at, struct json_object *value, const char **abi)
{
	if (!json_object_is_type(value, json_type_string))
		return fail(at, "the name of an ABI is expected");
	*abi = abi_find(json_object_get_string(value));
	return *abi ? 0 : fail(at, "no ABI has this name");
}

/* --- plain fields ------------------------------------------------------------------------- */

/* A value that is null, or missing because an earlier version did not have the field. */
static int read_absent(const struct place *at, enum field_kind kind, void *target)
{
	switch (kind) {
	case FIELD_TEXT_OR_NULL:
	case FIELD_STRINGS: /* NULL already */
	case FIELD_SIGNAL:  /* 0 already */
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
		return fail(at, "missing");
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
	}
	return fail(at, "of an unknown kind");
}

static int read_value(const struct place *up, struct json_object *from, const char *name,
		      enum field_kind kind, void *target)
{
	struct place at = {.up = up, .key = name};
	struct json_object *value = NULL;

	json_object_object_get_ex(from, name, &value);
	return value ? read_present(&at, kind, value, target) : read_absent(&at, kind, target);
}

static int read_fields(const struct place *at, struct json_object *from, const struct field *fields,
		       void *into)
{
	int err = 0;

	for (const struct field *f = fields; f->name && !err; f++)
		err = read_value(at, from, f->name, f->kind, (char *)into + f->offset);
	return err;
}

/* --- objects and arrays ------------------------------------------------------------------- */

static int get(const struct place *at, struct json_object *from, enum json_type type,
	       struct json_object **value)
{
	*value = NULL;
	json_object_object_get_ex(from, at->key, value);
	if (!*value)
		return fail(at, "missing");
	if (!json_object_is_type(*value, type))
		return fail(at, type == json_type_array ? "an array is expected"
							: "an object is expected");
	return 0;
}

/* Reads the object @name of @from, all of whose fields are plain. */
static int read_object(const struct place *up, struct json_object *from, const char *name,
		       const struct field *fields, void *into)
{
	struct place at = {.up = up, .key = name};
	struct json_object *object;
	int err = get(&at, from, json_type_object, &object);

	return err ? err : read_fields(&at, object, fields, into);
}

typedef int read_item_fn(const struct place *at, struct json_object *item, void *owner);

/* Calls @read_item for every object of the array @name of @from. */
static int read_list(const struct place *up, struct json_object *from, const char *name,
		     read_item_fn *read_item, void *owner)
{
	struct place at = {.up = up, .key = name};
	struct json_object *array;
	int err = get(&at, from, json_type_array, &array);

	for (size_t i = 0; !err && i < json_object_array_length(array); i++) {
		struct place place = {.up = &at, .index = i};
		struct json_object *item = json_object_array_get_idx(array, i);

		if (!json_object_is_type(item, json_type_object))
			err = fail(&place, "an object is expected");
		else
			err = read_item(&place, item, owner);
	}
	return err;
}

typedef int read_count_fn(const struct place *at, const char *key, uint64_t count, void *owner);

/* Calls @read_count for every pair of the object @name of @from, which maps names to counts. */
static int read_counts(const struct place *up, struct json_object *from, const char *name,
		       read_count_fn *read_count, void *owner)
{
	struct place at = {.up = up, .key = name};
	struct json_object_iterator it, end;
	struct json_object *object;
	int err = get(&at, from, json_type_object, &object);

	if (err)
		return err;
	it = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; !err && !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		const char *key = json_object_iter_peek_name(&it);
		struct place place = {.up = &at, .key = key};
		uint64_t count;

		err = read_number(&place, json_object_iter_peek_value(&it), UINT64_MAX, &count);
		if (!err)
			err = read_count(&place, key, count, owner);
	}
	return err;
}

/* --- calls -------------------------------------------------------------------------------- */

static int read_errno(const struct place *at, const char *key, uint64_t count, void *owner)
{
	int error = errno_number(key);

	if (error < 0)
		return fail(at, "no error has this name");
	syscall_add_errno(owner, error, count);
	return 0;
}

/* One [low_ns, count] of a histogram; the buckets ascend. */
static int read_bucket(const struct place *at, struct json_object *pair, struct histogram *h)
{
	uint64_t low, count;
	uint32_t index;
	int err;

	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
		return fail(at, "[low_ns, count] is expected");
	err = read_number(at, json_object_array_get_idx(pair, 0), UINT64_MAX, &low);
	if (!err)
		err = read_number(at, json_object_array_get_idx(pair, 1), UINT64_MAX, &count);
	if (err)
		return err;
	index = hist_index(low);
	if (hist_low(index) != low)
		return fail(at, "no bucket begins at %ju ns", (uintmax_t)low);
	if (!count)
		return fail(at, "an empty bucket");
	if (h->nr && h->buckets[h->nr - 1].index >= index)
		return fail(at, "the buckets do not ascend");
	hist_add(h, index, count);
	return 0;
}

static int read_histogram(const struct place *up, struct json_object *from, struct histogram *h)
{
	struct place at = {.up = up, .key = "histogram"};
	struct json_object *array;
	int err = get(&at, from, json_type_array, &array);

	for (size_t i = 0; !err && i < json_object_array_length(array); i++) {
		struct place place = {.up = &at, .index = i};

		err = read_bucket(&place, json_object_array_get_idx(array, i), h);
	}
	return err;
}

static int read_call(const struct place *at, struct json_object *item, void *owner)
{
	struct syscalls *calls = owner;
	struct syscall head = {0}, *c;
	size_t nr = calls->nr;
	int err = read_fields(at, item, call_fields, &head);

	if (err) {
		free(head.name);
		return err;
	}
	c = syscalls_get(calls, head.abi, head.nr, head.name);
	free(head.name);
	if (calls->nr == nr)
		return fail(at, "the same system call is there twice");
	for (size_t i = 0; i < nr_call_metrics && !err; i++)
		err = read_value(at, item, call_metrics[i].name, FIELD_METRIC,
				 metric_at(&call_metrics[i], &c->stats));
	if (!err)
		err = read_counts(at, item, "errnos", read_errno, c);
	return err ? err : read_histogram(at, item, &c->histogram);
}

/* --- processes and threads ---------------------------------------------------------------- */

/* Each metric of a task stands in the object of its group; a group may be missing. */
static int read_task_metric(const struct place *up, struct json_object *item,
			    const struct metric *m, struct task_stats *stats)
{
	struct place at = {.up = up, .key = m->group};
	struct json_object *group = NULL;

	if (json_object_object_get_ex(item, m->group, &group) &&
	    !json_object_is_type(group, json_type_object))
		return fail(&at, "an object is expected");
	return read_value(&at, group, m->name, FIELD_METRIC, metric_at(m, stats));
}

static int read_task_stats(const struct place *at, struct json_object *item,
			   struct task_stats *stats)
{
	int err = 0;

	for (size_t i = 0; i < nr_task_metrics && !err; i++)
		err = read_task_metric(at, item, &task_metrics[i], stats);
	return err;
}

static int read_thread(const struct place *at, struct json_object *item, void *owner)
{
	struct process *p = owner;
	struct thread *t = vec_push(p->threads, p->nr_threads, p->cap_threads);
	int err = read_fields(at, item, thread_fields, t);

	if (!err && p->nr_threads > 1 && t[-1].tid > t->tid)
		err = fail(at, "the threads do not ascend by tid");
	if (!err)
		err = read_task_stats(at, item, &t->stats);
	return err ? err : read_list(at, item, "syscalls", read_call, &t->calls);
}

static int check_ascending(const struct place *at, const struct process *p)
{
	const struct process *before = p - 1;

	if (before->pid < p->pid || (before->pid == p->pid && before->started_ns <= p->started_ns))
		return 0;
	return fail(at, "the processes do not ascend by pid and start");
}

static int read_process(const struct place *at, struct json_object *item, void *owner)
{
	struct report *r = owner;
	struct process *p = vec_push(r->processes, r->nr_processes, r->cap_processes);
	int err = read_fields(at, item, process_fields, p);

	if (!err && r->nr_processes > 1)
		err = check_ascending(at, p);
	if (!err)
		err = read_task_stats(at, item, &p->stats);
	if (!err)
		err = read_list(at, item, "threads", read_thread, p);
	return err ? err : read_list(at, item, "syscalls", read_call, &p->calls);
}

/* --- the report --------------------------------------------------------------------------- */

static int read_probe(const struct place *at, struct json_object *item, void *owner)
{
	struct report *r = owner;

	return read_fields(
		at, item, probe_fields,
		vec_push(r->capture.probes, r->capture.nr_probes, r->capture.cap_probes));
}

static int read_program(const struct place *at, struct json_object *item, void *owner)
{
	struct report *r = owner;

	return read_fields(
		at, item, program_fields,
		vec_push(r->capture.programs, r->capture.nr_programs, r->capture.cap_programs));
}

static int read_audit(const struct place *at, struct json_object *item, void *owner)
{
	struct report *r = owner;

	return read_fields(at, item, audit_fields,
			   vec_push(r->audits, r->nr_audits, r->cap_audits));
}

static int read_lost(const struct place *at, const char *key, uint64_t count, void *owner)
{
	struct report *r = owner;
	struct lost_count *lost;

	if (!*key || key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return fail(at, "not the name of a reason");
	lost = vec_push(r->capture.lost, r->capture.nr_lost, r->capture.cap_lost);
	lost->reason = xstrdup(key);
	lost->count = count;
	return 0;
}

static int read_overhead(const struct place *up, struct json_object *capture, struct report *r)
{
	struct place at = {.up = up, .key = "overhead"};
	struct json_object *overhead;
	int err = get(&at, capture, json_type_object, &overhead);

	return err ? err : read_list(&at, overhead, "programs", read_program, r);
}

static int read_capture(const struct place *up, struct json_object *root, struct report *r)
{
	struct place at = {.up = up, .key = "capture"};
	struct json_object *capture;
	int err = get(&at, root, json_type_object, &capture);

	if (!err)
		err = read_fields(&at, capture, capture_fields, r);
	if (!err)
		err = read_list(&at, capture, "probes", read_probe, r);
	if (!err)
		err = read_counts(&at, capture, "lost", read_lost, r);
	if (!err)
		err = read_overhead(&at, capture, r);
	return err ? err : read_object(&at, capture, "self", self_fields, r);
}

static int check_schema(const struct place *at, struct json_object *root)
{
	struct place place = {.up = at, .key = "schema"};
	struct json_object *schema = NULL;

	json_object_object_get_ex(root, "schema", &schema);
	if (!json_object_is_type(schema, json_type_string) ||
	    strcmp(json_object_get_string(schema), REPORT_SCHEMA))
		return fail(&place, "not \"" REPORT_SCHEMA "\", which is all that is read here");
	return 0;
}

static int read_report(struct json_object *root, struct report *r, char **why)
{
	struct place at = {.why = why};
	int err = check_schema(&at, root);

	if (!err)
		err = read_object(&at, root, "tool", tool_fields, r);
	if (!err)
		err = read_object(&at, root, "host", host_fields, r);
	if (!err)
		err = read_capture(&at, root, r);
	if (!err)
		err = read_list(&at, root, "processes", read_process, r);
	return err ? err : read_list(&at, root, "audits", read_audit, r);
}

/* --- the text ----------------------------------------------------------------------------- */

struct saved *saved_open(const char *text, size_t len)
{
	struct saved *s = xcalloc(1, sizeof(*s));

	*s = (struct saved){.text = text, .len = len, .line = 1};
	return s;
}

void saved_close(struct saved *s)
{
	free(s);
}

static void advance(struct saved *s, size_t to)
{
	for (; s->pos < to; s->pos++)
		s->line += s->text[s->pos] == '\n';
}

static void skip_space(struct saved *s)
{
	size_t to = s->pos;

	while (to < s->len && strchr(" \t\r\n", s->text[to]) && s->text[to])
		to++;
	advance(s, to);
}

/*
 * The next JSON object, or NULL and @why. Leaves the position behind it, or at the fault. Other
 * values are not tried: json-c cannot tell whether a number that ends the text is whole.
 */
static struct json_object *parse_object(struct saved *s, char **why)
{
	size_t left = s->len - s->pos;
	struct json_tokener *tok;
	struct json_object *value;
	enum json_tokener_error err;

	if (s->text[s->pos] != '{') {
		*why = xasprintf("line %zu, byte %zu: a report begins with '{'", s->line,
				 s->pos + 1);
		return NULL;
	}
	tok = json_tokener_new();
	if (!tok) {
		*why = xstrdup("out of memory");
		return NULL;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
					    JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tok, s->text + s->pos, left > INT_MAX ? INT_MAX : (int)left);
	err = json_tokener_get_error(tok);
	advance(s, s->pos + json_tokener_get_parse_end(tok));
	json_tokener_free(tok);
	if (!value)
		*why = xasprintf("line %zu, byte %zu: %s", s->line, s->pos + 1,
				 err == json_tokener_continue ? "the text ends inside a report"
							      : json_tokener_error_desc(err));
	return value;
}

int saved_next(struct saved *s, struct report *r, char **why)
{
	struct json_object *root;
	char *what = NULL;
	size_t line;
	int err;

	*r = (struct report){0};
	*why = NULL;
	skip_space(s);
	if (s->pos == s->len)
		return 0;
	line = s->line;
	root = parse_object(s, why);
	if (!root)
		return -EINVAL;
	err = read_report(root, r, &what);
	json_object_put(root);
	if (!err)
		return 1;
	*why = xasprintf("line %zu: %s", line, what);
	free(what);
	report_free(r);
	return err;
}
