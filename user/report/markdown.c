// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>

#include "base/escape.h"
#include "report/document.h"
#include "report/report.h"
#include "report/stream.h"

static void print_escaped(const char *text, FILE *out)
{
	char *escaped = escape_markdown(text);

	fputs(escaped, out);
	free(escaped);
}

static void print_styled(const char *text, enum style style, FILE *out)
{
	const char *mark = style == STYLE_FAILURE ? "**" : "";

	fputs(mark, out);
	print_escaped(text, out);
	fputs(mark, out);
}

/* Figures are ours, and hold no markup. */
static void print_cell(const struct column *column, const struct cell *cell, FILE *out)
{
	const char *text = cell->text ? cell->text : "";

	if (column->kind == COLUMN_FIGURE && !cell->is_name)
		fputs(text, out);
	else
		print_escaped(text, out);
}

static void print_table(const struct table *t, FILE *out)
{
	for (size_t c = 0; c < t->nr_columns; c++) {
		fputs(c ? " | " : "| ", out);
		print_escaped(t->columns[c].heading, out);
	}
	fputs(" |\n", out);
	for (size_t c = 0; c < t->nr_columns; c++)
		fputs(t->columns[c].kind == COLUMN_FIGURE ? "|---:" : "|:---", out);
	fputs("|\n", out);
	for (size_t row = 0; row < table_nr_rows(t); row++) {
		for (size_t c = 0; c < t->nr_columns; c++) {
			fputs(c ? " | " : "| ", out);
			print_cell(&t->columns[c], table_cell(t, row, c), out);
		}
		fputs(" |\n", out);
	}
}

static void print_block(const struct block *b, FILE *out)
{
	static const char *const marks[] = {
		[BLOCK_TITLE] = "## ",
		[BLOCK_HEADING] = "### ",
		[BLOCK_SUBHEADING] = "#### ",
	};

	switch (b->kind) {
	case BLOCK_TITLE:
	case BLOCK_HEADING:
	case BLOCK_SUBHEADING:
		fputs(marks[b->kind], out);
		print_escaped(b->text, out);
		break;
	case BLOCK_FACT:
		fprintf(out, "- %s: ", b->label);
		print_styled(b->text, b->style, out);
		break;
	case BLOCK_TEXT:
		print_styled(b->text, b->style, out);
		break;
	case BLOCK_TABLE:
		print_table(&b->table, out);
		return;
	}
	fputc('\n', out);
}

static int print(const struct report *r, const struct report_options *o, FILE *out)
{
	struct document d;

	document_build(&d, r, o);
	for (size_t i = 0; i < d.nr_blocks; i++) {
		/* Facts that follow each other are one list; all else stands by itself. */
		if (i && !(d.blocks[i].kind == BLOCK_FACT && d.blocks[i - 1].kind == BLOCK_FACT))
			fputc('\n', out);
		print_block(&d.blocks[i], out);
	}
	document_free(&d);
	return report_flush(out);
}

const struct report_format report_markdown = {.name = "md", .print = print};
