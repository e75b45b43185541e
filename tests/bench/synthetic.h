/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Records as the BPF programs leave them, of processes that never were: user/capture folds them
 * into a report as it does those of a trace, without a kernel or privileges.
 */
#ifndef SYNTHETIC_H
#define SYNTHETIC_H

#include <stddef.h>

#include "model/model.h"

#define SYNTHETIC_ROWS 2500 /* of each process, see report_rows() */

/*
 * What a report has a row for: each process, each thread, each system call of either, each socket.
 * It is a record of CSV with --threads.
 */
size_t report_rows(const struct report *r);

struct synthetic;

/* The same records each time. */
struct synthetic *synthetic_new(unsigned int nr_processes);
void synthetic_free(struct synthetic *s);
size_t synthetic_bytes(const struct synthetic *s); /* of all records */
/* Fills @r (zeroed), as capture_report() does after a snapshot. */
void synthetic_fold(struct synthetic *s, struct report *r);

#endif
