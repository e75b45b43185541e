/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_NET_H
#define SOCKTRACE_TESTS_NET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "endpoint.h"

/* Sockets for test programs. Whatever fails ends the program. */

struct net_address {
	struct sockaddr_storage storage;
	socklen_t len;
};

/* CLOCK_MONOTONIC */
uint64_t net_now_ns(void);
/* "127.0.0.1" or "::1" and a port in host order. */
struct net_address net_address(const char *text, unsigned int port);
unsigned int net_port(int fd);
int net_socket(const char *address, int type);
/* Bound to a free port; datagram sockets take this alone. */
int net_bound(const char *address, int type);
int net_listen(const char *address, int backlog);
/* Connects to @listener, which is bound to @address, and enters the account. */
int net_connect(const char *address, int listener);
/* Accepts and enters the account. */
int net_accept(int listener);
/* A connection: fds[0] has connected, fds[1] was accepted. The listener is closed again. */
void net_connection(const char *address, int fds[2]);
void net_set(int fd, int level, int name, int value);
/* Waits until one of @events is there. */
void net_wait(int fd, short events);
void net_close(int fd);
/* A network namespace of its own for the process, with loopback up. */
void net_unshare(void);
/* One count of /proc/net/netstat. */
uint64_t net_stat(const char *name);
/* More descriptors than usual. */
void net_raise_files(unsigned long nr);

/* fork(2); the child ends with the thread that made it. */
pid_t net_fork(void);
/* Ends a child well; its account has that exit_group if the trace is to see it. */
void net_end_child(bool is_seen) __attribute__((noreturn));
/* One process waits for another, or lets it go on, through a pipe. */
void net_pipe(int fds[2]);
void net_await(int fd);
void net_release(int fd);

#endif
