/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_PLAY_H
#define SOCKTRACE_WORKLOAD_PLAY_H

#include "workload/part.h"

/*
 * The process of one part: socktrace workload NAME ROLE. Started by a person (by_hand), it comes
 * to its end with SIGINT or SIGTERM; else who started it says so through go_fd, and reads truth_fd
 * (memory of sizeof(struct truth)).
 */
struct play {
	const struct workload *workload;
	const struct role *role;
	const uint64_t *values;
	const char *listen, *connect;
	bool is_by_hand;
	int go_fd, ready_fd, truth_fd;
};

/* Plays the role. 0; -1: it failed, the reason was said (by hand) or is in the truth. */
int play(const struct play *play);

#endif
