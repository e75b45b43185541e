// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "base/vec.h"
#include "model/merge.h"
#include "model/model.h"
#include "model/workload.h"

/* --- lifecycle ---------------------------------------------------------------------------- */

static void syscall_free(struct syscall *c)
{
	free(c->name);
	free(c->errnos);
	free(c->histogram.buckets);
}

void syscalls_free(struct syscalls *calls)
{
	for (size_t i = 0; i < calls->nr; i++)
		syscall_free(&calls->items[i]);
	free(calls->items);
	*calls = (struct syscalls){0};
}

void thread_free(struct thread *t)
{
	free(t->comm);
	syscalls_free(&t->calls);
	*t = (struct thread){0};
}

void process_free(struct process *p)
{
	free(p->comm);
	free(p->exe);
	strings_free(p->cmdline);
	syscalls_free(&p->calls);
	for (size_t i = 0; i < p->nr_threads; i++)
		thread_free(&p->threads[i]);
	free(p->threads);
	sockets_free(p);
	*p = (struct process){0};
}

static void capture_free(struct report *r)
{
	free(r->capture.mode);
	strings_free(r->capture.command);
	free(r->capture.started);
	free(r->capture.detail);
	for (size_t i = 0; i < r->capture.nr_probes; i++) {
		free(r->capture.probes[i].name);
		free(r->capture.probes[i].hook);
		free(r->capture.probes[i].reason);
	}
	free(r->capture.probes);
	for (size_t i = 0; i < r->capture.nr_lost; i++)
		free(r->capture.lost[i].reason);
	free(r->capture.lost);
	for (size_t i = 0; i < r->capture.nr_programs; i++)
		free(r->capture.programs[i].name);
	free(r->capture.programs);
}

static void audit_free(struct audit *a)
{
	free(a->name);
	free(a->subject);
	free(a->reason);
}

void report_free(struct report *r)
{
	free(r->tool.version);
	free(r->tool.commit);
	free(r->tool.libbpf);
	free(r->tool.compiler);
	free(r->host.os);
	free(r->host.kernel);
	free(r->host.arch);
	free(r->host.cpu_model);
	free(r->host.virtualization);
	free(r->host.lockdown);
	capture_free(r);
	for (size_t i = 0; i < r->nr_processes; i++)
		process_free(&r->processes[i]);
	free(r->processes);
	drops_free(&r->drops);
	for (size_t i = 0; i < r->nr_audits; i++)
		audit_free(&r->audits[i]);
	free(r->audits);
	workload_run_free(r->workload);
	*r = (struct report){0};
}

/* --- building ----------------------------------------------------------------------------- */

static int compare_call(const struct syscall *c, const char *abi, uint32_t nr)
{
	int order = strcmp(c->abi, abi);

	return order ? order : (c->nr > nr) - (c->nr < nr);
}

/* Where (@abi, @nr) is in @calls, or where it belongs. */
static size_t find_call(const struct syscalls *calls, const char *abi, uint32_t nr)
{
	size_t low = 0, high = calls->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_call(&calls->items[middle], abi, nr) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* What is not known until there is something to know it from. */
static void call_stats_init(struct call_stats *stats)
{
	for (size_t i = 0; i < nr_call_metrics; i++)
		if (call_metrics[i].kind != KIND_SUM && call_metrics[i].kind != KIND_MAX)
			*metric_at(&call_metrics[i], stats) = METRIC_UNKNOWN;
}

struct syscall *syscalls_get(struct syscalls *calls, const char *abi, uint32_t nr, const char *name)
{
	size_t at = find_call(calls, abi, nr);
	struct syscall *c;

	if (at < calls->nr && !compare_call(&calls->items[at], abi, nr))
		return &calls->items[at];
	c = vec_push(calls->items, calls->nr, calls->cap);
	c -= calls->nr - 1 - at;
	memmove(c + 1, c, (calls->nr - 1 - at) * sizeof(*c));
	*c = (struct syscall){.abi = abi, .nr = nr, .name = xstrdup(name)};
	call_stats_init(&c->stats);
	return c;
}

void syscall_add_errno(struct syscall *c, int error, uint64_t count)
{
	struct errno_count *e;
	size_t at = 0;

	while (at < c->nr_errnos && c->errnos[at].error < error)
		at++;
	if (at == c->nr_errnos || c->errnos[at].error != error) {
		e = vec_push(c->errnos, c->nr_errnos, c->cap_errnos);
		e -= c->nr_errnos - 1 - at;
		memmove(e + 1, e, (c->nr_errnos - 1 - at) * sizeof(*e));
		*e = (struct errno_count){.error = error};
	}
	c->errnos[at].count = saturating_sum(c->errnos[at].count, count);
}

/* --- merging ------------------------------------------------------------------------------ */

/* A new entry takes the figures as they are: unknown plus the zero of a new entry is unknown. */
static void call_merge(struct syscalls *into, const struct syscall *from)
{
	size_t nr = into->nr;
	struct syscall *to = syscalls_get(into, from->abi, from->nr, from->name);

	if (into->nr > nr)
		to->stats = from->stats;
	else
		metrics_merge(call_metrics, nr_call_metrics, &to->stats, &from->stats);
	for (size_t i = 0; i < from->nr_errnos; i++)
		syscall_add_errno(to, from->errnos[i].error, from->errnos[i].count);
	hist_merge(&to->histogram, &from->histogram);
}

void syscalls_merge(struct syscalls *into, const struct syscalls *from)
{
	for (size_t i = 0; i < from->nr; i++)
		call_merge(into, &from->items[i]);
}

void task_stats_merge(struct task_stats *into, const struct task_stats *from)
{
	metrics_merge(task_metrics, nr_task_metrics, into, from);
}

/*
 * Books are compared, so a sum with an unknown part is unknown: leaving the part out on one side
 * only would make a failed audit of a missing figure.
 */
static uint64_t book_sum(uint64_t a, uint64_t b)
{
	return a == METRIC_UNKNOWN || b == METRIC_UNKNOWN ? METRIC_UNKNOWN : saturating_sum(a, b);
}

void task_books_merge(struct task_books *into, const struct task_books *from)
{
	into->entries = book_sum(into->entries, from->entries);
	into->kernel_voluntary = book_sum(into->kernel_voluntary, from->kernel_voluntary);
	into->kernel_involuntary = book_sum(into->kernel_involuntary, from->kernel_involuntary);
	into->seen_voluntary = book_sum(into->seen_voluntary, from->seen_voluntary);
	into->seen_involuntary = book_sum(into->seen_involuntary, from->seen_involuntary);
	into->kernel_exec_ns = book_sum(into->kernel_exec_ns, from->kernel_exec_ns);
	into->seen_exec_ns = book_sum(into->seen_exec_ns, from->seen_exec_ns);
}

/* --- finishing ---------------------------------------------------------------------------- */

static unsigned int permille_of(enum metric_kind kind)
{
	switch (kind) {
	case KIND_P500:
		return 500;
	case KIND_P900:
		return 900;
	case KIND_P990:
		return 990;
	case KIND_P999:
		return 999;
	default:
		return 0;
	}
}

static void call_finish(struct syscall *c)
{
	struct call_stats *s = &c->stats;

	if (!s->calls) /* none returned: there is no shortest and no longest */
		s->min_ns = s->max_ns = METRIC_UNKNOWN;
	for (size_t i = 0; i < nr_call_metrics; i++) {
		unsigned int permille = permille_of(call_metrics[i].kind);

		if (permille)
			*metric_at(&call_metrics[i], s) =
				hist_percentile(&c->histogram, permille, s->min_ns, s->max_ns);
	}
}

void syscalls_finish(struct syscalls *calls)
{
	for (size_t i = 0; i < calls->nr; i++)
		call_finish(&calls->items[i]);
}

static int compare_threads(const void *a, const void *b)
{
	const struct thread *x = a, *y = b;

	if (x->tid != y->tid)
		return x->tid > y->tid ? 1 : -1;
	return y->ended - x->ended; /* a number used again: the one that ended came first */
}

static int compare_processes(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid > y->pid ? 1 : -1;
	return (x->started_ns > y->started_ns) - (x->started_ns < y->started_ns);
}

static void process_finish(struct process *p)
{
	if (!p->ended) {
		p->exit_status = -1;
		p->term_signal = 0;
	}
	if (p->nr_threads) {
		qsort(p->threads, p->nr_threads, sizeof(*p->threads), compare_threads);
		syscalls_free(&p->calls);
		p->stats = p->threads[0].stats;
	}
	for (size_t i = 0; i < p->nr_threads; i++) {
		if (i)
			task_stats_merge(&p->stats, &p->threads[i].stats);
		syscalls_merge(&p->calls, &p->threads[i].calls);
		syscalls_finish(&p->threads[i].calls);
	}
	syscalls_finish(&p->calls);
	sockets_finish(p);
}

void processes_sort(struct report *r)
{
	if (r->nr_processes)
		qsort(r->processes, r->nr_processes, sizeof(*r->processes), compare_processes);
}

void report_finish(struct report *r)
{
	for (size_t i = 0; i < r->nr_processes; i++)
		process_finish(&r->processes[i]);
	processes_sort(r);
}

bool report_audits_hold(const struct report *r)
{
	for (size_t i = 0; i < r->nr_audits; i++)
		if (r->audits[i].ok == NO)
			return false;
	return true;
}
