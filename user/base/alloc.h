/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_ALLOC_H
#define SOCKTRACE_BASE_ALLOC_H

#include <stddef.h>

/*
 * Allocation that does not fail: without memory the program says so and exits.
 * A tracer that exits is safe: the kernel detaches its programs with its descriptors.
 */
extern int exit_without_memory; /* the status, 1 unless a command has another */
void *xcalloc(size_t nr, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
__attribute__((format(printf, 1, 2))) char *xasprintf(const char *fmt, ...);

#endif
