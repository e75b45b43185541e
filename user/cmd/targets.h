/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_TARGETS_H
#define SOCKTRACE_CMD_TARGETS_H

#include <stdint.h>
#include <sys/types.h>

/* A process to trace, held by a descriptor so that its number cannot come to mean another. */
struct target {
	pid_t pid;
	int pidfd;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat: with pid, its identity; 0: our child */
};

/*
 * Opens process @text. Returns 0, or the exit status with a message printed: wrong usage where
 * @text is not a process id, EXIT_UNTRUSTED where that process cannot be traced.
 */
int target_open(const char *text, struct target *t);
/* How many descriptors it has open; 0 if that cannot be seen. */
unsigned int target_count_descriptors(const struct target *t);

#endif
