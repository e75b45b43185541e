// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "kernel/kernel.h"

const struct probe probes[] = {
	{
		.name = "syscall_entry",
		.detail = IN_FULL,
		.required = true,
		.lost_without = "durations of calls, calls in flight, calls that never return",
		.hooks = {{"sys_enter", "tp_btf sys_enter"}},
	},
	{
		.name = "syscall_return",
		.detail = IN_FULL,
		.required = true,
		.lost_without = "calls, errors, durations, bytes",
		.hooks = {{"sys_exit", "tp_btf sys_exit"}},
	},
	{
		.name = "syscall_return_count",
		.detail = IN_COUNT,
		.required = true,
		.lost_without = "calls, errors, bytes",
		.hooks = {{"sys_exit_count", "tp_btf sys_exit"}},
	},
	{
		.name = "context_switch",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "which thread runs where: everything",
		.hooks = {{"sched_switch", "tp_btf sched_switch"}},
	},
	{
		.name = "wake_up",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "blocked time told apart from waiting for a CPU",
		.hooks = {{"sched_wakeup", "tp_btf sched_wakeup"}},
	},
	{
		.name = "thread_start",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "threads and processes that begin during the trace",
		.hooks = {{"task_newtask", "tp_btf task_newtask"}},
	},
	{
		.name = "exec",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "names of programs that a process becomes",
		.hooks = {{"sched_process_exec", "tp_btf sched_process_exec"}},
	},
	{
		.name = "process_end",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "the end of processes, their exit status and peak memory",
		.hooks = {{"sched_process_exit", "tp_btf sched_process_exit"}},
	},
	{
		.name = "thread_list",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "threads that exist when tracing starts",
		.hooks = {{"list_tasks", "iter task"}},
	},
	{
		.name = "thread_place",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "threads that run without a pause when tracing starts",
		.hooks = {{"place_current", "raw_tp test run on each CPU"}},
	},
	{
		.name = "kernel_counters",
		.detail = IN_BOTH,
		.required = true,
		.lost_without = "page faults, migrations, and the audits of switches and CPU time",
		.hooks = {{"snapshot", "iter task"}},
	},
};

const size_t nr_probes = sizeof(probes) / sizeof(probes[0]);
