// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "workload/gateway_server.h"

static int new_reserve(struct gateway *g)
{
	g->reserve = call_socket(g->tally, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return g->reserve;
}

int gateway_start(struct gateway *g, struct part *p, struct tally *tally, bool is_nonblocking)
{
	char address[64];
	int one = 1;

	part_raise_descriptors();
	g->part = p;
	g->tally = tally;
	g->output_limit = part_option(p, "output-limit");
	g->engine = engine_new(MAX_RESTING);
	g->listener = part_listen_tcp(p, is_nonblocking, address);
	if (g->listener < 0)
		return -1;
	/* Accepted sockets inherit it. */
	if (setsockopt(g->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return part_fail(p, "TCP_NODELAY: %s", strerror(errno));
	g->reserve = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (g->reserve < 0)
		return part_fail(p, "make a socket: %s", strerror(errno));
	return part_ready(p, address);
}

/* --- connections ----------------------------------------------------------------------------- */

void gateway_refuse(struct gateway *g, int fd)
{
	call_close(g->tally, fd);
	g->refused++;
}

/*
 * No descriptor was free. With the reserve given up one connection can be accepted; it stays if a
 * new reserve can be had by then.
 */
static int accept_without_reserve(struct gateway *g, int flags)
{
	int fd, err;

	call_close(g->tally, g->reserve);
	fd = call_accept4(g->tally, g->listener, NULL, NULL, flags);
	err = errno;
	if (new_reserve(g) >= 0)
		return fd < 0 ? -err : fd;
	if (fd >= 0)
		gateway_refuse(g, fd);
	if (new_reserve(g) >= 0)
		return fd < 0 ? -err : -ECONNABORTED;
	part_fail(g->part, "make a socket: %s", strerror(errno));
	return -EIO;
}

int gateway_accept(struct gateway *g, int flags)
{
	int fd = call_accept4(g->tally, g->listener, NULL, NULL, flags);
	int result = fd < 0 ? -errno : fd;

	if (result == -EMFILE || result == -ENFILE)
		result = accept_without_reserve(g, flags);
	if (result >= 0 || result == -EAGAIN || result == -EINVAL || result == -ECONNABORTED ||
	    result == -EIO)
		return result;
	part_fail(g->part, "accept a connection: %s", strerror(-result));
	return -EIO;
}

struct client *client_new(struct gateway *g, int fd)
{
	struct client *c = g->free_clients;

	if (c) {
		g->free_clients = c->next_free;
	} else {
		c = xcalloc(1, sizeof(*c));
		c->gateway = g;
		c->session = session_new(g->output_limit);
	}
	c->fd = fd;
	c->interest = 0;
	c->is_ended = false;
	session_reset(c->session, ++g->last_number);
	g->nr_open++;
	return c;
}

void client_end(struct client *c)
{
	struct gateway *g = c->gateway;

	engine_leave(g->engine, &c->session->owner);
	g->malformed += c->session->is_malformed;
	c->next_free = g->free_clients;
	g->free_clients = c;
	g->nr_open--;
}

/* --- end ------------------------------------------------------------------------------------- */

static void state_facts(const struct gateway *g)
{
	const struct engine_totals *t = engine_totals(g->engine);
	const struct call_tally *calls = g->part->truth->tally.of;
	const struct {
		const char *name;
		uint64_t value;
	} facts[] = {
		{"connections_accepted", calls[CALL_accept4].calls - calls[CALL_accept4].errors},
		{"sent_bytes", calls[CALL_sendto].bytes},
		{"received_bytes", calls[CALL_recvfrom].bytes},
		{"served", t->requests},
		{"orders", t->orders},
		{"cancels", t->cancels},
		{"heartbeats", t->heartbeats},
		{"rejects", t->rejects},
		{"book_full", t->book_full},
		{"fills", t->fills},
		{"quantity_entered", t->entered},
		{"quantity_bought", t->bought},
		{"quantity_sold", t->sold},
		{"quantity_cancelled", t->cancelled},
		{"quantity_lapsed", t->lapsed},
		{"quantity_resting", engine_resting(g->engine)},
		{"refused", g->refused},
		{"resets", g->resets},
		{"malformed", g->malformed},
		{"output_pauses", g->pauses},
	};

	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		part_fact(g->part, facts[i].name, facts[i].value);
}

static void free_clients(struct gateway *g)
{
	while (g->free_clients) {
		struct client *c = g->free_clients;

		g->free_clients = c->next_free;
		free(c->session);
		free(c);
	}
}

int gateway_finish(struct gateway *g, bool is_served)
{
	const char *wrong;

	if (!is_served)
		return -1; /* threads may still use it all; the process ends */
	wrong = engine_check(g->engine);
	state_facts(g);
	engine_free(g->engine);
	free_clients(g);
	return wrong ? part_fail(g->part, "the books do not balance: %s", wrong) : 0;
}
