/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_REPORT_DOCUMENT_H
#define SOCKTRACE_REPORT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "report/report.h"

/*
 * The report as a person reads it: headings, facts and tables in their order, figures in their
 * units. What the text and Markdown formats have in common; they differ in how they print it.
 * Strings are UTF-8, not escaped: names of hostile programs are in them.
 */

enum style {
	STYLE_PLAIN,
	STYLE_WARNING, /* worth a look: errors */
	STYLE_FAILURE, /* the report cannot be trusted in this */
};

enum column_kind {
	COLUMN_FIGURE,	/* to the right */
	COLUMN_WORD,	/* to the left, as are the rest */
	COLUMN_NAME,	/* may be shortened */
	COLUMN_ADDRESS, /* may be shortened in its middle */
};

struct column {
	char *heading;
	enum column_kind kind;
	/* Where there is no room, higher goes first. The first column stays, a name with 0, too. */
	unsigned int drop;
};

struct cell {
	char *text; /* NULL: empty */
	enum style style;
	bool is_name; /* no figure of ours, although in a column of such */
};

struct table {
	struct column *columns;
	size_t nr_columns, cap_columns;
	struct cell *cells; /* row by row */
	size_t nr_cells, cap_cells;
	/*
	 * Where there is no room, the columns that are left over stand in further tables below,
	 * each with the first column again, instead of being left out.
	 */
	bool continues_below;
};

enum block_kind {
	BLOCK_TITLE,
	BLOCK_HEADING,
	BLOCK_SUBHEADING,
	BLOCK_FACT, /* label and text */
	BLOCK_TEXT,
	BLOCK_TABLE,
};

struct block {
	enum block_kind kind;
	enum style style;
	const char *label;
	char *text;
	struct table table;
};

struct document {
	struct block *blocks;
	size_t nr_blocks, cap_blocks;
};

static inline size_t table_nr_rows(const struct table *t)
{
	return t->nr_columns ? t->nr_cells / t->nr_columns : 0;
}

static inline struct cell *table_cell(const struct table *t, size_t row, size_t column)
{
	return &t->cells[row * t->nr_columns + column];
}

/* Fills @d, which document_free() frees. */
void document_build(struct document *d, const struct report *r, const struct report_options *o);
void document_free(struct document *d);

/* --- for the files that build it ----------------------------------------------------------- */

/* Appends a block and returns it; @text passes to the document. Good until the next block. */
struct block *document_add(struct document *d, enum block_kind kind, char *text);
struct block *document_add_fact(struct document *d, const char *label, char *text);

/* A table is made column by column, then cell by cell, each row from left to right. */
void table_add_column(struct table *t, const char *heading, enum column_kind kind,
		      unsigned int drop);
/* @text passes to the table; NULL leaves the cell empty. */
struct cell *table_add_cell(struct table *t, char *text);

/* A figure in the unit of @m, "-" if unknown; the caller frees it. */
char *metric_text(const struct metric *m, uint64_t value);
/* A figure, "-" if unknown; the caller frees it. */
char *count_text(uint64_t count);
char *time_text(uint64_t ns);
char *size_text(uint64_t bytes);
/* @part of @whole as "12.3%"; the caller frees it. */
char *share_text(uint64_t part, uint64_t whole);
/* @value, or 0 if it is unknown. */
uint64_t known(uint64_t value);

/* A single thread would only repeat its process. */
static inline bool has_thread_rows(const struct process *p)
{
	return p->nr_threads > 1;
}

/* What used a CPU most comes first. */
struct process_order {
	const struct process *process;
	const struct thread **threads;
};

/* The parts, each in a file of its own. */
void document_add_head(struct document *d, const struct report *r);
void document_add_tasks(struct document *d, const struct report *r,
			const struct process_order *order, bool with_threads);
/* All sockets and drops; nothing where there are none. */
void document_add_sockets(struct document *d, const struct report *r, unsigned int top);
void document_add_drops(struct document *d, const struct report *r);
/* Those that no traced socket owns. */
void document_add_unowned_drops(struct document *d, const struct drops *drops);
/* What ran, figures, threads, calls and drops of all trials of @r->workload. */
void document_add_workload(struct document *d, const struct report *r,
			   const struct report_options *o);
/* The calls of a process or thread, whose figures @stats are; @arch is the machine's, or NULL. */
void document_add_calls(struct document *d, const struct syscalls *calls,
			const struct task_stats *stats, const char *arch, unsigned int top);
void document_add_trust(struct document *d, const struct report *r);

#endif
