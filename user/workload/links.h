/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_LINKS_H
#define SOCKTRACE_WORKLOAD_LINKS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Network namespaces of a workload's own, joined by veth pairs. They have no names and no mounts:
 * a process has one (unshare(2)), and the kernel removes it, with its links, when the last process
 * in it ends, however that comes.
 */

/*
 * Makes link number @index (0 to 255) in the namespace of process @pid, which has the address
 * 10.77.@index.1 on it, and the loopback device. Needs ip(8) and CAP_NET_ADMIN. 0, or -1 with a
 * message.
 */
int links_open(pid_t pid, unsigned int index);
/* Gives the other end of it, with the address 10.77.@index.2, to process @to. As links_open(). */
int links_join(pid_t pid, pid_t to, unsigned int index);

#endif
