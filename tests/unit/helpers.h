/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_UNIT_HELPERS_H
#define SOCKTRACE_TESTS_UNIT_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/saved.h"
#include "report/report.h"

/* The tests run from the root of the repository. */
#define GOLDEN_DIR "tests/unit/golden/"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Not inline: GCC 12 takes what getdelim(3) and open_memstream(3) store in a local variable for a
 * pointer to that variable, which dangles later.
 */
#define NOT_INLINE __attribute__((noinline, unused))

/* The content of a file, NUL-terminated; the caller frees it. Fails the test without it. */
NOT_INLINE static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		fail_msg("%s: not there; do the tests run from the root of the repository?", path);
	n = getdelim(&text, &cap, EOF, f); /* EOF: no byte has this value, so all of it */
	fclose(f);
	if (n < 0)
		fail_msg("%s: empty or not readable", path);
	if (len)
		*len = n;
	return text;
}

/* Reads the only report in @text, or fails the test. */
static inline void load_text(const char *text, size_t len, struct report *r)
{
	struct saved *s = saved_open(text, len);
	struct report none;
	char *why;

	if (saved_next(s, r, &why) != 1)
		fail_msg("not read: %s", why ? why : "no report");
	assert_int_equal(saved_next(s, &none, &why), 0);
	saved_close(s);
}

static inline void load_golden(const char *name, struct report *r)
{
	char path[256];
	char *text;
	size_t len;

	snprintf(path, sizeof(path), GOLDEN_DIR "%s.json", name);
	text = read_file(path, &len);
	load_text(text, len, r);
	free(text);
}

/* @r in a format, NUL-terminated; the caller frees it. */
NOT_INLINE static char *render(const struct report *r, const char *format, struct report_options o,
			       size_t *len)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	assert_int_equal(report_format_find(format)->print(r, &o, f), 0);
	fclose(f);
	if (len)
		*len = n;
	return text;
}

/* A small generator with a fixed seed: what fails once fails again. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
