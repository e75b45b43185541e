/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_LAYOUT_H
#define SOCKTRACE_LAYOUT_H

/*
 * The maps' records, as the BPF programs fill them and user/capture reads them through mmap.
 *
 * Every pool (tasks, rows, blocks, processes) is an array whose element 0 is never used, so that
 * an index of 0 means "none". Free elements wait in a queue: the programs take from it, user space
 * gives back, zeroed, once it has folded a record that ended. Rows and blocks travel in chunks of
 * CHUNK neighbours, each chunk owned by one thread.
 *
 * A live thread's record, rows and blocks have one writer: the programs that run on its behalf.
 * That is why nothing here is atomic.
 */

#ifndef __bpf__ /* there, vmlinux.h has the types */
#include <linux/types.h>
#endif

#include "socktrace/histogram.h"

#define COMM_LEN 16 /* TASK_COMM_LEN */
#define CHUNK	 8  /* rows or blocks handed to a thread at once */

/*
 * A system call is known by a key: its number, and the table the number belongs to. No table has
 * NR_INVALID; every number above it is counted there.
 */
#define KEY_NR_MASK	0x3ff
#define KEY_NR_INVALID	0x3ff
#define KEY_COMPAT	0x400 /* 32-bit call */
#define KEY_X32		0x800 /* x32 call (bit 30 of the number) */
#define KEYS		0x1000

/* task_record.call, when not a key: */
#define CALL_NONE	0x1000 /* outside any call: a return now means that entry was skipped */
#define CALL_UNKNOWN	0x1001 /* traced since it was under way: a return now began before */
#define CALL_FORKED	0x1002 /* a new thread on its way out of its parent's call */
#define CALL_BEFORE_EXEC 0x1003 /* our own child: nothing counts before its execve(2) */

enum record_state { RECORD_FREE, RECORD_LIVE, RECORD_ENDED };
enum task_phase { PHASE_OFF, PHASE_ON };

/* Preempted: still wants to run. Asleep: waits to be woken. Else it gave way, or was just listed. */
enum off_reason { OFF_RUNNABLE, OFF_PREEMPTED, OFF_ASLEEP };

/* Counts of durations in one octave, or of eight neighbouring error numbers. */
struct block {
	__u32 tag; /* octave; or TAG_ERRNO + error / HIST_SUB */
	__u32 next;
	__u64 count[HIST_SUB];
};

#define TAG_ERRNO  0x100
#define ERRNO_MAX  4095
#define HIST_HEADS 4

/* One system call of one thread. */
struct call_row {
	__u32 key;
	__u32 next;
	__u64 calls;
	__u64 errors;
	__u64 restarts;
	__u64 denied;
	__u64 in_flight_start;
	__u64 total_ns;
	__u64 runnable_ns;
	__u64 blocked_ns;
	__u64 min_ns;
	__u64 max_ns;
	__u64 bytes;
	__u32 hist[HIST_HEADS]; /* blocks of octaves with the same octave % HIST_HEADS */
	__u32 errnos;		/* blocks of error numbers */
	__u32 last_block;	/* the block of the last duration, unless 0 */
	__u8 last_shift;	/* and the shift that makes of a duration in it 8 .. 15 */
	__u8 kind;		/* enum row_kind */
};

enum row_kind {
	ROW_PLAIN,
	ROW_BYTES,     /* a result >= 0 is a number of bytes */
	ROW_NO_RESULT, /* rt_sigreturn: what it "returns" is the interrupted code's register */
};

#define ROW_HEADS 16

/*
 * Two counts of the same thing, read together: ours, and the kernel's own since the thread's
 * trace began.
 */
struct books {
	__u64 seen_voluntary, seen_involuntary;
	__u64 kernel_voluntary, kernel_involuntary;
	__u64 seen_exec_ns, kernel_exec_ns;
};

struct task_record {
	/* touched by every system call */
	__u32 call; /* key, or CALL_* */
	__u32 phase;
	__u64 enter_ns;
	__u64 entries, exits; /* of calls whose entry was seen */
	__u64 call_runnable_ns, call_blocked_ns; /* off the CPU during the present call */
	__u32 rows[ROW_HEADS];			 /* by key % ROW_HEADS */
	__u32 next_row, next_block;		 /* next free one of the chunk; at a chunk's edge: none */

	/* touched by every switch */
	__u64 since_ns; /* on or off the CPU since */
	__u64 woken_ns; /* first wake-up since it went off; 0: none */
	__u32 went_off; /* enum off_reason */
	__u32 has_base;
	__u64 run_ns;	   /* on a CPU, by the clock of the calls */
	__u64 charged_ns;  /* on a CPU, by the scheduler's clock: see bpf/switches.h */
	__u64 listed_ns;   /* of these, before the first event: not in the kernel's count */
	__u64 stolen_ns;   /* on a CPU, but taken by the hypervisor or interrupts; not charged */
	__u64 runnable_ns, blocked_ns;
	__u64 exec_start_ns; /* the scheduler's clock when it came on */
	__u64 clock_skew_ns; /* its other clock less this one, then */
	__u64 voluntary, involuntary;
	__u64 base_voluntary, base_involuntary, base_exec_ns, last_voluntary, last_exec_ns;
	struct books books;

	/* from the first listing, and the last */
	__u64 base_minor, base_major, base_migrations;
	__u64 minor, major, migrations;
	__u64 extra_kernel_ns; /* on a CPU in calls whose beginning or end was not seen */

	__u64 snapshot; /* number of the last snapshot that met this thread */

	/* who */
	__u64 start_ns; /* task_struct.start_time when its trace began */
	__u64 first_ns; /* CLOCK_MONOTONIC when its trace began */
	__u64 ended_ns;
	__u64 task; /* its task_struct: the key in task_of */
	__u32 state; /* enum record_state */
	__u32 process;
	__u32 tgid; /* in the initial PID namespace */
	__u32 tid;  /* in the tracer's */
	__u16 is_leader;
	__u8 has_execed;
	__u8 is_compat; /* when listed: the call that it was in, if any, was a 32-bit one */
	__u8 is_ending; /* on its way out; only its last switch is still to come */
	char comm[COMM_LEN];
};

#define FILENAME_LEN 128
#define ARGS_LEN     256

struct process_record {
	__u32 state;
	__u32 pid;  /* in the tracer's PID namespace */
	__u32 tgid; /* in the initial one */
	__u32 parent; /* its parent's record, if traced when it forked */
	__u64 started_ns; /* start_boottime of its first thread */
	__u64 ended_ns;
	__u64 maxrss_pages;
	__u32 execs; /* successful ones; counted last, when the fields below are whole */
	__u32 wait_status; /* as wait(2) gives it */
	__u32 is_target;   /* named by the user, not followed */
	__u32 args_len;
	char filename[FILENAME_LEN]; /* as given to execve(2), last one */
	char args[ARGS_LEN];	     /* NUL-separated, cut short */
};

/* One per CPU: the traced task that runs on it. */
struct cpu_slot {
	__u32 task; /* 0: none; SLOT_UNSURE: look it up */
	__u32 unused;
	__u64 running; /* task_struct that the last switch brought on; 0: no switch seen yet */
	__u64 pad[6];  /* a cache line of its own */
};

#define SLOT_UNSURE 0xffffffff

enum seeding { SEEDING_NOT, SEEDING_FIRST, SEEDING_SECOND }; /* passes of the first listing */

enum lost_reason {
#define LOST(id, name, help) LOST_##id,
#include "socktrace/lost.def"
#undef LOST
	NR_LOST,
};

#endif
