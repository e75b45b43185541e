/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_PART_H
#define SOCKTRACE_WORKLOAD_PART_H

#include <netinet/in.h>
#include <stdint.h>

#include "workload/calls.h"
#include "workload/workload.h"

/*
 * One part of a workload: the process that plays a role. It prepares itself (sockets, memory,
 * threads that only wait), says so with part_ready(), and from then on makes system calls only
 * through calls.h. When it is done it states what it did with part_fact(), what it measured
 * with part_result(), and returns.
 *
 * Facts that a trace can be held against, exactly, have fixed names:
 *	connections_accepted, connections_opened   TCP connections, since let go
 *	sent_bytes, received_bytes                 through TCP sockets
 *	datagrams_sent, datagrams_failed, datagrams_received
 * Others are free: "orders", "fills". So have results: duration_ns (of the load, from the first
 * request to the last answer; the last role gives it), requests, connections, messages, bytes,
 * latency_{p50,p90,p99,p999,max}_ns and connect_{p50,p90,p99,p999,max}_ns (see latency.h).
 */

#define MAX_FACTS     48
#define FACT_NAME_LEN 48

struct fact {
	char name[FACT_NAME_LEN];
	uint64_t value;
};

/* What a part says of itself; in memory that it shares with who started it. */
struct truth {
	struct tally tally; /* of all its threads */
	char address[64];   /* where it listens: "127.0.0.1:40000" */
	char error[512];    /* why it failed */
	uint32_t is_complete;
	uint32_t is_foreign; /* it became another program, which counts for itself */
	uint32_t nr_facts, nr_results;
	struct fact facts[MAX_FACTS], results[MAX_FACTS];
};

struct part {
	const struct workload *workload;
	const struct role *role;
	const uint64_t *values; /* by index in workload->options */
	const char *listen;	/* "127.0.0.1:0"; port 0: any free one */
	const char *connect;
	/*
	 * Readable when the part shall come to its end: finish what is under way, serve nothing
	 * new. Not to be read from.
	 */
	int stop_fd;
	struct truth *truth;
	/* For the first thread, unless others part_add_tally() while it runs: truth->tally. */
	struct tally *tally;
	int go_fd, ready_fd; /* part_ready()'s; -1: started by hand */
};

/* The value of an option of the workload; the option must be there. */
uint64_t part_option(const struct part *p, const char *name);
/*
 * Says that all is prepared (@address: of the listening socket, from socket_address(); NULL: none)
 * and waits to be let go. What was tallied before is forgotten. 0, or -1 after part_fail().
 */
int part_ready(struct part *p, const char *address);
void part_fact(struct part *p, const char *name, uint64_t value);
void part_result(struct part *p, const char *name, uint64_t value);
/* Notes why the part fails, and returns -1. The first reason stays. Any thread may call it. */
__attribute__((format(printf, 2, 3))) int part_fail(struct part *p, const char *fmt, ...);
/* Adds what another thread tallied. Any thread may call it, at its end. */
void part_add_tally(struct part *p, const struct tally *t);
uint64_t part_now_ns(void); /* CLOCK_MONOTONIC, without a system call */

/* "127.0.0.1:80" to an address. 0 or -EINVAL. */
int address_parse(const char *text, struct sockaddr_in *address);
/* The local address of @fd as text, in @text (64 bytes). 0 or -errno. Not counted. */
int socket_address(int fd, char *text);
/*
 * Before part_ready(): a TCP socket that listens at part->listen, backlog as large as the kernel
 * lets it be, non-blocking if asked; its address in @text (64 bytes). -1 after part_fail().
 */
int part_listen_tcp(struct part *p, bool is_nonblocking, char *text);
/* Lets the process have as many descriptors as its hard limit allows. Returns that number. */
uint64_t part_raise_descriptors(void);

#endif
