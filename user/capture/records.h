/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_RECORDS_H
#define SOCKTRACE_CAPTURE_RECORDS_H

#include <stdint.h>

#include "kernel/kernel.h"
#include "model/model.h"
#include "socktrace/layout.h"

/* The programs' records, turned into the model's plain data. */

/*
 * Fills @out (zeroed) from a thread's record. @now_ns (CLOCK_MONOTONIC) is where the present
 * stretch of a live thread is cut; @detail_full as the trace was made.
 * @is_still: nothing writes to the record any more.
 */
void record_to_thread(const struct kernel *k, const struct task_record *t, uint64_t now_ns,
		      bool detail_full, bool is_still, struct thread *out);
/* Zeroes the record of a thread that ended, with its rows and blocks, and gives all of it back. */
void record_release(const struct kernel *k, uint32_t index);

/* enum row_kind for every key, by the names of the calls. KEYS of them, to be freed. */
uint8_t *record_row_kinds(void);

#endif
