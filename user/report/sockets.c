// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/units.h"
#include "report/socket_rows.h"

/*
 * How the metrics of a socket appear: in the table of all sockets, or in that of their group
 * below it. One that is not listed here appears in the latter, as soon as it is not 0.
 */
struct socket_display {
	const char *group, *name;
	enum { FIRST_TABLE, OWN_TABLE } where;
	enum { IF_KNOWN, IF_NOT_ZERO } when;
	bool is_trouble; /* worth a look where it is not 0 */
	unsigned int drop;
};

#define DROP_DROPS  1
#define DROP_CONNS  4
#define DROP_ROLE   25
#define DROP_STATE  30
#define DROP_COMM   62
#define DROP_SHARED 70
#define DROP_OTHERS 95

static const struct socket_display displays[] = {
	{"send", "calls", FIRST_TABLE, IF_KNOWN, false, 40},
	{"send", "bytes", FIRST_TABLE, IF_KNOWN, false, 2},
	{"send", "errors", FIRST_TABLE, IF_NOT_ZERO, false, 60},
	{"receive", "calls", FIRST_TABLE, IF_KNOWN, false, 41},
	{"receive", "bytes", FIRST_TABLE, IF_KNOWN, false, 2},
	{"receive", "errors", FIRST_TABLE, IF_NOT_ZERO, false, 61},
	{"receive", "peek_calls", FIRST_TABLE, IF_NOT_ZERO, false, 80},
	{"receive", "peek_bytes", FIRST_TABLE, IF_NOT_ZERO, false, 81},
	{"receive", "trunc_calls", FIRST_TABLE, IF_NOT_ZERO, false, 82},
	{"receive", "trunc_bytes", FIRST_TABLE, IF_NOT_ZERO, false, 83},
	{"tcp", "rtt_ns", FIRST_TABLE, IF_KNOWN, false, 20},
	{"tcp", "retransmits", FIRST_TABLE, IF_NOT_ZERO, true, 10},
	{"tcp", "retransmits_failed", OWN_TABLE, IF_NOT_ZERO, true, 11},
	{"tcp", "connect_ns", OWN_TABLE, IF_NOT_ZERO, false, 20},
	{"tcp", "accept_wait_ns", OWN_TABLE, IF_NOT_ZERO, false, 21},
	{"tcp", "first_byte_ns", OWN_TABLE, IF_NOT_ZERO, false, 22},
	{"tcp", "rwnd_limited_ns", OWN_TABLE, IF_NOT_ZERO, false, 30},
	{"tcp", "sndbuf_limited_ns", OWN_TABLE, IF_NOT_ZERO, false, 31},
	{"tcp", "resets_sent", OWN_TABLE, IF_NOT_ZERO, true, 13},
	{"tcp", "resets_received", OWN_TABLE, IF_NOT_ZERO, true, 14},
	{"tcp", "failed_connects", OWN_TABLE, IF_NOT_ZERO, true, 12},
	{"tcp", "backlog_overflows", OWN_TABLE, IF_NOT_ZERO, true, 10},
};

static const struct socket_display *display_of(const struct metric *m)
{
	static const struct socket_display other = {NULL,	 NULL,	OWN_TABLE,
						    IF_NOT_ZERO, false, DROP_OTHERS};

	for (size_t i = 0; i < sizeof(displays) / sizeof(displays[0]); i++)
		if (!strcmp(displays[i].group, m->group) && !strcmp(displays[i].name, m->name))
			return &displays[i];
	return &other;
}

/* --- cells -------------------------------------------------------------------------------- */

static bool is_folded(const struct socket *s)
{
	return s->connections > 1;
}

static bool is_shared(const struct socket *s)
{
	return known(s->shared_by) > 1;
}

static bool has_drops(const struct socket *s)
{
	return s->drops.nr > 0;
}

static bool is_closed(const struct socket *s)
{
	return s->closed_ns != METRIC_UNKNOWN;
}

static bool has_state(const struct socket *s)
{
	return s->state || is_closed(s);
}

static bool fails_audit(const struct socket *s)
{
	return s->agrees == NO;
}

static char *state_text(const struct socket *s)
{
	if (is_closed(s))
		return xasprintf("closed%s%s", s->closed_by ? " by " : "",
				 s->closed_by ? s->closed_by : "");
	return s->state ? xstrdup(s->state) : NULL;
}

/* --- columns beside the metrics ----------------------------------------------------------- */

static void add_conns(struct table *t, const struct socket *s)
{
	table_add_cell(t, count_text(s->connections));
}

static void add_drops(struct table *t, const struct socket *s)
{
	uint64_t packets = 0;
	struct cell *cell;

	for (size_t i = 0; i < s->drops.nr; i++)
		packets += s->drops.items[i].packets;
	cell = table_add_cell(t, count_text(packets));
	cell->style = packets ? STYLE_WARNING : STYLE_PLAIN;
}

static void add_state(struct table *t, const struct socket *s)
{
	table_add_cell(t, state_text(s));
}

static bool is_elsewhere(const struct socket *s)
{
	return known(s->connections_elsewhere) > 0;
}

static void add_elsewhere(struct table *t, const struct socket *s)
{
	table_add_cell(t, count_text(s->connections_elsewhere));
}

static void add_shared(struct table *t, const struct socket *s)
{
	table_add_cell(t, count_text(s->shared_by));
}

static void add_audit(struct table *t, const struct socket *s)
{
	if (s->agrees == NO)
		table_add_cell(t, xstrdup("fails"))->style = STYLE_FAILURE;
	else
		table_add_cell(t, NULL);
}

/* Each is there only where it has something to say of a row. */
static const struct extra {
	const char *heading;
	enum column_kind kind;
	unsigned int drop;
	bool is_before; /* the metrics */
	bool (*has_to_say)(const struct socket *s);
	void (*add)(struct table *t, const struct socket *s);
} extras[] = {
	{"CONNS", COLUMN_FIGURE, DROP_CONNS, true, is_folded, add_conns},
	{"DROPS", COLUMN_FIGURE, DROP_DROPS, false, has_drops, add_drops},
	{"STATE", COLUMN_WORD, DROP_STATE, false, has_state, add_state},
	{"SHARED", COLUMN_FIGURE, DROP_SHARED, false, is_shared, add_shared},
	{"ELSEWHERE", COLUMN_FIGURE, DROP_SHARED, false, is_elsewhere, add_elsewhere},
	{"AUDIT", COLUMN_WORD, 0, false, fails_audit, add_audit},
};
#define NR_EXTRAS (sizeof(extras) / sizeof(extras[0]))

/* --- the view ----------------------------------------------------------------------------- */

struct view {
	struct socket_rows rows;
	/* By metric and by extra: whether it has something to say of a row that is shown. */
	bool *is_worth;
	bool has_extra[NR_EXTRAS];
};

/* What is not known, or of another sort of socket, says nothing. */
static bool has_to_say(const struct metric *m, const struct socket *s)
{
	uint64_t value = *metric_at(m, &s->stats);

	if (!socket_has_metric(s, m))
		return false;
	return display_of(m)->when == IF_KNOWN ? value != METRIC_UNKNOWN : known(value) > 0;
}

static struct view view_of(const struct report *r, unsigned int top)
{
	struct view v = {
		.rows = socket_rows_of(r, top),
		.is_worth = xcalloc(nr_socket_metrics, sizeof(*v.is_worth)),
	};

	for (size_t i = 0; i < nr_socket_metrics; i++)
		for (size_t k = 0; k < v.rows.nr_shown && !v.is_worth[i]; k++)
			v.is_worth[i] = has_to_say(&socket_metrics[i], v.rows.items[k].socket);
	for (size_t i = 0; i < NR_EXTRAS; i++)
		for (size_t k = 0; k < v.rows.nr_shown && !v.has_extra[i]; k++)
			v.has_extra[i] = extras[i].has_to_say(v.rows.items[k].socket);
	return v;
}

static void view_free(struct view *v)
{
	socket_rows_free(&v->rows);
	free(v->is_worth);
}

/* --- metrics ------------------------------------------------------------------------------ */

/* Whether @m is in the first table (@group NULL), or in that of @group. */
static bool is_in(const struct view *v, size_t m, const char *group)
{
	const struct metric *metric = &socket_metrics[m];

	if (!v->is_worth[m])
		return false;
	if (display_of(metric)->where == FIRST_TABLE)
		return !group;
	return group && !strcmp(metric->group, group);
}

static void add_metric_columns(struct table *t, const struct view *v, const char *group)
{
	for (size_t i = 0; i < nr_socket_metrics; i++)
		if (is_in(v, i, group))
			table_add_column(t, socket_metrics[i].heading, COLUMN_FIGURE,
					 display_of(&socket_metrics[i])->drop);
}

static void add_metric_cells(struct table *t, const struct view *v, const struct socket *s,
			     const char *group)
{
	for (size_t i = 0; i < nr_socket_metrics; i++) {
		const struct metric *m = &socket_metrics[i];
		uint64_t value = *metric_at(m, &s->stats);
		struct cell *cell;

		if (!is_in(v, i, group))
			continue;
		cell = table_add_cell(t, socket_has_metric(s, m) ? metric_text(m, value) : NULL);
		if (display_of(m)->is_trouble && known(value))
			cell->style = STYLE_WARNING;
	}
}

/* --- tables of sockets -------------------------------------------------------------------- */

static void add_extra_columns(struct table *t, const struct view *v, bool is_before)
{
	for (size_t i = 0; i < NR_EXTRAS; i++)
		if (v->has_extra[i] && extras[i].is_before == is_before)
			table_add_column(t, extras[i].heading, extras[i].kind, extras[i].drop);
}

static void add_extra_cells(struct table *t, const struct view *v, const struct socket *s,
			    bool is_before)
{
	for (size_t i = 0; i < NR_EXTRAS; i++)
		if (v->has_extra[i] && extras[i].is_before == is_before)
			extras[i].add(t, s);
}

static void add_first_table(struct document *d, const struct view *v)
{
	struct table *t = &document_add(d, BLOCK_TABLE, NULL)->table;
	bool has_comm = v->rows.nr_processes > 1;

	socket_add_columns(t, &v->rows);
	table_add_column(t, "ROLE", COLUMN_WORD, DROP_ROLE);
	if (has_comm)
		table_add_column(t, "COMM", COLUMN_NAME, DROP_COMM);
	add_extra_columns(t, v, true);
	add_metric_columns(t, v, NULL);
	add_extra_columns(t, v, false);
	for (size_t i = 0; i < v->rows.nr_shown; i++) {
		const struct socket_row *row = &v->rows.items[i];

		socket_add_cells(t, &v->rows, row);
		table_add_cell(t, xstrdup(row->socket->role));
		if (has_comm)
			table_add_cell(t, xstrdup(row->process->comm));
		add_extra_cells(t, v, row->socket, true);
		add_metric_cells(t, v, row->socket, NULL);
		add_extra_cells(t, v, row->socket, false);
	}
}

/* "12 more rows: 1.50 MiB sent, 20.0 KiB received" */
static void add_left_out(struct document *d, const struct view *v)
{
	size_t nr = v->rows.nr - v->rows.nr_shown;
	char sent[UNITS_TEXT_LEN], received[UNITS_TEXT_LEN];
	uint64_t sent_bytes = 0, received_bytes = 0;

	if (!nr)
		return;
	for (size_t i = v->rows.nr_shown; i < v->rows.nr; i++) {
		sent_bytes += known(v->rows.items[i].socket->stats.send_bytes);
		received_bytes += known(v->rows.items[i].socket->stats.receive_bytes);
	}
	document_add_fact(d, "left out",
			  xasprintf("%zu more row%s: %s sent, %s received", nr, nr == 1 ? "" : "s",
				    units_bytes(sent_bytes, sent),
				    units_bytes(received_bytes, received)));
}

/* Whether the table of @group has a figure for @s that is not 0. */
static bool is_in_group_table(const struct view *v, const struct socket *s, const char *group)
{
	for (size_t i = 0; i < nr_socket_metrics; i++)
		if (is_in(v, i, group) && has_to_say(&socket_metrics[i], s))
			return true;
	return false;
}

static void add_group_table(struct document *d, const struct view *v, const char *group,
			    const char *title)
{
	struct table *t = NULL;

	for (size_t i = 0; i < v->rows.nr_shown; i++) {
		const struct socket_row *row = &v->rows.items[i];

		if (!is_in_group_table(v, row->socket, group))
			continue;
		if (!t) {
			document_add(d, BLOCK_SUBHEADING, xstrdup(title));
			t = &document_add(d, BLOCK_TABLE, NULL)->table;
			socket_add_columns(t, &v->rows);
			add_metric_columns(t, v, group);
		}
		socket_add_cells(t, &v->rows, row);
		add_metric_cells(t, v, row->socket, group);
	}
}

/* --- durations of folded connections ------------------------------------------------------ */

static void add_spread(struct table *t, const struct view *v, const struct socket_row *row,
		       size_t spread)
{
	const struct spread *s = &row->socket->spreads[spread];

	socket_add_cells(t, &v->rows, row);
	table_add_cell(t, xstrdup(spread_names[spread]));
	table_add_cell(t, count_text(s->count));
	table_add_cell(t, time_text(s->min_ns));
	table_add_cell(t, time_text(s->p50_ns));
	table_add_cell(t, time_text(s->p90_ns));
	table_add_cell(t, time_text(s->p99_ns));
	table_add_cell(t, time_text(s->max_ns));
}

static void add_spread_columns(struct table *t, const struct view *v)
{
	socket_add_columns(t, &v->rows);
	table_add_column(t, "DURATION", COLUMN_WORD, 1);
	table_add_column(t, "COUNT", COLUMN_FIGURE, 50);
	table_add_column(t, "MIN", COLUMN_FIGURE, 40);
	table_add_column(t, "P50", COLUMN_FIGURE, 2);
	table_add_column(t, "P90", COLUMN_FIGURE, 30);
	table_add_column(t, "P99", COLUMN_FIGURE, 3);
	table_add_column(t, "MAX", COLUMN_FIGURE, 20);
}

static void add_spreads(struct document *d, const struct view *v)
{
	struct table *t = NULL;

	for (size_t i = 0; i < v->rows.nr_shown * NR_SPREADS; i++) {
		const struct socket_row *row = &v->rows.items[i / NR_SPREADS];

		if (!row->socket->spreads[i % NR_SPREADS].count)
			continue;
		if (!t) {
			document_add(d, BLOCK_SUBHEADING,
				     xstrdup("Durations of folded connections"));
			t = &document_add(d, BLOCK_TABLE, NULL)->table;
			add_spread_columns(t, v);
		}
		add_spread(t, v, row, i % NR_SPREADS);
	}
}

void document_add_sockets(struct document *d, const struct report *r, unsigned int top)
{
	struct view v = view_of(r, top);

	if (v.rows.nr) {
		document_add(d, BLOCK_HEADING, xstrdup("Sockets"));
		add_first_table(d, &v);
		add_left_out(d, &v);
		add_group_table(d, &v, "tcp", "TCP");
		add_group_table(d, &v, "udp", "UDP");
		add_spreads(d, &v);
	}
	view_free(&v);
}
