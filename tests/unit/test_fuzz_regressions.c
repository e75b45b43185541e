// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Inputs that the fuzz targets (tests/fuzz) found, made as small as they go. */
#include "helpers.h"

#include <errno.h>

#include "base/parse.h"

#define NS_PER_S 1000000000ULL

static void leading_zeros_do_not_make_seconds_too_large(void **state)
{
	uint64_t ns = 0;

	(void)state;
	assert_int_equal(parse_seconds("0000000000001", &ns), 0);
	assert_int_equal(ns, NS_PER_S);
	assert_int_equal(parse_seconds("0000000000000.5", &ns), 0);
	assert_int_equal(ns, NS_PER_S / 2);
}

static void ten_years_and_a_fraction_are_too_long(void **state)
{
	uint64_t ns = 1;

	(void)state;
	assert_int_equal(parse_seconds("316224000.000000001", &ns), -ERANGE);
	assert_int_equal(parse_seconds("99999999999999999999999999", &ns), -ERANGE);
	assert_int_equal(ns, 1);
	assert_int_equal(parse_seconds("316224000.0000000009", &ns), 0);
	assert_int_equal(ns, 316224000 * NS_PER_S);
}

static void what_is_not_a_number_is_said_to_be_none_however_long(void **state)
{
	uint64_t ns = 1;

	(void)state;
	assert_int_equal(parse_seconds("9999999999999x", &ns), -EINVAL);
	assert_int_equal(parse_seconds("9999999999999.", &ns), -EINVAL);
	assert_int_equal(ns, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leading_zeros_do_not_make_seconds_too_large),
		cmocka_unit_test(ten_years_and_a_fraction_are_too_long),
		cmocka_unit_test(what_is_not_a_number_is_said_to_be_none_however_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
