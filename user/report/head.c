// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "base/units.h"
#include "report/document.h"

/* --- joining ------------------------------------------------------------------------------ */

static void append_known(char **text, const char *between, const char *more)
{
	if (more && *more)
		text_append(text, between, xstrdup(more));
}

/* A word that holds a space, or nothing, in quotes: enough to see where words end. */
static char *command_text(char *const *words)
{
	char *text = NULL;

	for (; *words; words++)
		text_append(
			&text, " ",
			xasprintf(!**words || strpbrk(*words, " \t\n") ? "'%s'" : "%s", *words));
	return text;
}

/* --- facts -------------------------------------------------------------------------------- */

static char *host_text(const struct report *r)
{
	char *text = NULL;

	if (r->host.kernel)
		text_append(&text, "", xasprintf("kernel %s", r->host.kernel));
	append_known(&text, " ", r->host.arch);
	append_known(&text, ", ", r->host.os);
	text_append(&text, ", ",
		    xasprintf("%ju CPU%s", (uintmax_t)r->host.cpus, r->host.cpus == 1 ? "" : "s"));
	append_known(&text, ", ", r->host.cpu_model);
	append_known(&text, ", ", r->host.virtualization);
	return text;
}

static char *built_text(const struct report *r)
{
	char *text = NULL;

	if (r->tool.commit)
		text_append(&text, "", xasprintf("commit %s", r->tool.commit));
	if (r->tool.compiler)
		text_append(&text, ", ", xasprintf("with %s", r->tool.compiler));
	if (r->tool.libbpf)
		text_append(&text, ", ", xasprintf("libbpf %s", r->tool.libbpf));
	return text ? text : xstrdup("-");
}

/* What the measuring itself took. */
static char *cost_text(const struct report *r)
{
	char cpu[UNITS_TEXT_LEN], rss[UNITS_TEXT_LEN], maps[UNITS_TEXT_LEN], setup[UNITS_TEXT_LEN];

	return xasprintf(
		"%s of CPU time, %s of memory, %s of maps; set up in %s",
		units_ns(r->capture.self_cpu_ns, cpu), units_bytes(r->capture.self_rss_bytes, rss),
		units_bytes(r->capture.map_bytes, maps), units_ns(r->capture.setup_ns, setup));
}

/* What the programs took, where the kernel was asked to count it; else NULL. */
static char *programs_text(const struct report *r)
{
	uint64_t runs = 0, run_ns = 0;
	char count[UNITS_TEXT_LEN], time[UNITS_TEXT_LEN], mean[UNITS_TEXT_LEN];

	for (size_t i = 0; i < r->capture.nr_programs; i++) {
		const struct program_cost *p = &r->capture.programs[i];

		if (p->runs == METRIC_UNKNOWN || p->run_ns == METRIC_UNKNOWN)
			continue;
		runs += p->runs;
		run_ns += p->run_ns;
	}
	if (!runs)
		return NULL;
	return xasprintf("the programs ran %s times for %s, %s each", units_count(runs, count),
			 units_ns(run_ns, time), units_ns(run_ns / runs, mean));
}

static void add_untraced(struct document *d, const struct report *r)
{
	uint64_t nr = r->capture.untraced_descendants;

	if (nr && nr != METRIC_UNKNOWN)
		document_add_fact(d, "without",
				  xasprintf("%ju descendant%s of the targets that lived before the "
					    "trace",
					    (uintmax_t)nr, nr == 1 ? "" : "s"))
			->style = STYLE_WARNING;
}

static void add_probes(struct document *d, const struct report *r)
{
	for (size_t i = 0; i < r->capture.nr_probes; i++) {
		const struct probe_state *p = &r->capture.probes[i];

		if (!p->attached && p->reason)
			document_add_fact(d, "without", xasprintf("%s: %s", p->name, p->reason))
				->style = STYLE_WARNING;
	}
}

void document_add_head(struct document *d, const struct report *r)
{
	char time[UNITS_TEXT_LEN];
	char *programs = programs_text(r), *cost = cost_text(r);

	document_add(d, BLOCK_TITLE, xasprintf("socktrace %s", r->tool.version));
	if (r->capture.command && *r->capture.command)
		document_add_fact(d, "command", command_text(r->capture.command));
	document_add_fact(d, "traced",
			  xasprintf("%s from %s, detail %s", units_ns(r->capture.duration_ns, time),
				    r->capture.started, r->capture.detail));
	document_add_fact(d, "host", host_text(r));
	if (r->workload) /* such reports are kept, and compared with later ones */
		document_add_fact(d, "built", built_text(r));
	if (programs)
		text_append(&cost, "; ", programs);
	document_add_fact(d, "cost", cost);
	add_untraced(d, r);
	add_probes(d, r);
	if (!r->capture.complete)
		document_add_fact(d, "incomplete",
				  xstrdup("part of the measurement is missing; the end says what"))
			->style = STYLE_FAILURE;
}
