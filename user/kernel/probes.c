// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "kernel/kernel.h"

#define PROGRAM(name_)             \
	{                          \
		.program = (name_) \
	}
#define HOOK(name_, where_, ...)                                                   \
	{                                                                          \
		.name = (name_), .where = (where_), .attachments = { __VA_ARGS__ } \
	}
#define FEXIT(function_)                       \
	{                                      \
		.program = "fexit_" #function_ \
	}
#define FEXIT_IF_ANY(function_)                                     \
	{                                                           \
		.program = "fexit_" #function_, .is_optional = true \
	}
#define KPROBE(program_, function_, optional_)                                            \
	{                                                                                 \
		.program = (program_), .function = #function_, .is_optional = (optional_) \
	}
#define KPROBES_SEND(function_, optional_) \
	KPROBE("kprobe_sends", function_, optional_), KPROBE("kretprobe_sent", function_, optional_)
#define KPROBES_SEND_PAGE(function_) \
	KPROBE("kprobe_sends_page", function_, true), KPROBE("kretprobe_sent", function_, true)
#define KPROBES_RECEIVE(function_, optional_)            \
	KPROBE("kprobe_receives", function_, optional_), \
		KPROBE("kretprobe_received", function_, optional_)

const struct probe probes[] = {
	{
		.name = "syscall_entry",
		.wanted = IN_FULL,
		.required = true,
		.lost_without = "durations of calls, calls in flight, calls that never return",
		.hooks = {HOOK("tp_btf", "tp_btf sys_enter", PROGRAM("sys_enter"))},
	},
	{
		.name = "syscall_return",
		.wanted = IN_FULL,
		.required = true,
		.lost_without = "calls, errors, durations, bytes",
		.hooks = {HOOK("tp_btf", "tp_btf sys_exit", PROGRAM("sys_exit"))},
	},
	{
		.name = "syscall_return_count",
		.wanted = IN_COUNT,
		.required = true,
		.lost_without = "calls, errors, bytes",
		.hooks = {HOOK("tp_btf", "tp_btf sys_exit", PROGRAM("sys_exit_count"))},
	},
	{
		.name = "context_switch",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "which thread runs where: everything",
		.hooks = {HOOK("tp_btf", "tp_btf sched_switch", PROGRAM("sched_switch"))},
	},
	{
		.name = "wake_up",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "blocked time told apart from waiting for a CPU",
		.hooks = {HOOK("tp_btf", "tp_btf sched_wakeup", PROGRAM("sched_wakeup"))},
	},
	{
		.name = "thread_start",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "threads and processes that begin during the trace",
		.hooks = {HOOK("tp_btf", "tp_btf task_newtask", PROGRAM("task_newtask"))},
	},
	{
		.name = "exec",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "names of programs that a process becomes",
		.hooks = {HOOK("tp_btf", "tp_btf sched_process_exec",
			       PROGRAM("sched_process_exec"))},
	},
	{
		.name = "process_end",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "the end of processes, their exit status and peak memory",
		.hooks = {HOOK("tp_btf", "tp_btf sched_process_exit",
			       PROGRAM("sched_process_exit"))},
	},
	{
		.name = "thread_list",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "threads that exist when tracing starts",
		.hooks = {HOOK("iter", "iter task", PROGRAM("list_tasks"))},
	},
	{
		.name = "thread_place",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "threads that run without a pause when tracing starts",
		.hooks = {HOOK("raw_tp", "raw_tp test run on each CPU", PROGRAM("place_current"))},
	},
	{
		.name = "kernel_counters",
		.wanted = IN_BOTH,
		.required = true,
		.lost_without = "page faults, migrations, and the audits of switches and CPU time",
		.hooks = {HOOK("iter", "iter task", PROGRAM("snapshot"))},
	},
	{
		.name = "socket_bytes",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.required = true,
		.lost_without = "bytes and calls of sockets",
		.hooks =
			{
				{
					.name = "fexit",
					.where = "fexit inet_sendmsg, inet_recvmsg and their like",
					.attachments =
						{
							FEXIT(inet_sendmsg),
							FEXIT(inet_recvmsg),
							FEXIT(unix_stream_sendmsg),
							FEXIT(unix_stream_recvmsg),
							FEXIT(unix_dgram_sendmsg),
							FEXIT(unix_dgram_recvmsg),
							FEXIT(unix_seqpacket_sendmsg),
							FEXIT(unix_seqpacket_recvmsg),
							FEXIT_IF_ANY(inet6_sendmsg),
							FEXIT_IF_ANY(inet6_recvmsg),
							FEXIT_IF_ANY(sock_common_recvmsg),
							FEXIT_IF_ANY(netlink_sendmsg),
							FEXIT_IF_ANY(netlink_recvmsg),
							FEXIT_IF_ANY(packet_sendmsg),
							FEXIT_IF_ANY(packet_recvmsg),
							FEXIT_IF_ANY(inet_sendpage),
							FEXIT_IF_ANY(unix_stream_sendpage),
						},
					.is_trampoline = true,
				},
				HOOK("tracepoint", "tracepoints sock_send_length, sock_recv_length",
				     PROGRAM("sock_send_length"), PROGRAM("sock_recv_length")),
				{
					.name = "kretprobe",
					.where = "kretprobe inet_sendmsg, inet_recvmsg and their "
						 "like",
					.attachments =
						{
							KPROBES_SEND(inet_sendmsg, false),
							KPROBES_SEND(unix_stream_sendmsg, false),
							KPROBES_SEND(unix_dgram_sendmsg, false),
							KPROBES_RECEIVE(inet_recvmsg, false),
							KPROBES_RECEIVE(unix_stream_recvmsg, false),
							KPROBES_RECEIVE(unix_dgram_recvmsg, false),
							KPROBES_SEND(unix_seqpacket_sendmsg, false),
							KPROBES_RECEIVE(
								unix_seqpacket_recvmsg, false),
							KPROBES_SEND(inet6_sendmsg, true),
							KPROBES_RECEIVE(inet6_recvmsg, true),
							KPROBES_RECEIVE(sock_common_recvmsg, true),
							KPROBES_SEND(netlink_sendmsg, true),
							KPROBES_RECEIVE(netlink_recvmsg, true),
							KPROBES_SEND(packet_sendmsg, true),
							KPROBES_RECEIVE(packet_recvmsg, true),
							KPROBES_SEND_PAGE(inet_sendpage),
							KPROBES_SEND_PAGE(unix_stream_sendpage),
						},
				},
				{
					.name = "calls",
					.where = "results of socket calls, by descriptor; io_uring "
						 "is not seen",
					.by_calls = true,
				},
			},
	},
	{
		.name = "uring_splice",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.lost_without =
			"word of what io_uring splices out of sockets, which is not counted",
		.hooks = {HOOK("tp_btf", "tp_btf io_uring_queue_async_work with its request",
			       PROGRAM("io_uring_queue_async_work"))},
	},
	{
		.name = "socket_list",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.required = true,
		.lost_without = "sockets that exist when tracing starts",
		.hooks = {HOOK("iter", "iter task_file", PROGRAM("list_sockets"))},
	},
	{
		.name = "tcp_state",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.required = true,
		.lost_without = "the life of TCP connections, the audit of TCP bytes",
		.hooks = {HOOK("tp_btf", "tp_btf inet_sock_set_state",
			       {.program = "tcp_state", .has_copy = true},
			       {.program = "tcp_state_again", .is_copy = true})},
	},
	{
		.name = "tcp_close",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.required = true,
		.lost_without = "the end of TCP sockets",
		.hooks = {HOOK("tp_btf", "tp_btf tcp_destroy_sock", PROGRAM("tcp_destroy_sock"))},
	},
	{
		.name = "tcp_resets",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.lost_without = "resets sent and received",
		.hooks = {HOOK("tp_btf", "tp_btf tcp_send_reset, tcp_receive_reset",
			       PROGRAM("tcp_send_reset"), PROGRAM("tcp_receive_reset"))},
	},
	{
		.name = "tcp_failed_retransmits",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.lost_without = "retransmits that failed told apart from others",
		.hooks = {HOOK("tp_btf", "tp_btf tcp_retransmit_skb with its result",
			       PROGRAM("tcp_retransmit_skb"))},
	},
	{
		.name = "drops",
		.wanted = IN_BOTH | WITH_SOCKETS,
		.lost_without = "packets that the kernel threw away",
		.hooks =
			{
				HOOK("socket", "tp_btf kfree_skb with socket and reason",
				     PROGRAM("kfree_skb_sock")),
				HOOK("reason", "tp_btf kfree_skb with reason",
				     PROGRAM("kfree_skb_reason"),
				     FEXIT_IF_ANY(__udp_enqueue_schedule_skb)),
				HOOK("plain", "tp_btf kfree_skb", PROGRAM("kfree_skb_plain"),
				     FEXIT_IF_ANY(__udp_enqueue_schedule_skb)),
			},
	},
};

const size_t nr_probes = sizeof(probes) / sizeof(probes[0]);
