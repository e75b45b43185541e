// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "report/report.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* In the order of --help. */
static const struct report_format *const formats[] = {
	&report_text,
	&report_json,
	&report_markdown,
	&report_csv,
};

const struct report_format *report_format_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i]->name, name))
			return formats[i];
	return NULL;
}

const char *report_format_names(void)
{
	static char names[64];

	names[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		strncat(names, i ? ", " : "", sizeof(names) - strlen(names) - 1);
		strncat(names, formats[i]->name, sizeof(names) - strlen(names) - 1);
	}
	return names;
}
