/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_VMLINUX_H
#define SOCKTRACE_VMLINUX_H

/*
 * The kernel types that the programs use, and of them only the fields that the programs read.
 * Written by hand from include/linux/sched.h, sched/signal.h, pid.h, binfmts.h, mm_types.h,
 * fdtable.h, fs.h, net.h, skbuff.h, tcp.h, udp.h, include/net/{sock,inet_sock,
 * inet_connection_sock,af_unix}.h, kernel/sched/sched.h and arch/{x86,arm64}/include of Linux 5.10
 * to 6.18. Offsets are not taken
 * from here: each access is relocated at load time against the running kernel's own BTF (CO-RE).
 */

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __s32 pid_t;
typedef unsigned long size_t;
typedef _Bool bool;
enum { false = 0, true = 1 };

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_RINGBUF = 27,
};
/* Its number is the kernel's own business: only its existence is asked for. */
enum bpf_func_id { BPF_FUNC_get_current_task_btf = 158, BPF_FUNC_task_pt_regs = 175 };
/* So are these: the programs take the numbers from the running kernel. */
enum skb_drop_reason {
	SKB_DROP_REASON_NOT_SPECIFIED = 2,
	SKB_DROP_REASON_NO_SOCKET,
	SKB_DROP_REASON_SOCKET_FILTER,
	SKB_DROP_REASON_SECURITY_HOOK,
	SKB_DROP_REASON_TCP_CSUM,
	SKB_DROP_REASON_TCP_FLAGS,
	SKB_DROP_REASON_TCP_LISTEN_OVERFLOW,
	SKB_DROP_REASON_TCP_OLD_SEQUENCE,
	SKB_DROP_REASON_TCP_RESET,
	SKB_DROP_REASON_TCP_CLOSE,
	SKB_DROP_REASON_TCP_OLD_ACK,
	SKB_DROP_REASON_QUEUE_PURGE,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_RB_FORCE_WAKEUP = 2 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r10, r9, r8, ax, bx, cx, dx, si, di, bp, orig_ax;
};
struct thread_info {
	unsigned long flags;
	unsigned long syscall_work; /* since 5.11 */
	__u32 status;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
};
struct thread_info {
	unsigned long flags;
	unsigned long syscall_work;
};
#else
#error "system call conventions of this architecture are not known to socktrace"
#endif

struct pid_namespace;

typedef struct {
	int counter;
} atomic_t;

struct in6_addr {
	__u64 halves[2]; /* not the kernel's names: only copied as a whole */
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[];
};

enum pid_type {
	PIDTYPE_PID,
	PIDTYPE_TGID,
	PIDTYPE_PGID,
	PIDTYPE_SID,
	PIDTYPE_MAX,
};

struct signal_struct {
	atomic_t live;
	struct pid *pids[PIDTYPE_MAX];
	int group_exit_code;
	unsigned int flags;
	unsigned long maxrss;
};

struct ns_common {
	unsigned int inum;
};

struct bpf_array {
	void *pptrs[1]; /* of each element, for all CPUs */
};

struct linux_mib;

struct netns_mib {
	struct linux_mib *net_statistics; /* of each CPU an array of unsigned long */
};

struct net {
	struct ns_common ns;
	struct netns_mib mib;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	possible_net_t skc_net;
	int skc_bound_dev_if;
	struct proto *skc_prot;
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	unsigned long skc_flags;
};

struct sk_buff_head {
	__u32 qlen;
};

struct sk_buff {
	unsigned int len;
	__be16 protocol;
	__u16 network_header, transport_header; /* from head */
	unsigned char *head, *data;
	unsigned int end; /* from head: struct skb_shared_info */
	char cb[48];
};

struct skb_shared_info {
	unsigned short gso_segs;
};

struct tcp_skb_cb {
	__u16 tcp_gso_segs;
};

/* Since 6.18: where UDP counts its drops (sock.sk_drops before). */
struct numa_drop_counters {
	atomic_t drops0, drops1;
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

typedef struct {
	long counter;
} atomic_long_t;

typedef struct {
	atomic_long_t refcnt; /* 0: one reference */
} file_ref_t;

struct file {
	file_ref_t f_ref;
	struct inode *f_inode;
	void *private_data;
};

/* Before 6.13 (90ee6ed776c0 "fs: port files to file_ref"). */
struct file___before_6_13 {
	atomic_long_t f_count;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};

struct sock;

struct proto_ops {
	void *splice_read; /* a function */
};

struct proto {
	void *sendpage; /* a function; before 6.5 */
};

struct socket {
	struct file *file;
	struct sock *sk;
	const struct proto_ops *ops;
};

typedef struct {
	int owned;
} socket_lock_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	atomic_t sk_drops;
	struct sk_buff_head sk_receive_queue, sk_write_queue;
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
	unsigned char sk_userlocks; /* a bit field before 6.10 or so */
	int sk_rcvbuf;
	int sk_rcvlowat;
	struct proto *sk_prot_creator;
	struct socket *sk_socket;
	__u16 sk_protocol;
	__u16 sk_type;
	__u32 sk_max_ack_backlog;
	unsigned long sk_ino; /* since 6.18 */
	struct numa_drop_counters *sk_drop_counters;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	const struct tcp_ulp_ops *icsk_ulp_ops;
	void *icsk_ulp_data;
};

struct list_head {
	struct list_head *next;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	struct list_head tsorted_sent_queue;
	__u32 srtt_us, mdev_us;
	__u32 snd_cwnd;
	__u32 mss_cache;
	__u32 write_seq, snd_una, rcv_nxt, copied_seq, urg_seq;
	__u64 bytes_acked, bytes_received;
	__u32 total_retrans;
	__u32 rate_delivered, rate_interval_us;
	__u32 chrono_start, chrono_stat[3];
	__u8 chrono_type : 2;
	__u8 syn_data : 1;
	__u8 syn_fastopen : 1;
	__u8 repair : 1;
	bool is_mptcp; /* with CONFIG_MPTCP; so the next two */
};

struct mptcp_subflow_context {
	__u32 request_join : 1, mp_join : 1;
	struct sock *conn;
};

struct mptcp_sock {
	struct sock *first;
};

struct udp_sock {
	unsigned long udp_flags;
	__u16 gso_size;
	struct sk_buff_head reader_queue;
};

struct pgv;

struct packet_ring_buffer {
	struct pgv *pg_vec;
};

struct packet_sock {
	struct packet_ring_buffer rx_ring;
};

/* Before 6.7 (e1dc0615c6b0 "udp: move udp->gro_enabled to udp->udp_flags"). */
struct udp_sock___before_6_7 {
	unsigned int gro_enabled : 1;
};

/* io_uring/splice.c: what a request to splice has in place of io_kiocb.file and what follows */
struct io_splice {
	struct file *file_out;
	int splice_fd_in;
	unsigned int flags;
};

struct io_kiocb {
	__u8 opcode;
};

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
};

typedef struct {
	atomic_t refs;
} refcount_t;

struct unix_address {
	refcount_t refcnt;
	int len;
	struct sockaddr_un name[];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct msghdr;

struct mm_struct {
	unsigned long arg_start, arg_end;
};

struct rq {
	__u64 clock;
	__u64 clock_task;
};

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
	__u64 exec_start;
	__u64 sum_exec_runtime;
	__u64 nr_migrations;
};

struct seccomp {
	int mode;
};

struct task_struct {
	struct seccomp seccomp;
	struct thread_info thread_info;
	unsigned int __state;
	void *stack;
	unsigned int flags;
	unsigned int ptrace;
	struct sched_entity se;
	struct mm_struct *mm;
	struct files_struct *files;
	int exit_state;
	int exit_code;
	unsigned int in_execve : 1;
	pid_t pid;
	pid_t tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	unsigned long nvcsw;
	unsigned long nivcsw;
	__u64 start_time;
	__u64 start_boottime;
	unsigned long min_flt;
	unsigned long maj_flt;
	char comm[16];
	struct signal_struct *signal;
};

/* Before 5.14 (commit 2f064a59a11f "sched: Change task_struct::state"). */
struct task_struct___before_5_14 {
	long state;
};

struct linux_binprm {
	const char *filename;
};

struct bpf_iter_meta;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
