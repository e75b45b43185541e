/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_SWITCHES_H
#define SOCKTRACE_BPF_SWITCHES_H

/*
 * A traced task comes onto a CPU, or goes off it. Also where each thread's span of trace begins.
 *
 * Two clocks measure a stretch on the CPU. ktime, which also times the calls, is read in these
 * programs. The scheduler's clock is read by the scheduler itself, before it picks a thread, and
 * sometimes as early as at the wake-up that led there (rq_clock_skip_update()): by it a woken
 * thread is charged about a microsecond more per switch. se.exec_start is that clock's reading
 * since which the present stretch is not yet charged: at the switch onto the CPU the beginning of
 * the stretch, at the switch off it the end (update_curr()). What the report calls on-CPU time is
 * the scheduler's, so that it agrees with sum_exec_runtime; user space takes the difference off
 * the time waiting for a CPU, so that a thread's times still add up.
 */

#include "clock.h"

#define EBUSY 16

#define TASK_DEAD 0x80 /* include/linux/sched.h, since 4.14 */

static __always_inline unsigned int task_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return ((struct task_struct___before_5_14 *)task)->state;
}

/* The kernel's own counters, since which ours count too. */
static __always_inline void set_base(struct task_record *t, struct task_struct *task)
{
	t->has_base = 1;
	t->base_voluntary = t->last_voluntary = BPF_CORE_READ(task, nvcsw);
	t->base_involuntary = BPF_CORE_READ(task, nivcsw);
	t->base_exec_ns = t->last_exec_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
}

static __always_inline void add_off_time(struct task_record *t, __u64 now)
{
	__u64 off = now - t->since_ns, blocked = 0;

	/*
	 * Only a wake-up tells waiting for a CPU from sleep. A thread that was preempted never
	 * left the run queue, whatever state it was about to enter.
	 */
	if (t->went_off != OFF_PREEMPTED && t->woken_ns > t->since_ns)
		blocked = t->woken_ns - t->since_ns;
	else if (t->went_off == OFF_ASLEEP)
		blocked = off;
	if (blocked > off)
		blocked = off;
	t->blocked_ns += blocked;
	t->runnable_ns += off - blocked;
	if (t->call != CALL_NONE) {
		t->call_blocked_ns += blocked;
		t->call_runnable_ns += off - blocked;
	}
}

static __always_inline void task_on(struct task_record *t, struct task_struct *task, __u64 now)
{
	if (t->phase == PHASE_ON)
		return;
	if (!t->has_base)
		set_base(t, task);
	add_off_time(t, now);
	t->phase = PHASE_ON;
	t->since_ns = now;
	t->exec_start_ns = task->se.exec_start;
	t->clock_skew_ns = clock_skew(task);
}

/*
 * @task is on this CPU, and its switch was not seen: it was there when it was listed, or came
 * after a thread that hides its switches (see may_be_silent()). In the second case the scheduler
 * knows since when: what it has charged since the thread last went off, up to a tick.
 */
static __always_inline void task_on_late(struct task_record *t, struct task_struct *task, __u64 now)
{
	__u64 exec_ns = BPF_CORE_READ(task, se.sum_exec_runtime), charged = 0;

	t->phase = PHASE_ON;
	t->exec_start_ns = BPF_CORE_READ(task, se.exec_start);
	t->clock_skew_ns = clock_skew_probed(task);
	if (!t->has_base) {
		set_base(t, task);
		t->run_ns += now - t->since_ns;
		t->charged_ns += now - t->since_ns;
		t->listed_ns = now - t->since_ns;
		t->since_ns = now;
		return;
	}
	charged = exec_ns - t->last_exec_ns;
	if (charged > now - t->since_ns)
		charged = now - t->since_ns;
	add_off_time(t, now - charged);
	t->since_ns = now - charged;
	t->exec_start_ns -= charged;
}

/*
 * Each event is one switch; which of the two kinds it was, only the kernel's counters say for
 * sure: a thread that was about to sleep with a signal pending switches voluntarily with its
 * state already back to running (kernel/sched/core.c, __schedule()). An event that is missed
 * shows all the same: the kernel's counter then moves by two where ours moves by one.
 */
static __always_inline void count_switch(struct task_record *t, struct task_struct *task)
{
	if (MUTATED(SWITCH))
		return;
	if (task->nvcsw != t->last_voluntary)
		t->voluntary++;
	else
		t->involuntary++;
	t->last_voluntary = task->nvcsw;
}

static __always_inline void add_on_time(struct task_record *t, struct task_struct *task, __u64 now)
{
	__u64 skew = clock_skew(task);

	if (MUTATED(STRETCH))
		return;
	t->run_ns += now - t->since_ns;
	t->charged_ns += task->se.exec_start - t->exec_start_ns;
	if (skew > t->clock_skew_ns)
		t->stolen_ns += skew - t->clock_skew_ns;
}

/* @task goes off this CPU. */
static __always_inline void task_off(struct task_record *t, struct task_struct *task, __u64 now,
				     bool preempted)
{
	bool is_first = !t->has_base;

	if (t->phase == PHASE_OFF)
		task_on_late(t, task, now);
	add_on_time(t, task, now);
	/* The first event sets the base, in which the kernel has this switch already. */
	if (!is_first)
		count_switch(t, task);
	t->phase = PHASE_OFF;
	t->since_ns = now;
	t->woken_ns = 0;
	t->went_off = preempted ? OFF_PREEMPTED : task_state(task) ? OFF_ASLEEP : OFF_RUNNABLE;
	t->last_exec_ns = task->se.sum_exec_runtime;
	t->books.seen_exec_ns = t->charged_ns - t->listed_ns;
	t->books.kernel_exec_ns = t->last_exec_ns - t->base_exec_ns;
}

/* Both sides' counts of switches, read together. */
static __always_inline void read_books(struct task_record *t, struct task_struct *task)
{
	if (!t->has_base)
		return;
	t->books.kernel_voluntary = task->nvcsw - t->base_voluntary;
	t->books.kernel_involuntary = task->nivcsw - t->base_involuntary;
	t->books.seen_voluntary = t->voluntary;
	t->books.seen_involuntary = t->involuntary;
}

static __always_inline void read_counters(struct task_record *t, struct task_struct *task)
{
	t->minor = task->min_flt - t->base_minor;
	t->major = task->maj_flt - t->base_major;
	t->migrations = task->se.nr_migrations - t->base_migrations;
	bpf_probe_read_kernel_str(t->comm, sizeof(t->comm), task->comm);
}

/* The last thing a thread does: from here on its record belongs to user space. */
static __always_inline void task_ended(struct task_record *t, struct task_struct *task, __u64 now)
{
	__u64 key = (__u64)task;

	read_books(t, task);
	read_counters(t, task);
	t->ended_ns = now;
	if ((int)bpf_map_delete_elem(&task_of, &key) == -EBUSY)
		lose(LOST_MAP_UPDATE);
	t->state = RECORD_ENDED;
	__sync_fetch_and_add(&nr_ended, 1);
	if (nr_ended >= wake_up_after)
		bpf_ringbuf_output(&wake_ups, &key, sizeof(key), BPF_RB_FORCE_WAKEUP);
}

/*
 * Some hosts run an agent as process 1 whose threads fire no tracepoints (seen on a hosted 6.18
 * guest): what they switch to comes on unseen. After a switch to a thread of process 1, the slot
 * is unsure, and the next event on that CPU looks up who is there.
 */
static __always_inline bool may_be_silent(__u32 tgid)
{
	return tgid == 1;
}

/*
 * The hash task_of is asked at every switch and wake-up on the machine. Two small tables save most
 * of these lookups: the processes that may be traced, by the lower bits of their ids, and the
 * records found last, by those of the thread's. A record vouches for itself, so that neither has to
 * be kept in step with anything.
 */
/*
 * The address may have been another task's, whose end was not seen. (Not start_time: a thread that
 * makes execve takes over its leader's, fs/exec.c, de_thread().)
 */
static __always_inline bool is_record_of(const struct task_record *t, __u64 key, __u32 tgid)
{
	return t->task == key && t->tgid == tgid && t->state == RECORD_LIVE;
}

#define PF_EXITING 0x00000004 /* include/linux/sched.h */

static __always_inline bool may_be_traced(__u32 tgid)
{
	return maybe_traced[tgid & (MAYBE_TRACED - 1)];
}

/* @tgid, @pid: of @task; where the verifier trusts the pointer, reading them needs no helper. */
static __always_inline struct task_record *record_of(struct task_struct *task, __u32 tgid,
						     __u32 pid, __u32 *index)
{
	__u32 *recent = &recent_tasks[pid & (RECENT_TASKS - 1)], *found;
	__u64 key = (__u64)task;
	struct task_record *t;

	if (likely(!may_be_traced(tgid)))
		return NULL;
	*index = *recent;
	t = task_at(*index);
	if (t && is_record_of(t, key, tgid))
		return t;
	found = bpf_map_lookup_elem(&task_of, &key);
	t = found ? task_at(*found) : NULL;
	if (!t || !is_record_of(t, key, tgid))
		return NULL;
	*index = *found;
	*recent = *found;
	return t;
}

/* This CPU's slot if a traced task may be on it, or NULL. */
static __always_inline struct cpu_slot *busy_slot(void)
{
	struct cpu_slot *slot = this_cpu_slot();

	return slot && unlikely(slot->task) ? slot : NULL;
}

/* The record of the task on this CPU, whose slot is not empty, or NULL if it is not traced. */
static __always_inline struct task_record *slot_record(struct cpu_slot *slot)
{
	struct task_struct *task;
	struct task_record *t;
	__u32 index = 0, tgid;

	if (likely(slot->task != SLOT_UNSURE))
		return task_at(slot->task);
	if (!tracing) {
		slot->task = 0;
		return NULL;
	}
	task = (struct task_struct *)bpf_get_current_task();
	tgid = BPF_CORE_READ(task, tgid);
	t = record_of(task, tgid, BPF_CORE_READ(task, pid), &index);
	if (!t) {
		if (!may_be_silent(tgid)) {
			slot->task = 0;
			slot->running = (__u64)task;
		}
		return NULL;
	}
	task_on_late(t, task, bpf_ktime_get_ns());
	slot->task = index;
	slot->running = (__u64)task;
	return t;
}

static __always_inline struct task_record *current_record(void)
{
	struct cpu_slot *slot = busy_slot();

	return slot ? slot_record(slot) : NULL;
}

#endif
