// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/vec.h"
#include "capture/records.h"
#include "model/names.h"

#if defined(__x86_64__)
#define ABI_NATIVE "x86_64"
#define ABI_COMPAT "i386"
#elif defined(__aarch64__)
#define ABI_NATIVE "aarch64"
#define ABI_COMPAT "arm"
#else
#error "system call tables of this architecture are not known to socktrace"
#endif

/* --- keys ------------------------------------------------------------------------------------ */

static const char *key_abi(uint32_t key)
{
	if (key & KEY_COMPAT)
		return abi_find(ABI_COMPAT);
	return abi_find(key & KEY_X32 ? "x32" : ABI_NATIVE);
}

static const char *key_name(uint32_t key, char *buf, size_t len)
{
	if ((key & KEY_NR_MASK) == KEY_NR_INVALID) {
		snprintf(buf, len, "invalid");
		return buf;
	}
	return syscall_name(key_abi(key), key & KEY_NR_MASK, buf, len);
}

static const struct {
	const char *name;
	enum socket_op op;
} socket_ops[] = {
	{"bind", OP_TOUCH},
	{"connect", OP_CONNECT},
	{"listen", OP_TOUCH},
	{"setsockopt", OP_TOUCH},
	{"getsockopt", OP_GETSOCKOPT},
	{"accept", OP_ACCEPT},
	{"accept4", OP_ACCEPT},
	{"splice", OP_SPLICE},
	{"send", OP_SEND_TO},
	{"sendto", OP_SEND_TO},
	{"sendmsg", OP_SEND_MSG},
	{"write", OP_SEND},
	{"writev", OP_SEND_VECTOR},
	{"pwritev2", OP_SEND_VECTOR},
	{"sendfile", OP_SENDFILE},
	{"sendfile64", OP_SENDFILE},
	{"socketcall", OP_SOCKETCALL},
	{"sendmmsg", OP_SEND_MANY},
	{"read", OP_RECEIVE},
	{"readv", OP_RECEIVE_VECTOR},
	{"preadv2", OP_RECEIVE_VECTOR},
	{"recv", OP_RECEIVE_FROM},
	{"recvfrom", OP_RECEIVE_FROM},
	{"recvmsg", OP_RECEIVE_MSG},
	{"recvmmsg", OP_RECEIVE_MANY},
	{"recvmmsg_time64", OP_RECEIVE_MANY},
};

static enum socket_op socket_op(const char *name)
{
	for (size_t i = 0; i < sizeof(socket_ops) / sizeof(*socket_ops); i++) {
		if (!strcmp(socket_ops[i].name, name))
			return socket_ops[i].op;
	}
	return OP_NONE;
}

static uint8_t row_kind(uint32_t key)
{
	char name[NAME_TEXT_LEN];

	key_name(key, name, sizeof(name));
	if (!strcmp(name, "rt_sigreturn") || !strcmp(name, "sigreturn"))
		return ROW_NO_RESULT;
	return (syscall_moves_bytes(name) ? ROW_BYTES : ROW_PLAIN) | socket_op(name)
									     << SOCKET_OP_SHIFT;
}

uint8_t *record_row_kinds(void)
{
	uint8_t *kinds = xcalloc(KEYS, 1);

	/* No table has more than one bit of KEY_COMPAT and KEY_X32. */
	for (uint32_t key = 0; key < KEYS; key++) {
		if (!(key & KEY_COMPAT && key & KEY_X32))
			kinds[key] = row_kind(key);
	}
	return kinds;
}

static struct syscall *get_call(struct thread *out, uint32_t key)
{
	char name[NAME_TEXT_LEN];
	struct syscall *c = syscalls_get(&out->calls, key_abi(key), key & KEY_NR_MASK,
					 key_name(key, name, sizeof(name)));

	if (!syscall_moves_bytes(name))
		c->stats.bytes = METRIC_UNKNOWN;
	return c;
}

/* --- rows and blocks ------------------------------------------------------------------------- */

static void read_histogram(const struct kernel *k, const struct call_row *row, struct syscall *c)
{
	const struct block *b;

	for (int h = 0; h < HIST_HEADS; h++) {
		for (uint32_t i = row->lists[h]; i; i = b->next) {
			b = pool_at(kernel_blocks(k), i);
			for (int sub = 0; sub < HIST_SUB; sub++) {
				if (b->count[sub])
					hist_add(&c->histogram, b->tag * HIST_SUB + sub,
						 b->count[sub]);
			}
		}
	}
}

static void read_errnos(const struct kernel *k, const struct call_row *row, struct syscall *c)
{
	const struct block *b;

	for (uint32_t i = row->lists[LIST_ERRNOS]; i; i = b->next) {
		b = pool_at(kernel_blocks(k), i);
		for (int sub = 0; sub < HIST_SUB; sub++) {
			if (b->count[sub])
				syscall_add_errno(c, (b->tag - TAG_ERRNO) * HIST_SUB + sub,
						  b->count[sub]);
		}
	}
}

static void read_durations(const struct kernel *k, const struct call_row *row, struct syscall *c)
{
	struct call_stats *s = &c->stats;

	s->total_ns = row->total_ns;
	s->runnable_ns = row->runnable_ns;
	s->blocked_ns = row->blocked_ns;
	/* A switch between a program's look at the clock and at these two can leave them larger. */
	if (s->runnable_ns > s->total_ns)
		s->runnable_ns = s->total_ns;
	if (s->blocked_ns > s->total_ns - s->runnable_ns)
		s->blocked_ns = s->total_ns - s->runnable_ns;
	s->on_cpu_ns = s->total_ns - s->runnable_ns - s->blocked_ns;
	if (row->calls) {
		s->min_ns = row->min_ns;
		s->max_ns = row->max_ns;
	}
	read_histogram(k, row, c);
}

static void forget_durations(struct call_stats *s)
{
	s->in_flight = s->no_return = s->in_flight_start = s->denied = METRIC_UNKNOWN;
	s->total_ns = s->on_cpu_ns = s->runnable_ns = s->blocked_ns = METRIC_UNKNOWN;
	s->min_ns = s->max_ns = METRIC_UNKNOWN;
}

static void read_row(const struct kernel *k, const struct call_row *row, bool detail_full,
		     struct thread *out)
{
	struct syscall *c = get_call(out, row->key);

	c->stats.calls = row->calls;
	c->stats.errors = row->errors;
	c->stats.restarts = row->restarts;
	c->stats.denied = row->denied;
	c->stats.in_flight_start = row->in_flight_start;
	if ((row->kind & ROW_KIND_MASK) == ROW_BYTES)
		c->stats.bytes = row->bytes;
	if (detail_full)
		read_durations(k, row, c);
	else
		forget_durations(&c->stats);
	read_errnos(k, row, c);
}

static void read_rows(const struct kernel *k, const struct task_record *t, bool detail_full,
		      struct thread *out)
{
	const struct call_row *row;

	for (int h = 0; h < ROW_HEADS; h++) {
		for (uint32_t i = t->rows[h]; i; i = row->next) {
			row = pool_at(kernel_rows(k), i);
			read_row(k, row, detail_full, out);
		}
	}
}

/* --- time ------------------------------------------------------------------------------------ */

/* A thread's times in the making; see bpf/switches.h for the two clocks. */
struct times {
	uint64_t run_ns, charged_ns, runnable_ns, blocked_ns;
	uint64_t call_off_ns; /* off the CPU in the present call */
};

/* Adds the stretch under way. */
static void add_present(const struct task_record *t, uint64_t now, struct times *x)
{
	uint64_t stretch = now > t->since_ns ? now - t->since_ns : 0, blocked = 0;

	if (t->phase == PHASE_ON) {
		x->run_ns += stretch;
		x->charged_ns += stretch;
		return;
	}
	if (t->went_off != OFF_PREEMPTED && t->woken_ns > t->since_ns)
		blocked = t->woken_ns - t->since_ns;
	else if (t->went_off == OFF_ASLEEP)
		blocked = stretch;
	if (blocked > stretch)
		blocked = stretch;
	x->blocked_ns += blocked;
	x->runnable_ns += stretch - blocked;
	x->call_off_ns += stretch;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t calls_on_cpu(const struct task_record *t, uint64_t now, const struct times *x,
			     const struct thread *out)
{
	uint64_t sum = t->extra_kernel_ns;

	for (size_t i = 0; i < out->calls.nr; i++)
		sum += out->calls.items[i].stats.on_cpu_ns;
	if (t->call < CALL_NONE)
		sum += less(now, t->enter_ns + x->call_off_ns);
	return sum;
}

static void fill_times(const struct task_record *t, uint64_t now, bool detail_full,
		       struct thread *out)
{
	struct task_stats *s = &out->stats;
	struct times x = {
		.run_ns = t->run_ns,
		.charged_ns = t->charged_ns,
		.runnable_ns = t->runnable_ns,
		.blocked_ns = t->blocked_ns,
		.call_off_ns = t->call_runnable_ns + t->call_blocked_ns,
	};

	if (t->state == RECORD_LIVE)
		add_present(t, now, &x);
	s->stolen_ns = t->stolen_ns;
	s->on_cpu_ns = x.charged_ns + t->stolen_ns;
	/* What the scheduler charges beyond the time seen on the CPU was part of the way there. */
	s->runnable_ns = less(x.runnable_ns + x.run_ns, s->on_cpu_ns);
	s->blocked_ns = x.blocked_ns;
	if (!detail_full) {
		s->user_ns = s->kernel_ns = METRIC_UNKNOWN;
		return;
	}
	s->user_ns = t->is_kernel ? 0 : less(x.run_ns, calls_on_cpu(t, now, &x, out));
	if (s->user_ns > s->on_cpu_ns)
		s->user_ns = s->on_cpu_ns;
	s->kernel_ns = s->on_cpu_ns - s->user_ns;
}

static void fill_sockets(const struct kernel *k, const struct task_record *t, struct task_stats *s)
{
	bool is_known = kernel_socks(k)->nr > 1;

	s->sent_calls = is_known ? t->sockets.sent_calls : METRIC_UNKNOWN;
	s->sent_bytes = is_known ? t->sockets.sent_bytes : METRIC_UNKNOWN;
	s->received_calls = is_known ? t->sockets.received_calls : METRIC_UNKNOWN;
	s->received_bytes = is_known ? t->sockets.received_bytes : METRIC_UNKNOWN;
}

/* --- the whole thread ------------------------------------------------------------------------ */

/* How many calls a thread entered and left, and which it is in, at one instant. */
struct standing {
	uint64_t entries, exits;
	uint32_t call;
};

/*
 * The programs change the three within nanoseconds of each other. What does not agree for longer
 * than this loop takes is not for the reader to mend: the audit shows it.
 */
static struct standing read_standing(const struct task_record *t)
{
	const volatile struct task_record *v = t;
	struct standing s;

	for (int i = 0; i < 10000; i++) {
		s = (struct standing){v->entries, v->exits, v->call};
		if (s.entries - s.exits == (s.call < CALL_NONE) && s.entries == v->entries &&
		    s.exits == v->exits)
			break;
	}
	return s;
}

/*
 * How many calls the thread entered. The rows are read apart from the standing: while the thread
 * runs it may have made more calls by then, and the standing can vouch only for those under way.
 */
static uint64_t book_entries(const struct standing *s, bool is_still, const struct thread *out)
{
	uint64_t calls = 0;

	if (is_still)
		return s->entries;
	for (size_t i = 0; i < out->calls.nr; i++)
		calls += out->calls.items[i].stats.calls;
	return calls + s->entries - s->exits;
}

static void fill_books(const struct task_record *t, uint64_t entries, struct thread *out)
{
	out->books = (struct task_books){
		.entries = entries,
		.kernel_voluntary = t->books.kernel_voluntary,
		.kernel_involuntary = t->books.kernel_involuntary,
		.seen_voluntary = t->books.seen_voluntary,
		.seen_involuntary = t->books.seen_involuntary,
		.kernel_exec_ns = t->books.kernel_exec_ns,
		.seen_exec_ns = t->books.seen_exec_ns,
	};
}

/* The call that a live thread has been in ever since the trace began, unseen by the programs. */
static void add_endless_call(const struct task_record *t, struct thread *out)
{
	char path[64], text[64] = "";
	struct syscall *c;
	FILE *f;
	long nr;

	snprintf(path, sizeof(path), "/proc/%u/task/%u/syscall", t->tid, t->tid);
	f = fopen(path, "re");
	if (!f)
		return; /* it ended just now, or is not ours to look at: nothing was counted */
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	if (sscanf(text, "%ld ", &nr) != 1 || nr < 0 || nr >= KEY_NR_INVALID)
		return; /* "running": in its own code */
	c = get_call(out, nr | (t->is_compat ? KEY_COMPAT : 0));
	c->stats.in_flight_start++;
	c->stats.in_flight++;
	out->books.entries++; /* before the trace, but entered all the same */
}

void record_to_thread(const struct kernel *k, const struct task_record *t, uint64_t now_ns,
		      bool detail_full, bool is_still, struct thread *out)
{
	struct standing s = read_standing(t);

	out->tid = t->tid;
	out->comm = utf8_clean(t->comm, strnlen(t->comm, sizeof(t->comm)));
	out->ended = t->state == RECORD_ENDED;
	out->nr_folded = 1;
	read_rows(k, t, detail_full, out);
	fill_times(t, out->ended ? t->ended_ns : now_ns, detail_full, out);
	fill_books(t, detail_full ? book_entries(&s, is_still, out) : METRIC_UNKNOWN, out);
	fill_sockets(k, t, &out->stats);
	out->stats.voluntary = t->voluntary;
	out->stats.involuntary = t->involuntary;
	out->stats.migrations = t->migrations;
	out->stats.minor = t->minor;
	out->stats.major = t->major;
	if (!detail_full)
		return;
	if (s.call < CALL_NONE) {
		struct syscall *c = get_call(out, s.call);

		if (out->ended)
			c->stats.no_return++;
		else
			c->stats.in_flight++;
	} else if (s.call == CALL_UNKNOWN && !out->ended && !t->is_kernel) {
		add_endless_call(t, out);
	}
}

/* --- giving back ------------------------------------------------------------------------------ */

struct chunks {
	uint32_t *items;
	size_t nr, cap;
};

/* Zeroes element @index and notes the chunk that it belongs to. */
static void wipe(const struct pool *p, uint32_t index, struct chunks *chunks)
{
	memset(pool_at(p, index), 0, p->record_size);
	for (size_t i = chunks->nr; i-- > 0;) {
		if (chunks->items[i] == index / CHUNK)
			return;
	}
	*vec_push(chunks->items, chunks->nr, chunks->cap) = index / CHUNK;
}

static void wipe_blocks(const struct pool *p, uint32_t index, struct chunks *chunks)
{
	while (index) {
		uint32_t next = ((struct block *)pool_at(p, index))->next;

		wipe(p, index, chunks);
		index = next;
	}
}

static void give_back(const struct pool *p, struct chunks *chunks)
{
	for (size_t i = 0; i < chunks->nr; i++)
		pool_give_back(p, chunks->items[i]);
	free(chunks->items);
}

void record_release(const struct kernel *k, uint32_t index)
{
	struct task_record *t = pool_at(kernel_tasks(k), index);
	struct chunks rows = {}, blocks = {};

	for (int h = 0; h < ROW_HEADS; h++) {
		for (uint32_t i = t->rows[h]; i;) {
			struct call_row *row = pool_at(kernel_rows(k), i);
			uint32_t next = row->next;

			for (int b = 0; b < BLOCK_LISTS; b++)
				wipe_blocks(kernel_blocks(k), row->lists[b], &blocks);
			wipe(kernel_rows(k), i, &rows);
			i = next;
		}
	}
	give_back(kernel_rows(k), &rows);
	give_back(kernel_blocks(k), &blocks);
	memset(t, 0, sizeof(*t));
	pool_give_back(kernel_tasks(k), index);
}
