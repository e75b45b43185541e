// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "capture/records.h"
#include "capture/socket_rows.h"
#include "capture/sockets.h"
#include "kernel/names.h"

/* The scheduler's tick is the resolution of the coarse clock (clock_getres(2)). */
static uint64_t jiffy_ns(void)
{
	struct timespec t;

	clock_getres(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_nsec;
}

struct socket_reader *socket_reader_new(struct kernel *k, uint64_t began_ns, bool detail_full)
{
	struct socket_reader *r = xcalloc(1, sizeof(*r));

	r->kernel = k;
	r->began_ns = began_ns;
	r->jiffy_ns = jiffy_ns();
	r->detail_full = detail_full;
	r->nr_online = sysconf(_SC_NPROCESSORS_ONLN);
	r->first_use = xcalloc(kernel_socks(k)->nr, sizeof(*r->first_use));
	r->next_use = xcalloc(kernel_uses(k)->nr, sizeof(*r->next_use));
	r->has_workers = xcalloc(kernel_processes(k)->nr, sizeof(*r->has_workers));
	return r;
}

void socket_reader_free(struct socket_reader *r)
{
	if (!r)
		return;
	free(r->first_use);
	free(r->next_use);
	free(r->drops);
	free(r->ended);
	free(r->has_workers);
	interfaces_free(&r->interfaces);
	free(r);
}

/* --- what a pass reads once ------------------------------------------------------------------- */

void socket_reader_begin_pass(struct socket_reader *r)
{
	r->has_uses = false;
	r->has_drops = false;
	r->nr_drops = 0;
}

void socket_reader_need_uses(struct socket_reader *r)
{
	const struct pool *uses = kernel_uses(r->kernel);

	if (r->has_uses)
		return;
	r->has_uses = true;
	memset(r->first_use, 0, kernel_socks(r->kernel)->nr * sizeof(*r->first_use));
	for (uint32_t i = 1; i < uses->nr; i++) {
		const struct sock_use *u = pool_at(uses, i);

		if (u->state == RECORD_FREE)
			continue;
		r->next_use[i] = r->first_use[u->sock];
		r->first_use[u->sock] = i;
	}
}

static int compare_drops(const void *a, const void *b)
{
	const struct drop_entry *x = a, *y = b;

	return (x->key.sock > y->key.sock) - (x->key.sock < y->key.sock);
}

void socket_reader_need_drops(struct socket_reader *r)
{
	struct drop_entry e = {.key = {.sock = UINT32_MAX}};

	if (r->has_drops)
		return;
	r->has_drops = true;
	while (kernel_next_drop(r->kernel, &e.key, &e.count))
		*vec_push(r->drops, r->nr_drops, r->cap_drops) = e;
	if (r->nr_drops)
		qsort(r->drops, r->nr_drops, sizeof(*r->drops), compare_drops);
}

size_t socket_reader_first_drop(const struct socket_reader *r, uint32_t sock)
{
	size_t low = 0, high = r->nr_drops;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (r->drops[middle].key.sock < sock)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* --- passes ----------------------------------------------------------------------------- */

static void release_uses(struct socket_reader *r, uint32_t index)
{
	socket_reader_need_uses(r);
	for (uint32_t i = r->first_use[index]; i;) {
		struct sock_use *u = use_at(r, i);
		uint32_t next = r->next_use[i];

		kernel_forget_use(r->kernel, u);
		memset(u, 0, sizeof(*u));
		pool_give_back(kernel_uses(r->kernel), i);
		i = next;
	}
	r->first_use[index] = 0;
}

static void release_drops(struct socket_reader *r, uint32_t index)
{
	socket_reader_need_drops(r);
	for (size_t i = socket_reader_first_drop(r, index); i < r->nr_drops; i++) {
		if (r->drops[i].key.sock != index)
			return;
		kernel_forget_drop(r->kernel, &r->drops[i].key);
	}
}

static void release(struct socket_reader *r, uint32_t index)
{
	struct sock_record *s = pool_at(kernel_socks(r->kernel), index);

	if (s->is_shared)
		release_uses(r, index);
	if (s->has_drops)
		release_drops(r, index);
	memset(s, 0, sizeof(*s));
	pool_give_back(kernel_socks(r->kernel), index);
}

bool socket_reader_find_ended(struct socket_reader *r)
{
	const struct pool *socks = kernel_socks(r->kernel);

	r->nr_ended = 0;
	if (!kernel_take_ended_sockets(r->kernel))
		return false;
	for (uint32_t i = 1; i < socks->nr; i++) {
		if (state_of(pool_at(socks, i)) == RECORD_ENDED)
			*vec_push(r->ended, r->nr_ended, r->cap_ended) = i;
	}
	return r->nr_ended > 0;
}

/*
 * Where the kernel does not tell whose packets it throws away, whose queue overflowed depends on
 * what the other listeners have thrown away, by now.
 */
bool socket_reader_wants_look(const struct socket_reader *r)
{
	if (kernel_hook_is(r->kernel, "drops", "socket"))
		return false;
	for (size_t i = 0; i < r->nr_ended; i++) {
		const struct sock_record *s = sock_at(r, r->ended[i]);

		if (s->role == ROLE_LISTEN && s->books.kernel_drops &&
		    s->listen.now.overflows != s->listen.base.overflows)
			return true;
	}
	return false;
}

void socket_reader_fold_ended(struct socket_reader *r, struct process **processes)
{
	socket_reader_begin_pass(r);
	for (size_t i = 0; i < r->nr_ended; i++) {
		uint32_t index = r->ended[i];

		if (r->nr_new && !is_tcp(sock_at(r, index)))
			r->nr_new--;
		socket_rows_add(r, index, processes);
		release(r, index);
	}
	r->nr_ended = 0;
}

/* Whether io_uring works for each process with threads that may be in the middle of moving bytes.
 */
static void find_workers(struct socket_reader *r)
{
	const struct pool *tasks = kernel_tasks(r->kernel);

	memset(r->has_workers, 0, kernel_processes(r->kernel)->nr * sizeof(*r->has_workers));
	for (uint32_t i = 1; i < tasks->nr; i++) {
		const struct task_record *t = pool_at(tasks, i);

		if (t->state == RECORD_LIVE && t->is_kernel && !strncmp(t->comm, "iou-wrk", 7))
			r->has_workers[t->process] = true;
	}
}

void socket_reader_add_live(struct socket_reader *r, struct process **processes)
{
	const struct pool *socks = kernel_socks(r->kernel);

	socket_reader_begin_pass(r);
	find_workers(r);
	for (uint32_t i = 1; i < socks->nr; i++) {
		/* One that has ended since the last poll is in no row yet. */
		if (state_of(pool_at(socks, i)) != RECORD_FREE)
			socket_rows_add(r, i, processes);
	}
}

void socket_reader_add_drops(struct socket_reader *r, struct drops *drops)
{
	socket_reader_begin_pass(r);
	socket_reader_need_drops(r);
	for (size_t i = 0; i < r->nr_drops && !r->drops[i].key.sock; i++)
		kernel_want_symbol(r->drops[i].key.where);
	socket_rows_add_drops(r, 0, drops);
}

/* --- sockets that are gone -------------------------------------------------------------- */

/* TCP tells when a socket is gone; MPTCP when the first subflow is, which may be earlier. */
static bool is_ended_by_kernel(const struct sock_record *s)
{
	return s->protocol == PROTO_TCP ||
	       (s->protocol == PROTO_MPTCP && s->role != ROLE_NONE && !s->is_flow_gone);
}

void socket_reader_sweep(struct socket_reader *r, uint64_t since_ns)
{
	const struct pool *socks = kernel_socks(r->kernel);

	r->nr_new = 0;
	for (uint32_t i = 1; i < socks->nr; i++) {
		struct sock_record *s = pool_at(socks, i);

		if (state_of(s) == RECORD_LIVE && !is_ended_by_kernel(s) &&
		    s->opened_ns < since_ns && s->snapshot != kernel_nr_snapshots(r->kernel))
			kernel_end_sock(r->kernel, i, s, since_ns);
	}
}

bool socket_reader_wants_sweep(struct socket_reader *r)
{
	r->nr_new += kernel_take_new_sockets(r->kernel);
	return r->nr_new > kernel_socks(r->kernel)->nr / 4;
}

void socket_reader_mark_used(const struct socket_reader *r, bool *is_used)
{
	const struct pool *socks = kernel_socks(r->kernel), *uses = kernel_uses(r->kernel);

	for (uint32_t i = 1; i < socks->nr; i++) {
		const struct sock_record *s = pool_at(socks, i);

		if (state_of(s) != RECORD_FREE)
			is_used[s->process] = is_used[s->owner] = true;
	}
	for (uint32_t i = 1; i < uses->nr; i++) {
		const struct sock_use *u = pool_at(uses, i);

		if (u->state != RECORD_FREE)
			is_used[u->process] = true;
	}
}

static bool agrees(const struct sock_record *s)
{
	const struct sock_books *b = &s->books;

	if (s->protocol == PROTO_UDP)
		return b->seen_drops == b->kernel_drops;
	if (s->protocol != PROTO_TCP || s->role == ROLE_LISTEN || s->is_shared || s->opaque)
		return true;
	return b->seen_sent == b->kernel_sent && b->seen_received == b->kernel_received;
}

bool socket_reader_agrees(const struct socket_reader *r)
{
	const struct pool *socks = kernel_socks(r->kernel);

	for (uint32_t i = 1; i < socks->nr; i++) {
		const struct sock_record *s = pool_at(socks, i);

		if (state_of(s) == RECORD_LIVE && !agrees(s))
			return false;
	}
	return true;
}

/* --- processes that ended --------------------------------------------------------------- */

static void take_leave(struct socket_reader *r, struct sock_use *u, struct process *p)
{
	struct sock_record *s = pool_at(kernel_socks(r->kernel), u->sock);

	socket_rows_add_use(r, u, p);
	s->gone_sent += u->counts.send_bytes;
	s->gone_received += u->counts.receive_bytes + u->counts.trunc_bytes;
	kernel_forget_use(r->kernel, u);
}

void socket_reader_fold_ended_users(struct socket_reader *r, struct process **ended)
{
	const struct pool *uses = kernel_uses(r->kernel), *socks = kernel_socks(r->kernel);

	for (uint32_t i = 1; i < uses->nr; i++) {
		struct sock_use *u = pool_at(uses, i);

		if (u->state == RECORD_FREE || !ended[u->process] ||
		    state_of(sock_at(r, u->sock)) != RECORD_LIVE)
			continue;
		take_leave(r, u, ended[u->process]);
		memset(u, 0, sizeof(*u));
		pool_give_back(uses, i);
	}
	for (uint32_t i = 1; i < socks->nr; i++) {
		struct sock_record *s = pool_at(socks, i);

		if (state_of(s) == RECORD_LIVE && ended[s->owner])
			s->owner = s->process;
	}
}
