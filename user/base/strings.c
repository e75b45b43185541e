// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/strings.h"

void strings_free(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

static char **strings_map(char *const *list, char *(*map)(const char *s))
{
	size_t nr = 0;
	char **copy;

	if (!list)
		return NULL;
	while (list[nr])
		nr++;
	copy = xcalloc(nr + 1, sizeof(*copy));
	for (size_t i = 0; i < nr; i++)
		copy[i] = map(list[i]);
	return copy;
}

static char *clean(const char *s)
{
	return utf8_clean(s, strlen(s));
}

char **strings_copy(char *const *list)
{
	return strings_map(list, xstrdup);
}

char **strings_clean(char *const *list)
{
	return strings_map(list, clean);
}
