// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Who is traced: threads and processes that are listed, begin, exec and end. */
#include "arch.h"
#include "moving.h"
#include "percpu.h"
#include "state.h"
#include "switches.h"

/* include/linux/sched.h, sched/signal.h */
#define PF_IO_WORKER	  0x00000010
#define SIGNAL_GROUP_EXIT 0x00000004

/* Descriptors that are looked at when a process ends; the kernel's counts of others are lost. */
#define CLOSED_AT_EXIT 64

#define MAX_PID_LEVEL 32 /* MAX_PID_NS_LEVEL, include/linux/pid_namespace.h */

/* A number in the tracer's PID namespace; 0 if there is none there (any more). */
static __always_inline __u32 tracer_number(struct pid *pid)
{
	__u32 level = tracer_pid_level;
	int nr = 0;

	if (!pid || level > MAX_PID_LEVEL || BPF_CORE_READ(pid, level) < level)
		return 0;
	BPF_CORE_READ_INTO(&nr, pid, numbers[0].nr);
	if (level)
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)pid + bpf_core_field_offset(pid->numbers) +
					      level * bpf_core_type_size(struct upid) +
					      bpf_core_field_offset(struct upid, nr));
	return nr;
}

static __always_inline __u32 tracer_pid_of(struct task_struct *task)
{
	return tracer_number(BPF_CORE_READ(task, thread_pid));
}

/*
 * The number of @task's process. (Not its leader's: while a thread makes execve(2) it trades
 * numbers with the leader before it takes its place, fs/exec.c, de_thread().)
 */
static __always_inline __u32 tracer_tgid_of(struct task_struct *task)
{
	return tracer_number(BPF_CORE_READ(task, signal, pids[PIDTYPE_TGID]));
}

static __always_inline struct process_record *process_at(__u32 index)
{
	return bpf_map_lookup_elem(&processes, &index);
}

static __always_inline void give_back(void *pool, __u32 index)
{
	bpf_map_push_elem(pool, &index, BPF_ANY);
}

/* What the first pass of the listing cannot place, the second meets again. */
static __always_inline void lose_thread(enum lost_reason reason)
{
	if (seeding != SEEDING_FIRST)
		lose(reason);
}

/* The record of the process of @task, made if missing. Its index, or 0 (counted as lost). */
static __always_inline __u32 process_add(struct task_struct *task, __u32 pid, __u32 parent,
					 bool is_target)
{
	__u32 tgid = BPF_CORE_READ(task, tgid), index, *found;
	struct process_record *p;
	long err;

	found = bpf_map_lookup_elem(&process_of, &tgid);
	if (found)
		return *found;
	if (bpf_map_pop_elem(&free_processes, &index)) {
		lose_thread(LOST_PROCESSES_FULL);
		return 0;
	}
	p = process_at(index);
	if (!p)
		return 0;
	p->pid = pid;
	p->tgid = tgid;
	p->parent = parent;
	p->is_target = is_target;
	p->started_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	p->first_ns = bpf_ktime_get_ns();
	p->state = RECORD_LIVE;
	maybe_traced[tgid & (MAYBE_TRACED - 1)] = 1;
	err = bpf_map_update_elem(&process_of, &tgid, &index, BPF_NOEXIST);
	if (!err)
		return index;
	p->state = RECORD_FREE;
	give_back(&free_processes, index);
	found = bpf_map_lookup_elem(&process_of, &tgid);
	if (found)
		return *found;
	lose(LOST_MAP_UPDATE);
	return 0;
}

/*
 * Since 5.12 the threads that io_uring works with are the process's own (46fe18b16c46); before,
 * that bit meant something else. Asked for by a helper that came soon after.
 */
static __always_inline bool is_kernel_thread(struct task_struct *task)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs) &&
	       BPF_CORE_READ(task, flags) & PF_IO_WORKER;
}

/* A record for @task, unless it has one. */
static __always_inline struct task_record *task_add(struct task_struct *task, __u32 process,
						    __u32 tid, __u32 call)
{
	__u64 key = (__u64)task;
	struct task_record *t;
	__u32 index, *found;
	__u64 start_ns = BPF_CORE_READ(task, start_time);
	__u32 tgid = BPF_CORE_READ(task, tgid);
	int err; /* not long: before 6.4 (d7ba4cc900bf) only the lower half is set */

	found = bpf_map_lookup_elem(&task_of, &key);
	if (found) {
		t = task_at(*found);
		if (t && (t->start_ns == start_ns || (seeding && t->tgid == tgid)))
			return NULL;
	}
	if (bpf_map_pop_elem(&free_tasks, &index)) {
		lose_thread(LOST_TASKS_FULL);
		return NULL;
	}
	t = task_at(index);
	if (!t)
		return NULL;
	t->call = call;
	t->phase = PHASE_OFF;
	t->since_ns = t->first_ns = bpf_ktime_get_ns();
	t->start_ns = start_ns;
	t->tgid = tgid;
	t->task = key;
	t->process = process;
	t->self = index;
	t->tid = tid;
	t->mended = -1;
	t->is_kernel = is_kernel_thread(task);
	t->is_leader = BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid);
	bpf_probe_read_kernel_str(t->comm, sizeof(t->comm), task->comm);
	t->state = RECORD_LIVE;
	err = bpf_map_update_elem(&task_of, &key, &index, found ? BPF_ANY : BPF_NOEXIST);
	if (!err)
		return t;
	t->state = RECORD_FREE;
	give_back(&free_tasks, index);
	if (err != -17 /* EEXIST: another CPU was first */)
		lose(LOST_MAP_UPDATE);
	return NULL;
}

static __always_inline void note_untraced_child(const struct task_record *parent)
{
	struct process_record *p = process_at(parent->process);

	if (p)
		p->untraced_child_ns = bpf_ktime_get_ns();
}

/* Runs in the parent, before the child can run. Threads of io_uring pass here too. */
SEC("tp_btf/task_newtask")
int BPF_PROG(task_newtask, struct task_struct *child)
{
	__u32 tgid = child->tgid, *found, process = 0, tid;
	struct task_record *parent, *t;

	if (!tracing)
		return 0;
	found = bpf_map_lookup_elem(&process_of, &tgid);
	tid = 0;
	if (found) {
		process = *found;
		tid = tracer_pid_of(child);
	} else {
		parent = current_record();
		if (!parent)
			return 0;
		if (!follow) {
			note_untraced_child(parent);
			return 0;
		}
		tid = tracer_pid_of(child);
		process = process_add(child, tid, parent->process, false);
	}
	if (!process)
		return 0;
	if (MUTATED(THREAD))
		return 0;
	t = task_add(child, process, tid, CALL_FORKED);
	if (t)
		set_base(t, child);
	return 0;
}

/*
 * A listing goes by numbers, and can miss a thread that takes over its leader's meanwhile: it is
 * met here at the latest.
 */
static __always_inline struct task_record *met_at_exec(struct task_struct *task)
{
	struct cpu_slot *slot = this_cpu_slot();
	__u32 tgid = task->tgid, *found;
	struct task_record *t;

	found = bpf_map_lookup_elem(&process_of, &tgid);
	if (!found || !slot)
		return NULL;
	t = task_add(task, *found, tracer_pid_of(task), CALL_UNKNOWN);
	if (!t)
		return NULL;
	t->is_compat = arch_is_compat(task);
	t->base_minor = task->min_flt;
	t->base_major = task->maj_flt;
	t->base_migrations = BPF_CORE_READ(task, se.nr_migrations);
	task_on_late(t, task, t->first_ns);
	slot->task = t->self;
	slot->running = (__u64)task;
	return t;
}

/* The new image's name and arguments; a process too short-lived for /proc keeps them here. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_record *t = current_record();
	unsigned long start, end;
	struct process_record *p;
	__u32 len;

	if (!tracing)
		return 0;
	if (!t)
		t = met_at_exec(task);
	if (!t)
		return 0;
	/* Any thread takes over the leader's number here (fs/exec.c, de_thread()). */
	t->tid = tracer_pid_of(task);
	t->is_leader = 1;
	t->has_execed = 1;
	bpf_probe_read_kernel_str(t->comm, sizeof(t->comm), task->comm);
	p = process_at(t->process);
	if (!p)
		return 0;
	bpf_probe_read_kernel_str(p->filename, sizeof(p->filename), bprm->filename);
	start = BPF_CORE_READ(task, mm, arg_start);
	end = BPF_CORE_READ(task, mm, arg_end);
	len = end > start ? end - start : 0;
	if (len > ARGS_LEN - 1)
		len = ARGS_LEN - 1;
	p->args_len = 0;
	if (len && !bpf_probe_read_user(p->args, len & (ARGS_LEN - 1), (void *)start))
		p->args_len = len;
	p->execs++;
	return 0;
}

/* The last thread ends. Only after this is the process's number free for another. */
static __always_inline void process_ended(struct process_record *p, struct task_struct *task)
{
	__u32 tgid = task->tgid;

	p->maxrss_pages = task->signal->maxrss;
	p->ended_ns = bpf_ktime_get_ns();
	if ((int)bpf_map_delete_elem(&process_of, &tgid) == -EBUSY)
		lose(LOST_MAP_UPDATE);
	p->state = RECORD_ENDED;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	__u32 tgid = task->tgid, *found;
	struct process_record *p;
	struct task_record *t;

	if (!tracing)
		return 0;
	t = current_record();
	if (t)
		t->is_ending = 1;
	found = bpf_map_lookup_elem(&process_of, &tgid);
	p = found ? process_at(*found) : NULL;
	if (!p)
		return 0;
	/* What wait(2) will say: kernel/exit.c, wait_task_zombie(). */
	if (task->signal->flags & SIGNAL_GROUP_EXIT)
		p->wait_status = task->signal->group_exit_code;
	else if (task->pid == task->tgid)
		p->wait_status = task->exit_code;
	if (task->signal->live.counter)
		return 0;
	process_ended(p, task);
	/* exit_files() comes next (kernel/exit.c), and closes them unless they are shared. */
	if (!with_sockets || BPF_CORE_READ(task, files, count.counter) != 1)
		return 0;
	for (__u32 fd = 0; fd < CLOSED_AT_EXIT; fd++)
		socket_closing(fd);
	return 0;
}

static __always_inline __u32 listed_process(struct task_struct *task)
{
	__u32 tgid = BPF_CORE_READ(task, tgid), *found, pid;

	found = bpf_map_lookup_elem(&process_of, &tgid);
	if (found)
		return *found;
	pid = tracer_tgid_of(task);
	if (!pid || !bpf_map_lookup_elem(&targets, &pid))
		return 0;
	return process_add(task, pid, 0, true);
}

/* If the process ended before it was listed, its last event did not find the record. */
static __always_inline void listed_end(struct task_struct *task, __u32 process)
{
	struct process_record *p = process ? process_at(process) : NULL;

	if (p && p->state == RECORD_LIVE && !task->signal->live.counter)
		process_ended(p, task);
}

/*
 * Lists the threads that exist already. Run until every target process is
 * known, so that task_newtask sees each new thread of it, and once more, which finds all older
 * ones.
 */
SEC("iter/task")
int list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task, *self = (struct task_struct *)bpf_get_current_task();
	struct task_record *t;
	__u32 process;

	tracer_pid_level = BPF_CORE_READ(self, thread_pid, level);
	if (!task)
		return 0;
	find_each_cpu(task);
	/* A leader that is ending can be all that is met of a process: another may take its number.
	 */
	if (task->flags & PF_EXITING) {
		if (task->signal->live.counter)
			listed_end(task, listed_process(task));
		return 0;
	}
	process = listed_process(task);
	if (!process)
		return 0;
	t = task_add(task, process, tracer_pid_of(task), listed_call);
	if (!t)
		return 0;
	t->is_compat = arch_is_compat(task);
	t->went_off = task_state(task) ? OFF_ASLEEP : OFF_RUNNABLE;
	t->base_minor = task->min_flt;
	t->base_major = task->maj_flt;
	t->base_migrations = task->se.nr_migrations;
	/* If it ended meanwhile, its own last event did not find the record. */
	if (task_state(task) & TASK_DEAD)
		task_ended(t, task, t->first_ns);
	listed_end(task, process);
	return 0;
}

/* A thread may have no record, for want of room, and its process all the same live. */
static __always_inline void process_met(__u32 tgid)
{
	__u32 *found = maybe_traced[tgid & (MAYBE_TRACED - 1)]
			       ? bpf_map_lookup_elem(&process_of, &tgid)
			       : NULL;
	struct process_record *p = found ? process_at(*found) : NULL;

	if (p)
		p->snapshot = nr_snapshots;
}

/*
 * Brings the records of live threads up to date with what the kernel counts for them. A thread on
 * another CPU may be between the kernel's count of a switch and ours: read until they agree, which
 * takes less than a microsecond unless an event was really missed.
 */
SEC("iter/task")
int snapshot(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_record *t;
	__u32 *found;
	__u64 key = (__u64)task;

	if (!task)
		return 0;
	process_met(task->tgid);
	found = bpf_map_lookup_elem(&task_of, &key);
	t = found ? task_at(*found) : NULL;
	if (!t || t->tgid != (__u32)task->tgid)
		return 0;
	t->snapshot = nr_snapshots;
	if (t->is_ending) /* its last switch writes the same fields */
		return 0;
	for (int i = 0; i < 100; i++) {
		read_books(t, task);
		if (t->books.kernel_voluntary == t->books.seen_voluntary &&
		    t->books.kernel_involuntary == t->books.seen_involuntary)
			break;
		asm volatile("" ::: "memory"); /* read again, not from registers */
	}
	read_counters(t, task);
	if (with_sockets)
		note_moving(t, task);
	return 0;
}
