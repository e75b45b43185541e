/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_PARSE_H
#define SOCKTRACE_BASE_PARSE_H

#include <stdint.h>

/*
 * Text to number: the whole text, in range, or -EINVAL (not a number) or -ERANGE; then *@value is
 * untouched. No sign, no white space, no suffix.
 */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value);
/* The same with a suffix K, M or G of 1024 allowed: "64K". */
int parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *value);
/* Decimal seconds ("5", "0.25") to ns; more than 0, at most ten years. */
int parse_seconds(const char *text, uint64_t *ns);

#endif
