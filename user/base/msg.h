/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_MSG_H
#define SOCKTRACE_BASE_MSG_H

#include <stdarg.h>

/*
 * Messages to the person, on standard error, each one line prefixed "socktrace: ".
 * An error says what failed, on what, why, and what to do next. Text that comes from a target
 * must already be escaped (see escape.h).
 */
enum msg_level {
	MSG_QUIET = -1, /* -q: errors only */
	MSG_NORMAL = 0,
	MSG_VERBOSE = 1, /* -v */
	MSG_DEBUG = 2,	 /* -vv */
};

void msg_set_level(enum msg_level level);
enum msg_level msg_get_level(void);

__attribute__((format(printf, 1, 2))) void msg_error(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void msg_warn(const char *fmt, ...);    /* not under -q */
__attribute__((format(printf, 1, 2))) void msg_info(const char *fmt, ...);    /* not under -q */
__attribute__((format(printf, 1, 2))) void msg_verbose(const char *fmt, ...); /* -v only */
__attribute__((format(printf, 1, 2))) void msg_debug(const char *fmt, ...);   /* -vv only */

#endif
