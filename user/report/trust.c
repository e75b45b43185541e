// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/units.h"
#include "model/names.h"
#include "report/document.h"

/* Of audits of a workload with one name, so many that could not be made are told one by one. */
#define MOST_NOT_MADE 3

static void add_lost(struct document *d, const struct report *r)
{
	char count[UNITS_TEXT_LEN];

	for (size_t i = 0; i < r->capture.nr_lost; i++) {
		const struct lost_count *lost = &r->capture.lost[i];
		const char *help = lost_help(lost->reason);

		if (!lost->count)
			continue;
		document_add_fact(d, "lost",
				  xasprintf("%s %s%s%s", lost->reason,
					    units_count(lost->count, count), help ? ": " : "",
					    help ? help : ""))
			->style = STYLE_FAILURE;
	}
}

/* --- audits ------------------------------------------------------------------------------- */

static bool is_first_with(const struct report *r, size_t index, enum tristate ok)
{
	if (r->audits[index].ok != ok)
		return false;
	for (size_t i = 0; i < index; i++)
		if (r->audits[i].ok == ok && !strcmp(r->audits[i].name, r->audits[index].name))
			return false;
	return true;
}

static size_t nr_with(const struct report *r, enum tristate ok)
{
	size_t nr = 0;

	for (size_t i = 0; i < r->nr_audits; i++)
		nr += r->audits[i].ok == ok;
	return nr;
}

/* "12 of 13": of the audits called @name. */
static char *share_that_holds(const struct report *r, const char *name)
{
	size_t nr = 0, nr_held = 0;

	for (size_t i = 0; i < r->nr_audits; i++) {
		if (strcmp(r->audits[i].name, name))
			continue;
		nr++;
		nr_held += r->audits[i].ok == YES;
	}
	return xasprintf("%zu of %zu", nr_held, nr);
}

/*
 * " (context_switches, cpu_time, lost)", each once; "" if there is none. A workload has many of
 * each, so that it says of how many they hold.
 */
static char *names_with(const struct report *r, enum tristate ok)
{
	char *names = NULL, *text;

	for (size_t i = 0; i < r->nr_audits; i++) {
		if (!is_first_with(r, i, ok))
			continue;
		text_append(&names, ", ", xstrdup(r->audits[i].name));
		if (r->workload && ok == YES)
			text_append(&names, " ", share_that_holds(r, r->audits[i].name));
	}
	text = names ? xasprintf(" (%s)", names) : xstrdup("");
	free(names);
	return text;
}

static void append_others(char **text, const struct report *r, enum tristate ok, const char *what)
{
	size_t nr = nr_with(r, ok);
	char *names;

	if (!nr)
		return;
	names = names_with(r, ok);
	text_append(text, "; ", xasprintf("%zu %s%s", nr, what, names));
	free(names);
}

/* What a reader sees last: whether to believe the rest. */
static void add_summary(struct document *d, const struct report *r)
{
	struct block *fact;
	char *names, *text;

	if (!r->nr_audits) {
		document_add_fact(d, "audits", xstrdup("none were made"))->style = STYLE_WARNING;
		return;
	}
	names = names_with(r, YES);
	text = xasprintf("%zu of %zu hold%s", nr_with(r, YES), r->nr_audits, names);
	free(names);
	append_others(&text, r, NO, "failed");
	append_others(&text, r, UNKNOWN, "could not be made");
	fact = document_add_fact(d, "audits", text);
	if (nr_with(r, NO))
		fact->style = STYLE_FAILURE;
	else if (nr_with(r, UNKNOWN))
		fact->style = STYLE_WARNING;
}

/* The figures are ns or counts, which the model does not tell apart. */
static void add_audit(struct document *d, const struct audit *a)
{
	char expected[UNITS_TEXT_LEN], observed[UNITS_TEXT_LEN], tolerance[UNITS_TEXT_LEN];
	bool failed = a->ok == NO;
	char *text;

	if (failed)
		text = xasprintf("%s of %s: expected %s, observed %s, tolerance %s%s%s", a->name,
				 a->subject, units_count(a->expected, expected),
				 units_count(a->observed, observed),
				 units_count(a->tolerance, tolerance), a->reason ? "; " : "",
				 a->reason ? a->reason : "");
	else
		text = xasprintf("%s of %s: %s", a->name, a->subject,
				 a->reason ? a->reason : "no reason is given");
	document_add_fact(d, failed ? "failed" : "not made", text)->style =
		failed ? STYLE_FAILURE : STYLE_WARNING;
}

/* How many audits of the same name that could not be made stand before @index. */
static size_t nr_not_made_before(const struct report *r, size_t index)
{
	size_t nr = 0;

	for (size_t i = 0; i < index; i++)
		nr += r->audits[i].ok == UNKNOWN &&
		      !strcmp(r->audits[i].name, r->audits[index].name);
	return nr;
}

/* The trials of a workload give the same reason again and again: the first few will do. */
static bool is_shown(const struct report *r, size_t index)
{
	if (r->audits[index].ok == YES)
		return false;
	return !r->workload || r->audits[index].ok == NO ||
	       nr_not_made_before(r, index) < MOST_NOT_MADE;
}

void document_add_trust(struct document *d, const struct report *r)
{
	size_t nr_left_out = 0;

	document_add(d, BLOCK_HEADING, xstrdup("Audits and losses"));
	for (size_t i = 0; i < r->nr_audits; i++) {
		if (is_shown(r, i))
			add_audit(d, &r->audits[i]);
		else
			nr_left_out += r->audits[i].ok != YES;
	}
	if (nr_left_out)
		document_add_fact(d, "not made",
				  xasprintf("%zu more of the same names", nr_left_out))
			->style = STYLE_WARNING;
	add_lost(d, r);
	add_summary(d, r);
}
