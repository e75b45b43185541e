/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_KERNEL_EXPLAIN_H
#define SOCKTRACE_KERNEL_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel.h"

/* Why the kernel does not let us trace, in words. */

/* The capabilities that loading and attaching need. */
struct privilege {
	const char *name; /* "CAP_BPF" */
	int number;	  /* linux/capability.h */
	const char *needed_for;
};
extern const struct privilege privileges[];
extern const size_t nr_privileges;
/* True if this process has @p, or CAP_SYS_ADMIN, which includes it (capabilities(7)). */
bool privilege_held(const struct privilege *p);
/*
 * The capabilities by which a trace that has begun goes on: those of privileges[], or CAP_SYS_ADMIN
 * in the place of one that is not held; and, if held, those to know other users' processes by their
 * executable and the kernel's functions by their names. Bits by number.
 */
uint64_t privileges_to_go_on(void);

/* Says on standard error why kernel_open() failed with @err, and what to do. */
void explain_failure(const struct kernel *k, int err);

#endif
