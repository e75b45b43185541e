/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_MOVING_H
#define SOCKTRACE_BPF_MOVING_H

/*
 * What a thread may have moved through a socket in a call that has not returned, and that is
 * therefore in the kernel's books and not yet in ours. Asked at a look at all threads, after the
 * books were read: a call that was under way then is so still, or has been counted since.
 */

#include "descriptors.h"
#include "moved.h"

#define TASK_INTERRUPTIBLE 1 /* include/linux/sched.h; sk_wait_data() sleeps in it */

#define UNBOUNDED (1ULL << 60)

static __always_inline void add_busy(struct sock_record *s, bool receives, __u64 bytes)
{
	__u64 *busy = receives ? &s->busy_received : &s->busy_sent;

	if (s->busy_snapshot != nr_snapshots) {
		s->busy_snapshot = nr_snapshots;
		s->busy_sent = s->busy_received = 0;
	}
	*busy = bytes > UNBOUNDED || *busy > UNBOUNDED - bytes ? UNBOUNDED : *busy + bytes;
}

static __always_inline bool has_length(__u32 op)
{
	return op == OP_SEND || op == OP_SEND_TO || op == OP_RECEIVE || op == OP_RECEIVE_FROM;
}

/*
 * A receive that sleeps has taken nothing, unless it was told to wait for more than there is
 * (tcp_recvmsg_locked(), unix_stream_read_generic(): they go on waiting below their target alone).
 */
static __always_inline bool waits_for_first(struct task_struct *task, struct sock *sk, __u32 op,
					    struct pt_regs *regs, bool compat)
{
	__u32 flags = 0;

	if (task_state(task) != TASK_INTERRUPTIBLE || BPF_CORE_READ(sk, sk_rcvlowat) > 1)
		return false;
	if (op == OP_RECEIVE_FROM || op == OP_RECEIVE_MANY)
		flags = arch_call_arg_probed(regs, 3, compat);
	else if (op == OP_RECEIVE_MSG)
		flags = arch_call_arg_probed(regs, 2, compat);
	/* A message of several may have come before the one that is waited for. */
	return op != OP_RECEIVE_MANY && !(flags & MSG_WAITALL);
}

static __always_inline void note_call(struct task_struct *task, __u32 op, bool compat)
{
	struct pt_regs *regs = regs_of(task);
	bool receives = op_receives(op);
	struct sock_record *s;
	__u64 sk, bytes;
	__u32 index = 0;

	sk = sock_of_file(file_of_fd(task, arch_call_arg_probed(regs, 0, compat)));
	if (op == OP_SPLICE && sk)
		receives = true;
	else if (op == OP_SPLICE)
		sk = sock_of_file(file_of_fd(task, arch_call_arg_probed(regs, 2, compat)));
	s = sk ? sock_find((struct sock *)sk, &index) : NULL;
	if (!s || (receives && waits_for_first(task, (struct sock *)sk, op, regs, compat)))
		return;
	bytes = has_length(op) ? arch_call_arg_probed(regs, 2, compat) : UNBOUNDED;
	add_busy(s, receives, bytes);
}

/* @task is the thread of @t; not the current one. */
static __noinline int note_moving(struct task_record *t, struct task_struct *task)
{
	__u32 key, op;
	struct sock_record *s;

	if (!t || !task || t->is_kernel)
		return 0;
	key = t->call;
	if (detail_full && (key == CALL_NONE || key > CALL_UNKNOWN))
		return 0;
	if (!detail_full || key == CALL_UNKNOWN) {
		key = arch_regs_nr_probed(regs_of(task));
		if (key >= KEY_NR_INVALID)
			return 0;
		if (t->is_compat)
			key |= KEY_COMPAT;
	}
	op = op_of(key);
	if (op == OP_SOCKETCALL) { /* its arguments are in the memory of another process */
		s = sock_at(t->last_sock);
		if (s && t->last_sock) {
			add_busy(s, true, UNBOUNDED);
			add_busy(s, false, UNBOUNDED);
		}
		return 0;
	}
	if (op >= OP_SEND_MANY || op == OP_SPLICE || op == OP_SENDFILE)
		note_call(task, op, key & KEY_COMPAT);
	return 0;
}

#endif
