// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Where each traced thread's time goes: on a CPU, ready to run, asleep. */
#include "state.h"
#include "percpu.h"
#include "switches.h"

/* The record of the task that goes off: the slot's, unless the slot may be wrong. */
static __always_inline struct task_record *leaving(struct cpu_slot *slot, struct task_struct *prev)
{
	bool unseen = slot->running != (__u64)prev, unsure = slot->task == SLOT_UNSURE;
	struct task_record *t;
	__u32 index;

	if (likely(!unseen && !unsure && !seeding))
		return slot->task ? task_at(slot->task) : NULL;
	t = record_of(prev, prev->tgid, prev->pid, &index);
	if (t && unseen && !unsure && slot->running)
		lose(LOST_SWITCH_UNSEEN);
	return t;
}

/*
 * A thread without a record comes onto a CPU, of a process that may be traced. If it is, the
 * thread's beginning was missed; but for those that were ending when all were listed, or are in
 * execve(2), which hides them from the listing and takes them up (met_at_exec()).
 */
static __noinline int note_stranger(__u64 address, __u32 tgid)
{
	struct task_struct *task = (struct task_struct *)address;

	if (seeding || lost[LOST_TASKS_FULL] || !bpf_map_lookup_elem(&process_of, &tgid) ||
	    BPF_CORE_READ(task, flags) & PF_EXITING)
		return 0;
	if (bpf_core_field_exists(task->in_execve) &&
	    BPF_CORE_READ_BITFIELD_PROBED(task, in_execve))
		return 0;
	lose(LOST_UNSEEN_THREAD);
	return 0;
}

/* Arguments 1 and 2 are prev and next on every kernel that has this tracepoint's BTF. */
SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct task_record *off, *on = NULL;
	struct cpu_slot *slot;
	__u32 index = 0;
	__u64 now;

	slot = this_cpu_slot();
	if (!slot)
		return 0;
	if (unlikely(!tracing)) {
		slot->task = 0;
		return 0;
	}
	if (MUTATED(MISSED_SWITCH))
		return 0;
	off = leaving(slot, prev);
	if (next->pid)
		on = record_of(next, next->tgid, next->pid, &index);
	if (unlikely(!on && next->pid && may_be_traced(next->tgid)))
		note_stranger(address_of(next), next->tgid);
	slot->running = (__u64)next;
	slot->task = on ? index : may_be_silent(next->tgid) ? SLOT_UNSURE : 0;
	if (!off && !on)
		return 0;
	now = bpf_ktime_get_ns();
	if (off) {
		task_off(off, prev, now, preempt);
		if (unlikely(task_state(prev) & TASK_DEAD))
			task_ended(off, prev, now);
	}
	if (on)
		task_on(on, next, now);
	return 0;
}

/*
 * sched_wakeup comes after the switch that took the thread off its CPU (try_to_wake_up() waits
 * for it, or leaves the wake-up to that CPU); sched_waking may come before it.
 */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
	struct task_record *t;
	__u32 index;

	if (!tracing)
		return 0;
	t = record_of(task, task->tgid, task->pid, &index);
	if (t && t->phase == PHASE_OFF && !t->woken_ns)
		t->woken_ns = bpf_ktime_get_ns();
	return 0;
}

/*
 * Run once on every CPU, by an inter-processor interrupt, when tracing starts: finds the traced
 * thread that is on that CPU now. BPF_PROG_TEST_RUN of a raw tracepoint, Linux 5.10 (1b4d60ec162f).
 */
SEC("raw_tp")
int place_current(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct cpu_slot *slot = this_cpu_slot();
	struct task_record *t;
	__u32 index, tgid;

	if (!slot)
		return 0;
	note_cpu_offset(slot);
	if (slot->task)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	t = record_of(task, tgid, BPF_CORE_READ(task, pid), &index);
	if (!t) {
		/* What it switches to is not seen; it came on before any switch was looked at. */
		if (may_be_silent(tgid))
			slot->task = SLOT_UNSURE;
		return 0;
	}
	if (t->phase == PHASE_ON)
		return 0;
	task_on_late(t, task, bpf_ktime_get_ns());
	slot->task = index;
	slot->running = (__u64)task;
	return 0;
}
