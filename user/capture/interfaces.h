/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_INTERFACES_H
#define SOCKTRACE_CAPTURE_INTERFACES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Names of network interfaces, which have numbers of their own in each network namespace. */

struct interface {
	uint32_t net, index;
	char *name;
};

struct interfaces {
	struct interface *items;
	size_t nr, cap;
	uint64_t missed_ns; /* when one was last looked for in vain */
};

/* The number of a process's network namespace, as in /proc/PID/ns/net; 0: not known. 0: our own. */
uint32_t interfaces_net_of(pid_t pid);
/*
 * The name of interface @index of namespace @net, as long as we or process @pid are there, or were
 * when it was last asked for; else NULL. Stays with @i. (Not if_indextoname(3), which needs a
 * socket, and so may not be called once tracing has begun.)
 */
const char *interface_name(struct interfaces *i, uint32_t net, uint32_t index, pid_t pid);
void interfaces_free(struct interfaces *i);

#endif
