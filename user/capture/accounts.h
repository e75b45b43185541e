/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_ACCOUNTS_H
#define SOCKTRACE_CAPTURE_ACCOUNTS_H

#include "kernel/kernel.h"
#include "model/model.h"

/* Fills in what the trace itself took and lost: probes, programs, losses, CPU time, memory. */
void accounts_fill(struct report *r, const struct kernel *k);

#endif
