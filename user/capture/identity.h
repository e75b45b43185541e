/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_IDENTITY_H
#define SOCKTRACE_CAPTURE_IDENTITY_H

#include "model/model.h"
#include "socktrace/layout.h"

/* What a process is called: its program and arguments. */

/*
 * Fills exe and cmdline of @p from /proc while the process lives, else from what the programs
 * noted at its last execve(2), else from @parent (NULL: not known), whose image it still runs.
 * Values that @p had are replaced only by better ones.
 */
void identity_fill(struct process *p, const struct process_record *record,
		   const struct process *parent);
/* The peak resident set of a live process, bytes; METRIC_UNKNOWN if /proc does not say. */
uint64_t identity_rss_peak(pid_t pid);

#endif
