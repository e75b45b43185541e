/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_CLOCK_H
#define SOCKTRACE_BPF_CLOCK_H

#include "state.h"

/*
 * The scheduler charges threads by rq->clock_task, which stands still while the hypervisor runs
 * something else (CONFIG_PARAVIRT_TIME_ACCOUNTING) or an interrupt is served
 * (CONFIG_IRQ_TIME_ACCOUNTING); rq->clock goes on (kernel/sched/core.c, update_rq_clock_task()).
 * Their difference tells how much of a stretch on the CPU was not the thread's own. The way to
 * the run queue exists with CONFIG_FAIR_GROUP_SCHED; without it, 0. (The run queues' own symbol
 * can be used only by kernels built with CONFIG_KALLSYMS_ALL.)
 */
static __always_inline bool has_clock_skew(void)
{
	struct sched_entity *se = NULL;
	struct cfs_rq *cfs_rq = NULL;

	return bpf_core_field_exists(se->cfs_rq) && bpf_core_field_exists(cfs_rq->rq);
}

/* @task: a pointer that the verifier trusts (an argument of a tp_btf program). */
static __always_inline __u64 clock_skew(struct task_struct *task)
{
	struct rq *rq;

	if (!has_clock_skew())
		return 0;
	rq = task->se.cfs_rq->rq;
	return rq->clock - rq->clock_task;
}

/* The same with any pointer. */
static __always_inline __u64 clock_skew_probed(struct task_struct *task)
{
	struct rq *rq;

	if (!has_clock_skew())
		return 0;
	rq = BPF_CORE_READ(task, se.cfs_rq, rq);
	return BPF_CORE_READ(rq, clock) - BPF_CORE_READ(rq, clock_task);
}

#endif
