/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_REPORT_H
#define SOCKTRACE_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "model/model.h"

struct report_options {
	bool with_threads; /* rows per thread, not only per process */
	/* At most this many system calls or sockets per table; 0: all. Text and Markdown only. */
	unsigned int top;
	uint64_t trial; /* of a workload, to show in detail; 0: none. Text and Markdown only. */
	bool colour;
	unsigned int width; /* of the terminal, columns; 0: not a terminal, natural width */
	bool compact;	    /* JSON on one line (NDJSON) */
	bool is_further;    /* one more in a stream: what heads a table of all stands already */
};

/* Prints @r whole to @out. Returns 0 or -errno (of the stream). */
struct report_format {
	const char *name;
	int (*print)(const struct report *r, const struct report_options *o, FILE *out);
};

extern const struct report_format report_text, report_json, report_markdown, report_csv;

/* By the name that -F takes ("text", "json", "md", "csv"), or NULL. */
const struct report_format *report_format_find(const char *name);
const char *report_format_names(void); /* "text, json, md, csv" */

#endif
