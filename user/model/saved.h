/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_SAVED_H
#define SOCKTRACE_MODEL_SAVED_H

#include <stddef.h>

#include "model/model.h"

/*
 * Reads saved reports: one JSON object, or one per line (as -i writes them).
 * saved_next() fills @r with the next one; the caller frees it with report_free().
 * Returns 1 for a report, 0 at the end, -EINVAL if the text is not a socktrace/1 report or
 * contradicts itself; then @why (freed by the caller) says where and what.
 */
struct saved;
struct saved *saved_open(const char *text, size_t len); /* @text must outlive it */
int saved_next(struct saved *s, struct report *r, char **why);
void saved_close(struct saved *s);

#endif
