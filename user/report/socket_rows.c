// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "report/socket_rows.h"

/* --- rows --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct socket_row *x = a, *y = b;
	int order = socket_compare(x->socket, y->socket);

	if (order)
		return order;
	if (x->process != y->process)
		return x->process > y->process ? 1 : -1;
	return (x->socket > y->socket) - (x->socket < y->socket);
}

/* Leaves the @top busiest and all that had drops in front, in their order. */
static void leave_out(struct socket_rows *rows, unsigned int top)
{
	struct socket_row *others = xcalloc(rows->nr, sizeof(*others));
	size_t nr_others = 0;

	for (size_t i = 0; i < rows->nr; i++) {
		if (!top || i < top || rows->items[i].socket->drops.nr)
			rows->items[rows->nr_shown++] = rows->items[i];
		else
			others[nr_others++] = rows->items[i];
	}
	memcpy(rows->items + rows->nr_shown, others, nr_others * sizeof(*others));
	free(others);
}

static bool is_elsewhere(const struct report *r, const struct socket *s)
{
	return s->netns != METRIC_UNKNOWN && s->netns != r->host.netns;
}

struct socket_rows socket_rows_of(const struct report *r, unsigned int top)
{
	struct socket_rows rows = {0};

	for (size_t i = 0; i < r->nr_processes; i++) {
		rows.nr += r->processes[i].nr_sockets;
		rows.nr_processes += r->processes[i].nr_sockets > 0;
	}
	rows.items = xcalloc(rows.nr, sizeof(*rows.items));
	for (size_t i = 0, at = 0; i < r->nr_processes; i++)
		for (size_t k = 0; k < r->processes[i].nr_sockets; k++)
			rows.items[at++] =
				(struct socket_row){&r->processes[i], &r->processes[i].sockets[k]};
	for (size_t i = 0; i < rows.nr; i++)
		rows.has_netns |= is_elsewhere(r, rows.items[i].socket);
	qsort(rows.items, rows.nr, sizeof(*rows.items), compare);
	leave_out(&rows, top);
	return rows;
}

void socket_rows_free(struct socket_rows *rows)
{
	free(rows->items);
	*rows = (struct socket_rows){0};
}

/* --- whose they are ----------------------------------------------------------------------- */

#define DROP_PROTO 5

/* "tcp", "tcp6", or "tcp46" for a socket that takes both. */
static char *protocol_text(const struct socket *s)
{
	const char *version = strcmp(s->family, "ipv6") ? "" : s->dual_stack ? "46" : "6";

	return xasprintf("%s%s", s->protocol, version);
}

static char *address_text(const char *address)
{
	return xstrdup(address && *address ? address : "-");
}

/* A number that names something has no thousands. */
static char *netns_text(uint64_t netns)
{
	return netns == METRIC_UNKNOWN ? NULL : xasprintf("%" PRIu64, netns);
}

void socket_add_columns(struct table *t, const struct socket_rows *rows)
{
	table_add_column(t, "PID", COLUMN_FIGURE, 0);
	table_add_column(t, "PROTO", COLUMN_WORD, DROP_PROTO);
	table_add_column(t, "LOCAL", COLUMN_ADDRESS, 0);
	table_add_column(t, "REMOTE", COLUMN_ADDRESS, 0);
	if (rows->has_netns)
		table_add_column(t, "NETNS", COLUMN_FIGURE, 0);
}

void socket_add_cells(struct table *t, const struct socket_rows *rows, const struct socket_row *row)
{
	table_add_cell(t, xasprintf("%d", row->process->pid));
	table_add_cell(t, protocol_text(row->socket));
	table_add_cell(t, address_text(row->socket->local));
	table_add_cell(t, address_text(row->socket->remote));
	if (rows->has_netns)
		table_add_cell(t, netns_text(row->socket->netns));
}
