// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/merge.h"
#include "model/workload.h"

static void add_calls(struct trial_stats *s, const struct process *p)
{
	for (size_t i = 0; i < p->calls.nr; i++) {
		const struct call_stats *c = &p->calls.items[i].stats;

		s->calls = known_sum(s->calls, c->calls);
		s->errors = known_sum(s->errors, c->errors);
		if (c->bytes == METRIC_UNKNOWN)
			continue;
		s->moving_calls = known_sum(s->moving_calls, c->calls);
		s->moved_bytes = known_sum(s->moved_bytes, c->bytes);
	}
}

static void add_sockets(struct trial_stats *s, const struct process *p)
{
	if (process_has_sockets_traced(p))
		s->drops = known_sum(s->drops, 0);
	for (size_t i = 0; i < p->nr_sockets; i++) {
		const struct socket *socket = &p->sockets[i];

		s->drops = known_sum(s->drops, drops_packets(&socket->drops));
		s->retransmits = known_sum(s->retransmits, socket->stats.tcp_retransmits);
	}
}

static void add_process(struct trial_stats *s, const struct process *p)
{
	const struct task_stats *from = &p->stats;

	s->user_ns = known_sum(s->user_ns, from->user_ns);
	s->kernel_ns = known_sum(s->kernel_ns, from->kernel_ns);
	s->on_cpu_ns = known_sum(s->on_cpu_ns, from->on_cpu_ns);
	s->runnable_ns = known_sum(s->runnable_ns, from->runnable_ns);
	s->blocked_ns = known_sum(s->blocked_ns, from->blocked_ns);
	s->switches = known_sum(s->switches, known_sum(from->voluntary, from->involuntary));
	s->migrations = known_sum(s->migrations, from->migrations);
	add_calls(s, p);
	add_sockets(s, p);
}

void trial_sum_subject(const struct report *r, struct workload_trial *t)
{
	for (size_t i = 0; i < nr_trial_metrics; i++)
		*metric_at(&trial_metrics[i], &t->stats) = METRIC_UNKNOWN;
	for (size_t i = 0; i < t->nr_parts; i++)
		for (size_t k = 0; t->parts[i].is_subject && k < r->nr_processes; k++)
			if (workload_owns(t, &t->parts[i], &r->processes[k]))
				add_process(&t->stats, &r->processes[k]);
}
