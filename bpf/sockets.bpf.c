// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What processes move through their sockets, and the sockets that there are. Bytes can be seen in
 * several places, of which user space takes the first that works here; all end in moved.h.
 */
#include "moved.h"

/* --- tracepoints: Linux 6.3 (6e6eda44b939) ---------------------------------------------- */

SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk, int ret, int flags)
{
	struct cpu_slot *slot = busy_slot();

	return slot ? sent_once(slot, sk, ret) : 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int ret, int flags)
{
	struct cpu_slot *slot = busy_slot();

	return slot ? received_once(slot, sk, ret, flags) : 0;
}

/* --- fexit ------------------------------------------------------------------------------ */

#define SENDS_IF(function, condition)                                                       \
	SEC("fexit/" #function)                                                             \
	int BPF_PROG(fexit_##function, struct socket *sock, struct msghdr *msg, size_t len, \
		     int ret)                                                               \
	{                                                                                   \
		struct cpu_slot *slot = busy_slot();                                        \
                                                                                            \
		return slot && (condition) ? sent_once(slot, sock->sk, ret) : 0;            \
	}

#define RECEIVES_IF(function, condition)                                                    \
	SEC("fexit/" #function)                                                             \
	int BPF_PROG(fexit_##function, struct socket *sock, struct msghdr *msg, size_t len, \
		     int flags, int ret)                                                    \
	{                                                                                   \
		struct cpu_slot *slot = busy_slot();                                        \
                                                                                            \
		return slot && (condition) ? received_once(slot, sock->sk, ret, flags) : 0; \
	}

#define SENDS(function)	   SENDS_IF(function, true)
#define RECEIVES(function) RECEIVES_IF(function, true)

/*
 * sendfile(2) and splice(2) before 6.5 (dc97391e6610). Protocols without a way of their own have
 * their pages sent by inet_sendmsg(), where they are counted (inet_sendpage(), net/ipv4/af_inet.c).
 */
static __always_inline bool sends_pages(struct sock *sk)
{
	struct proto *proto = BPF_CORE_READ(sk, __sk_common.skc_prot);

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_UNIX)
		return true;
	return bpf_core_field_exists(proto->sendpage) && BPF_CORE_READ(proto, sendpage);
}

#define SENDS_PAGE(function)                                                                    \
	SEC("fexit/" #function)                                                                 \
	int BPF_PROG(fexit_##function, struct socket *sock, void *page, int offset, size_t len, \
		     int flags, long ret)                                                       \
	{                                                                                       \
		struct cpu_slot *slot = busy_slot();                                            \
                                                                                                \
		return slot && sends_pages(sock->sk) ? sent_once(slot, sock->sk, ret) : 0;      \
	}

/*
 * unix_seqpacket_sendmsg() and _recvmsg() end in those for datagrams, which the compiler may have
 * put into them: then a hook there is passed by. So they are counted where they begin.
 */
static __always_inline bool is_datagram(const struct socket *sock)
{
	return sock->sk->sk_type != SOCK_SEQPACKET;
}

SENDS(inet_sendmsg)
SENDS(inet6_sendmsg)
SENDS(unix_stream_sendmsg)
SENDS(unix_seqpacket_sendmsg)
SENDS_IF(unix_dgram_sendmsg, is_datagram(sock))
RECEIVES(inet_recvmsg)
RECEIVES(inet6_recvmsg)
RECEIVES(sock_common_recvmsg) /* raw and ping sockets of IPv6 */
RECEIVES(unix_stream_recvmsg)
RECEIVES(unix_seqpacket_recvmsg)
RECEIVES_IF(unix_dgram_recvmsg, is_datagram(sock))
SENDS(netlink_sendmsg)
RECEIVES(netlink_recvmsg)
SENDS(packet_sendmsg)
RECEIVES(packet_recvmsg)
SENDS_PAGE(inet_sendpage)
SENDS_PAGE(unix_stream_sendpage)

/* --- kprobes: attached to each of the functions above ----------------------------------- */

static __always_inline void moving(__u64 sock, __u32 flags)
{
	struct sock *sk = BPF_CORE_READ((struct socket *)sock, sk);
	struct task_record *t = current_record();

	if (!t)
		return;
	/* A call within a call; its result is that of both, the return from the outer one passes.
	 */
	if (t->moving_sk == (__u64)sk && BPF_CORE_READ(sk, sk_type) == SOCK_SEQPACKET)
		return;
	if (t->moving_sk)
		lose(LOST_RETURN_UNSEEN);
	t->moving_sk = (__u64)sk;
	t->moving_flags = flags;
}

SEC("kprobe")
int kprobe_sends(struct pt_regs *regs)
{
	moving(arch_function_arg0(regs), 0);
	return 0;
}

SEC("kprobe")
int kprobe_sends_page(struct pt_regs *regs)
{
	__u64 sock = arch_function_arg0(regs);

	if (sends_pages(BPF_CORE_READ((struct socket *)sock, sk)))
		moving(sock, 0);
	return 0;
}

SEC("kprobe")
int kprobe_receives(struct pt_regs *regs)
{
	moving(arch_function_arg0(regs), arch_function_arg3(regs));
	return 0;
}

/* The socket of the function that returns now; 0: its entry was not seen. */
static __always_inline __u64 moved_now(__u32 *flags)
{
	struct task_record *t = current_record();
	__u64 sk;

	if (!t)
		return 0;
	sk = t->moving_sk;
	*flags = t->moving_flags;
	t->moving_sk = 0;
	return sk;
}

SEC("kretprobe")
int kretprobe_sent(struct pt_regs *regs)
{
	__u32 flags = 0;
	__u64 sk = moved_now(&flags);

	return sk ? socket_sent(sk, (int)arch_function_result(regs), 1, OP_NONE) : 0;
}

SEC("kretprobe")
int kretprobe_received(struct pt_regs *regs)
{
	__u32 flags = 0;
	__u64 sk = moved_now(&flags);

	return sk ? socket_received(sk, (int)arch_function_result(regs), 1, flags, OP_NONE) : 0;
}

/* --- what io_uring splices ---------------------------------------------------------------- */

#define IORING_OP_SPLICE     30		/* include/uapi/linux/io_uring.h */
#define SPLICE_F_FD_IN_FIXED (1U << 31) /* the descriptor is a number in a table of the ring */

/*
 * What io_uring takes out of a socket by splice is seen nowhere: the request has no system call
 * that returns. It never runs at once, but is handed to a worker here; in these words since Linux
 * 6.1 (48863ffd3e81).
 */
SEC("tp_btf/io_uring_queue_async_work")
int BPF_PROG(io_uring_queue_async_work, struct io_kiocb *req, int rw)
{
	struct io_splice *splice = (struct io_splice *)req;
	struct task_record *t;
	__u64 sk;

	/* By the results of calls nothing of io_uring is seen. */
	if (!tracing || bytes_by_calls || req->opcode != IORING_OP_SPLICE)
		return 0;
	t = current_record();
	if (!t)
		return 0;
	/* One of the two is a pipe: what goes into no pipe comes out of one. */
	if (BPF_CORE_READ(splice, file_out) &&
	    (BPF_CORE_READ(splice, file_out, f_inode, i_mode) & S_IFMT) != S_IFIFO)
		return 0;
	if (BPF_CORE_READ(splice, flags) & SPLICE_F_FD_IN_FIXED) {
		lose(LOST_URING_SPLICES);
		return 0;
	}
	sk = sock_of_fd(BPF_CORE_READ(splice, splice_fd_in));
	if (sk && is_spliced_past((struct sock *)sk))
		lose(LOST_URING_SPLICES);
	return 0;
}

/* --- the sockets that there are
 * ------------------------------------------------------------------- */

static __always_inline void count_holder(struct sock_record *s, struct task_struct *task)
{
	__u32 tgid = task->tgid, table = task->pid;

	if (s->snapshot != nr_snapshots) {
		s->holders = 0;
		s->last_holder = 0;
		s->snapshot = nr_snapshots;
	}
	if (s->last_holder == table) /* descriptors of one table come in a row */
		return;
	s->last_holder = table;
	s->holders++;
	if (!bpf_map_lookup_elem(&process_of, &tgid))
		s->had_outsiders = 1;
}

static __always_inline void watch_if_listening(struct sock *sk)
{
	__u32 protocol = protocol_of(sk);

	if (protocol == PROTO_MPTCP)
		sk = (struct sock *)first_flow(sk);
	else if (protocol != PROTO_TCP)
		return;
	if (sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		watch_listener(address_of(sk), false);
}

/*
 * A listener's connections inherit the length of its queue, but not that its port was chosen by
 * bind(2); see sk_clone_lock(), net/core/sock.c. Nothing of this tells a connection that was made
 * from a port of the kernel's choice from one of a listener without a queue.
 */
static __always_inline __u32 role_when_listed(struct sock *flow)
{
	if (flow && BPF_CORE_READ(flow, __sk_common.skc_state) == TCP_LISTEN)
		return ROLE_LISTEN;
	if (!is_connection(flow))
		return ROLE_NONE;
	if (BPF_CORE_READ_BITFIELD_PROBED(flow, sk_userlocks) & SOCK_BINDPORT_LOCK)
		return ROLE_CONNECT;
	return BPF_CORE_READ(flow, sk_max_ack_backlog) ? ROLE_UNKNOWN : ROLE_NONE;
}

static __always_inline struct sock_record *listed_sock(struct sock *sk, struct task_struct *task,
						       __u32 *index)
{
	__u32 tgid = task->tgid, *process;
	struct sock_record *s;
	__u64 flow;

	if (!listing_sockets) {
		s = sock_find(sk, index);
		return s && sock_matches(s, inode_of(sk)) ? s : NULL;
	}
	process = bpf_map_lookup_elem(&process_of, &tgid);
	if (!process)
		return NULL;
	s = sock_get(sk, *process, index);
	if (s)
		s->is_fresh = 0;
	if (s && is_tcp(s) && !s->role) {
		flow = flow_of(s, sk);
		s->role = role_when_listed((struct sock *)flow);
		if (s->role == ROLE_LISTEN)
			listener_begin(*index, flow);
	}
	return s;
}

/* The kernel tells of a change of state before it stores it, and may be interrupted between. */
static __always_inline void look_at_state(struct sock_record *s, struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (s->protocol != PROTO_TCP || !s->seen_state || likely(s->seen_state == state))
		return;
	if (is_last_look)
		check_state(s, state);
	else
		ADD(doubtful_states, 1);
}

/*
 * Every open socket of every process, once when tracing starts, to find those that the targets
 * have, and at each snapshot, to bring the records up to date.
 */
SEC("iter/task_file")
int list_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock_record *s;
	struct socket *sock;
	struct sock *sk;
	__u32 index = 0;

	if (!task || !file || (file->f_inode->i_mode & S_IFMT) != S_IFSOCK)
		return 0;
	sock = file->private_data;
	sk = BPF_CORE_READ(sock, sk);
	if (!sk)
		return 0;
	if (watches_listeners)
		watch_if_listening(sk);
	s = listed_sock(sk, task, &index);
	if (!s)
		return 0;
	count_holder(s, task);
	fill_name(index, address_of(sk));
	refresh_queue(s, sk);
	sock_refresh(index, address_of(sk));
	look_at_state(s, sk);
	s->refreshed_in = nr_snapshots;
	return 0;
}
