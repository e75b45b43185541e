// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"

int exit_without_memory = 1;

static void *check(void *p)
{
	if (!p) {
		fputs("socktrace: out of memory; end other programs, or trace fewer threads\n",
		      stderr);
		exit(exit_without_memory);
	}
	return p;
}

void *xcalloc(size_t nr, size_t size)
{
	return check(calloc(nr ? nr : 1, size ? size : 1));
}

void *xrealloc(void *old, size_t size)
{
	return check(realloc(old, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return check(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	return check(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return check(n < 0 ? NULL : text);
}

void *vec_reserve(void *items, size_t *cap, size_t need, size_t size)
{
	size_t want = *cap ? *cap : 4;

	if (need <= *cap)
		return items;
	while (want < need)
		want *= 2;
	if (want > SIZE_MAX / size)
		check(NULL);
	items = xrealloc(items, want * size);
	memset((char *)items + *cap * size, 0, (want - *cap) * size);
	*cap = want;
	return items;
}
