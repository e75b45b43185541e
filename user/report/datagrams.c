// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "report/workload.h"

/* --- drops of sockets --------------------------------------------------------------------- */

/* What a row of either table begins with. */
static void add_trial_columns(struct table *t, const struct workload_run *w)
{
	table_add_column(t, "TRIAL", COLUMN_FIGURE, 0);
	for (size_t i = 0; i < w->nr_parameters; i++)
		if (w->parameters[i].is_swept)
			table_add_column(t, w->parameters[i].name, COLUMN_NAME, 70);
}

static void add_trial_cells(struct table *table, const struct workload_trial *t)
{
	table_add_cell(table, count_text(t->number));
	for (char *const *value = t->cell; *value; value++)
		table_add_cell(table, xstrdup(*value));
}

static bool has_drops(const struct report *r)
{
	for (size_t i = 0; i < r->nr_processes; i++)
		for (size_t k = 0; k < r->processes[i].nr_sockets; k++)
			if (r->processes[i].sockets[k].drops.nr)
				return true;
	return false;
}

/* The sockets of one protocol of a process together: a row for each reason. */
struct owned_drops {
	const char *protocol;
	const char *local; /* of the last of them */
	size_t nr_sockets;
	struct drops drops;
};

static void collect_drops(struct owned_drops *o, const struct process *p)
{
	for (size_t i = 0; i < p->nr_sockets; i++) {
		const struct socket *s = &p->sockets[i];

		if (!s->drops.nr || strcmp(s->protocol, o->protocol))
			continue;
		drops_merge(&o->drops, &s->drops);
		o->local = s->local;
		o->nr_sockets++;
	}
}

static char *local_text(const struct owned_drops *o)
{
	if (o->nr_sockets > 1)
		return xasprintf("%zu sockets", o->nr_sockets);
	return xstrdup(o->local ? o->local : "-");
}

static void add_drops_of(struct table *table, const struct workload_trial *t, const char *role,
			 const struct owned_drops *o)
{
	for (size_t i = 0; i < o->drops.nr; i++) {
		const struct drop *drop = &o->drops.items[i];

		add_trial_cells(table, t);
		table_add_cell(table, xstrdup(role));
		table_add_cell(table, xstrdup(o->protocol));
		table_add_cell(table, local_text(o));
		table_add_cell(table, xstrdup(drop->reason));
		table_add_cell(table, count_text(drop->packets))->style = STYLE_WARNING;
		table_add_cell(table, size_text(drop->bytes));
		table_add_cell(table, time_text(drop->first_ns));
		table_add_cell(table, time_text(drop->last_ns));
	}
}

static bool is_first_of_protocol(const struct process *p, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (p->sockets[i].drops.nr &&
		    !strcmp(p->sockets[i].protocol, p->sockets[index].protocol))
			return false;
	return p->sockets[index].drops.nr;
}

static const char *role_of(const struct workload_trial *t, const struct process *p)
{
	for (size_t i = 0; i < t->nr_parts; i++)
		if (workload_owns(t, &t->parts[i], p))
			return t->parts[i].role;
	return p->comm;
}

static void add_drops(struct table *table, const struct report *r, const struct workload_trial *t)
{
	for (size_t i = 0; i < r->nr_processes; i++) {
		const struct process *p = &r->processes[i];

		for (size_t k = 0; p->trial == t->number && k < p->nr_sockets; k++) {
			struct owned_drops o = {.protocol = p->sockets[k].protocol};

			if (!is_first_of_protocol(p, k))
				continue;
			collect_drops(&o, p);
			add_drops_of(table, t, role_of(t, p), &o);
			drops_free(&o.drops);
		}
	}
}

static void add_owned(struct document *d, const struct report *r, const struct trial_groups *g)
{
	struct table *table = &document_add(d, BLOCK_TABLE, NULL)->table;

	add_trial_columns(table, g->run);
	table_add_column(table, "ROLE", COLUMN_NAME, 0);
	table_add_column(table, "PROTO", COLUMN_WORD, 60);
	table_add_column(table, "LOCAL", COLUMN_ADDRESS, 0);
	table_add_column(table, "REASON", COLUMN_NAME, 0);
	table_add_column(table, "PACKETS", COLUMN_FIGURE, 1);
	table_add_column(table, "BYTES", COLUMN_FIGURE, 10);
	table_add_column(table, "FIRST", COLUMN_FIGURE, 20);
	table_add_column(table, "LAST", COLUMN_FIGURE, 30);
	for (size_t i = 0; i < g->nr; i++)
		for (size_t k = 0; k < g->items[i].nr; k++)
			add_drops(table, r, g->items[i].trials[k]);
}

/* --- where the datagrams went ------------------------------------------------------------- */

static char *difference_text(const struct datagram_balance *b)
{
	uint64_t seen = balance_seen(b);

	if (seen == METRIC_UNKNOWN || b->published == METRIC_UNKNOWN)
		return xstrdup("-");
	if (seen <= b->published)
		return count_text(b->published - seen);
	return xasprintf("-%ju", (uintmax_t)(seen - b->published));
}

static void add_balance(struct table *table, const struct workload_trial *t,
			const struct datagram_balance *b)
{
	uint64_t seen = balance_seen(b);
	struct cell *cell;

	add_trial_cells(table, t);
	table_add_cell(table, count_text(b->published));
	table_add_cell(table, count_text(b->received));
	cell = table_add_cell(table, count_text(b->dropped));
	cell->style = known(b->dropped) ? STYLE_WARNING : STYLE_PLAIN;
	table_add_cell(table, count_text(b->queued));
	cell = table_add_cell(table, difference_text(b));
	if (seen != METRIC_UNKNOWN && seen != b->published)
		cell->style = STYLE_FAILURE;
}

/* Without a trace, the part's own count is all there is. */
static uint64_t counted_received(const struct workload_trial *t)
{
	uint64_t received = METRIC_UNKNOWN;

	for (size_t i = 0; i < t->nr_parts && received == METRIC_UNKNOWN; i++)
		received = facts_get(&t->parts[i].truth, "datagrams_received");
	return received;
}

static void add_balances(struct document *d, const struct report *r, const struct trial_groups *g)
{
	struct table *table = &document_add(d, BLOCK_TABLE, NULL)->table;

	add_trial_columns(table, g->run);
	table_add_column(table, "PUBLISHED", COLUMN_FIGURE, 1);
	table_add_column(table, "RECEIVED", COLUMN_FIGURE, 2);
	table_add_column(table, "DROPPED", COLUMN_FIGURE, 3);
	table_add_column(table, "QUEUED", COLUMN_FIGURE, 4);
	table_add_column(table, "DIFFERENCE", COLUMN_FIGURE, 5);
	for (size_t i = 0; i < g->nr; i++) {
		for (size_t k = 0; k < g->items[i].nr; k++) {
			const struct workload_trial *t = g->items[i].trials[k];
			struct report trial = report_of_trial(r, t->number);
			struct datagram_balance b;

			if (workload_balance(&trial, t, &b)) {
				if (!t->traced)
					b.received = counted_received(t);
				add_balance(table, t, &b);
			}
			free(trial.processes);
		}
	}
}

static bool has_balance(const struct report *r, const struct trial_groups *g)
{
	struct datagram_balance b;

	return g->nr && workload_balance(r, g->items[0].trials[0], &b);
}

void document_add_datagrams(struct document *d, const struct report *r,
			    const struct trial_groups *g)
{
	if (has_balance(r, g)) {
		document_add(d, BLOCK_HEADING,
			     xstrdup("Datagrams: published = received + dropped + queued"));
		add_balances(d, r, g);
	}
	if (has_drops(r) || r->drops.nr)
		document_add(d, BLOCK_HEADING, xstrdup("Drops"));
	if (has_drops(r))
		add_owned(d, r, g);
	if (r->drops.nr)
		document_add_unowned_drops(d, &r->drops);
}
