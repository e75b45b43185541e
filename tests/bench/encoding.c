// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What it takes to make a report and to write and read it: no BPF, no privileges.
 *
 * usage: encoding ROWS    synthetic records of about so many rows
 *        encoding FILE    a saved report
 *
 * Prints lines "STEP ROWS NS BYTES": ns of CPU time that the step takes for the whole report, as a
 * mean of several times; it waits for nothing, so that is what it takes where a CPU is free. A row
 * is a process, a thread, a system call of either, or a socket: a record of CSV with --threads.
 * Each format writes all of them, to memory. The steps:
 *
 * fold       records as the BPF programs leave them become the report; BYTES of records. Only with
 *            ROWS. A trace has the snapshot before it, which is the kernel's work.
 * FORMAT     the report is written; BYTES of text
 * read-json  the text of JSON becomes the report; BYTES of text
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "model/saved.h"
#include "report/report.h"
#include "synthetic.h"

#define LEAST_NS 30000000 /* a step is repeated for as long */

static void fail(const char *why)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t))
		die("clock_gettime");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* --- steps ----------------------------------------------------------------------------------- */

struct work {
	struct synthetic *synthetic; /* NULL: a saved report */
	const struct report *report;
	const struct report_format *format;
	char *json; /* of @report */
	size_t json_bytes;
};

/* Does it once: how long that took, and how many bytes it wrote or read. */
typedef uint64_t step_fn(const struct work *w, size_t *bytes);

static void fold(const struct work *w, struct report *r)
{
	*r = (struct report){0};
	synthetic_fold(w->synthetic, r);
}

static uint64_t time_fold(const struct work *w, size_t *bytes)
{
	uint64_t began_ns = cpu_ns(), ns;
	struct report r;

	fold(w, &r);
	ns = cpu_ns() - began_ns;
	report_free(&r);
	*bytes = synthetic_bytes(w->synthetic);
	return ns;
}

static char *encode(const struct report *r, const struct report_format *format, size_t *len)
{
	const struct report_options options = {.with_threads = true};
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out || format->print(r, &options, out) || fclose(out))
		fail(format->name);
	return text;
}

static uint64_t time_encode(const struct work *w, size_t *bytes)
{
	uint64_t began_ns = cpu_ns(), ns;
	char *text = encode(w->report, w->format, bytes);

	ns = cpu_ns() - began_ns;
	free(text);
	return ns;
}

static void read_json(const char *text, size_t len, struct report *r)
{
	struct saved *saved = saved_open(text, len);
	char *why = NULL;

	if (saved_next(saved, r, &why) != 1)
		fail(why ?: "no report");
	saved_close(saved);
}

static uint64_t time_read(const struct work *w, size_t *bytes)
{
	uint64_t began_ns = cpu_ns(), ns;
	struct report r;

	read_json(w->json, w->json_bytes, &r);
	ns = cpu_ns() - began_ns;
	report_free(&r);
	*bytes = w->json_bytes;
	return ns;
}

static void measure(const char *name, step_fn *step, const struct work *w)
{
	uint64_t ns = 0, nr = 0;
	size_t bytes;

	step(w, &bytes); /* memory, caches */
	do {
		ns += step(w, &bytes);
		nr++;
	} while (ns < LEAST_NS);
	printf("%s %zu %" PRIu64 " %zu\n", name, report_rows(w->report), ns / nr, bytes);
}

/* --- what is written is what was meant ------------------------------------------------------- */

static void check_csv(const struct report *r)
{
	size_t len, lines = 0, drops = 0;
	char *text = encode(r, &report_csv, &len);

	for (const char *at = text; (at = strstr(at, "\r\n")); at += 2)
		lines++;
	free(text);
	for (size_t i = 0; i < r->nr_processes; i++)
		for (size_t k = 0; k < r->processes[i].nr_sockets; k++)
			drops += r->processes[i].sockets[k].drops.nr;
	if (!r->workload && lines != 1 + report_rows(r) + drops + r->drops.nr)
		fail("CSV has not a record for each row");
}

static void check_reading(const struct work *w)
{
	struct report again;
	size_t len;
	char *text;

	read_json(w->json, w->json_bytes, &again);
	text = encode(&again, &report_json, &len);
	if (len != w->json_bytes || memcmp(text, w->json, len))
		fail("JSON that is read and written again is not the same");
	free(text);
	report_free(&again);
}

/* --- all of it ------------------------------------------------------------------------------- */

static void measure_all(struct work *w)
{
	char *names = strdup(report_format_names()), *rest = names, *name;

	w->json = encode(w->report, &report_json, &w->json_bytes);
	check_csv(w->report);
	check_reading(w);
	if (w->synthetic)
		measure("fold", time_fold, w);
	while ((name = strsep(&rest, ", "))) {
		if (!*name)
			continue;
		w->format = report_format_find(name);
		measure(name, time_encode, w);
	}
	measure("read-json", time_read, w);
	free(names);
	free(w->json);
}

static void with_records(const char *rows)
{
	unsigned long nr = number(rows, 1, 1000000);
	struct work w = {.synthetic = synthetic_new((nr + SYNTHETIC_ROWS - 1) / SYNTHETIC_ROWS)};
	struct report r;

	fold(&w, &r);
	if (!report_audits_hold(&r))
		fail("the audits of the synthetic report do not hold");
	w.report = &r;
	measure_all(&w);
	report_free(&r);
	synthetic_free(w.synthetic);
}

static void with_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t len = f ? getdelim(&text, &size, EOF, f) : -1; /* no byte is EOF: all of it */
	struct report r;

	if (len < 0)
		die(path);
	fclose(f);
	read_json(text, len, &r);
	measure_all(&(struct work){.report = &r});
	report_free(&r);
	free(text);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s ROWS | FILE\n", program_invocation_short_name);
		return 2;
	}
	if (argv[1][strspn(argv[1], "0123456789")])
		with_file(argv[1]);
	else
		with_records(argv[1]);
	return 0;
}
