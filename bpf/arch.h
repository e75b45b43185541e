/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_ARCH_H
#define SOCKTRACE_BPF_ARCH_H

/* What differs between architectures about a system call. */

#include "state.h"

#if defined(__TARGET_ARCH_x86)

#define TS_COMPAT 0x0002     /* arch/x86/include/asm/thread_info.h */
#define X32_BIT	  0x40000000 /* __X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h */

#define THREAD_SIZE 16384 /* arch/x86/include/asm/page_64_types.h, without KASAN */

#define NR_CLOSE	       3
#define NR_COMPAT_CLOSE	       6
#define NR_SPLICE	       275
#define NR_COMPAT_SPLICE       313
#define NR_EXECVE	       59
#define NR_RT_SIGRETURN	       15
#define NR_COMPAT_RT_SIGRETURN 173

static __always_inline long arch_regs_nr(const struct pt_regs *regs)
{
	return regs->orig_ax;
}

/* Of the kernel's own functions, in a kprobe. */
#define arch_function_arg0(regs)   ((regs)->di)
#define arch_function_arg3(regs)   ((regs)->cx)
#define arch_function_result(regs) ((regs)->ax)

/* Argument @n (0 to 3) of the call that @regs belong to, at its return too. */
static __always_inline __u64 arch_call_arg(const struct pt_regs *regs, int n, bool compat)
{
	if (compat)
		return (__u32)(n == 0	? regs->bx
			       : n == 1 ? regs->cx
			       : n == 2 ? regs->dx
					: regs->si);
	return n == 0 ? regs->di : n == 1 ? regs->si : n == 2 ? regs->dx : regs->r10;
}

/* The same where the verifier does not trust the pointer. */
static __always_inline __u64 arch_call_arg_probed(const struct pt_regs *regs, int n, bool compat)
{
	if (compat)
		return (__u32)(n == 0	? BPF_CORE_READ(regs, bx)
			       : n == 1 ? BPF_CORE_READ(regs, cx)
			       : n == 2 ? BPF_CORE_READ(regs, dx)
					: BPF_CORE_READ(regs, si));
	return n == 0	? BPF_CORE_READ(regs, di)
	       : n == 1 ? BPF_CORE_READ(regs, si)
	       : n == 2 ? BPF_CORE_READ(regs, dx)
			: BPF_CORE_READ(regs, r10);
}

static __always_inline long arch_regs_nr_probed(const struct pt_regs *regs)
{
	return BPF_CORE_READ(regs, orig_ax);
}

static __always_inline bool arch_is_compat(const struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

static __always_inline bool arch_is_compat_probed(struct task_struct *task)
{
	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
}

#elif defined(__TARGET_ARCH_arm64)

#define TIF_32BIT 22 /* arch/arm64/include/asm/thread_info.h */
#define X32_BIT	  0

#define THREAD_SIZE                                                                  \
	16384 /* arch/arm64/include/asm/memory.h, with pages of 4 KiB, without KASAN \
	       */

#define NR_CLOSE	       57
#define NR_COMPAT_CLOSE	       6
#define NR_SPLICE	       76
#define NR_COMPAT_SPLICE       340
#define NR_EXECVE	       221
#define NR_RT_SIGRETURN	       139
#define NR_COMPAT_RT_SIGRETURN 173

static __always_inline long arch_regs_nr(const struct pt_regs *regs)
{
	return regs->syscallno;
}

#define arch_function_arg0(regs)   ((regs)->regs[0])
#define arch_function_arg3(regs)   ((regs)->regs[3])
#define arch_function_result(regs) ((regs)->regs[0])

/* Argument @n (0 to 3) of the call that @regs belong to; the result overwrites x0. */
static __always_inline __u64 arch_call_arg(const struct pt_regs *regs, int n, bool compat)
{
	return n ? regs->regs[n] : regs->orig_x0;
}

/* The same where the verifier does not trust the pointer. */
static __always_inline __u64 arch_call_arg_probed(const struct pt_regs *regs, int n, bool compat)
{
	__u64 value = 0;

	if (!n)
		return BPF_CORE_READ(regs, orig_x0);
	bpf_probe_read_kernel(&value, sizeof(value),
			      (void *)regs + bpf_core_field_offset(regs->regs) + n * sizeof(value));
	return value;
}

static __always_inline long arch_regs_nr_probed(const struct pt_regs *regs)
{
	return BPF_CORE_READ(regs, syscallno);
}

static __always_inline bool arch_is_compat(const struct task_struct *task)
{
	return task->thread_info.flags & (1UL << TIF_32BIT);
}

static __always_inline bool arch_is_compat_probed(struct task_struct *task)
{
	return BPF_CORE_READ(task, thread_info.flags) & (1UL << TIF_32BIT);
}

#endif

/*
 * Whether the call under way is a 32-bit one. Before Linux 5.11, which has the helper
 * (3ca1032ab7ab), the task must be read by another, some 3 ns slower. (No register tells: a
 * program may give int $0x80 those that SYSCALL would leave.)
 */
static __always_inline bool is_compat(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return arch_is_compat(bpf_get_current_task_btf());
	return arch_is_compat_probed((struct task_struct *)bpf_get_current_task());
}

/* The key (layout.h) of call number @id made by the current task. */
static __always_inline __u32 call_key(long id)
{
	__u32 nr = id, key = 0;

	if (unlikely(is_compat()))
		key = KEY_COMPAT;
	if (unlikely(nr >= KEY_NR_INVALID)) {
		if (X32_BIT && !key && nr >> 30 == 1) {
			key = KEY_X32;
			nr &= ~X32_BIT;
		}
		if (nr > KEY_NR_INVALID)
			nr = KEY_NR_INVALID;
	}
	return key | nr;
}

/*
 * The key of a call that returns, where its entry was not recorded. sigreturn(2) leaves -1 as the
 * number, so that the kernel does not restart the call that the signal interrupted
 * (arch/x86/kernel/signal_64.c, arch/arm64/kernel/signal.c).
 */
static __always_inline __u32 returned_key(__u32 nr)
{
	__u32 key;

	if (likely(nr != (__u32)-1))
		return call_key(nr);
	key = call_key(0);
	return key == KEY_COMPAT ? KEY_COMPAT | NR_COMPAT_RT_SIGRETURN : NR_RT_SIGRETURN;
}

static __always_inline __u32 returned_call_key(const struct pt_regs *regs)
{
	return returned_key(arch_regs_nr(regs));
}

#endif
