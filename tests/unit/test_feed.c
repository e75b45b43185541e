// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include "workload/feed.h"
#include "workload/workload.h"

#define MESSAGES 200000

/* --- the flow ------------------------------------------------------------------------------ */

static void test_a_seed_gives_one_flow(void **state)
{
	static struct feed_flow a, b, other;
	struct feed_message x, y, z;
	unsigned int nr_same = 0;

	(void)state;
	feed_flow_start(&a, 42);
	feed_flow_start(&b, 42);
	feed_flow_start(&other, 43);
	for (int i = 0; i < 1000; i++) {
		feed_flow_next(&a, &x);
		feed_flow_next(&b, &y);
		feed_flow_next(&other, &z);
		assert_memory_equal(&x, &y, sizeof(x));
		nr_same += !memcmp(&x, &z, sizeof(x));
	}
	assert_true(nr_same < 100);
}

/* What a subscriber that keeps a book would know of an order. */
struct book_order {
	uint32_t left, price;
	uint16_t symbol;
	uint8_t side;
};

static void apply(struct book_order *book, uint64_t *last_order, const struct feed_message *m)
{
	struct book_order *o = &book[m->order];

	assert_true(m->quantity > 0);
	assert_true(m->symbol < FEED_SYMBOLS);
	if (m->kind == FEED_ADD) {
		assert_int_equal(m->order, ++*last_order);
		assert_true(m->side == 'B' || m->side == 'S');
		assert_in_range(m->price, 1, INT32_MAX);
		*o = (struct book_order){m->quantity, m->price, m->symbol, m->side};
		return;
	}
	assert_in_range(m->order, 1, *last_order);
	assert_int_equal(m->price, o->price);
	assert_int_equal(m->symbol, o->symbol);
	assert_int_equal(m->side, o->side);
	if (m->kind == FEED_CANCEL)
		assert_int_equal(m->quantity, o->left);
	else
		assert_int_equal(m->kind, FEED_EXECUTE);
	assert_in_range(m->quantity, 1, o->left);
	o->left -= m->quantity;
}

static void test_each_message_fits_the_book_that_the_earlier_ones_made(void **state)
{
	struct book_order *book = calloc(MESSAGES + 1, sizeof(*book));
	unsigned int nr_of[256] = {};
	static struct feed_flow f;
	uint64_t last_order = 0;
	struct feed_message m;

	(void)state;
	assert_non_null(book);
	feed_flow_start(&f, 7);
	for (uint64_t i = 1; i <= MESSAGES; i++) {
		feed_flow_next(&f, &m);
		assert_int_equal(m.sequence, i);
		assert_int_equal(m.magic, FEED_MAGIC);
		apply(book, &last_order, &m);
		nr_of[m.kind]++;
	}
	/* A market's mix: most orders are cancelled, some are filled. */
	assert_in_range(nr_of[FEED_ADD], MESSAGES * 44 / 100, MESSAGES * 52 / 100);
	assert_in_range(nr_of[FEED_EXECUTE], MESSAGES * 10 / 100, MESSAGES * 14 / 100);
	assert_in_range(nr_of[FEED_CANCEL], MESSAGES * 36 / 100, MESSAGES * 46 / 100);
	free(book);
}

/* --- the message --------------------------------------------------------------------------- */

static void test_the_checksum_covers_every_bit_and_the_seed(void **state)
{
	static struct feed_flow f;
	struct feed_message m;
	uint64_t sum;

	(void)state;
	feed_flow_start(&f, 1);
	feed_flow_next(&f, &m);
	m.sent_ns = 123456789;
	sum = m.checksum = feed_checksum(&m, 1);
	assert_int_equal(feed_checksum(&m, 1), sum); /* not of itself */
	assert_int_not_equal(feed_checksum(&m, 2), sum);
	for (size_t bit = 0; bit < 8 * sizeof(m); bit++) {
		unsigned char *byte = (unsigned char *)&m + bit / 8;

		if (bit / 64 == offsetof(struct feed_message, checksum) / 8)
			continue;
		*byte ^= 1 << bit % 8;
		assert_int_not_equal(feed_checksum(&m, 1), sum);
		*byte ^= 1 << bit % 8;
	}
}

static void test_padding_is_known_from_the_seed(void **state)
{
	unsigned char a[1000], b[1000], other[1000];

	(void)state;
	feed_padding(a, sizeof(a), 5);
	feed_padding(b, sizeof(b), 5);
	feed_padding(other, sizeof(other), 6);
	assert_memory_equal(a, b, sizeof(a));
	assert_memory_not_equal(a, other, sizeof(a));
}

/* --- the sequence -------------------------------------------------------------------------- */

static void note_range(struct feed_sequence *s, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i <= to; i++)
		assert_true(feed_sequence_note(s, i));
}

static void check(const struct feed_sequence *s, uint64_t gaps, uint64_t duplicates,
		  uint64_t out_of_order)
{
	assert_int_equal(feed_sequence_gaps(s), gaps);
	assert_int_equal(s->duplicates, duplicates);
	assert_int_equal(s->out_of_order, out_of_order);
}

static void test_what_is_missing_between_is_a_gap(void **state)
{
	struct feed_sequence s = {};

	(void)state;
	check(&s, 0, 0, 0);
	note_range(&s, 1, 10);
	check(&s, 0, 0, 0);
	note_range(&s, 14, 20);
	check(&s, 3, 0, 0);
}

static void test_a_lost_beginning_is_a_gap(void **state)
{
	struct feed_sequence s = {};

	(void)state;
	note_range(&s, 5, 6);
	check(&s, 4, 0, 0);
}

static void test_a_late_message_closes_its_gap(void **state)
{
	struct feed_sequence s = {};

	(void)state;
	note_range(&s, 1, 3);
	note_range(&s, 6, 6);
	note_range(&s, 4, 4);
	check(&s, 1, 0, 1);
	note_range(&s, 5, 5);
	check(&s, 0, 0, 2);
}

static void test_a_message_that_comes_again_is_a_duplicate(void **state)
{
	struct feed_sequence s = {};

	(void)state;
	note_range(&s, 1, 5);
	note_range(&s, 5, 5);
	note_range(&s, 2, 2);
	check(&s, 0, 2, 0);
	note_range(&s, 8, 8);
	note_range(&s, 7, 7);
	note_range(&s, 7, 7);
	check(&s, 1, 3, 1);
}

static void test_the_window_is_kept_over_long_gaps(void **state)
{
	static const uint64_t jumps[] = {2, FEED_WINDOW - 1, FEED_WINDOW, FEED_WINDOW + 1,
					 5 * FEED_WINDOW + 3};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct feed_sequence s = {};
		uint64_t at = FEED_WINDOW + jumps[i];

		note_range(&s, 1, FEED_WINDOW);
		note_range(&s, at, at);
		check(&s, jumps[i] - 1, 0, 0);
		note_range(&s, at - 1, at - 1); /* new, whatever had its place before */
		check(&s, jumps[i] - 2, 0, 1);
		note_range(&s, at, at);
		check(&s, jumps[i] - 2, 1, 1);
	}
}

static void test_what_is_too_late_to_tell_is_not_counted(void **state)
{
	struct feed_sequence s = {};

	(void)state;
	assert_false(feed_sequence_note(&s, 0));
	note_range(&s, FEED_WINDOW + 1, FEED_WINDOW + 1);
	assert_false(feed_sequence_note(&s, 1));
	check(&s, FEED_WINDOW, 0, 0);
	note_range(&s, 2, 2);
	check(&s, FEED_WINDOW - 1, 0, 1);
}

/* --- the table ----------------------------------------------------------------------------- */

static void test_defaults_are_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < workload_feed.nr_options; i++) {
		const struct workload_option *o = &workload_feed.options[i];
		uint64_t value;

		assert_int_equal(workload_option_parse(o, o->fallback, &value), 0);
	}
}

static void test_the_default_size_is_the_natural_one(void **state)
{
	size_t i = workload_option_index(&workload_feed, "size");
	uint64_t value;

	(void)state;
	assert_int_equal(workload_option_parse(&workload_feed.options[i],
					       workload_feed.options[i].fallback, &value),
			 0);
	assert_int_equal(value, FEED_MESSAGE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seed_gives_one_flow),
		cmocka_unit_test(test_each_message_fits_the_book_that_the_earlier_ones_made),
		cmocka_unit_test(test_the_checksum_covers_every_bit_and_the_seed),
		cmocka_unit_test(test_padding_is_known_from_the_seed),
		cmocka_unit_test(test_what_is_missing_between_is_a_gap),
		cmocka_unit_test(test_a_lost_beginning_is_a_gap),
		cmocka_unit_test(test_a_late_message_closes_its_gap),
		cmocka_unit_test(test_a_message_that_comes_again_is_a_duplicate),
		cmocka_unit_test(test_the_window_is_kept_over_long_gaps),
		cmocka_unit_test(test_what_is_too_late_to_tell_is_not_counted),
		cmocka_unit_test(test_defaults_are_values),
		cmocka_unit_test(test_the_default_size_is_the_natural_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
