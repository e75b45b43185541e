/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_STRINGS_H
#define SOCKTRACE_BASE_STRINGS_H

/* NULL-terminated lists of strings, such as argv. A list owns its strings; NULL is "no list". */

void strings_free(char **list);
char **strings_copy(char *const *list);
/* A copy in which every string is valid UTF-8 (see utf8_clean()). */
char **strings_clean(char *const *list);

#endif
