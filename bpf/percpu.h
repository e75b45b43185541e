/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_PERCPU_H
#define SOCKTRACE_BPF_PERCPU_H

/*
 * Where each CPU has its own copy of the kernel's per-CPU variables. No helper tells for a pointer
 * that was read, and __per_cpu_offset is not to be had by every name table. But a map with an
 * element per CPU has both: the pointer that the kernel keeps for all CPUs, and the address that a
 * lookup gives on one. The difference goes for every per-CPU variable.
 *
 * The verifier takes the difference of two pointers for a number, and an object of the kernel for
 * its address; so the addresses of the map and of its element are had by their distance from a
 * task.
 */

#include "state.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} each_cpu __weak SEC(".maps");

/* The distance of two pointers, which the compiler does not take apart again. */
static __always_inline __u64 distance(const void *to, const void *from)
{
	__u64 x = (__u64)to;

	asm volatile("%0 -= %1" : "+r"(x) : "r"(from));
	return x;
}

/* By any task: the address of the map, and what the kernel keeps for its element. */
static __always_inline void find_each_cpu(struct task_struct *task)
{
	struct bpf_array *map;

	if (each_cpu_map)
		return;
	map = (struct bpf_array *)(distance(&each_cpu, task) + address_of(task));
	bpf_probe_read_kernel(&each_cpu_base, sizeof(each_cpu_base),
			      (void *)map + bpf_core_field_offset(map->pptrs));
	each_cpu_map = (__u64)map;
}

/* Once on every CPU, after that. */
static __always_inline void note_cpu_offset(struct cpu_slot *slot)
{
	__u32 zero = 0;
	__u64 *element = bpf_map_lookup_elem(&each_cpu, &zero);

	if (!element || !each_cpu_base)
		return;
	slot->percpu_offset = distance(element, &each_cpu) + each_cpu_map - each_cpu_base;
	slot->has_percpu_offset = 1;
}

#endif
