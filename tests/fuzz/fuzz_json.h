/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_FUZZ_JSON_H
#define SOCKTRACE_TESTS_FUZZ_JSON_H

#include <json-c/json.h>

#include "fuzz.h"

/*
 * Mutations of JSON as a tree: most of those of its bytes are no JSON any more, and go no further
 * than the parser. Some are left to libFuzzer, for the parser's sake.
 */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define BYTES_ONE_IN 8

static inline uint32_t json_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Where a value hangs: in an object under @key, or in an array. */
struct json_place {
	struct json_object *parent;
	char *key;
	size_t index;
};

/* Walks the tree to a place by chance; each level down is as likely as to stop. */
static inline struct json_place json_choose(struct json_object *root, uint32_t *random)
{
	struct json_place place = {0};
	struct json_object *at = root;

	while (!place.parent || json_random(random) % 8) {
		bool is_object = json_object_is_type(at, json_type_object);
		size_t nr = is_object ? json_object_object_length(at)
			    : json_object_is_type(at, json_type_array)
				    ? json_object_array_length(at)
				    : 0;
		size_t chosen = nr ? json_random(random) % nr : 0;

		if (!nr)
			break;
		place = (struct json_place){.parent = at, .index = chosen};
		if (!is_object) {
			at = json_object_array_get_idx(at, chosen);
			continue;
		}
		json_object_object_foreach(at, key, value)
		{
			if (chosen-- == 0) {
				place.key = key;
				at = value;
				break;
			}
		}
	}
	return place;
}

static inline struct json_object *json_place_get(const struct json_place *p)
{
	return p->key ? json_object_object_get(p->parent, p->key)
		      : json_object_array_get_idx(p->parent, p->index);
}

/* Takes @value. */
static inline void json_place_put(const struct json_place *p, struct json_object *value)
{
	if (p->key)
		json_object_object_add(p->parent, p->key, value);
	else
		json_object_array_put_idx(p->parent, p->index, value);
}

static inline struct json_object *json_some_number(uint32_t *random)
{
	static const uint64_t numbers[] = {
		0,	    1,		2,	    255,       256,	   4095,
		65536,	    INT32_MAX,	UINT32_MAX, INT64_MAX, 1ULL << 63, UINT64_MAX - 1,
		UINT64_MAX, 1000000000,
	};
	const size_t nr = sizeof(numbers) / sizeof(numbers[0]);

	return json_object_new_uint64(json_random(random) % 4 ? numbers[json_random(random) % nr]
							      : 1ULL << json_random(random) % 64);
}

static inline struct json_object *json_some_text(struct json_object *old, uint32_t *random)
{
	static const char *const texts[] = {
		"",  "\n",	     "|",	 "<!--", "@x", "=1+1", "\"",
		",", "\xe2\x80\xae", "\x1b[31m", "\\",	 "*",
	};
	const char *text = old ? json_object_get_string(old) : "";
	const char *more = texts[json_random(random) % (sizeof(texts) / sizeof(texts[0]))];
	struct json_object *value;
	char *both = malloc(strlen(text) + strlen(more) + 1);

	promise(both, "out of memory");
	if (json_random(random) % 2)
		stpcpy(stpcpy(both, more), text);
	else
		stpcpy(stpcpy(both, text), more);
	value = json_object_new_string(both);
	free(both);
	return value;
}

/* Something in the place of @old; NULL is null. */
static inline struct json_object *json_instead(struct json_object *old, uint32_t *random)
{
	if (json_random(random) % 8 == 0)
		return json_random(random) % 2 ? NULL : json_object_new_array();
	switch (json_object_get_type(old)) {
	case json_type_boolean:
		return json_object_new_boolean(!json_object_get_boolean(old));
	case json_type_string:
		return json_some_text(old, random);
	default:
		return json_some_number(random);
	}
}

/* An item once more in its array. Nesting stays, so sizes at most double. */
static inline void json_repeat(const struct json_place *p)
{
	struct json_object *copy = NULL;

	if (!p->key && !json_object_deep_copy(json_place_get(p), &copy, NULL))
		json_object_array_add(p->parent, copy);
}

static inline void json_change(struct json_object *root, uint32_t *random)
{
	struct json_place p = json_choose(root, random), other = json_choose(root, random);
	struct json_object *copy = NULL;

	if (!p.parent)
		return;
	switch (json_random(random) % 8) {
	case 0:
		if (p.key)
			json_object_object_del(p.parent, p.key);
		else
			json_object_array_del_idx(p.parent, p.index, 1);
		break;
	case 1:
		json_repeat(&p);
		break;
	case 2:
		if (!json_object_deep_copy(json_place_get(&other), &copy, NULL))
			json_place_put(&p, copy);
		break;
	default:
		json_place_put(&p, json_instead(json_place_get(&p), random));
	}
}

static inline size_t json_mutate(uint8_t *data, size_t size, size_t max_size, uint32_t seed)
{
	uint32_t random = seed;
	struct json_tokener *tok = json_tokener_new();
	struct json_object *root = NULL;
	const char *text;
	size_t len = 0;

	promise(tok, "out of memory");
	if (json_random(&random) % BYTES_ONE_IN)
		root = json_tokener_parse_ex(tok, (const char *)data, size);
	json_tokener_free(tok);
	if (!root)
		return LLVMFuzzerMutate(data, size, max_size);
	for (uint32_t n = 1 + json_random(&random) % 3; n; n--)
		json_change(root, &random);
	text = json_object_to_json_string_length(root, JSON_C_TO_STRING_PLAIN, &len);
	if (len <= max_size)
		memcpy(data, text, len);
	json_object_put(root);
	return len <= max_size ? len : LLVMFuzzerMutate(data, size, max_size);
}

#endif
