// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

/* The percentile of a histogram that holds @ns once, and knows neither shortest nor longest. */
static uint64_t middle_of(uint64_t ns)
{
	struct histogram h = {0};
	uint64_t middle;

	hist_add(&h, hist_index(ns), 1);
	middle = hist_percentile(&h, 500, METRIC_UNKNOWN, METRIC_UNKNOWN);
	free(h.buckets);
	return middle;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* At most 6.25 % = 1/16 from 16 ns on; below, buckets are 2 ns wide. */
static void assert_close(uint64_t ns)
{
	uint64_t error = apart(middle_of(ns), ns);

	if (ns < 16 ? error > 1 : error * 16 > ns)
		fail_msg("%ju ns is shown as %ju ns", (uintmax_t)ns, (uintmax_t)middle_of(ns));
}

static void test_buckets_cover_every_duration_once(void **state)
{
	(void)state;
	assert_int_equal(hist_low(0), 0);
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		assert_int_equal(hist_index(hist_low(i)), i);
		assert_int_equal(hist_index(hist_high(i) - 1), i);
		if (i + 1 < HIST_BUCKETS)
			assert_int_equal(hist_high(i), hist_low(i + 1));
	}
}

static void test_every_bucket_is_within_6_25_percent(void **state)
{
	(void)state;
	for (uint32_t i = 0; i + 1 < HIST_BUCKETS; i++) {
		assert_close(hist_low(i));
		assert_close(hist_high(i) - 1);
	}
	assert_close(hist_low(HIST_BUCKETS - 1));
	assert_close((1ull << 52) - 1);
}

static void test_any_duration_is_within_6_25_percent(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (int i = 0; i < 300000; i++)
		assert_close(next_random(&seed) >> (12 + i % 48));
}

static void test_durations_beyond_the_last_octave_count_in_the_last_bucket(void **state)
{
	struct histogram h = {0};

	(void)state;
	assert_int_equal(hist_low(HIST_BUCKETS - 8), 1ull << 51);
	assert_int_equal(hist_index(1ull << 52), HIST_BUCKETS - 1);
	assert_int_equal(hist_index(UINT64_MAX), HIST_BUCKETS - 1);
	assert_int_equal(hist_high(HIST_BUCKETS - 1), UINT64_MAX);
	hist_add(&h, hist_index(1ull << 60), 1);
	assert_int_equal(hist_percentile(&h, 500, 1ull << 60, 1ull << 60), 1ull << 60);
	free(h.buckets);
}

static void test_buckets_stay_sorted_and_keep_every_count(void **state)
{
	uint64_t reference[HIST_BUCKETS] = {0}, total = 0, seed = 7;
	struct histogram h = {0};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint32_t index = next_random(&seed) % HIST_BUCKETS;
		uint64_t count = next_random(&seed) % 5;

		hist_add(&h, index, count);
		reference[index] += count;
		total += count;
	}
	assert_int_equal(hist_count(&h), total);
	for (size_t i = 0; i < h.nr; i++) {
		assert_true(!i || h.buckets[i - 1].index < h.buckets[i].index);
		assert_true(h.buckets[i].count > 0);
		assert_int_equal(h.buckets[i].count, reference[h.buckets[i].index]);
		reference[h.buckets[i].index] = 0;
	}
	for (size_t i = 0; i < HIST_BUCKETS; i++)
		assert_int_equal(reference[i], 0);
	free(h.buckets);
}

static void test_merging_adds_bucket_by_bucket(void **state)
{
	struct histogram a = {0}, b = {0};

	(void)state;
	hist_add(&a, 10, 1);
	hist_add(&a, 30, 2);
	hist_add(&b, 30, 3);
	hist_add(&b, 20, 4);
	hist_merge(&a, &b);
	assert_int_equal(a.nr, 3);
	assert_int_equal(a.buckets[0].count, 1);
	assert_int_equal(a.buckets[1].index, 20);
	assert_int_equal(a.buckets[1].count, 4);
	assert_int_equal(a.buckets[2].count, 5);
	assert_int_equal(b.nr, 2);
	free(a.buckets);
	free(b.buckets);
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Compares with the duration that has the nearest rank in the sorted list itself. */
static void check_percentiles(uint64_t *durations, size_t nr)
{
	static const unsigned int permilles[] = {1, 500, 900, 990, 999, 1000};
	struct histogram h = {0};

	for (size_t i = 0; i < nr; i++)
		hist_add(&h, hist_index(durations[i]), 1);
	qsort(durations, nr, sizeof(*durations), compare_ns);
	for (size_t i = 0; i < ARRAY_SIZE(permilles); i++) {
		uint64_t exact = durations[(nr * permilles[i] + 999) / 1000 - 1];
		uint64_t shown = hist_percentile(&h, permilles[i], durations[0], durations[nr - 1]);

		assert_true(shown >= durations[0] && shown <= durations[nr - 1]);
		if (apart(shown, exact) * 16 > (exact < 16 ? 16 : exact))
			fail_msg("%u permille of %zu: %ju, not %ju", permilles[i], nr,
				 (uintmax_t)shown, (uintmax_t)exact);
	}
	free(h.buckets);
}

static void test_percentiles_agree_with_a_sorted_list(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 9, 10, 99, 100, 999, 1000, 1001, 5000};
	uint64_t seed = 3, *durations;

	(void)state;
	for (int round = 0; round < 40; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			durations = calloc(sizes[i], sizeof(*durations));
			for (size_t k = 0; k < sizes[i]; k++)
				durations[k] = next_random(&seed) >> (12 + next_random(&seed) % 52);
			check_percentiles(durations, sizes[i]);
			free(durations);
		}
	}
}

static void test_percentiles_stay_between_shortest_and_longest(void **state)
{
	struct histogram h = {0};

	(void)state;
	hist_add(&h, hist_index(1000), 3); /* [960, 1024), middle 992 */
	assert_int_equal(hist_percentile(&h, 500, 960, 1023), 992);
	assert_int_equal(hist_percentile(&h, 500, 1000, 1023), 1000);
	assert_int_equal(hist_percentile(&h, 500, 960, 970), 970);
	assert_int_equal(hist_percentile(&h, 500, METRIC_UNKNOWN, METRIC_UNKNOWN), 992);
	free(h.buckets);
}

static void test_percentiles_of_nothing_are_unknown(void **state)
{
	struct histogram h = {0};

	(void)state;
	assert_int_equal(hist_percentile(&h, 500, 0, 0), METRIC_UNKNOWN);
}

static void test_percentiles_of_huge_counts_do_not_overflow(void **state)
{
	struct histogram h = {0};

	(void)state;
	hist_add(&h, 100, 1ull << 62);
	hist_add(&h, 200, 1ull << 62);
	assert_int_equal(hist_percentile(&h, 500, METRIC_UNKNOWN, METRIC_UNKNOWN),
			 (hist_low(100) + hist_high(100)) / 2);
	assert_int_equal(hist_percentile(&h, 501, METRIC_UNKNOWN, METRIC_UNKNOWN),
			 (hist_low(200) + hist_high(200)) / 2);
	free(h.buckets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_cover_every_duration_once),
		cmocka_unit_test(test_every_bucket_is_within_6_25_percent),
		cmocka_unit_test(test_any_duration_is_within_6_25_percent),
		cmocka_unit_test(test_durations_beyond_the_last_octave_count_in_the_last_bucket),
		cmocka_unit_test(test_buckets_stay_sorted_and_keep_every_count),
		cmocka_unit_test(test_merging_adds_bucket_by_bucket),
		cmocka_unit_test(test_percentiles_agree_with_a_sorted_list),
		cmocka_unit_test(test_percentiles_stay_between_shortest_and_longest),
		cmocka_unit_test(test_percentiles_of_nothing_are_unknown),
		cmocka_unit_test(test_percentiles_of_huge_counts_do_not_overflow),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
