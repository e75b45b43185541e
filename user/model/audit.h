/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_AUDIT_H
#define SOCKTRACE_MODEL_AUDIT_H

#include "model/model.h"

/*
 * Compares the books of every thread and socket and appends to @r->audits, per process:
 * context_switches, syscall_balance, cpu_time; where it has TCP (UDP) sockets with books,
 * tcp_bytes (udp_drops); and once: lost. An audit holds only if it holds for each thread or socket
 * by itself; the figures shown are sums over them, and @reason names the first for which it fails.
 * @tick_ns is the scheduler's tick.
 */
void report_audit(struct report *r, uint64_t tick_ns);

#endif
