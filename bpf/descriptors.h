/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_DESCRIPTORS_H
#define SOCKTRACE_BPF_DESCRIPTORS_H

/* Sockets by the descriptors of a task, mostly the current one. */

#include "refresh.h"

#define S_IFMT	 0170000
#define S_IFSOCK 0140000
#define S_IFIFO	 0010000

static __always_inline struct file *file_of_fd(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file;
}

static __always_inline struct file *current_file(__u32 fd)
{
	return file_of_fd((struct task_struct *)bpf_get_current_task(), fd);
}

/* The address of the socket that @file is, or 0. */
static __always_inline __u64 sock_of_file(struct file *file)
{
	struct socket *socket;

	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return (__u64)BPF_CORE_READ(socket, sk);
}

static __always_inline __u64 sock_of_fd(__u32 fd)
{
	return sock_of_file(current_file(fd));
}

/*
 * splice(2) takes from TCP and from Unix streams past recvmsg, and past every other place where
 * bytes are counted. From others it does not: there the pieces are ordinary receives (generic
 * splice_read, fs/splice.c).
 */
static __always_inline bool is_spliced_past(struct sock *sk)
{
	return bytes_by_calls || BPF_CORE_READ(sk, sk_socket, ops, splice_read);
}

static __always_inline bool has_one_reference(struct file *file)
{
	struct file___before_6_13 *old = (struct file___before_6_13 *)file;

	if (bpf_core_field_exists(old->f_count))
		return BPF_CORE_READ(old, f_count.counter) == 1;
	return BPF_CORE_READ(file, f_ref.refcnt.counter) == 0;
}

/*
 * A descriptor is about to be closed: of a socket that is not TCP, the kernel's counts can be read
 * for the last time. If it is the only one, so ends the record.
 */
GLOBAL int socket_closing(__u32 fd)
{
	struct file *file = current_file(fd);
	__u64 sk = file ? sock_of_file(file) : 0;
	struct sock_record *s;
	__u32 index = 0;

	s = sk ? sock_find((struct sock *)sk, &index) : NULL;
	if (s && s->protocol == PROTO_TCP && is_replaced((struct sock *)sk))
		s->opaque = OPAQUE_REPLACED;
	if (!s || is_tcp(s) || !sock_matches(s, inode_of((struct sock *)sk)))
		return 0;
	s->closing_ns = bpf_ktime_get_ns();
	refresh_queue(s, (struct sock *)sk);
	sock_refresh(index, sk);
	if (has_one_reference(file)) {
		s->is_end_seen = 1;
		sock_end(s, s->closing_ns);
	}
	return 0;
}

#endif
