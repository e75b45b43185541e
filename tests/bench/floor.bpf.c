// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What any tracer of system calls pays before it does anything, and before it measures a duration.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 last[2];

SEC("raw_tp/sys_enter")
int floor_enter(void *ctx)
{
	return 0;
}

SEC("raw_tp/sys_exit")
int floor_exit(void *ctx)
{
	return 0;
}

SEC("?raw_tp/sys_enter")
int clock_enter(void *ctx)
{
	last[0] = bpf_ktime_get_ns();
	return 0;
}

SEC("?raw_tp/sys_exit")
int clock_exit(void *ctx)
{
	last[1] = bpf_ktime_get_ns();
	return 0;
}
