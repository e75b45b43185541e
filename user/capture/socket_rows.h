/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_SOCKET_ROWS_H
#define SOCKTRACE_CAPTURE_SOCKET_ROWS_H

/* One socket's record as rows of the report; what sockets.c, which walks all records, shares. */

#include "capture/interfaces.h"
#include "kernel/kernel.h"
#include "model/model.h"

struct drop_entry {
	struct drop_key key;
	struct drop_count count;
};

struct socket_reader {
	struct kernel *kernel;
	uint64_t began_ns, jiffy_ns;
	bool detail_full;
	long nr_online;	 /* CPUs, when the trace began: the programs know of no others */
	uint32_t *ended; /* found, and not folded yet */
	size_t nr_ended, cap_ended;
	uint32_t nr_new; /* since the last sweep: records of which only a sweep may find the end */

	/* What several records need; read anew for each pass. */
	uint32_t *first_use, *next_use; /* by sock index; by use index */
	bool has_uses;
	struct drop_entry *drops; /* ascending by sock */
	size_t nr_drops, cap_drops;
	bool has_drops;
	bool *has_workers; /* by process: io_uring has threads that may wait within a send */
	struct interfaces interfaces;
};

static inline const struct sock_record *sock_at(const struct socket_reader *r, uint32_t index)
{
	return pool_at(kernel_socks(r->kernel), index);
}

static inline struct sock_use *use_at(const struct socket_reader *r, uint32_t index)
{
	return pool_at(kernel_uses(r->kernel), index);
}

static inline bool is_tcp(const struct sock_record *s)
{
	return s->protocol == PROTO_TCP || s->protocol == PROTO_MPTCP;
}

static inline uint32_t state_of(const struct sock_record *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

/* Read at the first need in a pass, and kept for the rest of it. */
void socket_reader_begin_pass(struct socket_reader *r);
void socket_reader_need_uses(struct socket_reader *r);
void socket_reader_need_drops(struct socket_reader *r);
/* The index of the first drop of @sock among those read. */
size_t socket_reader_first_drop(const struct socket_reader *r, uint32_t sock);

/* Adds the rows of the socket whose record has that index to the processes that used it. */
void socket_rows_add(struct socket_reader *r, uint32_t index, struct process **processes);
/* Adds the row of one further process. */
void socket_rows_add_use(struct socket_reader *r, const struct sock_use *u, struct process *p);
/* Adds the drops of that socket, or with 0 those of none. */
void socket_rows_add_drops(struct socket_reader *r, uint32_t index, struct drops *drops);

#endif
