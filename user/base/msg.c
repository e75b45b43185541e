// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>

#include "base/msg.h"

static enum msg_level current_level = MSG_NORMAL;

void msg_set_level(enum msg_level level)
{
	current_level = level;
}

enum msg_level msg_get_level(void)
{
	return current_level;
}

__attribute__((format(printf, 2, 0))) static void say(enum msg_level level, const char *fmt,
						      va_list ap)
{
	char line[2048];

	if (level > current_level)
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	/* One write, so that lines of several processes do not mix. */
	fprintf(stderr, "socktrace: %s\n", line);
}

#define DEFINE_MSG(name, level)         \
	void name(const char *fmt, ...) \
	{                               \
		va_list ap;             \
                                        \
		va_start(ap, fmt);      \
		say(level, fmt, ap);    \
		va_end(ap);             \
	}

DEFINE_MSG(msg_error, MSG_QUIET)
DEFINE_MSG(msg_warn, MSG_NORMAL)
DEFINE_MSG(msg_info, MSG_NORMAL)
DEFINE_MSG(msg_verbose, MSG_VERBOSE)
DEFINE_MSG(msg_debug, MSG_DEBUG)
