/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_ESCAPE_H
#define SOCKTRACE_BASE_ESCAPE_H

#include <stddef.h>

/*
 * Names, paths and arguments come from the programs under trace and may be hostile. They are
 * made valid UTF-8 once, at the door (utf8_clean), and escaped for the medium when printed.
 * All return a string that the caller frees.
 */

/* Bytes that are not UTF-8 (overlong forms, surrogates and NUL included) become "\xNN". */
char *utf8_clean(const char *bytes, size_t len);
/*
 * For a terminal or log line: control characters (C0, DEL, C1), line and paragraph separators,
 * and characters that reorder or hide text (bidirectional controls, zero-width) become \n, \t,
 * \xNN or \u{NNNN}.
 */
char *escape_terminal(const char *utf8);
/* For a Markdown table cell or paragraph: as for a terminal, and no character is markup. */
char *escape_markdown(const char *utf8);
/*
 * For a CSV field (RFC 4180): as for a terminal, quoted where needed; a field that a spreadsheet
 * would run as a formula (= + - @ first) is prefixed by a single quote.
 */
char *escape_csv(const char *utf8);
/*
 * As a JSON string, quotes included. What escape_terminal() would make visible is written as
 * \uNNNN: the same string to a parser, and harmless when the JSON itself is looked at.
 */
char *escape_json(const char *utf8);

#endif
