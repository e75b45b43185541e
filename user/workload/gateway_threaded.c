// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "workload/gateway_server.h"

/*
 * The gateway with a thread for each connection, which blocks in receive and send. They share
 * the engine. The first thread accepts; another waits for the stop.
 */

#define STACK_BYTES (64 << 10)

/* There is one server in a process. Of the gateway: what the threads share. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_ended = PTHREAD_COND_INITIALIZER;

/* --- one connection -------------------------------------------------------------------------- */

/* Reads what is there, and executes it. False: the peer is at its end, or gone. */
static bool receive_requests(struct client *c, struct tally *t, bool *is_lost)
{
	struct session *s = c->session;
	ssize_t received = call_recv(t, c->fd, s->in + s->nr_in, sizeof(s->in) - s->nr_in, 0);

	*is_lost = received < 0;
	if (received <= 0) {
		session_end(s);
		return false;
	}
	s->nr_in += received;
	pthread_mutex_lock(&mutex);
	session_execute(s, c->gateway->engine);
	pthread_mutex_unlock(&mutex);
	return !s->is_malformed;
}

/* False: the peer is gone. */
static bool send_replies(struct session *s, int fd, struct tally *t)
{
	while (session_pending(s)) {
		ssize_t sent =
			call_send(t, fd, s->out + s->out_start, session_pending(s), MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		session_sent(s, sent);
	}
	return true;
}

static void *serve(void *arg)
{
	struct client *c = arg;
	struct gateway *g = c->gateway;
	struct tally tally = {};
	bool is_open, is_lost;

	do {
		is_open = receive_requests(c, &tally, &is_lost);
		is_lost = !send_replies(c->session, c->fd, &tally) || is_lost;
	} while (is_open && !is_lost);
	/* Before the peer sees the end, its orders are gone. */
	pthread_mutex_lock(&mutex);
	engine_leave(g->engine, &c->session->owner);
	pthread_mutex_unlock(&mutex);
	call_close(&tally, c->fd);
	part_add_tally(g->part, &tally);
	pthread_mutex_lock(&mutex);
	g->resets += is_lost;
	client_end(c);
	pthread_cond_signal(&one_ended);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

static void start_client(struct gateway *g, const pthread_attr_t *attributes, int fd)
{
	struct client *c;
	pthread_t thread;
	int err;

	pthread_mutex_lock(&mutex);
	c = client_new(g, fd);
	pthread_mutex_unlock(&mutex);
	err = pthread_create(&thread, attributes, serve, c);
	if (!err)
		return;
	/* No more threads: as with descriptors, those who are served stay served. */
	gateway_refuse(g, fd);
	pthread_mutex_lock(&mutex);
	client_end(c);
	pthread_mutex_unlock(&mutex);
}

static int accept_clients(struct gateway *g, const pthread_attr_t *attributes)
{
	for (;;) {
		int fd = gateway_accept(g, SOCK_CLOEXEC);

		if (fd == -EINVAL)
			return 0;
		if (fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			return part_fail(g->part, "accept a connection: %s", strerror(-fd));
		start_client(g, attributes, fd);
	}
}

/* At the stop, the listener takes no more, which ends the accept4(2) that waits at it. */
static void *wait_for_stop(void *arg)
{
	struct gateway *g = arg;
	struct pollfd stop = {.fd = g->part->stop_fd, .events = POLLIN};
	struct tally tally = {};

	call_poll(&tally, &stop, 1, NULL);
	call_shutdown(&tally, g->listener, SHUT_RD);
	part_add_tally(g->part, &tally);
	return NULL;
}

/* Fails if nothing is asked and no connection ends for the time of patience. */
static int wait_for_clients(struct gateway *g)
{
	uint64_t requests = 0;
	uint32_t nr_open = 0;
	int err = 0;

	pthread_mutex_lock(&mutex);
	while (g->nr_open) {
		struct timespec until;

		if (err && nr_open == g->nr_open && requests == engine_totals(g->engine)->requests)
			break;
		nr_open = g->nr_open;
		requests = engine_totals(g->engine)->requests;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += GATEWAY_PATIENCE_MS / 1000;
		err = pthread_cond_clockwait(&one_ended, &mutex, CLOCK_MONOTONIC, &until);
	}
	nr_open = g->nr_open;
	pthread_mutex_unlock(&mutex);
	if (!nr_open)
		return 0;
	return part_fail(g->part, "%u connections were still open %u s after the stop", nr_open,
			 GATEWAY_PATIENCE_MS / 1000);
}

static int serve_all(struct gateway *g)
{
	size_t stack = STACK_BYTES < PTHREAD_STACK_MIN ? PTHREAD_STACK_MIN : STACK_BYTES;
	pthread_attr_t attributes;
	pthread_t stopper;
	int err;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	err = pthread_create(&stopper, &attributes, wait_for_stop, g);
	if (err)
		return part_fail(g->part, "make a thread: %s", strerror(err));
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	err = accept_clients(g, &attributes);
	pthread_attr_destroy(&attributes);
	if (err)
		return err;
	pthread_join(stopper, NULL);
	call_close(g->tally, g->listener);
	return wait_for_clients(g);
}

int gateway_threaded(struct part *p)
{
	struct gateway g = {};
	struct tally tally = {};
	int err;

	/* Not the part's own tally: threads that end add theirs to that at any time. */
	if (gateway_start(&g, p, &tally, false))
		return -1;
	err = serve_all(&g);
	part_add_tally(p, &tally);
	return gateway_finish(&g, !err);
}
