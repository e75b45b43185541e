// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * System calls: what each thread called, what came back, how long it took. These two programs run
 * at every call of every process on the machine; a process that is not traced pays for one look at
 * its CPU's slot. That look stands in programs of their own, which save no registers; what a traced
 * process pays is in the functions that they call.
 */
#include "rows.h"
#include "socket_calls.h"

#define ENOSYS 38

static __always_inline void count_result(struct call_row *row, long ret)
{
	__u32 error = -ret;

	__u32 kind = row->kind & ROW_KIND_MASK;

	if (likely(ret >= 0)) {
		if (kind == ROW_BYTES)
			row->bytes += ret;
		return;
	}
	if (ret < -ERRNO_MAX || kind == ROW_NO_RESULT)
		return;
	if (is_restart(error)) {
		row->restarts++;
		return;
	}
	row->errors++;
	block_count(block_get(row, LIST_ERRNOS, TAG_ERRNO + error / HIST_SUB), error);
}

#define SIGNAL_GROUP_EXIT	   0x00000004 /* include/linux/sched/signal.h */
#define SYSCALL_WORK_USER_DISPATCH (1 << 5)   /* include/linux/thread_info.h */

/*
 * Whether calls of the current task can be answered before the kernel enters them: by seccomp, by a
 * ptracer, or by the program itself (prctl(PR_SET_SYSCALL_USER_DISPATCH)).
 */
static __noinline int may_be_answered(void)
{
	struct task_struct *task = current_task();

	/* A ptracer that is killed in between takes the process with it (PTRACE_O_EXITKILL). */
	if (BPF_CORE_READ(task, ptrace) || BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT)
		return 1;
	if (bpf_core_field_exists(task->seccomp.mode) && BPF_CORE_READ(task, seccomp.mode))
		return 1;
	return bpf_core_field_exists(task->thread_info.syscall_work) &&
	       BPF_CORE_READ(task, thread_info.syscall_work) & SYSCALL_WORK_USER_DISPATCH;
}

/* A return whose entry was not seen: once is expected, later it means that entry was skipped. */
static __always_inline void unentered(struct task_record *t, struct pt_regs *regs, __u64 now)
{
	__u64 off_ns = t->call_runnable_ns + t->call_blocked_ns;
	__u32 state = t->call;
	struct call_row *row;

	if (state == CALL_BEFORE_EXEC)
		return;
	t->call = CALL_NONE;
	t->call_runnable_ns = 0;
	t->call_blocked_ns = 0;
	if (state == CALL_FORKED)
		return;
	row = row_get(t, state == CALL_ANSWERED ? KEY_NR_INVALID : returned_call_key(regs));
	if (!row)
		return;
	if (state == CALL_UNKNOWN) {
		row->in_flight_start++;
		t->extra_kernel_ns += now - t->first_ns - off_ns;
	} else {
		row->denied++;
		if (state == CALL_NONE && !may_be_answered())
			lose(LOST_UNSEEN_ENTRY);
	}
}

/* --- full detail --------------------------------------------------------------------------- */

/*
 * Entries at which there is something to do: where a descriptor is closed or spliced from, and
 * numbers that are none.
 */
static __always_inline bool is_watched(__u32 key)
{
	return key == NR_CLOSE || key == NR_SPLICE || key >= KEY_NR_INVALID;
}

static __noinline int watched_entry(unsigned long long *ctx, struct task_record *t)
{
	__u32 key, fd;

	if (!t)
		return 0;
	key = t->call;
	/* A ptracer that answers a call itself sets the number to -1 (ptrace(2)). */
	if ((int)ctx[1] == -1 && BPF_CORE_READ(current_task(), ptrace)) {
		t->call = CALL_ANSWERED;
		t->entries--;
		return 0;
	}
	if (!with_sockets)
		return 0;
	fd = arch_call_arg((struct pt_regs *)ctx[0], 0, key & KEY_COMPAT);
	if (key == NR_CLOSE || key == (KEY_COMPAT | NR_COMPAT_CLOSE))
		socket_closing(fd);
	else if (key == NR_SPLICE || key == (KEY_COMPAT | NR_COMPAT_SPLICE))
		socket_splicing(fd);
	return 0;
}

static __noinline int entered(unsigned long long *ctx, struct cpu_slot *slot)
{
	struct task_record *t = slot_record(slot);
	__u32 key;

	if (!t)
		return 0;
	if (MUTATED(MISSED_ENTRY))
		return 0;
	key = call_key(ctx[1]);
	if (unlikely(t->call != CALL_NONE)) {
		if (t->call == CALL_BEFORE_EXEC && key != NR_EXECVE)
			return 0;
		if (t->call < CALL_NONE)
			lose(LOST_UNPAIRED_ENTRY);
		t->call_runnable_ns = 0;
		t->call_blocked_ns = 0;
	}
	if (MUTATED(CALL)) {
		t->call = CALL_FORKED; /* whose return is passed over */
		return 0;
	}
	t->call = key;
	if (MUTATED(ENTRY))
		return 0;
	t->entries++;
	if (unlikely(is_watched(key)))
		watched_entry(ctx, t);
	t->enter_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void count_duration(struct task_record *t, struct call_row *row, __u64 ns)
{
	row->total_ns += ns;
	if (ns > row->max_ns)
		row->max_ns = ns;
	if (ns < row->min_ns || row->calls == 1)
		row->min_ns = ns;
	if (unlikely(t->call_runnable_ns | t->call_blocked_ns)) {
		row->runnable_ns += t->call_runnable_ns;
		row->blocked_ns += t->call_blocked_ns;
		t->call_runnable_ns = 0;
		t->call_blocked_ns = 0;
	}
	row_sort(row, ns);
}

/* The return of a call. What it may have done to a socket, enum socket_op. */
static __noinline int count_return(unsigned long long *ctx, struct cpu_slot *slot)
{
	__u64 now = bpf_ktime_get_ns();
	struct task_record *t = slot_record(slot);
	struct call_row *row;
	__u32 key;

	if (!t)
		return 0;
	if (MUTATED(MISSED_RETURN))
		return 0;
	key = t->call;
	if (unlikely(key >= CALL_NONE)) {
		unentered(t, (struct pt_regs *)ctx[0], now);
		return 0;
	}
	t->call = CALL_NONE;
	t->exits++;
	row = row_get(t, key);
	if (!row)
		return 0;
	if (MUTATED(RETURN))
		return 0;
	row->calls++;
	count_result(row, ctx[1]);
	count_duration(t, row, now - t->enter_ns);
	return row->kind >> SOCKET_OP_SHIFT;
}

/*
 * A function of its own, at whose beginning the verifier finds all ways through count_return()
 * alike.
 */
static __noinline int returned(unsigned long long *ctx, struct cpu_slot *slot)
{
	int op = count_return(ctx, slot);

	if (unlikely(op))
		socket_call(ctx, op);
	return 0;
}

SEC("tp_btf/sys_enter")
int sys_enter(unsigned long long *ctx)
{
	struct cpu_slot *slot = busy_slot();

	return slot ? entered(ctx, slot) : 0;
}

SEC("tp_btf/sys_exit")
int sys_exit(unsigned long long *ctx)
{
	struct cpu_slot *slot = busy_slot();

	return slot ? returned(ctx, slot) : 0;
}

/* --- counts: one program, no clock, no durations --------------------------------------------- */

static __noinline int count_return_only(unsigned long long *ctx, struct cpu_slot *slot)
{
	struct task_record *t = slot_record(slot);
	struct call_row *row;
	__u32 key;

	if (!t)
		return 0;
	key = returned_call_key((struct pt_regs *)ctx[0]);
	/* No number: sigreturn(2) takes it away, as does a ptracer that answers the call itself. */
	if (unlikely(key == NR_RT_SIGRETURN) && (long)ctx[1] == -ENOSYS &&
	    BPF_CORE_READ(current_task(), ptrace))
		key = KEY_NR_INVALID;
	if (unlikely(t->call != CALL_NONE)) {
		bool skip = t->call == CALL_FORKED;

		/* A 64-bit program's execve of a 32-bit image returns with the latter's number. */
		if (t->call == CALL_BEFORE_EXEC && !t->has_execed)
			return 0;
		t->call = CALL_NONE;
		if (skip)
			return 0;
	}
	row = row_get(t, key);
	if (!row)
		return 0;
	row->calls++;
	count_result(row, ctx[1]);
	return row->kind >> SOCKET_OP_SHIFT;
}

static __noinline int returned_count(unsigned long long *ctx, struct cpu_slot *slot)
{
	int op = count_return_only(ctx, slot);

	if (unlikely(op))
		socket_call(ctx, op);
	return 0;
}

SEC("tp_btf/sys_exit")
int sys_exit_count(unsigned long long *ctx)
{
	struct cpu_slot *slot = busy_slot();

	return slot ? returned_count(ctx, slot) : 0;
}
