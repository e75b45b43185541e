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
#define KEY_NR_MASK    0x3ff
#define KEY_NR_INVALID 0x3ff
#define KEY_COMPAT     0x400 /* 32-bit call */
#define KEY_X32	       0x800 /* x32 call (bit 30 of the number) */
#define KEYS	       0x1000

/* task_record.call, when not a key: */
#define CALL_NONE	 0x1000 /* outside any call: a return now means that entry was skipped */
#define CALL_UNKNOWN	 0x1001 /* traced since it was under way: a return now began before */
#define CALL_FORKED	 0x1002 /* a new thread on its way out of its parent's call */
#define CALL_BEFORE_EXEC 0x1003 /* our own child: nothing counts before its execve(2) */
#define CALL_ANSWERED	 0x1004 /* a ptracer took the number away: the kernel does nothing */

/* bpf/pools.bpf.c */
enum pool_number { POOL_TASKS, POOL_PROCESSES, POOL_ROWS, POOL_BLOCKS, POOL_SOCKS, POOL_USES };
#define FILL_AT_ONCE 64

enum record_state { RECORD_FREE, RECORD_LIVE, RECORD_ENDED };
enum task_phase { PHASE_OFF, PHASE_ON };

/* Preempted: still wants to run. Asleep: waits to be woken. Else it gave way, or was just listed.
 */
enum off_reason { OFF_RUNNABLE, OFF_PREEMPTED, OFF_ASLEEP };

/* Counts of durations in one octave, or of eight neighbouring error numbers. */
struct block {
	__u32 tag; /* octave; or TAG_ERRNO + error / HIST_SUB */
	__u32 next;
	__u64 count[HIST_SUB];
};

#define TAG_ERRNO   0x100
#define ERRNO_MAX   4095
#define HIST_HEADS  4
#define LIST_ERRNOS HIST_HEADS
#define BLOCK_LISTS (HIST_HEADS + 1)

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
	__u32 lists[BLOCK_LISTS]; /* blocks of durations by octave % HIST_HEADS; of error numbers */
	__u32 task;		  /* whose it is */
	__u32 last_block;	  /* the block of the last duration, unless 0 */
	__u8 last_shift;	  /* and the shift that makes of a duration in it 8 .. 15 */
	__u8 kind;		  /* enum row_kind */
};

enum row_kind {
	ROW_PLAIN,
	ROW_BYTES,     /* a result >= 0 is a number of bytes */
	ROW_NO_RESULT, /* rt_sigreturn: what it "returns" is the interrupted code's register */
	ROW_KIND_MASK,
};

/* What a call does to a socket, in the bits above ROW_KIND_MASK of call_row.kind. */
#define SOCKET_OP_SHIFT 2
enum socket_op {
	OP_NONE,
	OP_TOUCH,   /* bind, listen: the socket is the process's from now on */
	OP_CONNECT, /* the same, to the address in arguments 1 and 2 */
	OP_ACCEPT,
	OP_SPLICE,     /* from argument 0 to argument 2 */
	OP_SENDFILE,   /* to argument 0 */
	OP_SOCKETCALL, /* socketcall(2): one of these, by argument 0 */
	OP_GETSOCKOPT,
	OP_SEND_MANY,	 /* sendmmsg: descriptor in argument 0, so below; flags in argument 3 */
	OP_RECEIVE_MANY, /* recvmmsg: flags in argument 3 */
	/* at their return the rest matter only where nothing better shows the bytes */
	OP_SEND,	   /* write: no flags; length in argument 2 */
	OP_SEND_VECTOR,	   /* writev: no flags */
	OP_SEND_TO,	   /* sendto: flags in argument 3, length in argument 2 */
	OP_SEND_MSG,	   /* sendmsg: flags in argument 2 */
	OP_RECEIVE,	   /* read: no flags; length in argument 2 */
	OP_RECEIVE_VECTOR, /* readv: no flags */
	OP_RECEIVE_FROM,   /* recvfrom: flags in argument 3, length in argument 2 */
	OP_RECEIVE_MSG,	   /* recvmsg: flags in argument 2 */
	OP_FIRST_OF_CALLS = OP_SEND,
};

static inline int op_receives(unsigned int op)
{
	return op >= OP_RECEIVE || op == OP_RECEIVE_MANY;
}

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

/* What a thread moved through sockets. */
struct socket_sums {
	__u64 sent_calls, sent_bytes, received_calls, received_bytes;
};

struct task_record {
	/* touched by every system call */
	__u32 call; /* key, or CALL_* */
	__u32 phase;
	__u64 enter_ns;
	__u64 entries, exits;			 /* of calls whose entry was seen */
	__u64 call_runnable_ns, call_blocked_ns; /* off the CPU during the present call */
	__u32 rows[ROW_HEADS];			 /* by key % ROW_HEADS */
	__u32 next_row, next_block; /* next free one of the chunk; at a chunk's edge: none */

	/* touched by every switch */
	__u64 since_ns; /* on or off the CPU since */
	__u64 woken_ns; /* first wake-up since it went off; 0: none */
	__u32 went_off; /* enum off_reason */
	__u32 has_base;
	__u64 run_ns;	  /* on a CPU, by the clock of the calls */
	__u64 charged_ns; /* on a CPU, by the scheduler's clock: see bpf/switches.h */
	__u64 listed_ns;  /* of these, before the first event: not in the kernel's count */
	__u64 stolen_ns;  /* on a CPU, but taken by the hypervisor or interrupts; not charged */
	__u64 runnable_ns, blocked_ns;
	__u64 exec_start_ns; /* the scheduler's clock when it came on */
	__u64 clock_skew_ns; /* its other clock less this one, then */
	__u64 voluntary, involuntary;
	__u64 base_voluntary, base_involuntary, base_exec_ns, last_voluntary, last_exec_ns;
	struct books books;

	/* from the first listing, and the last */
	__u64 base_minor, base_major, base_migrations;
	__u64 minor, major, migrations;
	struct socket_sums sockets;
	__u64 moving_sk; /* kretprobe: the socket of the send or receive under way */
	__u32 moving_flags;
	__u32 last_sock; /* the socket of the last send or receive; 0: none */
	/* in the present call; 0: none */
	__u32 splice_sock; /* splice(2) takes from it, past every other place that counts */
	__u32 piece_sock;  /* sendfile(2), splice(2): what it sends to */
	__u32 failed_sock; /* sendmmsg(2), recvmmsg(2): a try failed, which may not be the result */
	__u32 mended;	   /* lower half of the entries when it last mended a base; see moved.h */
	__u64 extra_kernel_ns; /* on a CPU in calls whose beginning or end was not seen */

	__u64 snapshot; /* number of the last snapshot that met this thread */

	/* who */
	__u64 start_ns; /* task_struct.start_time when its trace began */
	__u64 first_ns; /* CLOCK_MONOTONIC when its trace began */
	__u64 ended_ns;
	__u64 task;  /* its task_struct: the key in task_of */
	__u32 state; /* enum record_state */
	__u32 process;
	__u32 self; /* its own index */
	__u32 tgid; /* in the initial PID namespace */
	__u32 tid;  /* in the tracer's */
	__u16 is_leader;
	__u8 has_execed;
	__u8 is_compat; /* when listed: the call that it was in, if any, was a 32-bit one */
	__u8 is_ending; /* on its way out; only its last switch is still to come */
	__u8 is_kernel; /* a thread of io_uring: it makes no calls, and is never in user code */
	char comm[COMM_LEN];
};

#define FILENAME_LEN 128
#define ARGS_LEN     256

struct process_record {
	__u32 state;
	__u32 pid;	  /* in the tracer's PID namespace */
	__u32 tgid;	  /* in the initial one */
	__u32 parent;	  /* its parent's record, if traced when it forked */
	__u64 started_ns; /* start_boottime of its first thread */
	__u64 first_ns;	  /* CLOCK_MONOTONIC when its trace began */
	__u64 snapshot;	  /* number of the last snapshot that met a thread of it */
	__u64 ended_ns;
	__u64 maxrss_pages;
	__u32 execs;	   /* successful ones; counted last, when the fields below are whole */
	__u32 wait_status; /* as wait(2) gives it */
	__u32 is_target;   /* named by the user, not followed */
	__u64 untraced_child_ns; /* when it last had a child that is not traced; 0: it had none */
	__u32 args_len;
	char filename[FILENAME_LEN]; /* as given to execve(2), last one */
	char args[ARGS_LEN];	     /* NUL-separated, cut short */
};

/* --- sockets -------------------------------------------------------------------------------- */

enum sock_protocol {
	PROTO_NONE,
#define SOCK_PROTOCOL(id, name) PROTO_##id,
#include "socktrace/protocols.def"
#undef SOCK_PROTOCOL
	NR_PROTOS,
};

enum sock_role {
	ROLE_NONE,
	ROLE_LISTEN,
	ROLE_ACCEPT,
	ROLE_CONNECT,
	ROLE_BIND,
	ROLE_UNKNOWN, /* TCP older than the trace, of a listener: which, user space finds */
	NR_ROLES,
};

/* Why a TCP socket's sequence numbers count other bytes than were sent and received. */
enum sock_opaque {
	OPAQUE_NOT,
	OPAQUE_REPLACED,  /* TLS in the kernel, a sockmap: its functions were replaced */
	OPAQUE_REPAIR,	  /* TCP_REPAIR sets them by hand */
	OPAQUE_FAST_OPEN, /* data went with the SYN */
	OPAQUE_URGENT,	  /* an urgent byte is read apart from the others, or passed over */
	OPAQUE_MAPPED,	  /* TCP_ZEROCOPY_RECEIVE */
	OPAQUE_UNDER_WAY, /* several threads moved bytes while a call was under way that began
			     before its trace */
	NR_OPAQUES,
};

enum sock_closer { CLOSER_NONE, CLOSER_LOCAL, CLOSER_REMOTE };

/* What one process moved through one socket. Several threads count here, with atomic adds. */
struct sock_counts {
	__u64 send_calls, send_bytes, receive_calls, receive_bytes;
	__u64 send_errors, receive_errors;
	__u64 peek_calls, peek_bytes, trunc_calls, trunc_bytes;
	__u64 extra_segments; /* datagrams beyond one per send */
};

/*
 * Two counts of the same thing, read together: by the programs, in sock_record.counts alone, and
 * by the kernel, since the socket's trace began.
 */
struct sock_books {
	__u64 seen_sent, kernel_sent;
	__u64 seen_received, kernel_received; /* seen: MSG_TRUNC included */
	__u64 seen_drops, kernel_drops;
};

/* Of struct tcp_sock at the last look, since the socket's trace began where they add up. */
struct sock_tcp {
	__u32 srtt_us; /* 8 times */
	__u32 mdev_us; /* 4 times */
	__u32 cwnd, mss;
	__u32 rate_delivered, rate_interval_us;
	__u32 retransmits, retransmits_failed;
	__u32 last_total, failed_in_total;  /* of tcp_sock.total_retrans */
	__u32 rwnd_limited, sndbuf_limited; /* jiffies */
	__u32 resets_sent, resets_received, failed_connects;
	__u32 base_retransmits, base_rwnd_limited, base_sndbuf_limited;
};

/* Counts of a network namespace: TcpExt ListenOverflows, ListenDrops, SyncookiesRecv. */
struct listen_counts {
	__u64 overflows, drops, cookies;
};

/* Of a listener: bpf/overflows.h. Its sock_record.drops are those that its own counter has, too. */
struct sock_listen {
	__u32 net;			/* its network namespace */
	__u32 is_counted;		/* base and now could be read */
	__u32 doubtful, seen_doubtful;	/* of drops; when the books were read */
	struct listen_counts base, now; /* when it began to listen; when the books were read */
};

#define UNIX_NAME_LEN 108

/* A socket. Times are CLOCK_MONOTONIC, 0: not (seen). */
struct sock_record {
	/* touched by every send and receive */
	__u64 sk;      /* its struct sock: the key in sock_of */
	__u64 ino;     /* inode number, which tells it from a later one at the same address */
	__u32 process; /* whose counts stand here; 0: nobody's yet */
	__u32 owner;   /* the process that last read, bound, accepted or connected it */
	__u8 protocol; /* enum sock_protocol */
	__u8 role;     /* enum sock_role */
	__u8 has_drops;
	__u8 is_shared; /* counts of other processes stand in uses */
	__u32 queue_peak;
	__u32 state;	   /* enum record_state */
	__u8 is_fresh;	   /* made by the call under way, whose bytes are in the base */
	__u8 is_segmented; /* UDP_SEGMENT */
	__u8 is_gathered;  /* UDP_GRO: a read may give several datagrams */
	/* a send was, or may have been, no datagram or several: see count_datagrams() */
	__u8 has_odd_sends;
	struct sock_counts counts;
	__u64 first_byte_ns;
	__u64 maker; /* the task that made the record, while is_fresh */

	__u16 family;
	__u8 tcp_state;	  /* at the last look */
	__u8 seen_state;  /* TCP: into which it was last seen to change; 0: never seen to change */
	__u8 closed_by;	  /* enum sock_closer */
	__u64 closing_ns; /* last close(2) of a descriptor of it, if not TCP */
	__u64 opened_ns, closed_ns, connect_ns, established_ns, accepted_ns;
	struct sock_tcp tcp;
	struct sock_listen listen;

	struct sock_books books;
	__u64 base_sent, base_received, base_drops; /* the kernel's counts when its trace began */
	__u64 base_ns; /* when that was, if the connection was older; a call could be under way */
	__u64 drops;
	__u64 gone_sent, gone_received; /* by processes that ended; user space adds */
	__u32 base_urg_seq;
	__u8 has_base, has_fin_sent, has_fin_in_base;
	__u8 is_dual;	     /* IPv6 that takes IPv4 too */
	__u8 opaque;	     /* enum sock_opaque */
	__u8 is_cut_off;     /* it was disconnected before its last bytes were compared */
	__u8 by_ring;	     /* threads of io_uring moved some of its bytes */
	__u8 is_refreshed;   /* the books have been filled */
	__u8 had_outsiders;  /* a process that is not traced held it */
	__u8 is_end_seen;    /* its last descriptor was closed in view: the books are of then */
	__u8 awaits_result;  /* of a SYN that was sent: connect(2) has not told yet */
	__u8 is_flow_gone;   /* MPTCP: the first subflow */
	__u8 has_ring;	     /* packet socket: it gives packets through memory */
	__u8 has_many_peers; /* datagrams: no one remote address is that of all */
	__u32 receive_buffer, datagrams_queued;

	/* what calls under way at the look numbered busy_snapshot may have moved, uncounted */
	__u64 busy_snapshot, busy_sent, busy_received;

	__u64 snapshot;	    /* number of the last snapshot that met it, or of when it was made */
	__u64 refreshed_in; /* number of the snapshot that read the books last */
	__u32 holders;	    /* tables of descriptors that hold it, by that snapshot */
	__u32 last_holder;  /* the last one counted */

	__u32 netns; /* number of its network namespace */
	__u32 scope; /* interface that it is bound to, by its number there; 0: none */
	__be16 remote_port;
	__u16 local_port;
	union {
		struct {
			__u8 local[16], remote[16]; /* IPv4: the first four bytes */
		};
		struct {
			__u8 is_peer_name, name_len; /* the peer's name: it has none itself */
			char name[UNIX_NAME_LEN];
		};
	};
};

/* What a further process moved through a socket. */
struct sock_use {
	__u32 state; /* enum record_state */
	__u32 sock, process;
	struct sock_counts counts;
};

struct sock_use_key {
	__u32 sock, process;
};

/* Drops of one socket (sock not 0, where 0) or of none, for one reason. */
struct drop_key {
	__u64 where; /* address in the kernel's code */
	__u32 sock;
	__u32 reason; /* enum skb_drop_reason; REASON_* */
};

struct drop_count {
	__u64 packets, bytes;
	__u64 first_ns, last_ns;
};

/* A TCP port on which a traced process has been listening. */
struct port_key {
	__u32 netns, port;
};

#define REASON_NONE 0xffffffff /* this kernel has no reasons */

/* --- CPUs and the rest ----------------------------------------------------------------------- */

/* One per CPU: the traced task that runs on it. */
struct cpu_slot {
	__u32 task; /* 0: none; SLOT_UNSURE: look it up */
	__u32 has_percpu_offset;
	__u64 running; /* task_struct that the last switch brought on; 0: no switch seen yet */
	__u64 failed_skb, failed_sk; /* datagram about to be thrown away, and whose */
	__u64 percpu_offset;	     /* where its copies of per-CPU variables lie: bpf/percpu.h */
	__u64 born;		     /* connection that is being made of one to a traced listener */
	__u64 state_done;	     /* the change of a TCP state that tcp_state did last */
	__u64 pad;		     /* a cache line of its own */
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
