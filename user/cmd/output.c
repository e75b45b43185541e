// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "base/streams.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "model/names.h"

static void name_failed_audits(const struct report *r)
{
	for (size_t i = 0; i < r->nr_audits; i++) {
		const struct audit *a = &r->audits[i];

		if (a->ok == NO)
			msg_error("audit %s does not hold for %s: %s", a->name, a->subject,
				  a->reason ? a->reason : "counts differ");
	}
	for (size_t i = 0; i < r->capture.nr_lost; i++) {
		const struct lost_count *lost = &r->capture.lost[i];

		if (lost->count)
			msg_error("lost: %s: %ju (%s)", lost->reason, (uintmax_t)lost->count,
				  lost_help(lost->reason) ?: "");
	}
}

int output_write(const struct options *o, const struct report *r, FILE *out)
{
	__cleanup(free) char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	int err;

	if (!memory)
		return -errno;
	err = o->format->print(r, &o->report, memory);
	if (fclose(memory) && !err)
		err = -errno;
	errno = 0;
	if (!err && (fwrite(text, 1, len, out) != len || fflush(out)))
		err = errno ? -errno : -EIO;
	return err;
}

int output_report(const struct options *o, struct report *r, struct outfile *file)
{
	int code = EXIT_COMPLETE, err;

	if (!report_audits_hold(r)) {
		r->capture.complete = false;
		name_failed_audits(r);
		code = EXIT_UNTRUSTED;
	}
	err = output_write(o, r, file ? outfile_stream(file) : stdout);
	if (!err)
		return code;
	msg_error("write the report to %s: %s; the report is lost",
		  o->output ? o->output : "standard output", streams_why(-err));
	return EXIT_FAILED;
}

int output_finish(const struct options *o, struct outfile *file, unsigned int nr_reports, int code)
{
	bool is_wanted = code == EXIT_COMPLETE || (code == EXIT_UNTRUSTED && o->allow_partial);

	if (!file)
		return code;
	if (is_wanted && nr_reports)
		return outfile_commit(file) ? EXIT_FAILED : code;
	outfile_abort(file);
	if (code == EXIT_UNTRUSTED && nr_reports)
		msg_error("%s not written, because the report cannot be trusted; --allow-partial "
			  "writes it all the same",
			  o->output);
	return code;
}
