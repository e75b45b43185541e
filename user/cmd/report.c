// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/outfile.h"
#include "base/streams.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/output.h"
#include "model/saved.h"
#include "model/workload.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const char **path = ((struct options_input *)state->input)->own;

	switch (key) {
	case ARGP_KEY_INIT:
		options_init_children(state, 2);
		return 0;
	case ARGP_KEY_ARG:
		if (*path)
			argp_error(state, "one report at a time");
		*path = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "name a saved report (JSON)");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = {
	{.argp = &argp_output}, {.argp = &argp_workload_output}, {}};
static const struct argp argp = {
	.parser = parse,
	.args_doc = "FILE",
	.doc = "Render a saved JSON report again, in any format, without privileges; the bytes are "
	       "those that the live command printed. '-' reads standard input.",
	.children = children,
};

/* The whole file, or NULL and errno. */
static char *read_all(int fd, size_t *len)
{
	size_t cap = 1 << 16;
	char *text = xcalloc(1, cap);
	ssize_t n;

	*len = 0;
	while ((n = read(fd, text + *len, cap - *len)) > 0) {
		*len += n;
		if (*len == cap)
			text = xrealloc(text, cap *= 2);
	}
	if (!n)
		return text;
	free(text);
	return NULL;
}

static char *load(const char *path, size_t *len)
{
	__cleanup(free) char *shown = escape_terminal(path);
	__cleanup(close_fd) int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(0);
	char *text = fd < 0 ? NULL : read_all(fd, len);

	if (!text)
		msg_error("read %s: %s", shown, strerror(errno));
	return text;
}

/* Whether @r can show the trial that is asked for, if one is. */
static bool has_trial(const struct report *r, uint64_t number)
{
	const struct workload_run *w = r->workload;

	for (size_t i = 0; w && i < w->nr_trials; i++)
		if (w->trials[i].number == number && w->trials[i].traced)
			return true;
	return !number;
}

static bool can_be_trusted(const struct report *r)
{
	for (size_t i = 0; i < r->capture.nr_lost; i++)
		if (r->capture.lost[i].count)
			return false;
	return r->capture.complete && report_audits_hold(r);
}

/* Returns the exit status; @trusted becomes false if a report cannot be trusted. */
static int render(const char *path, const char *text, size_t len, struct options *o, FILE *out,
		  bool *trusted)
{
	__cleanup(free) char *shown = escape_terminal(path), *why = NULL;
	struct saved *saved = saved_open(text, len);
	struct report r = {};
	int more, err = 0, nr = 0;

	while (!err && (more = saved_next(saved, &r, &why)) > 0) {
		if (!has_trial(&r, o->report.trial)) {
			msg_error("--trial %ju: %s has no traced trial of this number",
				  (uintmax_t)o->report.trial, shown);
			report_free(&r);
			saved_close(saved);
			return EXIT_USAGE;
		}
		*trusted &= can_be_trusted(&r);
		o->report.is_further = nr;
		err = output_write(o, &r, out);
		report_free(&r);
		nr++;
	}
	saved_close(saved);
	if (err) {
		msg_error("write the report: %s", streams_why(-err));
		return EXIT_FAILED;
	}
	if (more < 0) {
		msg_error("%s is not a report that socktrace can read: %s", shown, why);
		return EXIT_FAILED;
	}
	if (!nr) {
		msg_error("%s is empty: there is no report in it", shown);
		return EXIT_FAILED;
	}
	return EXIT_COMPLETE;
}

static int finish(struct outfile *file, const struct options *o, bool trusted, int code)
{
	if (code == EXIT_COMPLETE && !trusted) {
		code = EXIT_UNTRUSTED;
		msg_warn("this report cannot be trusted: its end says why");
	}
	if (file && code == EXIT_UNTRUSTED && !o->allow_partial)
		msg_error("%s not written, because the report cannot be trusted; --allow-partial "
			  "writes it all the same",
			  o->output);
	if (!file && fflush(stdout)) {
		msg_error("write the report: %s", streams_why(errno));
		return EXIT_FAILED;
	}
	if (file && (code == EXIT_COMPLETE || (code == EXIT_UNTRUSTED && o->allow_partial)))
		return outfile_commit(file) ? EXIT_FAILED : code;
	outfile_abort(file);
	return code;
}

static int run(int argc, char **argv)
{
	__cleanup(free) char *text = NULL;
	struct outfile *file = NULL;
	const char *path = NULL;
	struct options o = {};
	bool trusted = true;
	size_t len;
	int code;

	options_parse(&argp, 0, argc, argv, &o, &path);
	text = load(path, &len);
	if (!text || (o.output && outfile_open(&file, o.output)))
		return EXIT_FAILED;
	/* One report per line, as -i writes them, stays so. */
	o.report.compact = len > 1 && text[0] == '{' && text[1] != '\n';
	code = render(path, text, len, &o, file ? outfile_stream(file) : stdout, &trusted);
	return finish(file, &o, trusted, code);
}

const struct command command_report = {
	"report",
	"FILE",
	"render a saved report again, in any format",
	run,
};
