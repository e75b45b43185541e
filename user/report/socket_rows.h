/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_REPORT_SOCKET_ROWS_H
#define SOCKTRACE_REPORT_SOCKET_ROWS_H

#include "report/document.h"

/* The sockets of all processes as the tables of the document list them. */

struct socket_row {
	const struct process *process;
	const struct socket *socket;
};

/* Busiest first; those left out are at the end. */
struct socket_rows {
	struct socket_row *items;
	size_t nr, nr_shown;
	size_t nr_processes; /* that have any */
	bool has_netns;	     /* of several network namespaces, or one that is not socktrace's */
};

/* The @top busiest (0: all) and every one that had drops are shown. socket_rows_free() frees it. */
struct socket_rows socket_rows_of(const struct report *r, unsigned int top);
void socket_rows_free(struct socket_rows *rows);

/* What every table of sockets begins with: whose socket it is, and between which addresses. */
void socket_add_columns(struct table *t, const struct socket_rows *rows);
void socket_add_cells(struct table *t, const struct socket_rows *rows,
		      const struct socket_row *row);

#endif
