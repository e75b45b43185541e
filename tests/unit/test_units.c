// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include "base/units.h"

struct sample {
	uint64_t value;
	const char *text;
};

static void check(const char *(*format)(uint64_t, char *), const struct sample *samples, size_t nr)
{
	char buf[UNITS_TEXT_LEN];

	for (size_t i = 0; i < nr; i++) {
		assert_ptr_equal(format(samples[i].value, buf), buf);
		assert_string_equal(buf, samples[i].text);
	}
}

static void test_times_have_three_significant_digits(void **state)
{
	static const struct sample samples[] = {
		{0, "0 ns"},
		{1, "1 ns"},
		{999, "999 ns"},
		{1000, "1.00 µs"},
		{1234, "1.23 µs"},
		{1235, "1.24 µs"},
		{9994, "9.99 µs"},
		{9995, "10.0 µs"},
		{99949, "99.9 µs"},
		{99950, "100 µs"},
		{999499, "999 µs"},
		{999500, "1.00 ms"},
		{999999, "1.00 ms"},
		{45600000, "45.6 ms"},
		{12300000000, "12.3 s"},
		{999999999999, "1,000 s"},
		{1234567890123456, "1,234,568 s"},
		{UINT64_MAX - 1, "18,446,744,074 s"},
		{UINT64_MAX, "-"},
	};

	(void)state;
	check(units_ns, samples, ARRAY_SIZE(samples));
}

static void test_sizes_have_three_significant_digits(void **state)
{
	static const struct sample samples[] = {
		{0, "0 B"},
		{512, "512 B"},
		{1023, "1,023 B"},
		{1024, "1.00 KiB"},
		{1536, "1.50 KiB"},
		{10239, "10.0 KiB"},
		{1023 * 1024, "1,023 KiB"},
		{1024 * 1024 - 1, "1.00 MiB"},
		{1024 * 1024, "1.00 MiB"},
		{5ull << 40, "5.00 TiB"},
		{1ull << 60, "1.00 EiB"},
		{UINT64_MAX - 1, "16.0 EiB"},
		{UINT64_MAX, "-"},
	};

	(void)state;
	check(units_bytes, samples, ARRAY_SIZE(samples));
}

static void test_counts_are_exact_and_grouped(void **state)
{
	static const struct sample samples[] = {
		{0, "0"},
		{999, "999"},
		{1000, "1,000"},
		{1234567, "1,234,567"},
		{UINT64_MAX - 1, "18,446,744,073,709,551,614"},
		{UINT64_MAX, "-"},
	};

	(void)state;
	check(units_count, samples, ARRAY_SIZE(samples));
}

static void test_shares_have_one_decimal(void **state)
{
	char buf[UNITS_TEXT_LEN];

	(void)state;
	assert_string_equal(units_percent(0, 10, buf), "0.0%");
	assert_string_equal(units_percent(1, 8, buf), "12.5%");
	assert_string_equal(units_percent(10, 10, buf), "100.0%");
	assert_string_equal(units_percent(1, 1000000, buf), "<0.1%");
	assert_string_equal(units_percent(1, 1000, buf), "0.1%");
	assert_string_equal(units_percent(1, 0, buf), "-");
	assert_string_equal(units_percent(UINT64_MAX, 5, buf), "-");
	assert_string_equal(units_percent(5, UINT64_MAX, buf), "-");
	assert_string_equal(units_percent(30, 10, buf), "300.0%");
	assert_string_equal(units_percent(99999, 100, buf), "99,999.0%");
	assert_string_equal(units_percent(UINT64_MAX - 1, 1, buf), ">99,999%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times_have_three_significant_digits),
		cmocka_unit_test(test_sizes_have_three_significant_digits),
		cmocka_unit_test(test_counts_are_exact_and_grouped),
		cmocka_unit_test(test_shares_have_one_decimal),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
