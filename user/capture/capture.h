/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_H
#define SOCKTRACE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kernel/kernel.h"
#include "model/model.h"

/*
 * A session of tracing: targets, start, reports while it runs, end. The one reader of the maps'
 * records (socktrace/layout.h).
 */

struct capture_options {
	const char *mode; /* "attach", "run" */
	char **command;	  /* what was typed, for the report */
	bool detail_full;
	bool follow;	/* children too */
	bool from_exec; /* the one target is our own child: count from its execve(2) on */
	unsigned int max_threads;
	unsigned int max_sockets; /* 0: sockets are not traced */
	const struct forced_hook *forced;
	size_t nr_forced;
	const pid_t *pids;
	/*
	 * Start time of each, field 22 of /proc/PID/stat: with the pid, its identity. 0: not
	 * needed, the process is our child.
	 */
	const uint64_t *start_ticks;
	size_t nr_pids;
	uint64_t setup_began_ns; /* CLOCK_MONOTONIC when the command started */
};

struct capture;

/* How often capture_poll() must be called at least, to know short-lived processes by name. */
#define CAPTURE_POLL_MS 100

/* Returns 0 and counts from then on, or -errno with a message printed (see kernel_open()). */
int capture_start(struct capture **c, const struct capture_options *options);
/* Takes in what ended since the last call. Returns how many traced processes still live. */
size_t capture_poll(struct capture *c);
/*
 * How many of these the kernel still lists: fewer, if an end was not seen. A look at every thread of
 * the machine. If that is not to be had, the answer is capture_poll()'s.
 */
size_t capture_count_listed(struct capture *c);
/* Readable when capture_poll() must be called at once to make room for new threads. */
int capture_fd(const struct capture *c);
/* Ends the counting; reports after this are of the whole trace. 0 or -errno, message printed. */
int capture_end(struct capture *c);
/*
 * Fills @r (zeroed by the caller, who frees it with report_free()) with all that was counted up
 * to now, or up to capture_end(), audits included. 0 or -errno, message printed.
 */
int capture_report(struct capture *c, struct report *r);
/* Detaches; NULL is fine. */
void capture_close(struct capture *c);

#endif
