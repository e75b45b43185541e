// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include "model/overflows.h"

static const struct listen_evidence none = {.is_counted = true};

static void test_nothing_overflows_where_the_namespace_has_none(void **state)
{
	struct listen_evidence e = none;

	(void)state;
	e.counter = 20;
	e.drops = 7;
	assert_int_equal(listen_overflows(&e), 0);
	e.seen_most = 100;
	assert_int_equal(listen_overflows(&e), 0);
}

static void test_nothing_overflows_where_the_listener_dropped_nothing(void **state)
{
	struct listen_evidence e = none;

	(void)state;
	e.overflows = e.drops = 9;
	assert_int_equal(listen_overflows(&e), 0);
	e.is_counted = false;
	assert_int_equal(listen_overflows(&e), 0);
	e.counter = 1;
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
}

/* All listen drops of the namespace are overflows: 12 here, and 8 packets seen. */
static void test_its_listen_drops_are_overflows_where_all_are(void **state)
{
	struct listen_evidence e = {20, 8, 8, 30, 30, true, false};

	(void)state;
	assert_int_equal(listen_overflows(&e), 12);
	e.seen_least = 7; /* one of those seen may not be in the counter */
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
}

/* It has all listen drops of the namespace, which not all are overflows. */
static void test_all_overflows_are_its_own_where_all_listen_drops_are(void **state)
{
	struct listen_evidence e = {20, 8, 8, 5, 12, true, false};

	(void)state;
	assert_int_equal(listen_overflows(&e), 5);
	e.drops = 13; /* another listener has one, which may be an overflow or not */
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
}

static void test_without_names_of_drops_one_listener_alone_has_all(void **state)
{
	struct listen_evidence e = {20, 0, 20, 5, 12, true, false};

	(void)state;
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
	e.is_alone = true;
	assert_int_equal(listen_overflows(&e), 5);
}

static void test_counts_that_contradict_each_other_give_nothing(void **state)
{
	struct listen_evidence e = {20, 21, 21, 5, 12, true, false};

	(void)state;
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
	e = (struct listen_evidence){20, 0, 0, 5, 12, true, false};
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
	e = (struct listen_evidence){4, 0, 4, 5, 12, true, true};
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
	e = (struct listen_evidence){12, 0, 0, 13, 12, true, false};
	assert_int_equal(listen_overflows(&e), METRIC_UNKNOWN);
}

/*
 * Whatever two listeners did, a figure that is given is the truth: of each, overflows, other listen
 * drops, and packets seen of which some may not be counted.
 */
static void test_a_figure_is_true_or_there_is_none(void **state)
{
	unsigned int known = 0;

	(void)state;
	for (unsigned int i = 0; i < 4 * 4 * 4 * 4 * 4 * 4; i++) {
		uint64_t mine = i % 4, other = i / 4 % 4, drops = i / 16 % 4, theirs = i / 64 % 4;
		uint64_t seen = i / 256 % 4, doubtful = i / 1024 % 4, figure;
		struct listen_evidence e = {
			.counter = mine + drops + seen,
			.seen_least = seen > doubtful ? seen - doubtful : 0,
			.seen_most = seen + doubtful,
			.overflows = mine + other,
			.drops = mine + other + drops + theirs,
			.is_counted = true,
			.is_alone = !other && !theirs && i % 3,
		};

		figure = listen_overflows(&e);
		if (figure == METRIC_UNKNOWN)
			continue;
		known++;
		assert_int_equal(figure, mine);
	}
	assert_true(known > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_overflows_where_the_namespace_has_none),
		cmocka_unit_test(test_nothing_overflows_where_the_listener_dropped_nothing),
		cmocka_unit_test(test_its_listen_drops_are_overflows_where_all_are),
		cmocka_unit_test(test_all_overflows_are_its_own_where_all_listen_drops_are),
		cmocka_unit_test(test_without_names_of_drops_one_listener_alone_has_all),
		cmocka_unit_test(test_counts_that_contradict_each_other_give_nothing),
		cmocka_unit_test(test_a_figure_is_true_or_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
