/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_CALLS_H
#define SOCKTRACE_WORKLOAD_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * System calls that count themselves. A workload makes the calls of calls.def through these and
 * no other way once it has been let go (part_ready()), so that it knows how many it made. Each
 * is the C library's function of that name, which makes exactly one system call of that name;
 * results and errno are untouched. What the C library calls on its own account (futex, mmap) is
 * not counted.
 *
 * A tally belongs to one thread. Signals must not interrupt calls that the kernel restarts.
 */

enum counted_call {
#define COUNTED_CALL(name) CALL_##name,
#include "workload/calls.def"
	NR_COUNTED_CALLS,
};

extern const char *const counted_call_names[NR_COUNTED_CALLS];

struct call_tally {
	uint64_t calls, errors;
	uint64_t bytes; /* of calls that return how many they moved */
};

struct tally {
	struct call_tally of[NR_COUNTED_CALLS];
};

/* Counts one call that returned @result (-1: failed), and returns that. */
static inline long tally_count(struct tally *t, enum counted_call call, long result)
{
	t->of[call].calls++;
	t->of[call].errors += result < 0;
	return result;
}

/* The same for one that returns a number of bytes moved. */
static inline long tally_moved(struct tally *t, enum counted_call call, long result)
{
	if (result > 0)
		t->of[call].bytes += result;
	return tally_count(t, call, result);
}

static inline int call_accept4(struct tally *t, int fd, struct sockaddr *address, socklen_t *len,
			       int flags)
{
	return tally_count(t, CALL_accept4, accept4(fd, address, len, flags));
}

static inline int call_close(struct tally *t, int fd)
{
	return tally_count(t, CALL_close, close(fd));
}

static inline int call_connect(struct tally *t, int fd, const struct sockaddr *address,
			       socklen_t len)
{
	return tally_count(t, CALL_connect, connect(fd, address, len));
}

static inline int call_epoll_create(struct tally *t)
{
	return tally_count(t, CALL_epoll_create1, epoll_create1(EPOLL_CLOEXEC));
}

static inline int call_epoll_ctl(struct tally *t, int epoll, int op, int fd,
				 struct epoll_event *event)
{
	return tally_count(t, CALL_epoll_ctl, epoll_ctl(epoll, op, fd, event));
}

/* epoll_pwait(2), because some architectures have no epoll_wait(2). */
static inline int call_epoll_wait(struct tally *t, int epoll, struct epoll_event *events, int max,
				  int timeout_ms)
{
	return tally_count(t, CALL_epoll_pwait, epoll_pwait(epoll, events, max, timeout_ms, NULL));
}

static inline int call_getsockopt(struct tally *t, int fd, int level, int name, void *value,
				  socklen_t *len)
{
	return tally_count(t, CALL_getsockopt, getsockopt(fd, level, name, value, len));
}

static inline int call_pipe(struct tally *t, int fds[2], int flags)
{
	return tally_count(t, CALL_pipe2, pipe2(fds, flags));
}

/* ppoll(2), because some architectures have no poll(2). @timeout: NULL: none. */
static inline int call_poll(struct tally *t, struct pollfd *fds, nfds_t nr,
			    const struct timespec *timeout)
{
	return tally_count(t, CALL_ppoll, ppoll(fds, nr, timeout, NULL));
}

static inline ssize_t call_recv(struct tally *t, int fd, void *buf, size_t len, int flags)
{
	return tally_moved(t, CALL_recvfrom, recv(fd, buf, len, flags));
}

/* Not counted in bytes here: the call returns messages. The caller adds their msg_len. */
static inline int call_recvmmsg(struct tally *t, int fd, struct mmsghdr *messages, unsigned int nr,
				int flags)
{
	return tally_count(t, CALL_recvmmsg, recvmmsg(fd, messages, nr, flags, NULL));
}

static inline ssize_t call_send(struct tally *t, int fd, const void *buf, size_t len, int flags)
{
	return tally_moved(t, CALL_sendto, send(fd, buf, len, flags));
}

/* As call_recvmmsg(). */
static inline int call_sendmmsg(struct tally *t, int fd, struct mmsghdr *messages, unsigned int nr,
				int flags)
{
	return tally_count(t, CALL_sendmmsg, sendmmsg(fd, messages, nr, flags));
}

static inline int call_setsockopt(struct tally *t, int fd, int level, int name, const void *value,
				  socklen_t len)
{
	return tally_count(t, CALL_setsockopt, setsockopt(fd, level, name, value, len));
}

static inline int call_shutdown(struct tally *t, int fd, int how)
{
	return tally_count(t, CALL_shutdown, shutdown(fd, how));
}

static inline int call_socket(struct tally *t, int domain, int type, int protocol)
{
	return tally_count(t, CALL_socket, socket(domain, type, protocol));
}

static inline ssize_t call_splice(struct tally *t, int in, int out, size_t len, unsigned int flags)
{
	return tally_moved(t, CALL_splice, splice(in, NULL, out, NULL, len, flags));
}

/* Adds what @from counted to @into. */
void tally_add(struct tally *into, const struct tally *from);

#endif
