// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "bench.h"
#include "capture/records.h"
#include "capture/socket_rows.h"
#include "kernel/names.h"
#include "model/audit.h"
#include "synthetic.h"

#define NS_PER_MS 1000000ULL
#define BEGAN_NS  (1000 * NS_PER_MS)
#define NOW_NS	  (11000 * NS_PER_MS)
#define TICK_NS	  (4 * NS_PER_MS)

/* What a server's threads call. */
static const uint16_t calls[] = {
	SYS_read,     SYS_write,     SYS_close,	      SYS_mmap,	      SYS_munmap,
	SYS_futex,    SYS_epoll_ctl, SYS_epoll_pwait, SYS_accept4,    SYS_sendto,
	SYS_recvfrom, SYS_sendmsg,   SYS_recvmsg,     SYS_setsockopt, SYS_getsockopt,
	SYS_shutdown, SYS_openat,    SYS_writev,      SYS_fcntl,      SYS_clock_nanosleep,
};

#define NR_CALLS   (sizeof(calls) / sizeof(*calls))
#define NR_THREADS 100
#define NR_SOCKETS (SYNTHETIC_ROWS - (NR_THREADS + 1) * (NR_CALLS + 1))
#define NR_OCTAVES 3 /* next to each other, that the durations of a call are in */

/* --- a kernel -------------------------------------------------------------------------------- */

struct kernel {
	struct pool tasks, processes, rows, blocks, socks, uses;
};

struct synthetic {
	struct kernel kernel;
	struct socket_reader sockets;
	unsigned int nr_processes;
	uint8_t *row_kinds;
	uint64_t random;
};

const struct pool *kernel_tasks(const struct kernel *k)
{
	return &k->tasks;
}

const struct pool *kernel_processes(const struct kernel *k)
{
	return &k->processes;
}

const struct pool *kernel_rows(const struct kernel *k)
{
	return &k->rows;
}

const struct pool *kernel_blocks(const struct kernel *k)
{
	return &k->blocks;
}

const struct pool *kernel_socks(const struct kernel *k)
{
	return &k->socks;
}

const struct pool *kernel_uses(const struct kernel *k)
{
	return &k->uses;
}

bool kernel_has_probe(const struct kernel *k, const char *probe)
{
	(void)k, (void)probe;
	return true;
}

bool kernel_hook_is(const struct kernel *k, const char *probe, const char *hook)
{
	(void)k, (void)probe, (void)hook;
	return true;
}

unsigned int kernel_nr_cpus(const struct kernel *k)
{
	(void)k;
	return 1;
}

/* What these records give no cause to ask. */
static void unexpected(const char *function)
{
	errno = ENOSYS;
	die(function);
}

bool kernel_listens_on(const struct kernel *k, uint32_t netns, uint16_t port)
{
	(void)k, (void)port;
	unexpected(__func__);
	return false;
}

uint64_t kernel_nr_snapshots(const struct kernel *k)
{
	(void)k;
	return 0;
}

uint32_t kernel_drops_when_read(const struct kernel *k, uint16_t port)
{
	(void)k, (void)port;
	unexpected(__func__);
	return 0;
}

bool kernel_has_one_grown_listener(const struct kernel *k, uint32_t net)
{
	(void)k, (void)net;
	unexpected(__func__);
	return false;
}

int pool_give_back(const struct pool *p, uint32_t index)
{
	(void)p, (void)index;
	unexpected(__func__);
	return 0;
}

const char *kernel_drop_reason(uint32_t reason, char buf[KERNEL_NAME_LEN])
{
	(void)reason;
	unexpected(__func__);
	return buf;
}

const char *kernel_symbol(uint64_t address)
{
	(void)address;
	unexpected(__func__);
	return NULL;
}

void socket_reader_need_uses(struct socket_reader *r)
{
	(void)r;
	unexpected(__func__);
}

void socket_reader_need_drops(struct socket_reader *r)
{
	(void)r;
	unexpected(__func__);
}

size_t socket_reader_first_drop(const struct socket_reader *r, uint32_t sock)
{
	(void)r, (void)sock;
	unexpected(__func__);
	return 0;
}

/* --- its records ----------------------------------------------------------------------------- */

static struct pool pool_new(size_t record_size, size_t nr)
{
	/* The first is not used; nr grows as they are taken. */
	return (struct pool){
		.records = xcalloc(nr + 1, record_size),
		.record_size = record_size,
		.nr = 1,
		.free_fd = -1,
	};
}

static uint32_t take(struct pool *p)
{
	return p->nr++;
}

/* xorshift, of 0 .. @limit - 1 */
static uint64_t any(struct synthetic *s, uint64_t limit)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random % limit;
}

static struct block *add_block(struct synthetic *s, uint32_t *list, uint32_t tag)
{
	uint32_t index = take(&s->kernel.blocks);
	struct block *b = pool_at(&s->kernel.blocks, index);

	b->tag = tag;
	b->next = *list;
	*list = index;
	return b;
}

static void add_octave(struct synthetic *s, struct call_row *row, uint32_t octave)
{
	struct block *b = add_block(s, &row->lists[octave % HIST_HEADS], octave);

	for (uint32_t sub = 0; sub < HIST_SUB; sub++) {
		uint64_t low = hist_low(octave * HIST_SUB + sub);

		b->count[sub] = any(s, 1000) + 1;
		row->calls += b->count[sub];
		row->total_ns += b->count[sub] * low;
		row->max_ns = low;
		if (!row->min_ns)
			row->min_ns = low;
	}
}

static void add_errors(struct synthetic *s, struct call_row *row)
{
	static const int errors[] = {EINTR, EAGAIN, ECONNRESET};

	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct block *b =
			add_block(s, &row->lists[LIST_ERRNOS], TAG_ERRNO + errors[i] / HIST_SUB);

		b->count[errors[i] % HIST_SUB] = any(s, 100) + 1;
		row->errors += b->count[errors[i] % HIST_SUB];
	}
}

static void add_row(struct synthetic *s, struct task_record *t, size_t call)
{
	uint32_t key = calls[call], index = take(&s->kernel.rows), first = 5 + any(s, 15);
	struct call_row *row = pool_at(&s->kernel.rows, index);

	row->key = key;
	row->kind = s->row_kinds[key];
	row->next = t->rows[key % ROW_HEADS];
	t->rows[key % ROW_HEADS] = index;
	for (uint32_t i = 0; i < NR_OCTAVES; i++)
		add_octave(s, row, first + i);
	row->blocked_ns = row->total_ns / 2;
	if ((row->kind & ROW_KIND_MASK) == ROW_BYTES)
		row->bytes = row->calls * any(s, 1000);
	if (call % 4 == 0)
		add_errors(s, row);
	t->entries += row->calls;
	t->exits += row->calls;
}

static void add_task(struct synthetic *s, uint32_t process, uint32_t tid)
{
	struct task_record *t = pool_at(&s->kernel.tasks, take(&s->kernel.tasks));
	uint64_t voluntary = any(s, 100000), exec_ns = any(s, 5000 * NS_PER_MS);

	*t = (struct task_record){
		.state = RECORD_LIVE,
		.process = process,
		.tid = tid,
		.call = CALL_NONE,
		.phase = PHASE_OFF,
		.went_off = OFF_ASLEEP,
		.since_ns = NOW_NS - NS_PER_MS,
		.run_ns = exec_ns,
		.charged_ns = exec_ns,
		.blocked_ns = NOW_NS - BEGAN_NS - exec_ns,
		.voluntary = voluntary,
		.minor = any(s, 1000),
		.books = {.seen_voluntary = voluntary,
			  .kernel_voluntary = voluntary,
			  .seen_exec_ns = exec_ns,
			  .kernel_exec_ns = exec_ns},
		.sockets = {any(s, 100000), any(s, 1 << 30), any(s, 100000), any(s, 1 << 30)},
	};
	snprintf(t->comm, sizeof(t->comm), "worker-%u", tid % 1000);
	for (size_t i = 0; i < NR_CALLS; i++)
		add_row(s, t, i);
}

static void set_address(uint8_t *address, uint32_t host_order)
{
	uint32_t number = htonl(host_order);

	memcpy(address, &number, sizeof(number));
}

/* A connection that was accepted; every tenth is a UDP socket. */
static void add_sock(struct synthetic *s, uint32_t process, uint32_t number)
{
	struct sock_record *x = pool_at(&s->kernel.socks, take(&s->kernel.socks));
	bool is_udp = number % 10 == 9;
	uint64_t opened_ns = BEGAN_NS + any(s, 5000 * NS_PER_MS);
	uint64_t sent = any(s, 1 << 30), received = any(s, 1 << 30);

	*x = (struct sock_record){
		.state = RECORD_LIVE,
		.process = process,
		.owner = process,
		.protocol = is_udp ? PROTO_UDP : PROTO_TCP,
		.role = is_udp ? ROLE_BIND : ROLE_ACCEPT,
		.family = AF_INET,
		.tcp_state = 1, /* established */
		.counts = {.send_calls = any(s, 100000),
			   .send_bytes = sent,
			   .receive_calls = any(s, 100000),
			   .receive_bytes = received},
		.opened_ns = opened_ns,
		.established_ns = opened_ns,
		.accepted_ns = opened_ns + any(s, NS_PER_MS),
		.first_byte_ns = opened_ns + any(s, NS_PER_MS),
		.tcp = {.srtt_us = any(s, 10000),
			.mdev_us = any(s, 1000),
			.cwnd = 10,
			.mss = 1448,
			.rate_delivered = 10,
			.rate_interval_us = any(s, 1000) + 1},
		.books = {.seen_sent = sent,
			  .kernel_sent = sent,
			  .seen_received = received,
			  .kernel_received = received},
		.is_refreshed = true,
		.receive_buffer = 212992,
		.holders = 1,
		.local_port = is_udp ? 10000 + number : 8080,
		.remote_port = is_udp ? 0 : htons(32768 + any(s, 28000)),
	};
	set_address(x->local, 0x0a000001);
	if (!is_udp)
		set_address(x->remote, 0x0a010000 + number);
}

static void add_process(struct synthetic *s, uint32_t number)
{
	uint32_t index = take(&s->kernel.processes);
	struct process_record *p = pool_at(&s->kernel.processes, index);

	p->state = RECORD_LIVE;
	p->pid = 1000 + number * NR_THREADS;
	p->started_ns = BEGAN_NS;
	for (uint32_t i = 0; i < NR_THREADS; i++)
		add_task(s, index, p->pid + i);
	for (uint32_t i = 0; i < NR_SOCKETS; i++)
		add_sock(s, index, i);
}

struct synthetic *synthetic_new(unsigned int nr_processes)
{
	size_t nr_tasks = nr_processes * NR_THREADS, nr_rows = nr_tasks * NR_CALLS;
	struct synthetic *s = xcalloc(1, sizeof(*s));

	s->nr_processes = nr_processes;
	s->row_kinds = record_row_kinds();
	s->random = 0x9e3779b97f4a7c15;
	s->kernel = (struct kernel){
		.tasks = pool_new(sizeof(struct task_record), nr_tasks),
		.processes = pool_new(sizeof(struct process_record), nr_processes),
		.rows = pool_new(sizeof(struct call_row), nr_rows),
		.blocks = pool_new(sizeof(struct block), nr_rows * (NR_OCTAVES + 1)),
		.socks = pool_new(sizeof(struct sock_record), nr_processes * NR_SOCKETS),
	};
	s->sockets = (struct socket_reader){
		.kernel = &s->kernel,
		.began_ns = BEGAN_NS,
		.jiffy_ns = TICK_NS,
		.detail_full = true,
		.is_moving = xcalloc(nr_processes + 1, sizeof(bool)),
	};
	for (uint32_t i = 0; i < nr_processes; i++)
		add_process(s, i);
	return s;
}

void synthetic_free(struct synthetic *s)
{
	struct kernel *k = &s->kernel;

	free(k->tasks.records);
	free(k->processes.records);
	free(k->rows.records);
	free(k->blocks.records);
	free(k->socks.records);
	free(s->sockets.is_moving);
	free(s->row_kinds);
	free(s);
}

size_t synthetic_bytes(const struct synthetic *s)
{
	const struct kernel *k = &s->kernel;
	const struct pool *pools[] = {&k->tasks, &k->processes, &k->rows, &k->blocks, &k->socks};
	size_t bytes = 0;

	for (size_t i = 0; i < sizeof(pools) / sizeof(*pools); i++)
		bytes += (pools[i]->nr - 1) * pools[i]->record_size;
	return bytes;
}

/* --- the report ------------------------------------------------------------------------------ */

static void fill_head(struct report *r)
{
	r->tool.version = xstrdup("0");
	r->tool.commit = xstrdup("synthetic");
	r->tool.libbpf = xstrdup("0");
	r->tool.compiler = xstrdup("none");
	r->host.os = xstrdup("none");
	r->host.kernel = xstrdup("none");
	r->host.arch = xstrdup("none");
	r->host.cpus = 1;
	r->capture.mode = xstrdup("attach");
	r->capture.command = xcalloc(1, sizeof(*r->capture.command));
	r->capture.started = xstrdup("1970-01-01T00:00:01.000Z");
	r->capture.duration_ns = NOW_NS - BEGAN_NS;
	r->capture.detail = xstrdup("full");
	r->capture.complete = true;
}

static void add_threads(const struct synthetic *s, struct process **processes)
{
	const struct pool *tasks = &s->kernel.tasks;

	for (uint32_t i = 1; i < tasks->nr; i++) {
		const struct task_record *t = pool_at(tasks, i);
		struct process *p = processes[t->process];

		record_to_thread(&s->kernel, t, NOW_NS, true, false,
				 vec_push(p->threads, p->nr_threads, p->cap_threads));
	}
}

void synthetic_fold(struct synthetic *s, struct report *r)
{
	struct process **processes = xcalloc(s->nr_processes + 1, sizeof(*processes));

	fill_head(r);
	r->processes = vec_reserve(NULL, &r->cap_processes, s->nr_processes, sizeof(*r->processes));
	for (uint32_t i = 1; i <= s->nr_processes; i++) {
		const struct process_record *p = pool_at(&s->kernel.processes, i);

		processes[i] = vec_push(r->processes, r->nr_processes, r->cap_processes);
		processes[i]->pid = p->pid;
		processes[i]->started_ns = p->started_ns;
		processes[i]->comm = xstrdup("server");
	}
	add_threads(s, processes);
	for (uint32_t i = 1; i < s->kernel.socks.nr; i++)
		socket_rows_add(&s->sockets, i, processes);
	free(processes);
	report_finish(r);
	report_audit(r, TICK_NS);
}

size_t report_rows(const struct report *r)
{
	size_t rows = 0;

	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];

		rows += 1 + p->calls.nr + p->nr_sockets;
		for (size_t k = 0; k < p->nr_threads; k++)
			rows += 1 + p->threads[k].calls.nr;
	}
	return rows;
}
