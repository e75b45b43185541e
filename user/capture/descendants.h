/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_DESCENDANTS_H
#define SOCKTRACE_CAPTURE_DESCENDANTS_H

#include <stddef.h>
#include <sys/types.h>

/*
 * The processes that live and descend from one of @pids, as /proc shows them, ascending; those
 * among
 * @pids left out. The caller frees the list. One that is born meanwhile may be missing.
 */
pid_t *descendants_of(const pid_t *pids, size_t nr_pids, size_t *nr);

#endif
