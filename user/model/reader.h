/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_READER_H
#define SOCKTRACE_MODEL_READER_H

#include <json-c/json.h>
#include <stdint.h>

#include "model/fields.h"
#include "model/model.h"

/*
 * Reads JSON values into the model, for saved.c and saved_workload.c alone. Nothing is taken on
 * trust: what does not have the type and range it should have is an error that names its place. All
 * return 0 or -EINVAL; what was read up to an error belongs to the model and is freed with it.
 */

/*
 * Where the reader is: a value, by its key or (key NULL) its index in what is @up. Lives on the
 * stack of the functions that descend; place_fail() makes "processes[2].threads[0].tid" of it.
 */
struct place {
	const struct place *up; /* NULL: the report itself */
	const char *key;
	size_t index;
	char **why; /* in the report itself: where place_fail() leaves its message */
};

/* Says what is wrong with the value at @at. Returns -EINVAL. */
__attribute__((format(printf, 2, 3))) int place_fail(const struct place *at, const char *fmt, ...);

/* A whole number, 0 .. @max. 2^64 - 1 is refused: METRIC_UNKNOWN, and what json-c saturates at. */
int read_number(const struct place *at, struct json_object *value, uint64_t max, uint64_t *number);

/* Reads the member @name of the object @from, which is at @up, as a field of @kind. */
int read_value(const struct place *up, struct json_object *from, const char *name,
	       enum field_kind kind, void *target);
/* Reads all of @fields of the object @from, which is at @at. */
int read_fields(const struct place *at, struct json_object *from, const struct field *fields,
		void *into);
/* Reads all of @metrics, each of which stands in the object of its group; that may be missing. */
int read_metrics(const struct place *at, struct json_object *from, const struct metric *metrics,
		 size_t nr, void *stats);
/* Finds the member of the object @from that is at @at: an object or array, as @type says. */
int read_member(const struct place *at, struct json_object *from, enum json_type type,
		struct json_object **value);
/* Reads the object @name of @from, all of whose fields are plain. */
int read_object(const struct place *up, struct json_object *from, const char *name,
		const struct field *fields, void *into);

typedef int read_item_fn(const struct place *at, struct json_object *item, void *owner);
/* Calls @read_item for every object of the array @name of @from. */
int read_list(const struct place *up, struct json_object *from, const char *name,
	      read_item_fn *read_item, void *owner);

typedef int read_pair_fn(const struct place *at, const char *key, struct json_object *value,
			 void *owner);
/* Calls @read_pair for every pair of @object, which is at @at. */
int read_pairs(const struct place *at, struct json_object *object, read_pair_fn *read_pair,
	       void *owner);
/* The same for the object @name of @from. */
int read_map(const struct place *up, struct json_object *from, const char *name,
	     read_pair_fn *read_pair, void *owner);

/* The member "workload" of @root, which may be missing. The processes of @r have been read. */
int read_workload(const struct place *at, struct json_object *root, struct report *r);

#endif
