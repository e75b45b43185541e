/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_CONFINE_H
#define SOCKTRACE_BASE_CONFINE_H

/*
 * Forbids the calling process, for good, what a tracer that is tracing has no use for and one that
 * was taken over would: to execute programs, to trace processes by ptrace(2) or read and write
 * their memory by process_vm_readv(2) and its like, to open sockets, to change its users or
 * namespaces, to load modules. These calls fail with EPERM from now on: a seccomp(2) filter. Needs
 * no_new_privs (see capabilities_keep()) or CAP_SYS_ADMIN. A kernel that was built without filters
 * forbids nothing. 0 or -errno.
 */
int confine(void);

#endif
