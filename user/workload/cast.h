/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_CAST_H
#define SOCKTRACE_WORKLOAD_CAST_H

#include <sys/types.h>

#include "base/credentials.h"
#include "workload/part.h"

/*
 * All parts of a workload, once: started, let go together, brought to their end. Whatever happens,
 * cast_close() leaves no process, namespace or link behind; nor does the end of this process.
 */

struct cast_options {
	const struct workload *workload;
	const char *const *texts; /* values of the options, by index */
	const uint64_t *values;	  /* the same, parsed */
	unsigned int port;	  /* of the subject; 0: any free one */
	bool has_links;		  /* each part in a network namespace of its own */
	const struct credentials *as;
	int nice; /* of the parts */
};

struct cast_part {
	const struct role *role;
	pid_t pid;
	int pidfd;
	struct truth *truth; /* shared with the part, which can write anything into it */
	char address[64];    /* where it listens */
	int go_fd;    /* to the part: a byte lets it go, a second one is the end; -1: closed */
	int ready_fd; /* from the part: a byte when it is ready */
	bool has_ended;
	uint64_t ended_ns; /* when its end was seen; its results may come later. 0: not yet */
};

struct cast {
	struct cast_options options;
	struct cast_part parts[MAX_ROLES];
	size_t nr_parts;
	bool is_stopping;
	uint64_t stop_ns; /* when the others were told to end */
	uint64_t progress_calls,
		progress_ns; /* the load's count of calls, and when that last changed */
};

/*
 * Starts all parts; they wait to be let go. @wake_fd: readable when the person does not want any
 * more of it. 0, or -1 with a message (none if @wake_fd was readable). cast_close() either way.
 */
int cast_start(struct cast *c, const struct cast_options *options, int wake_fd);
/* 0, or -1 with a message. */
int cast_go(struct cast *c);
/*
 * To be called when a pidfd is readable, and at least ten times a second. 1: all ended well, 0: not
 * yet, -1: it failed, with a message.
 */
int cast_poll(struct cast *c);
/* What the part said of itself, in bounds: names end, and are as many as there is room for. */
void cast_copy_truth(const struct cast_part *p, struct truth *copy);
void cast_close(struct cast *c);

#endif
