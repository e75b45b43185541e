// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the ways of exact.c are made of: accounts, plain sends and receives, a thread that helps. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "exact.h"

/* --- accounts --------------------------------------------------------------------------------- */

/*
 * Beside those of endpoint.c, which enter in the account of the calling thread too: here the kernel
 * may have others do it.
 */
static void enter(_Atomic uint64_t *calls, _Atomic uint64_t *bytes, long ret)
{
	(*calls)++;
	*bytes += ret;
}

long sent(struct endpoint *e, long ret)
{
	if (ret < 0)
		e->counts.send_errors++;
	else
		enter(&e->counts.send_calls, &e->counts.send_bytes, ret);
	return ret;
}

long received(struct endpoint *e, int flags, long ret)
{
	struct endpoint_counts *n = &e->counts;

	if (flags & MSG_ERRQUEUE) /* notices are no data */
		return ret;
	if (ret < 0)
		n->receive_errors++;
	else if (flags & MSG_PEEK)
		enter(&n->peek_calls, &n->peek_bytes, ret);
	else if (flags & MSG_TRUNC)
		enter(&n->trunc_calls, &n->trunc_bytes, ret);
	else
		enter(&n->receive_calls, &n->receive_bytes, ret);
	return ret;
}

/* EAGAIN within io_uring is a try of the kernel's own, even where the process learns of it. */
static bool counts(long ret)
{
	return !is_unseen && !(ret == -1 && errno == EAGAIN);
}

long sent_unseen(struct endpoint *e, long ret)
{
	if (is_unseen && ret > 0)
		unseen_bytes += ret;
	return counts(ret) ? sent(e, ret) : ret;
}

long received_unseen(struct endpoint *e, int flags, long ret)
{
	if (is_unseen && ret > 0 && !(flags & MSG_PEEK))
		unseen_bytes += ret;
	return counts(ret) ? received(e, flags, ret) : ret;
}

/* --- outcomes --------------------------------------------------------------------------------- */

static bool is_unknown_to_kernel(int error)
{
	return error == ENOSYS || error == EOPNOTSUPP || error == ENOPROTOOPT || error == EINVAL ||
	       error == 524 /* ENOTSUPP, which should not get out */;
}

void cell_moved(struct cell *c, long ret, long want)
{
	if (ret == -1 && is_unknown_to_kernel(errno))
		cell_skip(c, c->way->name);
	if (ret >= 0)
		errno = 0;
	cell_check(c, ret == want, "bytes moved");
}

void cell_fails(struct cell *c, long ret, int error)
{
	int got = ret == -1 ? errno : 0;

	errno = got;
	cell_check(c, got == error, "a call that must fail");
}

/* --- plain moves ------------------------------------------------------------------------------ */

size_t whole(const struct cell *c, size_t n)
{
	return n + c->family->head;
}

void put(struct cell *c, size_t n)
{
	long ret = sent(c->ea, send(c->a, buffer, n, MSG_NOSIGNAL));

	cell_check(c, ret == (long)n, "a plain send");
}

void take(struct cell *c, size_t n)
{
	while (n) {
		long ret = received(c->eb, 0, recv(c->b, other, sizeof(other), 0));
		long got = ret - c->family->head;

		cell_check(c, got > 0 && (size_t)got <= n, "a plain receive");
		n -= got;
	}
}

void arrived(struct cell *c, size_t n)
{
	int there = 0;

	net_wait(c->b, POLLIN);
	while (c->family->is & STREAM && ioctl(c->b, FIONREAD, &there) == 0 && there < (int)n)
		sched_yield();
}

struct iovec *vector(char *base, size_t a, size_t b)
{
	static struct iovec v[2];

	v[0] = (struct iovec){base, a};
	v[1] = (struct iovec){base + a, b};
	return v;
}

struct msghdr *message(struct cell *c, char *base, size_t a, size_t b)
{
	static struct msghdr m;

	(void)c;
	m = (struct msghdr){.msg_iov = vector(base, a, b), .msg_iovlen = 2};
	return &m;
}

void fill(struct cell *c)
{
	size_t n = c->family->is & STREAM ? 65536 : LEN;

	/* What was on its way may make room once more. */
	for (int idle = 0; idle < 3;) {
		long ret = sent(c->ea, send(c->a, buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL));

		cell_check(c, ret > 0 || errno == EAGAIN, "a send into a full socket");
		idle = ret > 0 ? 0 : idle + 1;
		if (idle)
			usleep(1000);
	}
}

void empty(struct cell *c)
{
	struct pollfd p = {.fd = c->b, .events = POLLIN};

	while (poll(&p, 1, 0) == 1)
		cell_check(c, received(c->eb, 0, recv(c->b, other, sizeof(other), 0)) > 0,
			   "a receive");
}

/* --- a thread that helps ---------------------------------------------------------------------- */

static struct helper {
	pthread_t thread;
	struct cell *cell;
	void (*run)(struct cell *c);
	unsigned int signals;
	pid_t of; /* the thread that sleeps */
	atomic_uint handled;
	atomic_bool is_done;
} helper;

static void handle(int signal)
{
	(void)signal;
	helper.handled++;
}

static void await_sleep(void)
{
	char text[256];

	do {
		while (!helper.is_done && truth_task_state(getpid(), helper.of) != 'S')
			sched_yield();
		truth_task_file(getpid(), helper.of, "syscall", text, sizeof(text));
	} while (!helper.is_done && atoi(text) == SYS_futex); /* of pthread_create() */
}

static void *help(void *unused)
{
	for (unsigned int i = 0; i < helper.signals; i++) {
		unsigned int before = helper.handled;

		await_sleep();
		truth_check(syscall(SYS_tgkill, getpid(), helper.of, SIGUSR1) == 0, "tgkill");
		while (helper.handled == before)
			sched_yield();
	}
	await_sleep();
	while (helper.run && !helper.is_done) {
		helper.run(helper.cell);
		if (helper.run != empty)
			break;
	}
	return unused;
}

void helper_begin(struct cell *c, void (*run)(struct cell *c), unsigned int signals, bool restart)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = restart ? SA_RESTART : 0};

	cell_check(c, sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
	helper.cell = c;
	helper.run = run;
	helper.signals = signals;
	helper.of = syscall(SYS_gettid);
	helper.handled = 0;
	helper.is_done = false;
	cell_check(c, pthread_create(&helper.thread, NULL, help, NULL) == 0, "pthread_create");
}

void helper_end(struct cell *c)
{
	helper.is_done = true;
	cell_check(c, pthread_join(helper.thread, NULL) == 0, "pthread_join");
	cell_check(c, helper.handled == helper.signals, "signals");
}
