/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_SOCKET_CALLS_H
#define SOCKTRACE_BPF_SOCKET_CALLS_H

/*
 * What a system call that returned has done to a socket, told by its arguments and its result.
 * Where the descriptor is looked up when the call returns, one that another thread closed during
 * the call is not counted.
 */

#include "moved.h"

struct call {
	__u64 args[4];
	long ret;
	__u32 op; /* enum socket_op */
};

/* socketcall(2) has the arguments in memory. 32-bit programs alone make it. */
static __always_inline void unfold_socketcall(struct call *c)
{
	__u32 args[4] = {};

	c->op = socketcall_op(c->args[0]);
	bpf_probe_read_user(args, sizeof(args), (void *)c->args[1]);
	for (int i = 0; i < 4; i++)
		c->args[i] = args[i];
}

/* --- bind, connect, listen, setsockopt, accept, close ----------------------------------- */

/* What the call may have changed of a datagram socket. */
static __always_inline void touched_datagrams(struct sock_record *s)
{
	if (s->role == ROLE_NONE && s->local_port && !s->counts.send_calls)
		s->role = ROLE_BIND; /* only a send gives a port unasked */
}

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
	if (s->protocol == PROTO_UDP)
		touched_datagrams(s);
	/* TCP_REPAIR sets the sequence numbers by hand. */
	if (s->protocol == PROTO_TCP &&
	    BPF_CORE_READ_BITFIELD_PROBED((struct tcp_sock *)sk, repair))
		s->opaque = OPAQUE_REPAIR;
	if (!is_accepted)
		return 0;
	s->role = ROLE_ACCEPT;
	s->ino = inode_of((struct sock *)sk); /* MPTCP: it had none before */
	s->accepted_ns = bpf_ktime_get_ns();
	return 0;
}

/* include/uapi/asm-generic/errno*.h, include/linux/errno.h */
#define EINTR	    4
#define EISCONN	    106
#define EALREADY    114
#define EINPROGRESS 115

/* Nothing is said of an attempt to connect: it goes on, or was another one, or there was none. */
static __always_inline bool is_no_result(long ret)
{
	return ret == -EINPROGRESS || ret == -EALREADY || ret == -EISCONN || ret == -EINTR ||
	       ret == -EFAULT || is_restart(-ret);
}

struct destination {
	__u16 family;
	__be16 port;
	__u32 v4; /* IPv6: its flow */
	__u8 v6[16];
};

/* The address given to connect(2), if it is one for such a socket. */
static __always_inline bool read_destination(struct destination *to, __u16 family, __u64 address,
					     __u32 len)
{
	if (len < (family == AF_INET6 ? sizeof(*to) : 16)) /* struct sockaddr_in */
		return false;
	if (bpf_probe_read_user(to, family == AF_INET6 ? sizeof(*to) : 8, (void *)address))
		return false;
	return to->family == family;
}

/* connect(2) has failed before a SYN was sent: a record of its own. */
static __always_inline int failed_unsent(__u64 sk, struct task_record *t,
					 const struct destination *to)
{
	struct sock_record *s;
	__u32 index = 0;

	s = sock_use_anew(sk, t->process, &index);
	if (!s)
		return 0;
	s->role = ROLE_CONNECT;
	s->tcp.failed_connects = 1;
	s->closed_ns = bpf_ktime_get_ns();
	s->remote_port = to->port;
	if (to->family == AF_INET6)
		__builtin_memcpy(s->remote, to->v6, sizeof(to->v6));
	else
		__builtin_memcpy(s->remote, &to->v4, sizeof(to->v4));
	return 0;
}

GLOBAL int socket_connected(__u32 fd, __u64 address, __u32 len, long ret)
{
	struct task_record *t = current_record();
	struct destination to = {};
	struct sock_record *s;
	__u64 sk;
	__u32 index = 0;

	socket_touched(fd, false);
	sk = sock_of_fd(fd);
	s = t && sk ? sock_find((struct sock *)sk, &index) : NULL;
	if (!s)
		return 0;
	if (s->protocol == PROTO_UNIX_STREAM || s->protocol == PROTO_UNIX_SEQPACKET) {
		if (!ret)
			s->role = ROLE_CONNECT;
		return 0;
	}
	if (!is_tcp(s) || is_no_result(ret))
		return 0;
	if (!ret || s->awaits_result) {
		s->awaits_result = 0;
		return 0;
	}
	if (!read_destination(&to, s->family, address, len))
		return 0;
	return failed_unsent(sk, t, &to);
}

/* --- bytes ------------------------------------------------------------------------------ */

/* The bytes of the first @count messages of sendmmsg(2) or recvmmsg(2): their msg_len. */
GLOBAL __u64 messages_len(__u64 messages, __u32 count)
{
	bool compat = is_compat();
	__u32 size = mmsghdr_size(compat), len; /* msg_len comes after the msghdr */
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

static __always_inline __u32 receive_flags(const struct call *c)
{
	if (c->op == OP_RECEIVE || c->op == OP_RECEIVE_VECTOR)
		return 0;
	return c->op == OP_RECEIVE_MSG ? c->args[2] : c->args[3];
}

static __always_inline void moved_by_call(const struct call *c)
{
	__u64 sk = sock_of_fd(c->args[0]);
	long ret = c->ret;
	__u32 calls = 1;

	if (!sk)
		return;
	if ((c->op == OP_SEND_MANY || c->op == OP_RECEIVE_MANY) && ret >= 0) {
		calls = ret;
		ret = messages_len(c->args[1], calls);
	}
	if (op_receives(c->op))
		socket_received(sk, ret, calls, receive_flags(c), c->op);
	else
		socket_sent(sk, ret, calls, c->op);
}

/*
 * splice(2) begins. Its descriptor may be given to another file while it waits: now it is still the
 * one that the kernel takes.
 */
GLOBAL int socket_splicing(__u32 fd)
{
	struct task_record *t = current_record();
	__u64 sk = sock_of_fd(fd);
	struct sock_record *s;
	__u32 index = 0;

	if (!t)
		return 0;
	t->splice_sock = 0;
	if (!sk || !is_spliced_past((struct sock *)sk))
		return 0;
	s = sock_get((struct sock *)sk, t->process, &index);
	if (!s)
		return 0;
	s->is_fresh = 0; /* nothing has been moved yet */
	t->splice_sock = index;
	return 0;
}

/* What splice(2) took from: told when it began, where entries of calls are seen. */
static __always_inline __u64 spliced_from(struct task_record *t, __u32 fd)
{
	struct sock_record *s;
	__u64 sk;

	if (detail_full) {
		s = t->splice_sock ? sock_at(t->splice_sock) : NULL;
		if (!s || s->state != RECORD_LIVE)
			return 0;
		t->last_sock = t->splice_sock;
		return s->sk;
	}
	sk = sock_of_fd(fd);
	return sk && is_spliced_past((struct sock *)sk) ? sk : 0;
}

static __always_inline void spliced(const struct call *c)
{
	struct task_record *t = current_record();
	__u64 from = 0, to;

	if (!t)
		return;
	if (c->op == OP_SPLICE)
		from = spliced_from(t, c->args[0]);
	if (from) {
		socket_received(from, c->ret, 1, 0, c->op);
		return;
	}
	if (!bytes_by_calls) {
		sent_in_pieces(c->op == OP_SPLICE ? c->args[2] : c->args[0], c->ret);
		return;
	}
	to = sock_of_fd(c->op == OP_SPLICE ? c->args[2] : c->args[0]);
	if (to)
		socket_sent(to, c->ret, 1, c->op);
}

#define TCP_ZEROCOPY_RECEIVE 35 /* include/uapi/linux/tcp.h */

/* Data that getsockopt(2) maps instead of copying is read, and not counted: the books show it. */
static __always_inline void read_by_option(const struct call *c)
{
	__u64 sk = sock_of_fd(c->args[0]);
	struct sock_record *s;
	__u32 index = 0;

	s = sk ? sock_find((struct sock *)sk, &index) : NULL;
	if (s)
		s->opaque = OPAQUE_MAPPED;
}

static __noinline int socket_call(unsigned long long *ctx, __u32 op)
{
	struct pt_regs *regs = (struct pt_regs *)ctx[0];
	bool compat = is_compat();
	struct call c = {.ret = ctx[1], .op = op};

	for (int i = 0; i < 4; i++)
		c.args[i] = arch_call_arg(regs, i, compat);
	if (unlikely(op == OP_SOCKETCALL))
		unfold_socketcall(&c);
	if (c.op == OP_TOUCH)
		socket_touched(c.args[0], false);
	else if (c.op == OP_CONNECT)
		socket_connected(c.args[0], c.args[1], c.args[2], c.ret);
	else if (c.op == OP_ACCEPT && c.ret >= 0)
		socket_touched(c.ret, true);
	else if (c.op == OP_SPLICE || c.op == OP_SENDFILE)
		spliced(&c);
	else if (c.op == OP_GETSOCKOPT && c.args[1] == IPPROTO_TCP &&
		 c.args[2] == TCP_ZEROCOPY_RECEIVE)
		read_by_option(&c);
	else if (bytes_by_calls && c.op >= OP_SEND_MANY)
		moved_by_call(&c);
	if (c.op == OP_SEND_MANY || c.op == OP_RECEIVE_MANY)
		many_returned(c.args[0], c.args[1], c.ret, c.op == OP_SEND_MANY);
	return 0;
}

#endif
