/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_STREAMS_H
#define SOCKTRACE_BASE_STREAMS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Standard output and standard error, through which all that socktrace prints goes. Whoever reads
 * them may take its time, or stop reading for good: a write waits until there is room, and for the
 * signals that end socktrace at the same time. Once one came, a stream that takes nothing for
 * STREAMS_PATIENCE_MS is given up, and at a further one at once; what is printed to it from then on
 * is dropped, and its writers get the error STREAM_GIVEN_UP.
 */
#define STREAMS_PATIENCE_MS 600
#define STREAM_GIVEN_UP	    ECANCELED

/* Puts both streams in the place of stdio's own. Before anything is printed. */
void streams_open(void);

/*
 * While a write waits it looks at @fd too, and calls @take when that can be read. @take returns how
 * many signals it took that are to end socktrace. Until this is said, a signal has to find its own
 * way.
 */
void streams_watch(int fd, unsigned int (*take)(void *arg), void *arg);

/* socktrace is to end: from now on, patience has its limit. */
void streams_hurry(void);

/* Whether standard error would take a line now; one that is worth no wait is not printed else. */
bool streams_can_say(void);

/* Why a write to a stream failed (errno), for the person. */
const char *streams_why(int err);

#endif
