/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_TEXT_H
#define SOCKTRACE_BASE_TEXT_H

/*
 * Builds a list: appends @more to *@text, with @between in front of it unless *@text is NULL,
 * which stands for an empty list. Takes and frees @more; *@text belongs to the caller.
 */
void text_append(char **text, const char *between, char *more);

#endif
