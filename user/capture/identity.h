/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_IDENTITY_H
#define SOCKTRACE_CAPTURE_IDENTITY_H

#include <sys/types.h>

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
/* Of /proc/PID/stat. */
struct identity_stat {
	char state;
	pid_t parent;
	unsigned int flags;
	uint64_t start_ticks; /* with the pid, its identity */
};

/* 0; -ESRCH: there is none, or it is hidden; -EINVAL: not in a form that is known here. */
int identity_read_stat(pid_t pid, struct identity_stat *stat);
/* What the start time of a record (CLOCK_BOOTTIME, ns) is there. */
uint64_t identity_start_ticks(uint64_t started_ns);
/* The peak resident set of a live process, bytes; METRIC_UNKNOWN if /proc does not say. */
uint64_t identity_rss_peak(pid_t pid);

/*
 * 0 if /proc shows the processes of this PID namespace, by the numbers that they have here; else
 * -ENOTSUP, message printed.
 */
int identity_check_proc(void);

#endif
