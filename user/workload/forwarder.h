/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_FORWARDER_H
#define SOCKTRACE_WORKLOAD_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workload/part.h"

/* The parts of the workload forwarder, and what they share. docs/workloads/forwarder.md. */

/* By index in the choices of --load. */
enum forwarder_load { LOAD_BULK, LOAD_RR, LOAD_CRR, LOAD_IPERF3 };

/* How long parts wait for something to move, and for connections to end once they shall stop. */
#define FORWARDER_LIMIT_NS 10000000000ULL
/* Events taken with one epoll_pwait(2). */
#define FORWARDER_EVENTS 256

int forwarder_server(struct part *p);
int forwarder_relay(struct part *p);
int forwarder_client(struct part *p);

/* The roles server and client as iperf3. In the process that returns, iperf3 has ended. */
int forwarder_iperf3_server(struct part *p);
int forwarder_iperf3_client(struct part *p);

/* What `iperf3 --json` said of its transfer. */
struct iperf3_result {
	uint64_t bytes, duration_ns;
	char error[256]; /* empty: it went well */
};

/* 0, or -EINVAL if @text is not iperf3's JSON. */
int iperf3_parse(const char *text, struct iperf3_result *result);

/* Epoll sets whose events carry a pointer. 0, or -1 and errno. */
int forwarder_watch(struct tally *t, int epoll, int op, int fd, uint32_t events, void *of);
/* Options of one socket that --nodelay and --sockbuf ask for. 0, or -1 and errno. */
int forwarder_tune(struct part *p, int fd, uint64_t sockbuf);
/*
 * Before part_ready(): part_listen_tcp(), tuned (accepted sockets inherit it), in a new epoll set
 * (@epoll, with the pointer @of_listener) in which also part->stop_fd is (NULL). The listener, or
 * -1 after part_fail().
 */
int forwarder_listen(struct part *p, uint64_t sockbuf, void *of_listener, int *epoll,
		     char *address);
/* Before part_ready(): fails unless @nr descriptors can be had. The most there can be, or 0. */
uint64_t forwarder_need_descriptors(struct part *p, uint64_t nr);

#endif
