/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_UNITS_H
#define SOCKTRACE_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Room for anything that the functions below write. */
#define UNITS_TEXT_LEN 32

/*
 * Figures for a person, three or more significant digits, SI for times and IEC for sizes:
 * "1.23 µs", "45.6 ms", "12.3 s"; "512 B", "1.50 KiB"; counts with a thin grouping: "1,234,567".
 * shares with one decimal: "12.3%", "<0.1%" for what rounds to nothing, "-" of nothing.
 * UINT64_MAX (unknown) is "-". Return @buf.
 */
const char *units_ns(uint64_t ns, char buf[UNITS_TEXT_LEN]);
const char *units_bytes(uint64_t bytes, char buf[UNITS_TEXT_LEN]);
const char *units_count(uint64_t count, char buf[UNITS_TEXT_LEN]);
const char *units_percent(uint64_t part, uint64_t whole, char buf[UNITS_TEXT_LEN]);

#endif
