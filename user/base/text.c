// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"

void text_append(char **text, const char *between, char *more)
{
	char *longer;

	if (!*text) {
		*text = more;
		return;
	}
	longer = xasprintf("%s%s%s", *text, between, more);
	free(*text);
	free(more);
	*text = longer;
}
