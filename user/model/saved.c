// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "model/names.h"
#include "model/reader.h"
#include "model/saved.h"

struct saved {
	const char *text;
	size_t len, pos;
	size_t line; /* of pos, from 1 */
};

/* --- calls -------------------------------------------------------------------------------- */

static int read_errno(const struct place *at, const char *key, struct json_object *value,
		      void *owner)
{
	int error = errno_number(key), err;
	uint64_t count;

	if (error < 0)
		return place_fail(at, "no error has this name");
	err = read_number(at, value, UINT64_MAX, &count);
	if (!err)
		syscall_add_errno(owner, error, count);
	return err;
}

/* One [low_ns, count] of a histogram; the buckets ascend. */
static int read_bucket(const struct place *at, struct json_object *pair, struct histogram *h)
{
	uint64_t low, count;
	uint32_t index;
	int err;

	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
		return place_fail(at, "[low_ns, count] is expected");
	err = read_number(at, json_object_array_get_idx(pair, 0), UINT64_MAX, &low);
	if (!err)
		err = read_number(at, json_object_array_get_idx(pair, 1), UINT64_MAX, &count);
	if (err)
		return err;
	index = hist_index(low);
	if (hist_low(index) != low)
		return place_fail(at, "no bucket begins at %ju ns", (uintmax_t)low);
	if (!count)
		return place_fail(at, "an empty bucket");
	if (h->nr && h->buckets[h->nr - 1].index >= index)
		return place_fail(at, "the buckets do not ascend");
	hist_add(h, index, count);
	return 0;
}

static int read_histogram(const struct place *up, struct json_object *from, struct histogram *h)
{
	struct place at = {.up = up, .key = "histogram"};
	struct json_object *array;
	int err = read_member(&at, from, json_type_array, &array);

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
		return place_fail(at, "the same system call is there twice");
	for (size_t i = 0; i < nr_call_metrics && !err; i++)
		err = read_value(at, item, call_metrics[i].name, FIELD_METRIC,
				 metric_at(&call_metrics[i], &c->stats));
	if (!err)
		err = read_map(at, item, "errnos", read_errno, c);
	return err ? err : read_histogram(at, item, &c->histogram);
}

/* --- sockets and drops -------------------------------------------------------------------- */

/* A list that earlier reports lack. */
static int read_later_list(const struct place *up, struct json_object *from, const char *name,
			   read_item_fn *read_item, void *owner)
{
	if (!json_object_object_get_ex(from, name, NULL))
		return 0;
	return read_list(up, from, name, read_item, owner);
}

/* The figures of a drop that is new to @drops. */
static int read_new_drop(const struct place *at, struct json_object *from, struct drops *drops,
			 const char *reason, const char *where)
{
	size_t nr = drops->nr;
	struct drop *d;

	if (!*reason || reason[strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return place_fail(at, "not the name of a reason");
	d = drops_get(drops, reason, where);
	if (drops->nr == nr)
		return place_fail(at, "the same drops are there twice");
	return read_fields(at, from, drop_fields, d);
}

static int read_drop(const struct place *at, struct json_object *item, void *owner)
{
	struct drop head = {0};
	int err = read_fields(at, item, place_fields, &head);

	if (!err)
		err = read_new_drop(at, item, owner, head.reason, head.where);
	free(head.reason);
	free(head.where);
	return err;
}

static int read_socket_drop(const struct place *at, const char *key, struct json_object *value,
			    void *owner)
{
	if (!json_object_is_type(value, json_type_object))
		return place_fail(at, "an object is expected");
	return read_new_drop(at, value, owner, key, NULL);
}

static int read_spread(const struct place *at, const char *key, struct json_object *value,
		       void *owner)
{
	struct socket *s = owner;

	if (!json_object_is_type(value, json_type_object))
		return place_fail(at, "an object is expected");
	for (size_t i = 0; i < NR_SPREADS; i++)
		if (!strcmp(key, spread_names[i]))
			return read_fields(at, value, spread_fields, &s->spreads[i]);
	return 0; /* of a later version */
}

/* What stands beside the metrics of a group; the group may be null. */
static int read_tcp(const struct place *up, struct json_object *item, struct socket *s)
{
	struct place at = {.up = up, .key = "tcp"};
	struct json_object *tcp = NULL;

	json_object_object_get_ex(item, at.key, &tcp);
	return read_fields(&at, tcp, tcp_fields, s);
}

static int read_socket(const struct place *at, struct json_object *item, void *owner)
{
	struct process *p = owner;
	struct socket *s = vec_push(p->sockets, p->nr_sockets, p->cap_sockets);
	int err;

	socket_init(s);
	err = read_fields(at, item, socket_fields, s);
	if (!err)
		err = read_metrics(at, item, socket_metrics, nr_socket_metrics, &s->stats);
	if (!err)
		err = read_tcp(at, item, s);
	if (!err)
		err = read_map(at, item, "spreads", read_spread, s);
	return err ? err : read_map(at, item, "drops", read_socket_drop, &s->drops);
}

/* --- processes and threads ---------------------------------------------------------------- */

static int read_thread(const struct place *at, struct json_object *item, void *owner)
{
	struct process *p = owner;
	struct thread *t = vec_push(p->threads, p->nr_threads, p->cap_threads);
	int err = read_fields(at, item, thread_fields, t);

	if (!err && p->nr_threads > 1 && t[-1].tid > t->tid)
		err = place_fail(at, "the threads do not ascend by tid");
	if (!err)
		err = read_metrics(at, item, task_metrics, nr_task_metrics, &t->stats);
	return err ? err : read_list(at, item, "syscalls", read_call, &t->calls);
}

static int check_ascending(const struct place *at, const struct process *p)
{
	const struct process *before = p - 1;

	if (before->pid < p->pid || (before->pid == p->pid && before->started_ns <= p->started_ns))
		return 0;
	return place_fail(at, "the processes do not ascend by pid and start");
}

static int read_process(const struct place *at, struct json_object *item, void *owner)
{
	struct report *r = owner;
	struct process *p = vec_push(r->processes, r->nr_processes, r->cap_processes);
	int err = read_fields(at, item, process_fields, p);

	if (!err && r->nr_processes > 1)
		err = check_ascending(at, p);
	if (!err)
		err = read_metrics(at, item, task_metrics, nr_task_metrics, &p->stats);
	if (!err)
		err = read_list(at, item, "threads", read_thread, p);
	if (!err)
		err = read_list(at, item, "syscalls", read_call, &p->calls);
	return err ? err : read_later_list(at, item, "sockets", read_socket, p);
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

static int read_lost(const struct place *at, const char *key, struct json_object *value,
		     void *owner)
{
	struct report *r = owner;
	struct lost_count *lost;

	if (!*key || key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return place_fail(at, "not the name of a reason");
	lost = vec_push(r->capture.lost, r->capture.nr_lost, r->capture.cap_lost);
	lost->reason = xstrdup(key);
	return read_number(at, value, UINT64_MAX, &lost->count);
}

static int read_overhead(const struct place *up, struct json_object *capture, struct report *r)
{
	struct place at = {.up = up, .key = "overhead"};
	struct json_object *overhead;
	int err = read_member(&at, capture, json_type_object, &overhead);

	return err ? err : read_list(&at, overhead, "programs", read_program, r);
}

static int read_capture(const struct place *up, struct json_object *root, struct report *r)
{
	struct place at = {.up = up, .key = "capture"};
	struct json_object *capture;
	int err = read_member(&at, root, json_type_object, &capture);

	if (!err)
		err = read_fields(&at, capture, capture_fields, r);
	if (!err)
		err = read_list(&at, capture, "probes", read_probe, r);
	if (!err)
		err = read_map(&at, capture, "lost", read_lost, r);
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
		return place_fail(&place,
				  "not \"" REPORT_SCHEMA "\", which is all that is read here");
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
	if (!err)
		err = read_later_list(&at, root, "drops", read_drop, &r->drops);
	if (!err)
		err = read_list(&at, root, "audits", read_audit, r);
	return err ? err : read_workload(&at, root, r);
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
	/* json-c has no word for it. */
	if (!value && err == json_tokener_success)
		*why = xstrdup("out of memory");
	else if (!value)
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
