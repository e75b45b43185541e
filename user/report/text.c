// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "report/document.h"
#include "report/report.h"
#include "report/stream.h"

#define BOLD   "\033[1m"
#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define RESET  "\033[0m"

/*
 * Rather than make a name or address (here, of IPv4 with its port) shorter than this, a table goes
 * without one more column.
 */
#define NAME_WIDTH    16
#define ADDRESS_WIDTH 21

/* Text that would have less room than this beside its label continues near the edge instead. */
#define LEAST_ROOM    24
#define LITTLE_INDENT 2

struct text_out {
	FILE *out;
	unsigned int width; /* 0: natural */
	bool has_colour;
};

static const char *style_colour(enum style style)
{
	static const char *const colours[] = {
		[STYLE_PLAIN] = NULL,
		[STYLE_WARNING] = YELLOW,
		[STYLE_FAILURE] = RED,
	};

	return colours[style];
}

/* --- width in columns of the terminal ------------------------------------------------------ */

/* Takes one character from *@s; its width. What cannot be shown counts as one column. */
static size_t take_char(const char **s)
{
	mbstate_t state = {0};
	wchar_t wc;
	size_t len = mbrtowc(&wc, *s, MB_CUR_MAX, &state);
	int width;

	if (len == 0 || len > MB_CUR_MAX) {
		(*s)++;
		return 1;
	}
	*s += len;
	width = wcwidth(wc);
	return width < 0 ? 1 : width;
}

static size_t text_width(const char *s)
{
	size_t width = 0;

	while (*s)
		width += take_char(&s);
	return width;
}

/* How many bytes of @text stand in its first @width columns; one character at least. */
static size_t fitting_bytes(const char *text, size_t width)
{
	const char *end = text, *next = text;
	size_t used = 0;

	while (*next) {
		used += take_char(&next);
		if (used > width && end > text)
			break;
		end = next;
		if (used >= width)
			break;
	}
	return end - text;
}

/* @text in at most @width columns, with "…" for what does not fit; the caller frees it. */
static char *shortened(const char *text, size_t width)
{
	if (text_width(text) <= width)
		return xstrdup(text);
	return xasprintf("%.*s…", (int)(width > 1 ? fitting_bytes(text, width - 1) : 0), text);
}

/* The same without what is in the middle: both ends of an address tell more. */
static char *shortened_inside(const char *text, size_t width)
{
	size_t tail = width > 1 ? (width - 1) / 2 : 0, head = width > 1 ? width - 1 - tail : 0;
	const char *end = text;

	if (text_width(text) <= width)
		return xstrdup(text);
	while (text_width(end) > tail)
		take_char(&end);
	return xasprintf("%.*s…%s", (int)(head ? fitting_bytes(text, head) : 0), text, end);
}

/* --- text --------------------------------------------------------------------------------- */

struct wrap {
	const struct text_out *t;
	size_t at, indent; /* columns */
};

static void wrap_line(struct wrap *w)
{
	fprintf(w->t->out, "\n%*s", (int)w->indent, "");
	w->at = w->indent;
}

/* A word that fits no line is broken where the line ends. */
static void wrap_word(struct wrap *w, const char *word)
{
	size_t width = text_width(word);

	while (w->t->width && w->at + width > w->t->width) {
		size_t room = w->t->width > w->at ? w->t->width - w->at : 1;
		size_t len = fitting_bytes(word, room);

		fprintf(w->t->out, "%.*s", (int)len, word);
		word += len;
		width = text_width(word);
		if (!width)
			return;
		wrap_line(w);
	}
	fputs(word, w->t->out);
	w->at += width;
}

/*
 * Prints @text from column @from on, wrapped at spaces so that every line but the first begins
 * at column @from too, or near the edge where that would leave little room.
 */
static void print_wrapped(const struct text_out *t, const char *text, size_t from)
{
	bool has_room = from + LEAST_ROOM <= t->width;
	struct wrap w = {.t = t, .at = from, .indent = has_room ? from : LITTLE_INDENT};
	bool is_first = true;

	while (*text) {
		size_t len = strcspn(text, " ");
		char *word = xstrndup(text, len);

		if (!is_first && t->width && w.at + 1 + text_width(word) > t->width) {
			wrap_line(&w);
		} else if (!is_first) {
			fputc(' ', t->out);
			w.at++;
		}
		wrap_word(&w, word);
		is_first = false;
		free(word);
		text += len + (text[len] == ' ');
	}
}

static void print_line(const struct text_out *t, const char *colour, const char *label,
		       size_t label_width, const char *text)
{
	char *safe = escape_terminal(text);

	if (colour && t->has_colour)
		fputs(colour, t->out);
	if (label)
		fprintf(t->out, "%s:%*s", label, (int)(label_width - strlen(label) + 1), "");
	print_wrapped(t, safe, label ? label_width + 2 : 0);
	if (colour && t->has_colour)
		fputs(RESET, t->out);
	fputc('\n', t->out);
	free(safe);
}

/* --- tables ------------------------------------------------------------------------------- */

/* A table made ready for a width: what it prints of each column. */
struct layout {
	const struct table *table;
	size_t *widths;
	bool *is_dropped;
};

static char *cell_text(const struct table *t, size_t row, size_t column)
{
	const char *text = table_cell(t, row, column)->text;

	return escape_terminal(text ? text : "");
}

static void measure(struct layout *l)
{
	const struct table *t = l->table;

	for (size_t c = 0; c < t->nr_columns; c++) {
		char *heading = escape_terminal(t->columns[c].heading);

		l->widths[c] = text_width(heading);
		free(heading);
	}
	for (size_t i = 0; i < t->nr_cells; i++) {
		char *text = cell_text(t, i / t->nr_columns, i % t->nr_columns);
		size_t width = text_width(text);

		if (l->widths[i % t->nr_columns] < width)
			l->widths[i % t->nr_columns] = width;
		free(text);
	}
}

/* The most that a column may take, beyond the least that its kind is given before others go. */
static size_t most_width(const struct column *c, int more)
{
	int least = c->kind == COLUMN_NAME ? NAME_WIDTH : ADDRESS_WIDTH;

	if (c->kind != COLUMN_NAME && c->kind != COLUMN_ADDRESS)
		return SIZE_MAX;
	return least + more > 1 ? least + more : 1;
}

static size_t shown_width(const struct layout *l, size_t column, int more)
{
	size_t most = most_width(&l->table->columns[column], more);

	return l->widths[column] < most ? l->widths[column] : most;
}

/* The width of what is left, with one space between columns. */
static size_t total_width(const struct layout *l, int more)
{
	size_t total = 0, nr = 0;

	for (size_t c = 0; c < l->table->nr_columns; c++) {
		if (l->is_dropped[c])
			continue;
		total += shown_width(l, c, more);
		nr++;
	}
	return total + nr - 1;
}

static bool may_go(const struct column *c)
{
	return c->drop || c->kind == COLUMN_FIGURE || c->kind == COLUMN_WORD;
}

/* The column to do without next: the highest drop, of several with the same the last. */
static bool drop_one(struct layout *l)
{
	const struct column *columns = l->table->columns;
	size_t worst = 0;

	for (size_t c = 1; c < l->table->nr_columns; c++)
		if (!l->is_dropped[c] && may_go(&columns[c]) &&
		    (!worst || columns[c].drop >= columns[worst].drop))
			worst = c;
	if (!worst)
		return false;
	l->is_dropped[worst] = true;
	return true;
}

static void fit(struct layout *l, int width)
{
	int more = width;

	while (total_width(l, 0) > (size_t)width && drop_one(l))
		;
	while (more > -ADDRESS_WIDTH && total_width(l, more) > (size_t)width)
		more--;
	for (size_t c = 0; c < l->table->nr_columns; c++)
		l->widths[c] = shown_width(l, c, more);
}

static void set_cell(const struct layout *l, struct libscols_line *line, size_t at, size_t row,
		     size_t column, bool has_colour)
{
	const char *colour = style_colour(table_cell(l->table, row, column)->style);
	bool is_address = l->table->columns[column].kind == COLUMN_ADDRESS;
	char *text = cell_text(l->table, row, column), *fitting;

	fitting = is_address ? shortened_inside(text, l->widths[column])
			     : shortened(text, l->widths[column]);

	if (scols_line_refer_data(line, at, fitting))
		free(fitting);
	if (colour && has_colour)
		scols_cell_set_color(scols_line_get_cell(line, at), colour);
	free(text);
}

static int add_columns(struct libscols_table *tb, const struct layout *l, bool has_colour)
{
	for (size_t c = 0; c < l->table->nr_columns; c++) {
		const struct column *column = &l->table->columns[c];
		struct libscols_column *cl;
		char *heading, *fitting;

		if (l->is_dropped[c])
			continue;
		heading = escape_terminal(column->heading);
		fitting = shortened(heading, l->widths[c]);
		cl = scols_table_new_column(tb, fitting, 0,
					    column->kind == COLUMN_FIGURE ? SCOLS_FL_RIGHT : 0);
		free(heading);
		free(fitting);
		if (!cl)
			return -ENOMEM;
		if (has_colour)
			scols_cell_set_color(scols_column_get_header(cl), BOLD);
	}
	return 0;
}

static int add_lines(struct libscols_table *tb, const struct layout *l, bool has_colour)
{
	for (size_t row = 0; row < table_nr_rows(l->table); row++) {
		struct libscols_line *line = scols_table_new_line(tb, NULL);
		size_t at = 0;

		if (!line)
			return -ENOMEM;
		for (size_t c = 0; c < l->table->nr_columns; c++)
			if (!l->is_dropped[c])
				set_cell(l, line, at++, row, c, has_colour);
	}
	return 0;
}

/* Without the blanks that fill the last column. */
static void print_trimmed(const char *lines, FILE *out)
{
	while (*lines) {
		size_t len = strcspn(lines, "\n"), shown = len;

		while (shown && lines[shown - 1] == ' ')
			shown--;
		fprintf(out, "%.*s\n", (int)shown, lines);
		lines += len + (lines[len] == '\n');
	}
}

static int print_layout(const struct text_out *t, const struct layout *l)
{
	struct libscols_table *tb = scols_new_table();
	char *lines = NULL;
	int err = -ENOMEM;

	if (!tb)
		return err;
	/* The layout is made: smartcols neither looks for a terminal nor escapes once more. */
	scols_table_set_termforce(tb, SCOLS_TERMFORCE_NEVER);
	scols_table_enable_noencoding(tb, 1);
	scols_table_enable_colors(tb, t->has_colour);
	err = add_columns(tb, l, t->has_colour);
	if (!err)
		err = add_lines(tb, l, t->has_colour);
	if (!err)
		err = scols_print_table_to_string(tb, &lines);
	if (!err)
		print_trimmed(lines, t->out);
	free(lines);
	scols_unref_table(tb);
	return err;
}

/*
 * Leaves, behind the first, as many columns from @from on as there is room for, one at least.
 * Returns the first that is left over.
 */
static size_t keep_columns(struct layout *l, size_t from, int width)
{
	size_t to = from;

	for (size_t c = 1; c < l->table->nr_columns; c++)
		l->is_dropped[c] = true;
	while (to < l->table->nr_columns) {
		l->is_dropped[to] = false;
		if (total_width(l, width) > (size_t)width && to > from) {
			l->is_dropped[to] = true;
			break;
		}
		to++;
	}
	return to;
}

/* One table below the other, until every column has been shown. */
static int print_continued(const struct text_out *t, struct layout *l)
{
	size_t next = 1;
	int err = 0;

	while (!err && next < l->table->nr_columns) {
		measure(l);
		if (next > 1)
			fputc('\n', t->out);
		next = keep_columns(l, next, t->width);
		fit(l, t->width);
		err = print_layout(t, l);
	}
	return err;
}

static int print_table(const struct text_out *t, const struct table *table)
{
	struct layout l = {
		.table = table,
		.widths = xcalloc(table->nr_columns, sizeof(*l.widths)),
		.is_dropped = xcalloc(table->nr_columns, sizeof(*l.is_dropped)),
	};
	int err;

	measure(&l);
	if (t->width && table->continues_below) {
		err = print_continued(t, &l);
	} else {
		if (t->width)
			fit(&l, t->width);
		err = print_layout(t, &l);
	}
	free(l.widths);
	free(l.is_dropped);
	return err;
}

/* --- the document ------------------------------------------------------------------------- */

/* The widest label of the facts that stand together with @at. */
static size_t label_width(const struct document *d, size_t at)
{
	size_t widest = 0, i = at;

	while (i && d->blocks[i - 1].kind == BLOCK_FACT)
		i--;
	for (; i < d->nr_blocks && d->blocks[i].kind == BLOCK_FACT; i++)
		if (strlen(d->blocks[i].label) > widest)
			widest = strlen(d->blocks[i].label);
	return widest;
}

static int print_block(const struct text_out *t, const struct document *d, size_t at)
{
	const struct block *b = &d->blocks[at];

	switch (b->kind) {
	case BLOCK_HEADING:
	case BLOCK_SUBHEADING:
		fputc('\n', t->out);
		/* fallthrough */
	case BLOCK_TITLE:
		print_line(t, BOLD, NULL, 0, b->text);
		return 0;
	case BLOCK_FACT:
		print_line(t, style_colour(b->style), b->label, label_width(d, at), b->text);
		return 0;
	case BLOCK_TEXT:
		print_line(t, style_colour(b->style), NULL, 0, b->text);
		return 0;
	case BLOCK_TABLE:
		return print_table(t, &b->table);
	}
	return -EINVAL;
}

static int print_document(const struct text_out *t, const struct document *d)
{
	int err = 0;

	for (size_t i = 0; i < d->nr_blocks && !err; i++)
		err = print_block(t, d, i);
	return err;
}

/*
 * The width of characters must not depend on who looks: a report is UTF-8 in every locale, and
 * the same bytes. C.UTF-8 comes with the C library, though a small image may lack its files: then
 * the locale must do that there is.
 */
static int print(const struct report *r, const struct report_options *o, FILE *out)
{
	struct text_out t = {.out = out, .width = o->width, .has_colour = o->colour};
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL), before;
	struct document d;
	int err;

	before = utf8 ? uselocale(utf8) : (locale_t)0;
	document_build(&d, r, o);
	err = print_document(&t, &d);
	document_free(&d);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	return err ? err : report_flush(out);
}

const struct report_format report_text = {.name = "text", .print = print};
