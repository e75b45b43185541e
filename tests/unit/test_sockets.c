// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include <time.h>

#include "base/alloc.h"

/* --- sockets by hand ------------------------------------------------------------------------- */

/* A socket of @protocol between two addresses that was closed after @lifetime_ns. */
static struct socket closed(const char *protocol, const char *role, const char *local,
			    const char *remote, uint64_t lifetime_ns)
{
	struct socket s;

	socket_init(&s);
	s.protocol = protocol;
	s.family = "ipv4";
	s.role = role;
	s.local = xstrdup(local);
	s.remote = xstrdup(remote);
	s.opened_ns = 1000;
	s.closed_ns = 1000 + lifetime_ns;
	s.stats.send_calls = 1;
	s.stats.send_bytes = 10;
	return s;
}

static void add_accepted(struct process *p, const char *local, unsigned int port)
{
	char remote[32];
	struct socket s;

	snprintf(remote, sizeof(remote), "10.0.0.9:%u", port);
	s = closed("tcp", "accept", local, remote, port);
	s.state = "TIME-WAIT";
	s.closed_by = "local";
	process_add_socket(p, &s);
	assert_null(s.local);
	assert_null(s.remote);
}

static void add_connected(struct process *p, unsigned int peer)
{
	char remote[32];
	struct socket s;

	snprintf(remote, sizeof(remote), "10.%u.%u.%u:80", peer >> 16, peer >> 8 & 255, peer & 255);
	s = closed("tcp", "connect", "10.0.0.1:40000", remote, peer + 1);
	process_add_socket(p, &s);
}

static struct socket open_one(const char *local)
{
	struct socket s = closed("tcp", "accept", local, "10.0.0.9:1", 0);

	s.closed_ns = METRIC_UNKNOWN;
	return s;
}

static uint64_t count_connections(const struct process *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->nr_sockets; i++)
		sum += p->sockets[i].connections;
	return sum;
}

static uint64_t count_bytes(const struct process *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->nr_sockets; i++)
		sum += p->sockets[i].stats.send_bytes;
	return sum;
}

/* The only row of several connections. */
static const struct socket *folded(const struct process *p)
{
	const struct socket *found = NULL;

	for (size_t i = 0; i < p->nr_sockets; i++) {
		if (p->sockets[i].connections == 1)
			continue;
		assert_null(found);
		found = &p->sockets[i];
	}
	assert_non_null(found);
	return found;
}

static const struct socket *row_of(const struct process *p, const char *local, const char *remote)
{
	for (size_t i = 0; i < p->nr_sockets; i++)
		if (!strcmp(p->sockets[i].local, local) && !strcmp(p->sockets[i].remote, remote))
			return &p->sockets[i];
	fail_msg("no row of %s - %s", local, remote);
	return NULL;
}

/* As report_finish() does; ends with process_free() by the caller. */
static void finish(struct process *p)
{
	struct report r = {.processes = p, .nr_processes = 1};

	report_finish(&r);
}

/* --- folding --------------------------------------------------------------------------------- */

static void test_sixty_four_connections_stand_by_themselves(void **state)
{
	struct process p = {0};

	(void)state;
	for (unsigned int i = 1; i <= 64; i++)
		add_accepted(&p, "10.0.0.1:80", i);
	assert_int_equal(p.nr_sockets, 64);
	finish(&p);
	for (size_t i = 0; i < 64; i++) {
		assert_int_equal(p.sockets[i].connections, 1);
		assert_string_equal(p.sockets[i].state, "TIME-WAIT");
		assert_int_equal(p.sockets[i].spreads[SPREAD_lifetime].count, 0);
	}
	process_free(&p);
}

static void test_the_sixty_fifth_folds_them_all(void **state)
{
	struct process p = {0};
	const struct socket *s;

	(void)state;
	for (unsigned int i = 1; i <= 65; i++)
		add_accepted(&p, "10.0.0.1:80", i);
	assert_int_equal(p.nr_sockets, 1);
	finish(&p);
	s = &p.sockets[0];
	assert_int_equal(s->connections, 65);
	assert_string_equal(s->local, "10.0.0.1:80");
	assert_string_equal(s->remote, "*");
	assert_null(s->state);
	assert_null(s->closed_by);
	assert_int_equal(s->opened_ns, METRIC_UNKNOWN);
	assert_int_equal(s->closed_ns, METRIC_UNKNOWN);
	assert_int_equal(s->stats.send_bytes, 650);
	assert_int_equal(s->spreads[SPREAD_lifetime].count, 65);
	assert_int_equal(s->spreads[SPREAD_lifetime].min_ns, 1);
	assert_int_equal(s->spreads[SPREAD_lifetime].max_ns, 65);
	process_free(&p);
}

static void test_connections_that_came_from_here_fold_by_peer(void **state)
{
	struct process p = {0};
	struct socket s;

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		char local[32];

		snprintf(local, sizeof(local), "10.0.0.1:%u", 40000 + i);
		s = closed("tcp", "connect", local, "10.0.0.2:5432", 5);
		process_add_socket(&p, &s);
	}
	s = closed("tcp", "connect", "10.0.0.1:50000", "10.0.0.3:5432", 5);
	process_add_socket(&p, &s);
	assert_int_equal(p.nr_sockets, 2);
	assert_int_equal(row_of(&p, "*", "10.0.0.2:5432")->connections, 100);
	assert_int_equal(row_of(&p, "10.0.0.1:50000", "10.0.0.3:5432")->connections, 1);
	process_free(&p);
}

static void test_only_what_has_the_same_key_is_folded(void **state)
{
	static const struct {
		const char *protocol, *family, *role;
	} sorts[] = {
		{"tcp", "ipv4", "accept"}, {"tcp", "ipv6", "accept"}, {"tcp", "ipv4", "listen"},
		{"udp", "ipv4", "accept"}, {"udp", "ipv4", "bind"},
	};
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < 64 * ARRAY_SIZE(sorts); i++) {
		struct socket s = closed(sorts[i % ARRAY_SIZE(sorts)].protocol,
					 sorts[i % ARRAY_SIZE(sorts)].role, "10.0.0.1:80", "*", i);

		s.family = sorts[i % ARRAY_SIZE(sorts)].family;
		process_add_socket(&p, &s);
	}
	assert_int_equal(p.nr_sockets, 64 * ARRAY_SIZE(sorts));
	add_accepted(&p, "10.0.0.1:80", 1);
	assert_int_equal(p.nr_sockets, 64 * (ARRAY_SIZE(sorts) - 1) + 1);
	assert_int_equal(folded(&p)->connections, 65);
	process_free(&p);
}

static void test_sockets_without_a_role_fold_whatever_their_addresses(void **state)
{
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < 65; i++) {
		struct socket s =
			closed("udp", "none", i % 2 ? "10.0.0.1:1" : "10.0.0.1:2", "*", i);

		process_add_socket(&p, &s);
	}
	assert_int_equal(p.nr_sockets, 1);
	assert_int_equal(row_of(&p, "*", "*")->connections, 65);
	process_free(&p);
}

static void test_open_sockets_are_never_folded(void **state)
{
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		struct socket s = open_one("10.0.0.1:80");

		process_add_socket(&p, &s);
		add_accepted(&p, "10.0.0.1:80", i);
	}
	assert_int_equal(p.nr_sockets, 1001);
	assert_int_equal(folded(&p)->connections, 1000);
	assert_int_equal(count_bytes(&p), 20000);
	process_free(&p);
}

static void test_further_keys_are_folded_into_the_rest(void **state)
{
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < 4096; i++)
		add_connected(&p, i);
	assert_int_equal(p.nr_sockets, 4096);
	for (unsigned int i = 4096; i < 4096 + 64; i++)
		add_connected(&p, i);
	assert_int_equal(p.nr_sockets, 4096 + 64);
	add_connected(&p, 5000);
	assert_int_equal(p.nr_sockets, 4096 + 1);
	assert_int_equal(row_of(&p, "*", "*")->connections, 65);
	add_connected(&p, 7); /* has a key of its own */
	assert_int_equal(p.nr_sockets, 4096 + 2);
	add_connected(&p, 5000);
	assert_int_equal(row_of(&p, "*", "*")->connections, 66);
	process_free(&p);
}

static void test_the_rows_of_one_process_are_bounded(void **state)
{
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < 60 * 4096; i++)
		add_connected(&p, i % 5000);
	assert_true(p.nr_sockets <= 8192 + 4096 + 1);
	assert_int_equal(count_connections(&p), 60 * 4096);
	assert_int_equal(count_bytes(&p), 60 * 4096 * 10);
	process_free(&p);
}

/* Of those whose own address is @local. */
static uint64_t count_at(const struct process *p, const char *local)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->nr_sockets; i++)
		if (!strcmp(p->sockets[i].local, local))
			sum += p->sockets[i].connections;
	return sum;
}

static uint64_t count_lifetimes(const struct process *p)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < p->nr_sockets; i++) {
		const struct socket *s = &p->sockets[i];

		sum += s->connections > 1 ? s->spreads[SPREAD_lifetime].count
					  : s->closed_ns != METRIC_UNKNOWN;
	}
	return sum;
}

/* Whatever order things come in, and however often the index is made anew: nothing is lost. */
static void test_nothing_is_lost_or_mixed_up_by_folding(void **state)
{
	static const char *const locals[] = {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"};
	uint64_t seed = 11, nr = 50000, nr_open = 0, nr_at[ARRAY_SIZE(locals)] = {0};
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t choice = next_random(&seed) % 100, which = next_random(&seed) % 3;

		if (choice < 5) {
			struct socket s = open_one("10.0.0.1:81");

			process_add_socket(&p, &s);
			nr_open++;
		} else if (choice < 50) {
			add_accepted(&p, locals[which], i);
			nr_at[which]++;
		} else {
			add_connected(&p, next_random(&seed) % (choice < 90 ? 300 : 6000));
		}
		if (i % 500 == 99)
			finish(&p);
	}
	finish(&p);
	assert_int_equal(count_connections(&p), nr);
	assert_int_equal(count_bytes(&p), nr * 10);
	assert_int_equal(count_lifetimes(&p), nr - nr_open);
	for (size_t i = 0; i < ARRAY_SIZE(locals); i++)
		assert_int_equal(count_at(&p, locals[i]), nr_at[i]);
	process_free(&p);
}

/* Rows that were folded away make room for others. */
static void test_busy_keys_take_no_room_from_the_others(void **state)
{
	struct process p = {0};

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		char local[32];

		snprintf(local, sizeof(local), "10.0.0.1:%u", i % 10);
		add_accepted(&p, local, i);
	}
	assert_int_equal(p.nr_sockets, 10);
	for (unsigned int i = 0; i < 200 * 40; i++)
		add_connected(&p, i % 200);
	assert_int_equal(p.nr_sockets, 10 + 200 * 40);
	process_free(&p);
}

static void test_a_hundred_thousand_connections_take_less_than_a_second(void **state)
{
	struct process p = {0};
	clock_t start = clock();

	(void)state;
	for (unsigned int i = 0; i < 50000; i++) {
		add_accepted(&p, "10.0.0.1:80", i);
		add_connected(&p, i);
	}
	finish(&p);
	assert_true(clock() - start < CLOCKS_PER_SEC);
	assert_int_equal(count_connections(&p), 100000);
	process_free(&p);
}

/* --- merging --------------------------------------------------------------------------------- */

/* 65 sockets of one key: all figures unknown but for @first in the first, @last in the last. */
static void fold_two(struct process *p, const struct socket_stats *first,
		     const struct socket_stats *last)
{
	for (unsigned int i = 1; i <= 65; i++) {
		struct socket s = closed("tcp", "accept", "10.0.0.1:80", "10.0.0.2:9", i);

		for (size_t k = 0; k < nr_socket_metrics; k++)
			*metric_at(&socket_metrics[k], &s.stats) = METRIC_UNKNOWN;
		if (i == 1)
			s.stats = *first;
		if (i == 65)
			s.stats = *last;
		process_add_socket(p, &s);
	}
	finish(p);
	assert_int_equal(p->nr_sockets, 1);
}

static uint64_t expected_of(enum metric_kind kind, uint64_t first, uint64_t last)
{
	switch (kind) {
	case KIND_SUM:
		return first + last;
	case KIND_TOTAL:
		return METRIC_UNKNOWN; /* for those between the two */
	case KIND_MAX:
		return first > last ? first : last;
	case KIND_LAST:
		return last;
	case KIND_MEDIAN:
		return first < last ? first : last;
	default:
		fail_msg("no socket metric has this kind");
		return 0;
	}
}

static void test_every_metric_of_a_socket_merges_by_its_kind(void **state)
{
	static const uint64_t firsts[] = {13, 17}, lasts[] = {17, 13};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(firsts); i++) {
		struct socket_stats first, last;
		struct process p = {0};

		for (size_t k = 0; k < nr_socket_metrics; k++) {
			*metric_at(&socket_metrics[k], &first) = firsts[i];
			*metric_at(&socket_metrics[k], &last) = lasts[i];
		}
		fold_two(&p, &first, &last);
		for (size_t k = 0; k < nr_socket_metrics; k++)
			assert_int_equal(*metric_at(&socket_metrics[k], &p.sockets[0].stats),
					 expected_of(socket_metrics[k].kind, firsts[i], lasts[i]));
		process_free(&p);
	}
}

static void test_a_total_is_known_if_all_of_it_is(void **state)
{
	(void)state;
	for (unsigned int unknown = 0; unknown <= 65; unknown += 13) {
		struct process p = {0};

		for (unsigned int i = 1; i <= 65; i++) {
			struct socket s = closed("udp", "bind", "10.0.0.1:80", "*", i);

			s.stats.udp_datagrams_sent = i == unknown ? METRIC_UNKNOWN : 2;
			process_add_socket(&p, &s);
		}
		finish(&p);
		assert_int_equal(p.nr_sockets, 1);
		assert_int_equal(p.sockets[0].stats.udp_datagrams_sent,
				 unknown ? METRIC_UNKNOWN : 2 * 65);
		process_free(&p);
	}
}

static void test_what_one_connection_does_not_know_another_does(void **state)
{
	struct socket_stats known, unknown;

	(void)state;
	for (size_t k = 0; k < nr_socket_metrics; k++) {
		*metric_at(&socket_metrics[k], &known) = 16;
		*metric_at(&socket_metrics[k], &unknown) = METRIC_UNKNOWN;
	}
	for (int i = 0; i < 3; i++) {
		struct process p = {0};

		fold_two(&p, i == 1 ? &known : &unknown, i == 2 ? &known : &unknown);
		for (size_t k = 0; k < nr_socket_metrics; k++)
			assert_int_equal(*metric_at(&socket_metrics[k], &p.sockets[0].stats),
					 i && socket_metrics[k].kind != KIND_TOTAL ? 16
										   : METRIC_UNKNOWN);
		process_free(&p);
	}
}

static void test_durations_become_percentiles(void **state)
{
	struct process p = {0};
	const struct socket *s;
	const struct spread *rtt;

	(void)state;
	for (unsigned int i = 1; i <= 1000; i++) {
		struct socket one = closed("tcp", "accept", "10.0.0.1:80", "10.0.0.2:9", 7);

		one.stats.tcp_rtt_ns = i * 1000;
		spread_add(&one.spreads[SPREAD_rtt], 5); /* of no account: the metric is */
		one.stats.tcp_accept_wait_ns = i % 2 ? 500 : METRIC_UNKNOWN;
		if (i <= 10)
			one.opened_ns = METRIC_UNKNOWN; /* before the trace */
		process_add_socket(&p, &one);
	}
	finish(&p);
	s = &p.sockets[0];
	rtt = &s->spreads[SPREAD_rtt];
	assert_int_equal(rtt->count, 1000);
	assert_int_equal(rtt->min_ns, 1000);
	assert_int_equal(rtt->max_ns, 1000000);
	assert_in_range(rtt->p50_ns, 500000 * 15 / 16, 500000 * 17 / 16);
	assert_in_range(rtt->p90_ns, 900000 * 15 / 16, 900000 * 17 / 16);
	assert_in_range(rtt->p99_ns, 990000 * 15 / 16, 1000000);
	assert_int_equal(s->stats.tcp_rtt_ns, rtt->p50_ns);
	assert_int_equal(s->spreads[SPREAD_accept_wait].count, 500);
	assert_int_equal(s->stats.tcp_accept_wait_ns, 500);
	assert_int_equal(s->spreads[SPREAD_lifetime].count, 990);
	assert_int_equal(s->spreads[SPREAD_connect].count, 0);
	assert_int_equal(s->spreads[SPREAD_connect].min_ns, METRIC_UNKNOWN);
	assert_int_equal(s->stats.tcp_connect_ns, METRIC_UNKNOWN);
	process_free(&p);
}

static void test_drops_and_books_are_summed(void **state)
{
	struct process p = {0};
	const struct socket *s;

	(void)state;
	for (unsigned int i = 1; i <= 100; i++) {
		struct socket one = closed("udp", "bind", "10.0.0.1:53", "*", i);
		struct drop *d = drops_get(&one.drops, i % 2 ? "SOCKET_RCVBUFF" : "UDP_CSUM", NULL);

		d->packets = 2;
		d->bytes = 100;
		d->first_ns = 1000 - i;
		d->last_ns = i == 50 ? METRIC_UNKNOWN : 1000 + i;
		one.shared_by = i;
		one.dual_stack = i == 30;
		one.books.drops = i == 3   ? socket_book_of(2, 3)
				  : i == 4 ? socket_book_of(2, METRIC_UNKNOWN)
					   : socket_book_of(2, 2);
		if (i == 4)
			one.books.why_unknown = "why";
		process_add_socket(&p, &one);
	}
	s = folded(&p);
	assert_int_equal(s->drops.nr, 2);
	assert_string_equal(s->drops.items[0].reason, "SOCKET_RCVBUFF");
	assert_int_equal(s->drops.items[0].packets, 100);
	assert_int_equal(s->drops.items[0].bytes, 5000);
	assert_int_equal(s->drops.items[0].first_ns, 901);
	assert_int_equal(s->drops.items[1].last_ns, 1100);
	assert_int_equal(s->shared_by, 100);
	assert_true(s->dual_stack);
	assert_int_equal(s->books.drops.observed, 198);
	assert_int_equal(s->books.drops.expected, 199);
	assert_int_equal(s->books.drops.nr, 99);
	assert_int_equal(s->books.drops.nr_failed, 1);
	assert_int_equal(s->books.drops.nr_unknown, 1);
	assert_int_equal(s->books.sent.nr, 0);
	assert_string_equal(s->books.why_unknown, "why");
	process_free(&p);
}

/* --- drops ----------------------------------------------------------------------------------- */

static void test_drops_are_kept_in_order_and_once(void **state)
{
	static const char *const places[] = {NULL, "a", "b"};
	static const char *const reasons[] = {"NO_SOCKET", "OTHER"};
	struct drops d = {0}, copy = {0};
	uint64_t seed = 3;

	(void)state;
	for (int i = 0; i < 600; i++)
		drops_get(&d, reasons[next_random(&seed) % 2], places[next_random(&seed) % 3])
			->packets++;
	assert_int_equal(d.nr, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(d.items[i].reason, reasons[i / 3]);
		if (places[i % 3])
			assert_string_equal(d.items[i].where, places[i % 3]);
		else
			assert_null(d.items[i].where);
		assert_int_equal(d.items[i].first_ns, METRIC_UNKNOWN);
		assert_int_equal(d.items[i].last_ns, METRIC_UNKNOWN);
	}
	drops_merge(&copy, &d);
	drops_merge(&copy, &d);
	assert_int_equal(copy.nr, 6);
	assert_int_equal(copy.items[4].packets, 2 * d.items[4].packets);
	drops_free(&d);
	drops_free(&copy);
	assert_int_equal(d.nr, 0);
}

static void test_bytes_of_drops_are_known_if_all_of_them_are(void **state)
{
	struct drops all = {0}, some = {0}, none = {0};
	struct drop *d;

	(void)state;
	d = drops_get(&some, "A", NULL);
	d->packets = 2;
	d->bytes = 100;
	d->first_ns = 5;
	d = drops_get(&none, "A", NULL);
	d->packets = 3;
	d->bytes = METRIC_UNKNOWN;
	drops_merge(&all, &none);
	assert_int_equal(all.items[0].bytes, METRIC_UNKNOWN);
	drops_merge(&all, &some);
	assert_int_equal(all.items[0].packets, 5);
	assert_int_equal(all.items[0].bytes, METRIC_UNKNOWN);
	assert_int_equal(all.items[0].first_ns, 5);
	drops_free(&all);
	drops_merge(&all, &some);
	drops_merge(&all, &some);
	assert_int_equal(all.items[0].bytes, 200);
	drops_free(&all);
	drops_free(&some);
	drops_free(&none);
}

/* --- copies and order ------------------------------------------------------------------------ */

static void test_a_copy_goes_on_by_itself(void **state)
{
	struct process p = {0}, copy;

	(void)state;
	for (unsigned int i = 1; i <= 70; i++)
		add_accepted(&p, "10.0.0.1:80", i);
	drops_get(&p.sockets[0].drops, "OTHER", NULL)->packets = 5;
	process_copy(&copy, &p);
	for (unsigned int i = 1; i <= 30; i++)
		add_accepted(&copy, "10.0.0.1:80", i);
	add_accepted(&copy, "10.0.0.2:80", 1);
	finish(&copy);
	process_free(&p);
	assert_int_equal(copy.nr_sockets, 2);
	assert_int_equal(copy.sockets[0].connections, 100);
	assert_int_equal(copy.sockets[0].spreads[SPREAD_lifetime].count, 100);
	assert_int_equal(copy.sockets[0].drops.items[0].packets, 5);
	process_free(&copy);
}

static void test_moving_takes_all_sockets_along(void **state)
{
	struct process from = {0}, into = {0};

	(void)state;
	for (unsigned int i = 1; i <= 100; i++) {
		add_accepted(&from, i % 2 ? "10.0.0.1:80" : "10.0.0.1:81", i);
		add_accepted(&into, "10.0.0.1:80", i);
	}
	process_move_sockets(&into, &from);
	assert_int_equal(from.nr_sockets, 0);
	assert_int_equal(folded(&into)->connections, 150);
	assert_int_equal(into.nr_sockets, 51);
	add_accepted(&from, "10.0.0.1:80", 1); /* still of use */
	process_free(&from);
	process_free(&into);
}

static void test_the_busiest_comes_first(void **state)
{
	static const struct {
		const char *local;
		uint64_t sent, received, calls;
	} rows[] = {
		{"10.0.0.1:5", 0, 900, 1},
		{"10.0.0.1:4", 400, 400, 1},
		{"10.0.0.1:3", 5, 0, 9},
		{"10.0.0.1:1", 5, 0, 2},
		{"10.0.0.1:2", 5, 0, 2},
		{"10.0.0.1:0", METRIC_UNKNOWN, METRIC_UNKNOWN, METRIC_UNKNOWN},
	};
	struct process p = {0};

	(void)state;
	for (size_t i = ARRAY_SIZE(rows); i--;) {
		struct socket s = open_one(rows[i].local);

		s.stats.send_bytes = rows[i].sent;
		s.stats.receive_bytes = rows[i].received;
		s.stats.send_calls = rows[i].calls;
		process_add_socket(&p, &s);
	}
	finish(&p);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(p.sockets[i].local, rows[i].local);
	process_free(&p);
}

static void test_groups_of_a_protocol_are_of_no_other(void **state)
{
	static const char *const protocols[] = {"tcp", "udp", "unix-stream", "raw"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		const struct socket s = {.protocol = protocols[i]};

		for (size_t k = 0; k < nr_socket_metrics; k++) {
			const char *group = socket_metrics[k].group;
			bool is_general = !strcmp(group, "send") || !strcmp(group, "receive");

			assert_int_equal(socket_has_metric(&s, &socket_metrics[k]),
					 is_general || !strcmp(group, protocols[i]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sixty_four_connections_stand_by_themselves),
		cmocka_unit_test(test_the_sixty_fifth_folds_them_all),
		cmocka_unit_test(test_connections_that_came_from_here_fold_by_peer),
		cmocka_unit_test(test_only_what_has_the_same_key_is_folded),
		cmocka_unit_test(test_sockets_without_a_role_fold_whatever_their_addresses),
		cmocka_unit_test(test_open_sockets_are_never_folded),
		cmocka_unit_test(test_further_keys_are_folded_into_the_rest),
		cmocka_unit_test(test_the_rows_of_one_process_are_bounded),
		cmocka_unit_test(test_nothing_is_lost_or_mixed_up_by_folding),
		cmocka_unit_test(test_busy_keys_take_no_room_from_the_others),
		cmocka_unit_test(test_a_hundred_thousand_connections_take_less_than_a_second),
		cmocka_unit_test(test_every_metric_of_a_socket_merges_by_its_kind),
		cmocka_unit_test(test_a_total_is_known_if_all_of_it_is),
		cmocka_unit_test(test_what_one_connection_does_not_know_another_does),
		cmocka_unit_test(test_durations_become_percentiles),
		cmocka_unit_test(test_drops_and_books_are_summed),
		cmocka_unit_test(test_drops_are_kept_in_order_and_once),
		cmocka_unit_test(test_bytes_of_drops_are_known_if_all_of_them_are),
		cmocka_unit_test(test_a_copy_goes_on_by_itself),
		cmocka_unit_test(test_moving_takes_all_sockets_along),
		cmocka_unit_test(test_the_busiest_comes_first),
		cmocka_unit_test(test_groups_of_a_protocol_are_of_no_other),
	};

	return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
