/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_UNDER_WAY_H
#define SOCKTRACE_BPF_UNDER_WAY_H

/* The system call that a task is in: by its record where entries are seen, else by its registers.
 */

#include "arch.h"

/*
 * What @task left in its registers as it entered the kernel; only to be read by probing. They
 * stand at the end of its stack (task_pt_regs()). bpf_task_pt_regs(): Linux 5.15 (dd6e10fbd9fb).
 */
static __always_inline struct pt_regs *regs_of(struct task_struct *task)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (struct pt_regs *)bpf_task_pt_regs(task);
	return BPF_CORE_READ(task, stack) + THREAD_SIZE - bpf_core_type_size(struct pt_regs);
}

static __always_inline struct task_struct *current_task(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* The key of the call that the current task is in. */
static __always_inline __u32 current_key(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return returned_call_key(
			(struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
	return returned_key(arch_regs_nr_probed(regs_of(current_task())));
}

static __always_inline __u64 current_arg(int n)
{
	bool compat = is_compat();

	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return arch_call_arg((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()),
				     n, compat);
	return arch_call_arg_probed(regs_of(current_task()), n, compat);
}

static __always_inline __u32 op_of(__u32 key)
{
	if (key >= KEYS)
		return OP_NONE;
	/* Before 6.8 or so the verifier forgets that an OR of 32 bits is 32 bits wide. */
	asm volatile("" : "+r"(key)); /* else the compiler knows that the mask is not needed */
	return call_ops[key & (KEYS - 1)];
}

/* include/uapi/linux/net.h: SYS_BIND and so on */
static __always_inline __u32 socketcall_op(__u32 number)
{
	switch (number) {
	case 2:	 /* bind */
	case 4:	 /* listen */
	case 14: /* setsockopt */
		return OP_TOUCH;
	case 3: /* connect */
		return OP_CONNECT;
	case 5:	 /* accept */
	case 18: /* accept4 */
		return OP_ACCEPT;
	case 9:	 /* send */
	case 11: /* sendto */
		return OP_SEND_TO;
	case 16: /* sendmsg */
		return OP_SEND_MSG;
	case 20: /* sendmmsg */
		return OP_SEND_MANY;
	case 10: /* recv */
	case 12: /* recvfrom */
		return OP_RECEIVE_FROM;
	case 17: /* recvmsg */
		return OP_RECEIVE_MSG;
	case 19: /* recvmmsg */
		return OP_RECEIVE_MANY;
	}
	return OP_NONE;
}

/* The descriptor that the call of the current task names first. */
static __always_inline __u32 current_descriptor(bool by_socketcall)
{
	__u32 fd = 0;

	if (!by_socketcall)
		return current_arg(0);
	bpf_probe_read_user(&fd, sizeof(fd), (void *)current_arg(1));
	return fd;
}

/*
 * What the call that @t is in does to sockets. OP_NONE also for all that io_uring does: on its own
 * threads, in io_uring_enter(2), or on the way out of any call, when that has returned already.
 */
static __always_inline __u32 op_under_way(const struct task_record *t)
{
	__u32 key = t->call;

	if (unlikely(t->is_kernel) || (detail_full && key == CALL_NONE))
		return OP_NONE;
	if (!detail_full || unlikely(key >= KEYS))
		key = current_key();
	return op_of(key);
}

#endif
