/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Pairs of processes that talk over loopback, on order. */
#ifndef LOADS_H
#define LOADS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_CPU  1
#define OTHER_CPU 0

struct load {
	const char *name;
	const char *unit;
	double in_unit;	      /* how many of what @drive counts make one unit */
	int type;	      /* SOCK_STREAM or SOCK_DGRAM */
	unsigned int nr_open; /* idle TCP sockets, both ends, that the server holds besides */
	uint64_t warm_up_ns;  /* before a slice counts */
	bool is_apart;	      /* the client on OTHER_CPU; else both on LOAD_CPU */

	/* In the server: works until it is killed. In the client: until @end_ns; what it did. */
	void (*serve)(int fd);
	uint64_t (*drive)(int fd, uint64_t end_ns);

	/* Set by load_start(). */
	pid_t server, client;
	pid_t holder;	   /* has the idle sockets beyond the server's RLIMIT_NOFILE; or 0 */
	int order, answer; /* pipes to the client */
};

enum {
	LOAD_REQUESTS_APART,
	LOAD_REQUESTS,
	LOAD_REQUESTS_OPEN,
	LOAD_BULK,
	LOAD_SENDTO,
	LOAD_SENDTO_APART,
	LOAD_SENDMMSG,
	LOAD_SENDMMSG_APART,
	NR_LOADS,
};

extern struct load loads[NR_LOADS];

/* Starts the processes; they sleep. They end with the caller. */
void load_start(struct load *l);

/* Lets the client work for @ns; units a second. */
double load_run(const struct load *l, uint64_t ns);

void load_stop(const struct load *l);

#endif
