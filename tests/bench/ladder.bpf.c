// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What the tracer does at a system call and at a switch, one step more in each pair of programs;
 * and what it might do instead. Made of the tracer's own functions, so that the steps stay its own.
 * All know one target, of one thread, whose record has index RECORD.
 */
#include "scheduling.bpf.c"
#include "state.bpf.c"

#include "arch.h"
#include "rows.h"

/* include/uapi/linux/bpf.h; vmlinux.h has what the tracer needs. */
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_TASK_STORAGE 29
#define BPF_F_NO_PREALLOC	  1

#define RECORD 1
#define NRS    512

const volatile pid_t target = 0;

/* --- the target ------------------------------------------------------------------------------ */

/* A record in its thread's own storage; user space makes the target's. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_record);
} storage SEC(".maps");

/* Makes the target known, as attaching does. */
SEC("?iter/task")
int find_target(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u32 index = RECORD, tgid;
	struct task_record *t = task_at(index);
	__u64 key = (__u64)task;

	if (!task || task->pid != target || !t)
		return 0;
	tgid = task->tgid;
	t->task = key;
	t->self = index;
	t->tgid = tgid;
	t->call = CALL_NONE;
	t->since_ns = bpf_ktime_get_ns();
	t->state = RECORD_LIVE;
	recent_tasks[task->pid & (RECENT_TASKS - 1)] = index;
	bpf_map_update_elem(&task_of, &key, &index, BPF_ANY);
	bpf_map_update_elem(&targets, &tgid, &index, BPF_ANY);
	maybe_traced[tgid & (MAYBE_TRACED - 1)] = 1;
	return 0;
}

/* --- steps of a call ------------------------------------------------------------------------- */

enum level { LEVEL_RECORD, LEVEL_CLOCK, LEVEL_ROW, LEVEL_HISTOGRAM };

static __always_inline int entered_at(enum level level, struct task_record *t, long id)
{
	if (!t)
		return 0;
	t->call = call_key(id);
	t->entries++;
	if (level >= LEVEL_CLOCK)
		t->enter_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void count_at(enum level level, struct task_record *t, __u32 key, __u64 ns)
{
	struct call_row *row = row_get(t, key);

	if (!row)
		return;
	row->calls++;
	row->total_ns += ns;
	if (ns > row->max_ns)
		row->max_ns = ns;
	if (ns < row->min_ns || row->calls == 1)
		row->min_ns = ns;
	if (level >= LEVEL_HISTOGRAM)
		row_sort(row, ns);
}

static __always_inline int returned_at(enum level level, struct task_record *t)
{
	__u64 now = level >= LEVEL_CLOCK ? bpf_ktime_get_ns() : 0;
	__u32 key;

	if (!t)
		return 0;
	key = t->call;
	if (unlikely(key >= CALL_NONE))
		return 0;
	t->call = CALL_NONE;
	t->exits++;
	if (level == LEVEL_CLOCK)
		t->extra_kernel_ns = now - t->enter_ns;
	if (level >= LEVEL_ROW)
		count_at(level, t, key, now - t->enter_ns);
	return 0;
}

/* As in syscalls.bpf.c: a look at the slot, and the rest in functions of their own. */
#define AT_CALLS(name, level, on_enter, on_exit)                             \
	static __noinline int name##_entered(struct cpu_slot *slot, long id) \
	{                                                                    \
		return entered_at(level, slot_record(slot), id);             \
	}                                                                    \
	static __noinline int name##_returned(struct cpu_slot *slot)         \
	{                                                                    \
		return returned_at(level, slot_record(slot));                \
	}                                                                    \
	SEC("?" on_enter) int name##_enter(unsigned long long *ctx)          \
	{                                                                    \
		struct cpu_slot *slot = busy_slot();                         \
                                                                             \
		return slot ? name##_entered(slot, ctx[1]) : 0;              \
	}                                                                    \
	SEC("?" on_exit) int name##_exit(unsigned long long *ctx)            \
	{                                                                    \
		struct cpu_slot *slot = busy_slot();                         \
                                                                             \
		return slot ? name##_returned(slot) : 0;                     \
	}

#define STEP(name, level) AT_CALLS(name, level, "tp_btf/sys_enter", "tp_btf/sys_exit")

STEP(record, LEVEL_RECORD)
STEP(clock, LEVEL_CLOCK)
STEP(row, LEVEL_ROW)
STEP(histogram, LEVEL_HISTOGRAM)
AT_CALLS(classic, LEVEL_HISTOGRAM, "tp/raw_syscalls/sys_enter", "tp/raw_syscalls/sys_exit")

#define EMPTY(name, where)                 \
	SEC("?" where) int name(void *ctx) \
	{                                  \
		return 0;                  \
	}

EMPTY(empty_enter, "tp_btf/sys_enter")
EMPTY(empty_exit, "tp_btf/sys_exit")
EMPTY(empty_classic_enter, "tp/raw_syscalls/sys_enter")
EMPTY(empty_classic_exit, "tp/raw_syscalls/sys_exit")

#define SLOT(name, where)                   \
	SEC("?" where) int name(void *ctx)  \
	{                                   \
		return busy_slot() ? 1 : 0; \
	}

SLOT(slot_enter, "tp_btf/sys_enter")
SLOT(slot_exit, "tp_btf/sys_exit")

/* --- instead of the slot --------------------------------------------------------------------- */

#define PID_HASH(name, where)                                        \
	SEC("?" where) int name(void *ctx)                           \
	{                                                            \
		__u32 tgid = bpf_get_current_pid_tgid() >> 32;       \
                                                                     \
		return bpf_map_lookup_elem(&targets, &tgid) ? 1 : 0; \
	}

PID_HASH(pid_hash_enter, "tp_btf/sys_enter")
PID_HASH(pid_hash_exit, "tp_btf/sys_exit")

/* --- instead of records and rows ------------------------------------------------------------- */

/* Everything in the histogram step, but for the way to the record. */
SEC("?tp_btf/sys_enter")
int storage_enter(unsigned long long *ctx)
{
	struct task_record *t;

	t = bpf_task_storage_get(&storage, bpf_get_current_task_btf(), NULL, 0);
	return t ? entered_at(LEVEL_HISTOGRAM, t, ctx[1]) : 0;
}

SEC("?tp_btf/sys_exit")
int storage_exit(unsigned long long *ctx)
{
	struct task_record *t;
	__u32 *head;

	t = bpf_task_storage_get(&storage, bpf_get_current_task_btf(), NULL, 0);
	if (!t || t->call >= CALL_NONE)
		return 0;
	/* A row of the slot's record is this one's too. */
	head = &t->rows[t->call % ROW_HEADS];
	if (unlikely(!*head))
		*head = row_seek(t->self, t->call);
	return returned_at(LEVEL_HISTOGRAM, t);
}

struct sums {
	__u64 calls, total_ns, min_ns, max_ns;
	__u64 buckets[64];
};

struct beginning {
	__u64 enter_ns;
	__u32 key;
};

struct sums_key {
	__u32 tid, key;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, struct beginning);
} beginnings SEC(".maps");

static const struct sums no_sums;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct sums_key);
	__type(value, struct sums);
} sums_of SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, NRS);
	__type(key, __u32);
	__type(value, struct sums);
} flat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NRS);
	__type(key, __u32);
	__type(value, struct sums);
} flat_per_cpu SEC(".maps");

static __always_inline void count_extremes(struct sums *s, __u64 ns)
{
	if (ns > s->max_ns)
		s->max_ns = ns;
	if (ns < s->min_ns || s->calls == 1)
		s->min_ns = ns;
}

static __always_inline void count_plain(struct sums *s, __u64 ns)
{
	s->calls++;
	s->total_ns += ns;
	count_extremes(s, ns);
	s->buckets[log2_floor(ns) & 63]++;
}

static __always_inline void count_atomic(struct sums *s, __u64 ns)
{
	__sync_fetch_and_add(&s->calls, 1);
	__sync_fetch_and_add(&s->total_ns, ns);
	count_extremes(s, ns);
	__sync_fetch_and_add(&s->buckets[log2_floor(ns) & 63], 1);
}

/* Start times and sums in hashes, by thread id, as tools commonly do. */
SEC("?tp_btf/sys_enter")
int tid_hash_enter(unsigned long long *ctx)
{
	__u64 ids = bpf_get_current_pid_tgid();
	__u32 tid = ids, tgid = ids >> 32;
	struct beginning b = {.key = call_key(ctx[1])};

	if (tgid != (__u32)target)
		return 0;
	b.enter_ns = bpf_ktime_get_ns();
	bpf_map_update_elem(&beginnings, &tid, &b, BPF_ANY);
	return 0;
}

SEC("?tp_btf/sys_exit")
int tid_hash_exit(unsigned long long *ctx)
{
	__u64 now = bpf_ktime_get_ns(), ids = bpf_get_current_pid_tgid();
	__u32 tid = ids, tgid = ids >> 32;
	struct beginning *b;
	struct sums *s;
	struct sums_key key;
	__u64 ns;

	if (tgid != (__u32)target)
		return 0;
	b = bpf_map_lookup_elem(&beginnings, &tid);
	if (!b)
		return 0;
	ns = now - b->enter_ns;
	key = (struct sums_key){.tid = tid, .key = b->key};
	bpf_map_delete_elem(&beginnings, &tid);
	s = bpf_map_lookup_elem(&sums_of, &key);
	if (!s) {
		bpf_map_update_elem(&sums_of, &key, &no_sums, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&sums_of, &key);
	}
	if (s)
		count_plain(s, ns);
	return 0;
}

/* Sums in one array by call, for all threads; the start time in the record. */
#define FLAT(name, map, count)                                    \
	SEC("?tp_btf/sys_exit") int name(unsigned long long *ctx) \
	{                                                         \
		__u64 now = bpf_ktime_get_ns();                   \
		struct task_record *t = current_record();         \
		struct sums *s;                                   \
		__u32 key;                                        \
                                                                  \
		if (!t || t->call >= CALL_NONE)                   \
			return 0;                                 \
		key = t->call % NRS;                              \
		t->call = CALL_NONE;                              \
		t->exits++;                                       \
		s = bpf_map_lookup_elem(&map, &key);              \
		if (s)                                            \
			count(s, now - t->enter_ns);              \
		return 0;                                         \
	}

FLAT(flat_exit, flat, count_plain)
FLAT(atomic_exit, flat, count_atomic)
FLAT(per_cpu_exit, flat_per_cpu, count_plain)

/* --- switches -------------------------------------------------------------------------------- */

EMPTY(empty_switch, "tp_btf/sched_switch")
EMPTY(empty_wakeup, "tp_btf/sched_wakeup")

/* The time, if there is a record to note it in. The compiler must not merge the two questions. */
static __always_inline void note_time(struct task_record *off, struct task_record *on)
{
	__u64 now;

	if (!off) {
		asm volatile("" : "+r"(on));
		if (!on)
			return;
	}
	now = bpf_ktime_get_ns();
	if (off)
		off->since_ns = now;
	if (on)
		on->since_ns = now;
}

static __always_inline void fill_slot(struct cpu_slot *slot, struct task_record *on, __u32 index,
				      struct task_struct *next)
{
	slot->running = (__u64)next;
	slot->task = on ? index : 0;
}

/* Whose switch it is, and the CPU's slot. */
static __always_inline int on_switch(struct task_struct *next, bool with_clock)
{
	struct cpu_slot *slot = this_cpu_slot();
	struct task_record *off, *on = NULL;
	__u32 index = 0;

	if (!slot)
		return 0;
	off = slot->task ? task_at(slot->task) : NULL;
	if (next->pid)
		on = record_of(next, next->tgid, next->pid, &index);
	fill_slot(slot, on, index, next);
	if (with_clock)
		note_time(off, on);
	return 0;
}

static __always_inline int on_wakeup(struct task_struct *task, bool with_clock)
{
	__u32 index;
	struct task_record *t = record_of(task, task->tgid, task->pid, &index);

	if (t)
		t->woken_ns = with_clock ? bpf_ktime_get_ns() : 1;
	return 0;
}

#define AT_SWITCHES(name, with_clock)                                       \
	SEC("?tp_btf/sched_switch")                                         \
	int BPF_PROG(name##_switch, bool preempt, struct task_struct *prev, \
		     struct task_struct *next)                              \
	{                                                                   \
		return on_switch(next, with_clock);                         \
	}                                                                   \
	SEC("?tp_btf/sched_wakeup")                                         \
	int BPF_PROG(name##_wakeup, struct task_struct *task)               \
	{                                                                   \
		return on_wakeup(task, with_clock);                         \
	}

AT_SWITCHES(whose, false)
AT_SWITCHES(timed, true)

/* Instead of the small tables: the hash by address, each time. */
static __always_inline struct task_record *hashed(struct task_struct *task, __u32 *index)
{
	__u64 key = (__u64)task;
	__u32 *found = bpf_map_lookup_elem(&task_of, &key);

	*index = found ? *found : 0;
	return found ? task_at(*found) : NULL;
}

SEC("?tp_btf/sched_switch")
int BPF_PROG(hashed_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct cpu_slot *slot = this_cpu_slot();
	struct task_record *off, *on;
	__u32 index;

	if (!slot)
		return 0;
	off = hashed(prev, &index);
	on = hashed(next, &index);
	fill_slot(slot, on, index, next);
	note_time(off, on);
	return 0;
}

SEC("?tp_btf/sched_wakeup")
int BPF_PROG(hashed_wakeup, struct task_struct *task)
{
	__u32 index;
	struct task_record *t = hashed(task, &index);

	if (t)
		t->woken_ns = bpf_ktime_get_ns();
	return 0;
}

/* Or each thread's own storage, which needs no slot. */
SEC("?tp_btf/sched_switch")
int BPF_PROG(stored_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct task_record *off = bpf_task_storage_get(&storage, prev, NULL, 0);
	struct task_record *on = bpf_task_storage_get(&storage, next, NULL, 0);

	note_time(off, on);
	return 0;
}

SEC("?tp_btf/sched_wakeup")
int BPF_PROG(stored_wakeup, struct task_struct *task)
{
	struct task_record *t = bpf_task_storage_get(&storage, task, NULL, 0);

	if (t)
		t->woken_ns = bpf_ktime_get_ns();
	return 0;
}
