// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Saved reports, read and rendered in every format. What was read is written as JSON, and that,
 * read again, renders to the same bytes.
 */
#include <json-c/json.h>

#include "base/escape.h"
#include "fuzz.h"
#include "fuzz_json.h"
#include "model/saved.h"
#include "model/workload.h"
#include "report/report.h"

#define MOST_ITEMS 64 /* of what a workload lists, in a report that is rendered */

static char *render(const struct report *r, const char *format, struct report_options o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	promise(f && !report_format_find(format)->print(r, &o, f), "%s", format);
	promise(!fclose(f) && strlen(text) == len, "%s: a NUL in it", format);
	return text;
}

/* --- what every rendering keeps to --------------------------------------------------------- */

/* Each line as a terminal may get it; the escape sequences of colours apart. */
static void is_harmless(const char *format, char *text, bool has_colour)
{
	char *safe, *to = text;

	for (const char *at = text; *at; at++) {
		size_t colour = has_colour && !strncmp(at, "\033[", 2)
					? 2 + strspn(at + 2, "0123456789;")
					: 0;

		if (colour && at[colour] == 'm')
			at += colour;
		else if (*at != '\n' && (*at != '\r' || at[1] != '\n'))
			*to++ = *at;
	}
	*to = '\0';
	safe = escape_terminal(text);
	promise(!strcmp(safe, text), "%s: %s", format, safe);
	free(safe);
}

/* The fields of the record at @csv; *@next is the one behind it. */
static size_t count_fields(const char *csv, const char **next)
{
	size_t nr = 1;
	bool is_quoted = false;

	for (; *csv && (is_quoted || *csv != '\r'); csv++) {
		if (*csv == '"')
			is_quoted = !is_quoted;
		nr += *csv == ',' && !is_quoted;
	}
	promise(!is_quoted && csv[0] == '\r' && csv[1] == '\n', "a record does not end");
	*next = csv + 2;
	return nr;
}

static void is_csv(const char *csv)
{
	size_t nr = count_fields(csv, &csv);

	while (*csv) {
		const char *record = csv;

		promise(count_fields(csv, &csv) == nr, "not %zu fields: %.*s", nr,
			(int)(csv - record), record);
	}
}

/* Every row of a table has as many cells as the row before it. */
static void is_markdown(const char *text)
{
	size_t before = 0, nr;

	for (const char *line = text, *end; *line; line = end + 1, before = nr) {
		end = strchrnul(line, '\n');
		nr = 0;
		for (const char *at = line; *line == '|' && at < end; at++) {
			at += *at == '\\';
			nr += *at == '|' && (at == line || at[-1] != '\\');
		}
		promise(!before || !nr || before == nr, "%.*s", (int)(end - line), line);
		if (!*end)
			return;
	}
}

/* --- all renderings ------------------------------------------------------------------------ */

static uint64_t first_trial(const struct report *r)
{
	for (size_t i = 0; r->workload && i < r->workload->nr_trials; i++)
		if (r->workload->trials[i].traced)
			return r->workload->trials[i].number;
	return 0;
}

static void try_formats(const struct report *r)
{
	const uint64_t trial = first_trial(r);
	const struct report_options options[] = {
		{.trial = trial},
		{.with_threads = true, .colour = true},
		{.with_threads = true, .top = 1, .width = 80, .trial = trial},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char *text = render(r, "text", options[i]), *md = render(r, "md", options[i]);

		is_markdown(md);
		is_harmless("text", text, options[i].colour);
		is_harmless("md", md, false);
		free(text);
		free(md);
	}
	for (int with_threads = 0; with_threads < 2; with_threads++) {
		char *csv = render(r, "csv", (struct report_options){.with_threads = with_threads});

		is_csv(csv);
		is_harmless("csv", csv, false);
		free(csv);
	}
}

/* A rendering of @r is that of @again, too. */
static void same(const struct report *r, const struct report *again, const char *format,
		 bool compact)
{
	const struct report_options o = {.with_threads = true, .compact = compact};
	char *text = render(r, format, o), *other = render(again, format, o);

	promise(!strcmp(text, other), "%s:\n%s\nand, saved and read again:\n%s", format, text,
		other);
	if (compact)
		promise(strchr(text, '\n') == text + strlen(text) - 1, "not one line: %s", text);
	free(text);
	free(other);
}

static void try_again(const struct report *r)
{
	char *json = render(r, "json", (struct report_options){}), *why;
	struct saved *s = saved_open(json, strlen(json));
	struct report again, none;

	promise(saved_next(s, &again, &why) == 1, "%s\n%s", why ? why : "nothing", json);
	promise(saved_next(s, &none, &why) == 0, "more behind it");
	saved_close(s);
	same(r, &again, "json", false);
	same(r, &again, "json", true);
	same(r, &again, "text", false);
	same(r, &again, "csv", false);
	report_free(&again);
	is_harmless("json", json, false);
	free(json);
}

/* Not so large that rendering it takes longer than all others together. */
static bool is_handy(const struct report *r)
{
	const struct workload_run *w = r->workload;

	return !w || (w->nr_trials <= MOST_ITEMS && w->nr_parameters <= MOST_ITEMS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct saved *s = saved_open((const char *)data, size);
	struct report r;
	char *why;
	int more;

	while ((more = saved_next(s, &r, &why)) > 0) {
		report_audits_hold(&r);
		if (is_handy(&r)) {
			try_formats(&r);
			try_again(&r);
		}
		report_free(&r);
	}
	if (more < 0)
		is_harmless("the reason", why, false);
	promise((more < 0) == (why != NULL), "%d, %s", more, why ? why : "no reason");
	free(why);
	saved_close(s);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return json_mutate(data, size, max_size, seed);
}
