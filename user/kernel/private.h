/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_KERNEL_PRIVATE_H
#define SOCKTRACE_KERNEL_PRIVATE_H

/* What the files of kernel/ share among themselves. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel/kernel.h"
#include "socktrace.skel.h"

/* Where the search for a probe's hook stands. */
struct choice {
	unsigned int hook; /* index of the one that is taken, or tried next */
	bool is_forced;	   /* and no other may be taken */
	uint64_t absent;   /* bit per optional attachment that this kernel does not have */
	/* per attachment; NULL where the program is only run by hand */
	struct bpf_link *links[MAX_ATTACHMENTS];
};

struct kernel {
	struct kernel_options options;
	struct socktrace_bpf *skel;
	struct probe_result *results;
	struct choice *choices; /* per probe */
	struct pool slots, tasks, processes, rows, blocks, socks, uses;
	unsigned int nr_cpus;
	struct ring_buffer *wake_ups;
	char *log; /* the verifier's words about the program that was refused */
};

/* The hook that is taken, or tried next, for probe number @probe; NULL: none is left or wanted. */
const struct hook *kernel_chosen_hook(const struct kernel *k, size_t probe);

#endif
