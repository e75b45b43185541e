// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "model/merge.h"
#include "model/model.h"

/* --- spreads ------------------------------------------------------------------------------ */

static void spread_init(struct spread *s)
{
	*s = (struct spread){
		.min_ns = METRIC_UNKNOWN,
		.p50_ns = METRIC_UNKNOWN,
		.p90_ns = METRIC_UNKNOWN,
		.p99_ns = METRIC_UNKNOWN,
		.max_ns = METRIC_UNKNOWN,
	};
}

void spread_add(struct spread *s, uint64_t ns)
{
	if (ns == METRIC_UNKNOWN)
		return;
	if (!s->count || ns < s->min_ns)
		s->min_ns = ns;
	if (!s->count || ns > s->max_ns)
		s->max_ns = ns;
	s->count++;
	hist_add(&s->histogram, hist_index(ns), 1);
}

static void spread_merge(struct spread *into, const struct spread *from)
{
	if (!from->count)
		return;
	if (!into->count || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (!into->count || from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count = saturating_sum(into->count, from->count);
	hist_merge(&into->histogram, &from->histogram);
}

static void spread_finish(struct spread *s)
{
	if (!s->count) {
		spread_init(s);
		return;
	}
	s->p50_ns = hist_percentile(&s->histogram, 500, s->min_ns, s->max_ns);
	s->p90_ns = hist_percentile(&s->histogram, 900, s->min_ns, s->max_ns);
	s->p99_ns = hist_percentile(&s->histogram, 990, s->min_ns, s->max_ns);
}

/* The spread of a metric of KIND_MEDIAN: "rtt" of "rtt_ns". */
static struct spread *spread_of(struct socket *s, const struct metric *m)
{
	for (size_t i = 0; i < NR_SPREADS; i++) {
		size_t len = strlen(spread_names[i]);

		if (!strncmp(m->name, spread_names[i], len) && !strcmp(m->name + len, "_ns"))
			return &s->spreads[i];
	}
	abort(); /* a row of metrics.def without its SOCKET_SPREAD */
}

/* --- books -------------------------------------------------------------------------------- */

struct socket_book socket_book_of(uint64_t observed, uint64_t expected)
{
	bool is_known = observed != METRIC_UNKNOWN && expected != METRIC_UNKNOWN;

	if (!is_known)
		return (struct socket_book){METRIC_UNKNOWN, METRIC_UNKNOWN, 0, 0, 1};
	return (struct socket_book){observed, expected, 1, observed != expected, 0};
}

static void book_merge(struct socket_book *into, const struct socket_book *from)
{
	into->observed = known_sum(into->observed, from->observed);
	into->expected = known_sum(into->expected, from->expected);
	into->nr += from->nr;
	into->nr_failed += from->nr_failed;
	into->nr_unknown += from->nr_unknown;
}

static void books_merge(struct socket_books *into, const struct socket_books *from)
{
	book_merge(&into->sent, &from->sent);
	book_merge(&into->received, &from->received);
	book_merge(&into->drops, &from->drops);
	if (!into->why_unknown)
		into->why_unknown = from->why_unknown;
}

/* --- one socket --------------------------------------------------------------------------- */

void socket_init(struct socket *s)
{
	const struct socket_book none = {.observed = METRIC_UNKNOWN, .expected = METRIC_UNKNOWN};

	*s = (struct socket){
		.netns = METRIC_UNKNOWN,
		.opened_ns = METRIC_UNKNOWN,
		.closed_ns = METRIC_UNKNOWN,
		.connections = 1,
		.shared_by = METRIC_UNKNOWN,
		.agrees = UNKNOWN,
		.books = {.sent = none, .received = none, .drops = none},
	};
	for (size_t i = 0; i < nr_socket_metrics; i++)
		*metric_at(&socket_metrics[i], &s->stats) = METRIC_UNKNOWN;
	for (size_t i = 0; i < NR_SPREADS; i++)
		spread_init(&s->spreads[i]);
}

void socket_clear_spreads(struct socket *s)
{
	for (size_t i = 0; i < NR_SPREADS; i++) {
		free(s->spreads[i].histogram.buckets);
		spread_init(&s->spreads[i]);
	}
}

void socket_free(struct socket *s)
{
	free(s->local);
	free(s->remote);
	socket_clear_spreads(s);
	drops_free(&s->drops);
	*s = (struct socket){0};
}

bool socket_has_metric(const struct socket *s, const struct metric *m)
{
	if (!strcmp(m->group, "tcp"))
		return !strcmp(s->protocol, "tcp") || !strcmp(s->protocol, "mptcp");
	if (!strcmp(m->group, "udp"))
		return !strcmp(s->protocol, "udp");
	return true;
}

static bool is_folded(const struct socket *s)
{
	return s->connections > 1;
}

bool socket_is_closed(const struct socket *s)
{
	return s->closed_ns != METRIC_UNKNOWN || is_folded(s);
}

static void socket_copy(struct socket *to, const struct socket *from)
{
	*to = *from;
	to->local = from->local ? xstrdup(from->local) : NULL;
	to->remote = from->remote ? xstrdup(from->remote) : NULL;
	for (size_t i = 0; i < NR_SPREADS; i++) {
		to->spreads[i].histogram = (struct histogram){0};
		hist_merge(&to->spreads[i].histogram, &from->spreads[i].histogram);
	}
	to->drops = (struct drops){0};
	drops_merge(&to->drops, &from->drops);
}

/* --- folding ------------------------------------------------------------------------------ */

/* What only one connection has becomes part of what many have. */
static void begin_folding(struct socket *s)
{
	if (is_folded(s))
		return;
	if (s->opened_ns != METRIC_UNKNOWN && s->closed_ns >= s->opened_ns)
		spread_add(&s->spreads[SPREAD_lifetime], s->closed_ns - s->opened_ns);
	for (size_t i = 0; i < nr_socket_metrics; i++) {
		uint64_t *ns = metric_at(&socket_metrics[i], &s->stats);

		if (socket_metrics[i].kind != KIND_MEDIAN)
			continue;
		spread_add(spread_of(s, &socket_metrics[i]), *ns);
		*ns = METRIC_UNKNOWN;
	}
	s->opened_ns = s->closed_ns = METRIC_UNKNOWN;
	s->state = s->closed_by = NULL;
}

void socket_fold(struct socket *into, struct socket *from)
{
	begin_folding(into);
	begin_folding(from);
	into->connections = saturating_sum(into->connections, from->connections);
	into->connections_elsewhere =
		known_sum(into->connections_elsewhere, from->connections_elsewhere);
	into->shared_by = known_max(into->shared_by, from->shared_by);
	into->dual_stack |= from->dual_stack;
	metrics_merge(socket_metrics, nr_socket_metrics, &into->stats, &from->stats);
	for (size_t i = 0; i < NR_SPREADS; i++)
		spread_merge(&into->spreads[i], &from->spreads[i]);
	drops_merge(&into->drops, &from->drops);
	books_merge(&into->books, &from->books);
	socket_free(from);
}

/* --- the sockets of a process ------------------------------------------------------------- */

void sockets_free(struct process *p)
{
	for (size_t i = 0; i < p->nr_sockets; i++)
		socket_free(&p->sockets[i]);
	free(p->sockets);
	p->sockets = NULL;
	p->nr_sockets = p->cap_sockets = 0;
	socket_index_free(p);
}

void sockets_copy(struct process *to, const struct process *from)
{
	to->sockets = NULL;
	to->nr_sockets = to->cap_sockets = 0;
	to->socket_index = NULL;
	to->sockets = vec_reserve(NULL, &to->cap_sockets, from->nr_sockets, sizeof(*to->sockets));
	for (size_t i = 0; i < from->nr_sockets; i++)
		socket_copy(vec_push(to->sockets, to->nr_sockets, to->cap_sockets),
			    &from->sockets[i]);
}

static void socket_finish(struct socket *s)
{
	if (!is_folded(s))
		return;
	for (size_t i = 0; i < NR_SPREADS; i++)
		spread_finish(&s->spreads[i]);
	for (size_t i = 0; i < nr_socket_metrics; i++)
		if (socket_metrics[i].kind == KIND_MEDIAN)
			*metric_at(&socket_metrics[i], &s->stats) =
				spread_of(s, &socket_metrics[i])->p50_ns;
}

static int compare_numbers(uint64_t x, uint64_t y)
{
	return (x > y) - (x < y);
}

static int compare_texts(const char *x, const char *y)
{
	if (!x || !y)
		return (x != NULL) - (y != NULL);
	return strcmp(x, y);
}

/* What comes after the addresses is there so that the order is always the same. */
int socket_compare(const void *a, const void *b)
{
	const struct socket *x = a, *y = b;
	const struct socket_stats *s = &x->stats, *t = &y->stats;
	const int orders[] = {
		compare_numbers(known_sum(known_sum(t->send_bytes, t->receive_bytes), 0),
				known_sum(known_sum(s->send_bytes, s->receive_bytes), 0)),
		compare_numbers(known_sum(known_sum(t->send_calls, t->receive_calls), 0),
				known_sum(known_sum(s->send_calls, s->receive_calls), 0)),
		compare_texts(x->local, y->local),
		compare_texts(x->remote, y->remote),
		compare_texts(x->protocol, y->protocol),
		compare_texts(x->family, y->family),
		compare_texts(x->role, y->role),
		compare_numbers(x->netns, y->netns),
		compare_numbers(x->opened_ns, y->opened_ns),
		compare_numbers(x->closed_ns, y->closed_ns),
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (orders[i])
			return orders[i];
	return 0;
}

void sockets_finish(struct process *p)
{
	socket_index_free(p);
	for (size_t i = 0; i < p->nr_sockets; i++)
		socket_finish(&p->sockets[i]);
	if (p->nr_sockets)
		qsort(p->sockets, p->nr_sockets, sizeof(*p->sockets), socket_compare);
}
