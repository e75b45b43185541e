/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_SIGNALS_H
#define SOCKTRACE_CMD_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The signals that would end socktrace, and can be caught, come through a descriptor instead. Not
 * among them are those of its own defects (SIGSEGV, SIGABRT…), SIGPIPE and SIGXFSZ, which are
 * errors of a write.
 */
struct signals {
	int fd;
	sigset_t was;	/* the mask before */
	pid_t child;	/* they are passed on to this process; 0: there is none */
	bool is_over;	/* one came that ends the trace */
	uint64_t at_ns; /* CLOCK_MONOTONIC: when the last came that would; 0: none */
};

/* Blocks them and opens the descriptor; a write that waits looks at it too. 0 or -errno, said. */
int signals_open(struct signals *s);
/* Takes those that came: they end the trace, or are passed on. */
void signals_take(struct signals *s);
void signals_close(struct signals *s);

#endif
