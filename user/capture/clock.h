/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_CLOCK_H
#define SOCKTRACE_CAPTURE_CLOCK_H

#include <stdint.h>

/*
 * The kernel's own clocks, ns: those of BPF programs and task records. In a time namespace
 * (time_namespaces(7)) clock_gettime(2) and /proc show them shifted.
 */

/* CLOCK_MONOTONIC, as bpf_ktime_get_ns() has it. */
uint64_t kernel_clock_ns(void);
/* What /proc/PID/stat adds to a start time on CLOCK_BOOTTIME. */
int64_t boottime_offset_ns(void);

#endif
