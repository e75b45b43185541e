/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_EXACT_H
#define SOCKTRACE_TESTS_EXACT_H

#include <errno.h>

#include "net.h"

/*
 * The parts of exact.c. A cell is one way to move bytes through a pair of sockets of one family,
 * tried in a process of its own, so that a report tells by the process which cell it got wrong.
 */

#define TIMES	3   /* that a way is repeated */
#define LEN	700 /* bytes of a message or write, where the way needs no other */
#define BUFFER	(1 << 19)
#define MAX_WHY 128

/* What a family is. */
enum {
	STREAM = 1,
	MESSAGES = 2, /* keeps their bounds */
	TCP = 4,
	UDP = 8,
	UDPLITE = 16,
	UNIX = 32,
	RAW = 64,
	PING = 128,
	MPTCP = 256,
	NETLINK = 512,
	PACKET = 1024,
	IP_DATAGRAMS = 2048, /* UDP, UDP-Lite, raw sockets, ping */
	BLOCKS = 4096,	     /* a send waits while the reader does not read */
	ADDRESSED = 8192,    /* a send may name whom it goes to */
	HANGS_UP = 16384,    /* who closes with bytes unread resets the other end */
};

/* Which hooks of socket_bytes see a way: each sees what those before it do. */
enum {
	ALL_HOOKS,
	NOT_CALLS, /* no system call of its own */
	NO_HOOK,   /* and around all functions that could be hooked; a report counts it as lost */
};

struct cell;

struct family {
	const char *name;
	int domain, type, protocol;
	const char *address;
	unsigned int is;
	void (*open)(struct cell *c);
	unsigned int head; /* bytes that are received before those that were sent */
};

struct way {
	const char *name;
	unsigned int needs;  /* all of these */
	unsigned int either; /* and one of these, if any are named */
	unsigned int lacks;  /* and none of these */
	int seen_by;
	void (*run)(struct cell *c);
	int op;		   /* for @run */
	unsigned int mode; /* likewise */
};

extern const struct family families[];
extern const unsigned int nr_families;
extern const struct way call_ways[], error_ways[], ring_ways[];
extern const unsigned int nr_call_ways, nr_error_ways, nr_ring_ways;

struct cell {
	const struct family *family;
	const struct way *way;
	int a, b; /* a sends to b; the same, if the family receives what it has sent */
	struct endpoint *ea, *eb;
	struct sockaddr_storage to; /* of b */
	socklen_t to_len;
	int pipe[2], file;
	uint64_t datagrams_sent, datagrams_received; /* by calls, beside those that are counted */
	bool sent_unknown, received_unknown;	     /* null in a report */
	bool drops_unknown;
	char why[MAX_WHY]; /* it failed */
};

extern char buffer[BUFFER], other[BUFFER];
extern bool is_unseen;	      /* the hook that the program is traced with sees no cell */
extern uint64_t unseen_bytes; /* that are in no account because of that */

/* Ends the cell: this kernel cannot do it. With the text of errno if that is not 0. */
void cell_skip(struct cell *c, const char *what) __attribute__((noreturn, cold));
/* Ends the cell, and the test, if it does not hold. */
void cell_check(struct cell *c, bool ok, const char *what);
/* @ret is what @want says; a call that the kernel does not know ends the cell. */
void cell_moved(struct cell *c, long ret, long want);
void cell_fails(struct cell *c, long ret, int error);

/* --- accounts: enter what a call returned, -1 being an error with errno; keep both ------------ */

long sent(struct endpoint *e, long ret);
long received(struct endpoint *e, int flags, long ret);
/* The same for an operation that no system call makes. */
long sent_unseen(struct endpoint *e, long ret);
long received_unseen(struct endpoint *e, int flags, long ret);

/* --- steps that the ways are made of -----------------------------------------------------------
 */

/* A plain send of @n bytes, which must be taken; plain receives of all that then is there. */
void put(struct cell *c, size_t n);
void take(struct cell *c, size_t n);
/* Until @n bytes, or a message, can be received at once. */
void arrived(struct cell *c, size_t n);
/* What a message of @n bytes has when it is received. */
size_t whole(const struct cell *c, size_t n);
struct iovec *vector(char *base, size_t a, size_t b);
struct msghdr *message(struct cell *c, char *base, size_t a, size_t b);
/* Sends without waiting until nothing more fits, for good. */
void fill(struct cell *c);
/* Receives without waiting until nothing is left. */
void empty(struct cell *c);

/* Runs @run(c) in another thread, each time the calling one sleeps in a call: @signals times with a
 * signal, then @run once or, until helper_end(), again and again. */
void helper_begin(struct cell *c, void (*run)(struct cell *c), unsigned int signals, bool restart);
void helper_end(struct cell *c);

#endif
