/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_VERSION_H
#define SOCKTRACE_BASE_VERSION_H

extern const char socktrace_version[]; /* "0.1.0" */
extern const char socktrace_commit[];  /* "1234567890ab" or "1234567890ab-dirty" */

#endif
