// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Fills the queues of free elements, which from user space would take a system call for each. */
#include "state.h"

#define FILL(queue)                                                    \
	for (__u32 i = 0; i < FILL_AT_ONCE && i < count; i++, index++) \
	bpf_map_push_elem(&queue, &index, BPF_ANY)

/* Arguments: enum pool_number, the first index, how many (no more than FILL_AT_ONCE). */
SEC("raw_tp")
int fill_pool(unsigned long long *ctx)
{
	__u32 pool = ctx[0], index = ctx[1], count = ctx[2];

	switch (pool) {
	case POOL_TASKS:
		FILL(free_tasks);
		break;
	case POOL_PROCESSES:
		FILL(free_processes);
		break;
	case POOL_ROWS:
		FILL(free_rows);
		break;
	case POOL_BLOCKS:
		FILL(free_blocks);
		break;
	case POOL_SOCKS:
		FILL(free_socks);
		break;
	case POOL_USES:
		FILL(free_uses);
		break;
	}
	return 0;
}
