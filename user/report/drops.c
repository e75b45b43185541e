// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "base/alloc.h"
#include "report/socket_rows.h"

static void add_drop_columns(struct table *t)
{
	table_add_column(t, "PACKETS", COLUMN_FIGURE, 1);
	table_add_column(t, "BYTES", COLUMN_FIGURE, 10);
	table_add_column(t, "FIRST", COLUMN_FIGURE, 20);
	table_add_column(t, "LAST", COLUMN_FIGURE, 30);
}

static void add_drop_cells(struct table *t, const struct drop *drop)
{
	table_add_cell(t, count_text(drop->packets))->style = STYLE_WARNING;
	table_add_cell(t, size_text(drop->bytes));
	table_add_cell(t, time_text(drop->first_ns));
	table_add_cell(t, time_text(drop->last_ns));
}

static bool has_drops(const struct socket_rows *rows)
{
	for (size_t i = 0; i < rows->nr_shown; i++)
		if (rows->items[i].socket->drops.nr)
			return true;
	return false;
}

static void add_owned(struct document *d, const struct socket_rows *rows)
{
	struct table *t = &document_add(d, BLOCK_TABLE, NULL)->table;

	socket_add_columns(t, rows);
	table_add_column(t, "REASON", COLUMN_NAME, 0);
	add_drop_columns(t);
	for (size_t i = 0; i < rows->nr_shown; i++) {
		const struct drops *drops = &rows->items[i].socket->drops;

		for (size_t k = 0; k < drops->nr; k++) {
			socket_add_cells(t, rows, &rows->items[i]);
			table_add_cell(t, xstrdup(drops->items[k].reason));
			add_drop_cells(t, &drops->items[k]);
		}
	}
}

void document_add_unowned_drops(struct document *d, const struct drops *drops)
{
	struct table *t;

	document_add(d, BLOCK_SUBHEADING, xstrdup("Drops that belong to no traced socket"));
	t = &document_add(d, BLOCK_TABLE, NULL)->table;
	table_add_column(t, "REASON", COLUMN_NAME, 0);
	table_add_column(t, "WHERE", COLUMN_NAME, 0);
	add_drop_columns(t);
	for (size_t i = 0; i < drops->nr; i++) {
		table_add_cell(t, xstrdup(drops->items[i].reason));
		table_add_cell(t, xstrdup(drops->items[i].where ? drops->items[i].where : "-"));
		add_drop_cells(t, &drops->items[i]);
	}
}

void document_add_drops(struct document *d, const struct report *r)
{
	struct socket_rows rows = socket_rows_of(r, 0);
	bool is_owned = has_drops(&rows);

	if (is_owned || r->drops.nr)
		document_add(d, BLOCK_HEADING, xstrdup("Drops"));
	if (is_owned)
		add_owned(d, &rows);
	if (r->drops.nr)
		document_add_unowned_drops(d, &r->drops);
	socket_rows_free(&rows);
}
