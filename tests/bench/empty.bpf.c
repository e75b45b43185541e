// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A program that does nothing, for any tracepoint: user space names it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf")
int empty(void *ctx)
{
	return 0;
}
