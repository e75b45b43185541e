/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_PAIRS_H
#define SOCKTRACE_TESTS_PAIRS_H

#include "endpoint.h"

/* Pairs of sockets of every kind, with their accounts. */

enum {
	STREAM = 1,
	MESSAGES = 2, /* keeps their bounds */
	TCP = 4,
	UDP = 8,
	CONNECTED = 16,
};

struct kind;

struct pair {
	const struct kind *kind;
	int a, b;
	struct sockaddr_storage to; /* of b, where a is not connected */
	socklen_t to_len;
	int pipe[2], file;
	bool has_odd_sends; /* that may be no datagram, or several */
};

/* What a pair is of: @a connects or sends to @b. */
struct kind {
	const char *name;
	int domain, type;
	const char *address, *peer; /* of b, and for the connection to it */
	unsigned int is;
	void (*open)(struct pair *p);
};

#define NR_KINDS 19

extern const struct kind kinds[NR_KINDS];
/* Where paths of Unix sockets are made; "." */
extern const char *pair_dir;

#endif
