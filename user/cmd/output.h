/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_OUTPUT_H
#define SOCKTRACE_CMD_OUTPUT_H

#include "base/capabilities.h"
#include "base/outfile.h"
#include "cmd/options.h"

/* By which root gives sudo's caller a file in a directory that may not be root's. */
#define CAPABILITIES_TO_WRITE \
	(CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER))

/*
 * Prints @r to @out: 0 or -errno. Through memory, because a stream that fails early no longer knows
 * why when the format ends.
 */
int output_write(const struct options *o, const struct report *r, FILE *out);
/*
 * Prints @r to @file, or (NULL) to standard output. If it cannot be trusted it is marked, and what
 * does not hold is said. EXIT_COMPLETE, EXIT_UNTRUSTED, or EXIT_FAILED where it could not be
 * written, with a message.
 */
int output_report(const struct options *o, struct report *r, struct outfile *file);
/*
 * The end of @file (NULL is fine), which has @nr_reports in it: it appears only if they can be
 * trusted (@code), or the person wants it all the same. Returns @code, or EXIT_FAILED where that
 * does not succeed.
 */
int output_finish(const struct options *o, struct outfile *file, unsigned int nr_reports, int code);

#endif
