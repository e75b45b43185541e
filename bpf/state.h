/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_STATE_H
#define SOCKTRACE_BPF_STATE_H

/* The maps and globals that all programs share, defined in state.bpf.c. */

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "socktrace/layout.h"

#include "mutate.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/*
 * The verifier walks through a function anew for every state in which it is called, unless it is
 * global: then once, knowing nothing of the arguments, which must be numbers. For what is called
 * from many places; weak, because each object file has it.
 */
#define GLOBAL __noinline __weak

/* An address as a number, which the verifier lets pass to a global function. */
static __always_inline __u64 address_of(const void *pointer)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* Sizes are set by user space before loading. Weak: the linker keeps one definition of each. */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_slot);
} cpu_slots __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct task_record);
} tasks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct call_row);
} rows __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct block);
} blocks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_record);
} processes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sock_record);
} socks __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sock_use);
} uses __weak SEC(".maps");

/* Free elements: of tasks and processes one by one, of rows and blocks by chunk number. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, __u32);
} free_tasks __weak SEC(".maps"), free_rows __weak SEC(".maps"), free_blocks __weak SEC(".maps"),
	free_processes __weak SEC(".maps"),
	free_socks __weak SEC(".maps"), free_uses __weak SEC(".maps");

/*
 * Wakes user space when records that ended fill a good part of the pool; carries nothing. (A ring
 * buffer is the one map that can be polled for: Linux 5.8.)
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} wake_ups __weak SEC(".maps");

/* From a task_struct's address to its record. An address is unique until the task's last switch. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} task_of __weak SEC(".maps");

/* From a thread group's id (initial namespace) to its process record. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} process_of __weak SEC(".maps");

/* Process ids, as the user named them in the tracer's PID namespace. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} targets __weak SEC(".maps");

/* From a struct sock's address to its record. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} sock_of __weak SEC(".maps");

/* From a socket's record and a process to the latter's counts, if they do not stand in the former.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct sock_use_key);
	__type(value, __u32);
} use_of __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct drop_key);
	__type(value, struct drop_count);
} drops __weak SEC(".maps");

/* Where traced processes have been listening. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct port_key);
	__type(value, __u32);
} ports __weak SEC(".maps");

/* Known at load time; the verifier removes what they switch off. */
extern const volatile bool detail_full;
extern const volatile bool follow;
extern const volatile bool with_sockets;
extern const volatile __u32 wake_up_after;  /* threads that ended */
extern const volatile __u8 row_kinds[KEYS]; /* enum row_kind by key */
extern const volatile __u8 call_ops[KEYS];  /* enum socket_op by key */

/*
 * 1 while threads come onto slots and switches count. When it is 0, a switch empties the CPU's
 * slot, and no slot is filled again: after the end every thread's counts are those of a prefix of
 * its own events.
 */
extern __u32 tracing;
/* While the existing threads are being listed and placed: SEEDING_FIRST, SEEDING_SECOND; else 0. */
extern __u32 seeding;
/* task_record.call of a listed thread: CALL_UNKNOWN or CALL_BEFORE_EXEC. */
extern const volatile __u32 listed_call;
/* Number of the snapshot under way, or the last one. */
extern __u64 nr_snapshots;
/* Threads that ended since user space last took them in; it resets this. */
extern __u32 nr_ended;
/* Depth of the tracer's PID namespace. */
extern __u32 tracer_pid_level;
extern __u64 lost[NR_LOST];
/* By a thread group's id: whether one with such lower bits was ever traced. Powers of two. */
#define MAYBE_TRACED 4096
#define RECENT_TASKS 1024
extern __u8 maybe_traced[MAYBE_TRACED];
/* Indices of records, by the lower bits of their threads' ids. */
extern __u32 recent_tasks[RECENT_TASKS];
/* While the sockets that exist already are being listed. */
extern __u32 listing_sockets;
/* Sockets whose state is not (yet) the one they were seen to change into; whether that is final. */
extern __u32 doubtful_states, is_last_look;
/* Sockets whose record ended, and records taken, since user space last looked; it resets both. */
extern __u32 nr_ended_sockets, nr_new_sockets;
extern const volatile __u32 wake_up_after_sockets;
/* No better place shows the bytes: the results of calls do. */
extern const volatile bool bytes_by_calls;
/* Datagrams thrown away while they were read, nobody knows from which socket, by its port. */
extern __u32 drops_when_read[65536];
/* bpf/percpu.h: the map's address, and its element's for all CPUs; 0: not known. */
extern __u64 each_cpu_map, each_cpu_base;
extern const volatile __u32 nr_cpus; /* possible ones */
/* Where a network namespace keeps these counts (LINUX_MIB_...); 0: not known. */
extern const volatile __u32 mib_listen_overflows, mib_listen_drops, mib_cookies_received;
/* The kernel does not tell which listener had a drop: all are watched. Set before tracing begins.
 */
extern __u32 watches_listeners;
/* There were more listeners than can be watched. */
extern __u32 misses_listeners;

static __always_inline void lose(enum lost_reason reason)
{
	__sync_fetch_and_add(&lost[reason], 1);
}

static __always_inline struct task_record *task_at(__u32 index)
{
	return bpf_map_lookup_elem(&tasks, &index);
}

static __always_inline struct cpu_slot *this_cpu_slot(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&cpu_slots, &cpu);
}

#endif
