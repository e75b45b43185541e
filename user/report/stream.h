/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_REPORT_STREAM_H
#define SOCKTRACE_REPORT_STREAM_H

#include <errno.h>
#include <stdio.h>

/* What a format returns at its end: 0, or -errno if something printed to @out did not get out. */
static inline int report_flush(FILE *out)
{
	errno = 0;
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

#endif
