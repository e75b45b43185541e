/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_ENDPOINT_H
#define SOCKTRACE_TESTS_ENDPOINT_H

#include <sys/socket.h>

#include "truth.h"

/*
 * What a test program knows about its sockets: one account for each socket and process that uses
 * it, printed as "sockets" beside the processes of truth.h. tests/e2e/lib/sockets.py holds a
 * report against it. The accounts lie in memory that is shared by all processes of the program,
 * but do not survive exec.
 *
 * What goes through SENDS() and RECEIVES() is entered in three places: the account of the system
 * call, the sums of the calling thread ("socket.sent_bytes"), the account of the socket.
 */

#define ENDPOINT_FIGURES 24
#define ENDPOINT_DROPS	 3

struct endpoint_name {
	struct sockaddr_storage address;
	uint32_t len; /* 0: not compared */
};

struct endpoint_figure {
	const char *path; /* in the socket's JSON, "tcp.connect_ns" */
	uint64_t min, max;
};

struct endpoint_drop {
	const char *reason;
	uint64_t packets, bytes;
};

struct endpoint_counts {
	_Atomic uint64_t send_calls, send_bytes, send_errors;
	_Atomic uint64_t receive_calls, receive_bytes, receive_errors;
	_Atomic uint64_t peek_calls, peek_bytes, trunc_calls, trunc_bytes;
	/* Errors that some ways of counting see and others cannot; not in the above. */
	_Atomic uint64_t maybe_send_errors, maybe_receive_errors;
};

struct endpoint {
	int32_t pid;
	uint64_t inode;
	const char *protocol, *family, *role; /* role NULL: not compared */
	const char *state, *closed_by;	      /* NULL: not compared */
	struct endpoint_name local, remote;
	uint64_t
		connections; /* more than one: many with the same key, whose other address is "*" */
	uint8_t early;	     /* older than the trace */
	uint8_t alive;	     /* still open when the report is made */
	uint8_t is_past;     /* the socket has been used anew since */
	uint32_t nr_figures, nr_drops;
	struct endpoint_figure figures[ENDPOINT_FIGURES];
	struct endpoint_drop drops[ENDPOINT_DROPS];
	struct endpoint_counts counts;
};

/* Makes room for @max accounts; after truth_init(). */
void endpoints_init(unsigned int max);
/* Until the next call with false, sockets are older than the trace if the program waits for it. */
void endpoints_are_early(bool early);
/* Whether a socket made now is older than the trace. */
bool endpoints_early_now(void);
/* The calling process's account for a socket, made if missing. */
struct endpoint *endpoint(int fd);
/* What the socket does from here on has an account of its own. */
void endpoint_used_anew(int fd);
/* Gives it its role (may be NULL) and notes both addresses as they are now. */
struct endpoint *endpoint_named(int fd, const char *role);
/* An account that stands for @connections sockets, not bound to a descriptor. */
struct endpoint *endpoint_new(const char *protocol, const char *family, const char *role,
			      uint64_t connections);
void endpoint_local(struct endpoint *e, const void *address, socklen_t len);
void endpoint_remote(struct endpoint *e, const void *address, socklen_t len);
/*
 * A figure that must be within bounds, or null if @min is above @max. @path must be static. A
 * second call for it replaces the first.
 */
void endpoint_figure(struct endpoint *e, const char *path, uint64_t min, uint64_t max);
/* Raises both bounds. Of one thread at a time. */
void endpoint_figure_add(struct endpoint *e, const char *path, uint64_t n);
void endpoint_drop(struct endpoint *e, const char *reason, uint64_t packets, uint64_t bytes);
/* What TCP_INFO says now must be what the report says: of a socket that is quiet from here on. */
void endpoint_tcp_info(int fd);

/* Enter what a call returned, -1 being an error; may be called by several threads at once. */
long endpoint_sent(int fd, long ret);
long endpoint_received(int fd, int flags, long ret);
/* The same for calls that return a number of messages. */
long endpoint_sent_many(int fd, const struct mmsghdr *messages, long ret);
long endpoint_received_many(int fd, int flags, const struct mmsghdr *messages, long ret);
/* Many at once, all of which succeeded. */
void endpoint_add_sent(struct endpoint *e, uint64_t calls, uint64_t bytes);
void endpoint_add_received(struct endpoint *e, uint64_t calls, uint64_t bytes);

#define SENDS(name, fd, ...)	       endpoint_sent(fd, MOVES(name, fd, ##__VA_ARGS__))
#define RECEIVES(name, fd, flags, ...) endpoint_received(fd, flags, MOVES(name, fd, ##__VA_ARGS__))

#endif
