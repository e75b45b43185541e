// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "capture/host.h"
#include "capture/identity.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "kernel/explain.h"
#include "kernel/kernel.h"
#include "socktrace/layout.h"

static const struct argp argp = {
	.doc = "Say what this kernel and these privileges allow: each probe, the hook taken, why "
	       "others were passed over, what is lost without it."
	       "\vExit status 0: everything needed works. 3: it does not, and the text says why.",
};

enum column { COL_PROBE, COL_STATE, COL_HOOK, COL_LOST };

/* A small setting: enough threads for a try, and nothing is traced. */
static int try_load(struct kernel **k, bool detail_full)
{
	static const uint8_t kinds[KEYS];
	const struct kernel_options options = {
		.detail_full = detail_full,
		.max_threads = 2,
		.max_sockets = 16,
		.listed_call = CALL_UNKNOWN,
		.row_kinds = kinds,
	};

	return kernel_open(k, &options);
}

static void print_host(void)
{
	struct report r = {};

	host_fill(&r);
	printf("kernel:     %s %s, %s\n", r.host.kernel, r.host.arch, r.host.os ? r.host.os : "-");
	printf("BTF:        %s\n",
	       r.host.has_btf ? "yes" : "no: /sys/kernel/btf/vmlinux is missing");
	printf("lockdown:   %s\n", r.host.lockdown ? r.host.lockdown : "not shown by this kernel");
	printf("libbpf:     %s\n", r.tool.libbpf);
	for (size_t i = 0; i < nr_privileges; i++)
		printf("%-11s %s (%s)\n", privileges[i].name,
		       privilege_held(&privileges[i]) ? "yes" : "MISSING",
		       privileges[i].needed_for);
	putchar('\n');
	report_free(&r);
}

static char *passed_over(const struct probe_result *r)
{
	char *text = NULL;

	for (size_t i = 0; i < MAX_HOOKS; i++) {
		if (r->passed_over[i])
			text_append(&text, "; ",
				    xasprintf("%s passed over: %s", r->probe->hooks[i].where,
					      r->passed_over[i]));
	}
	return text;
}

static const char *state_of(const struct probe_result *r, bool is_tried)
{
	if (r->hook)
		return "ok";
	if (!is_tried)
		return "not tried";
	return r->probe->required ? "MISSING" : "missing";
}

static void add_row(struct libscols_table *table, const struct probe_result *r, bool is_tried)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	char *over = passed_over(r), *hook;

	hook = xasprintf("%s%s%s", r->hook ? r->hook->where : "-", over ? "; " : "",
			 over ? over : "");
	scols_line_set_data(line, COL_PROBE, r->probe->name);
	scols_line_set_data(line, COL_STATE, state_of(r, is_tried));
	scols_line_refer_data(line, COL_HOOK, hook);
	scols_line_set_data(line, COL_LOST, r->probe->lost_without);
	free(over);
}

/* The probes of one detail that the other does not have, or all of it. */
static void add_rows(struct libscols_table *table, const struct kernel *k, bool detail_full,
		     int err)
{
	const struct probe_result *results = kernel_probe_results(k);

	for (size_t i = 0; i < nr_probes; i++) {
		unsigned int wanted = probes[i].wanted & IN_BOTH;

		if (detail_full ? wanted & IN_FULL : wanted == IN_COUNT)
			add_row(table, &results[i], !err || err == -EOPNOTSUPP);
	}
}

static struct libscols_table *new_table(void)
{
	struct libscols_table *table;

	scols_init_debug(0);
	table = scols_new_table();
	if (!table)
		return NULL;
	scols_table_new_column(table, "PROBE", 0, 0);
	scols_table_new_column(table, "STATE", 0, 0);
	scols_table_new_column(table, "HOOK", 0, SCOLS_FL_WRAP);
	scols_table_new_column(table, "WITHOUT IT IS LOST", 0.4, SCOLS_FL_WRAP);
	return table;
}

static int report_probes(void)
{
	struct libscols_table *table = new_table();
	struct kernel *full, *count;
	int err = try_load(&full, true), err_count = try_load(&count, false);

	if (!table)
		return EXIT_FAILED;
	add_rows(table, full, true, err);
	add_rows(table, count, false, err_count);
	scols_print_table(table);
	fflush(stdout);
	scols_unref_table(table);
	err = err ?: err_count;
	if (err)
		explain_failure(full, err);
	kernel_close(full);
	kernel_close(count);
	return err ? EXIT_UNTRUSTED : EXIT_COMPLETE;
}

static int run(int argc, char **argv)
{
	struct options o = {};
	int code;

	options_parse(&argp, 0, argc, argv, &o, NULL);
	print_host();
	code = report_probes();
	if (identity_check_proc())
		code = EXIT_UNTRUSTED;
	if (code == EXIT_COMPLETE)
		puts("\nEverything that tracing needs works here.");
	return command_said(code);
}

const struct command command_doctor = {
	"doctor",
	"",
	"say what this kernel and these privileges allow, probe by probe",
	run,
};
