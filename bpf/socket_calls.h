/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_SOCKET_CALLS_H
#define SOCKTRACE_BPF_SOCKET_CALLS_H

/*
 * What a system call that returned has done to a socket, told by its arguments and its result.
 * The descriptor is looked up when the call returns: one that another thread closed during the
 * call is not counted.
 */

#include "arch.h"
#include "moved.h"

#define S_IFMT	     0170000
#define S_IFSOCK     0140000
#define MAX_MESSAGES 1024 /* UIO_MAXIOV: sendmmsg(2) and recvmmsg(2) take no more at once */

static __always_inline __u64 call_arg(struct pt_regs *regs, __u32 n)
{
	return arch_call_arg(regs, n, is_compat());
}

/* The address of the socket behind a descriptor of the current task, or 0. */
static __always_inline __u64 sock_of_fd(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return (__u64)BPF_CORE_READ(socket, sk);
}

/* --- bind, connect, listen, accept --------------------------------------------------------------
 */

GLOBAL int socket_touched(__u32 fd, __u32 is_accepted)
{
	struct task_record *t = current_record();
	__u64 sk = sock_of_fd(fd);
	struct sock_record *s;
	__u32 index = 0;

	s = t && sk ? sock_get((struct sock *)sk, t->process, &index) : NULL;
	if (!s)
		return 0;
	s->is_fresh = 0;
	s->owner = t->process;
	if (!s->process)
		s->process = t->process;
	fill_name(index, sk);
	if (!is_accepted)
		return 0;
	s->role = ROLE_ACCEPT;
	s->accepted_ns = bpf_ktime_get_ns();
	return 0;
}

/* --- bytes -------------------------------------------------------------------------------------
 */

/* The bytes of the first @count messages of sendmmsg(2) or recvmmsg(2): their msg_len. */
GLOBAL __u64 messages_len(__u64 messages, __u32 count)
{
	bool compat = is_compat();
	__u32 size = compat ? 32 : 64, len; /* struct mmsghdr; msg_len after the msghdr */
	__u64 sum = 0;

	messages += compat ? 28 : 56;
	for (__u32 i = 0; i < MAX_MESSAGES && i < count; i++) {
		len = 0;
		bpf_probe_read_user(&len, sizeof(len), (void *)messages);
		messages += size;
		sum += len;
	}
	return sum;
}

/* Flags are in argument 2 of recvmsg, in argument 3 of recvfrom and recvmmsg; read has none. */
static __always_inline __u32 receive_flags(struct pt_regs *regs, __u32 op)
{
	__u64 flags = call_arg(regs, op == OP_RECEIVE_MSG ? 2 : 3);

	return op == OP_RECEIVE ? 0 : flags;
}

static __always_inline void moved_by_call(struct pt_regs *regs, long ret, __u32 op)
{
	__u64 sk = sock_of_fd(call_arg(regs, 0));
	__u32 calls = 1;

	if (!sk)
		return;
	if ((op == OP_SEND_MANY || op == OP_RECEIVE_MANY) && ret >= 0) {
		calls = ret;
		ret = messages_len(call_arg(regs, 1), calls);
	}
	if (op >= OP_RECEIVE)
		socket_received(sk, ret, calls, receive_flags(regs, op));
	else
		socket_sent(sk, ret, calls);
}

/*
 * splice(2) out of a socket goes around recvmsg, and every other place where bytes are counted;
 * into a socket it does not.
 */
static __always_inline void spliced(struct pt_regs *regs, long ret)
{
	__u64 from = sock_of_fd(call_arg(regs, 0)), to;

	if (from) {
		socket_received(from, ret, 1, 0);
	} else if (bytes_by_calls) {
		to = sock_of_fd(call_arg(regs, 2));
		if (to)
			socket_sent(to, ret, 1);
	}
}

static __noinline int socket_call(unsigned long long *ctx, __u32 op)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	long ret = ctx[1];

	if (op == OP_TOUCH)
		socket_touched(call_arg(regs, 0), false);
	else if (op == OP_ACCEPT && ret >= 0)
		socket_touched(ret, true);
	else if (op == OP_SPLICE)
		spliced(regs, ret);
	else if (bytes_by_calls)
		moved_by_call(regs, ret, op);
	return 0;
}

#endif
