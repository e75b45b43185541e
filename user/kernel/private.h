/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_KERNEL_PRIVATE_H
#define SOCKTRACE_KERNEL_PRIVATE_H

/* What the files of kernel/ share among themselves. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/kernel.h"
#include "socktrace.skel.h"

struct kernel {
	struct kernel_options options;
	struct socktrace_bpf *skel;
	struct probe_result *results;
	unsigned int *choice;	 /* per probe: index of the hook to take next */
	struct bpf_link **links; /* per probe; NULL where the program is only run by hand */
	struct pool slots, tasks, processes, rows, blocks;
	unsigned int nr_cpus;
	struct ring_buffer *wake_ups;
	char *log; /* the verifier's words about the program that was refused */
};

/* The hook that is taken, or tried next, for probe number @probe; NULL: none is left or wanted. */
const struct hook *kernel_chosen_hook(const struct kernel *k, size_t probe);

#endif
