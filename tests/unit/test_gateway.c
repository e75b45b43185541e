// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"
#include "workload/gateway_flow.h"
#include "workload/gateway_session.h"

struct desk {
	struct engine *engine;
	struct order_owner a, b;
};

static int open_desk(void **state)
{
	struct desk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->engine = engine_new(8);
	d->a.number = 1;
	d->b.number = 2;
	*state = d;
	return 0;
}

static int close_desk(void **state)
{
	struct desk *d = *state;

	assert_null(engine_check(d->engine));
	engine_leave(d->engine, &d->a);
	engine_leave(d->engine, &d->b);
	assert_null(engine_check(d->engine));
	assert_int_equal(engine_resting(d->engine), 0);
	engine_free(d->engine);
	free(d);
	return 0;
}

static struct request limit(uint64_t id, enum order_side side, uint32_t quantity, uint32_t price)
{
	return (struct request){
		.header = {.length = sizeof(struct request),
			   .magic = FRAME_MAGIC,
			   .version = FRAME_VERSION,
			   .type = FRAME_NEW,
			   .sequence = 1},
		.side = side,
		.kind = KIND_LIMIT,
		.id = id,
		.quantity = quantity,
		.price = price,
	};
}

static struct request market(uint64_t id, enum order_side side, uint32_t quantity)
{
	struct request r = limit(id, side, quantity, 0);

	r.kind = KIND_MARKET;
	return r;
}

static struct request cancel_of(uint64_t id)
{
	struct request r = limit(id, SIDE_BUY, 0, 0);

	r.header.type = FRAME_CANCEL;
	return r;
}

static struct reply execute(struct desk *d, struct order_owner *owner, struct request r)
{
	struct reply reply;

	engine_execute(d->engine, owner, &r, &reply);
	assert_int_equal(reply.id, r.id);
	assert_int_equal(reply.header.length, sizeof(reply));
	assert_int_equal(reply.header.sequence, r.header.sequence);
	return reply;
}

static void assert_accepted(struct reply r, uint32_t filled, uint32_t remaining, bool is_resting)
{
	assert_int_equal(r.header.type, FRAME_ACCEPTED);
	assert_int_equal(r.filled, filled);
	assert_int_equal(r.remaining, remaining);
	assert_int_equal(r.is_resting, is_resting);
}

static void assert_cancelled(struct reply r, uint32_t filled, uint32_t remaining)
{
	assert_int_equal(r.header.type, FRAME_CANCELLED);
	assert_int_equal(r.filled, filled);
	assert_int_equal(r.remaining, remaining);
}

static void assert_rejected(struct reply r, enum reject_reason reason)
{
	assert_int_equal(r.header.type, FRAME_REJECTED);
	assert_int_equal(r.reason, reason);
}

/* --- engine ---------------------------------------------------------------------------------- */

static void test_better_prices_trade_first_then_older_orders(void **state)
{
	struct desk *d = *state;

	execute(d, &d->a, limit(1, SIDE_SELL, 10, 102));
	execute(d, &d->a, limit(2, SIDE_SELL, 10, 101));
	execute(d, &d->a, limit(3, SIDE_SELL, 10, 101));
	execute(d, &d->a, limit(4, SIDE_SELL, 10, 2000));
	assert_accepted(execute(d, &d->b, limit(1, SIDE_BUY, 15, 102)), 15, 0, false);
	assert_rejected(execute(d, &d->a, cancel_of(2)), REASON_UNKNOWN_ORDER);
	assert_cancelled(execute(d, &d->a, cancel_of(3)), 5, 5);
	assert_cancelled(execute(d, &d->a, cancel_of(1)), 0, 10);
	assert_cancelled(execute(d, &d->a, cancel_of(4)), 0, 10);
	assert_int_equal(engine_totals(d->engine)->fills, 2);
	assert_int_equal(engine_totals(d->engine)->bought, 15);
}

static void test_the_same_holds_for_buyers(void **state)
{
	struct desk *d = *state;

	execute(d, &d->a, limit(1, SIDE_BUY, 10, 100));
	execute(d, &d->a, limit(2, SIDE_BUY, 10, MAX_PRICE));
	execute(d, &d->a, limit(3, SIDE_BUY, 10, 1));
	assert_accepted(execute(d, &d->b, limit(1, SIDE_SELL, 11, 100)), 11, 0, false);
	assert_rejected(execute(d, &d->a, cancel_of(2)), REASON_UNKNOWN_ORDER);
	assert_cancelled(execute(d, &d->a, cancel_of(1)), 1, 9);
	assert_cancelled(execute(d, &d->a, cancel_of(3)), 0, 10);
}

static void test_a_limit_order_rests_with_what_its_price_does_not_fill(void **state)
{
	struct desk *d = *state;

	execute(d, &d->a, limit(1, SIDE_SELL, 10, 101));
	execute(d, &d->a, limit(2, SIDE_SELL, 10, 102));
	assert_accepted(execute(d, &d->b, limit(1, SIDE_BUY, 15, 101)), 10, 5, true);
	assert_accepted(execute(d, &d->a, limit(3, SIDE_SELL, 2, 101)), 2, 0, false);
	assert_cancelled(execute(d, &d->b, cancel_of(1)), 12, 3);
	assert_int_equal(engine_resting(d->engine), 10);
}

static void test_a_market_order_never_rests(void **state)
{
	struct desk *d = *state;

	assert_accepted(execute(d, &d->a, market(1, SIDE_BUY, 5)), 0, 5, false);
	execute(d, &d->a, limit(2, SIDE_SELL, 3, MAX_PRICE));
	assert_accepted(execute(d, &d->b, market(1, SIDE_BUY, 5)), 3, 2, false);
	assert_rejected(execute(d, &d->b, cancel_of(1)), REASON_UNKNOWN_ORDER);
	assert_int_equal(engine_totals(d->engine)->lapsed, 7);
	assert_int_equal(engine_resting(d->engine), 0);
}

static void test_symbols_do_not_trade_with_each_other(void **state)
{
	struct desk *d = *state;
	struct request other = limit(1, SIDE_BUY, 5, 100);

	other.symbol = NR_SYMBOLS - 1;
	execute(d, &d->a, limit(1, SIDE_SELL, 5, 100));
	assert_accepted(execute(d, &d->b, other), 0, 5, true);
}

static void test_what_cannot_be_done_is_rejected_with_its_reason(void **state)
{
	struct desk *d = *state;
	struct request r = limit(1, SIDE_BUY, 1, 1);

	r.symbol = NR_SYMBOLS;
	assert_rejected(execute(d, &d->a, r), REASON_UNKNOWN_SYMBOL);
	assert_rejected(execute(d, &d->a, limit(1, SIDE_BUY, 1, 0)), REASON_BAD_PRICE);
	assert_rejected(execute(d, &d->a, limit(1, SIDE_BUY, 1, MAX_PRICE + 1)), REASON_BAD_PRICE);
	r = market(1, SIDE_BUY, 1);
	r.price = 1;
	assert_rejected(execute(d, &d->a, r), REASON_BAD_PRICE);
	assert_rejected(execute(d, &d->a, limit(1, SIDE_BUY, 0, 1)), REASON_BAD_QUANTITY);
	assert_rejected(execute(d, &d->a, limit(1, SIDE_BUY, MAX_QUANTITY + 1, 1)),
			REASON_BAD_QUANTITY);
	assert_accepted(execute(d, &d->a, limit(1, SIDE_BUY, MAX_QUANTITY, MAX_PRICE)), 0,
			MAX_QUANTITY, true);
	assert_rejected(execute(d, &d->a, limit(1, SIDE_BUY, 1, 1)), REASON_DUPLICATE_ID);
	assert_rejected(execute(d, &d->a, cancel_of(2)), REASON_UNKNOWN_ORDER);
	assert_int_equal(engine_totals(d->engine)->rejects, 8);
}

static void test_ids_belong_to_their_owner(void **state)
{
	struct desk *d = *state;

	execute(d, &d->a, limit(1, SIDE_BUY, 1, 1));
	assert_rejected(execute(d, &d->b, cancel_of(1)), REASON_UNKNOWN_ORDER);
	assert_accepted(execute(d, &d->b, limit(1, SIDE_BUY, 2, 1)), 0, 2, true);
	assert_cancelled(execute(d, &d->a, cancel_of(1)), 0, 1);
	assert_cancelled(execute(d, &d->b, cancel_of(1)), 0, 2);
}

static void test_a_full_book_rejects_until_there_is_room(void **state)
{
	struct desk *d = *state;

	for (uint64_t id = 1; id <= 8; id++)
		assert_accepted(execute(d, &d->a, limit(id, SIDE_BUY, 1, id)), 0, 1, true);
	assert_rejected(execute(d, &d->b, limit(9, SIDE_BUY, 1, 1)), REASON_BOOK_FULL);
	assert_accepted(execute(d, &d->b, market(9, SIDE_SELL, 1)), 1, 0, false);
	assert_accepted(execute(d, &d->b, limit(10, SIDE_BUY, 1, 1)), 0, 1, true);
	assert_rejected(execute(d, &d->b, limit(11, SIDE_BUY, 1, 1)), REASON_BOOK_FULL);
}

static void test_with_its_owner_go_its_orders_alone(void **state)
{
	struct desk *d = *state;

	for (uint64_t id = 1; id <= 4; id++) {
		execute(d, &d->a, limit(id, SIDE_BUY, 1, id));
		execute(d, &d->b, limit(id, SIDE_BUY, 10, id));
	}
	execute(d, &d->a, cancel_of(2));
	execute(d, &d->a, cancel_of(4));
	execute(d, &d->a, cancel_of(1));
	engine_leave(d->engine, &d->a);
	assert_int_equal(engine_resting(d->engine), 40);
	assert_null(engine_check(d->engine));
}

/* --- flow ------------------------------------------------------------------------------------ */

static void test_a_flow_and_the_engine_agree_and_the_books_balance(void **state)
{
	enum { OWNERS = 5, ORDERS = 4000 };
	struct engine *e = engine_new(100); /* too small, to be full at times */
	struct order_owner owners[OWNERS];
	struct flow flows[OWNERS];
	uint64_t requests = 0;

	(void)state;
	for (uint32_t i = 0; i < OWNERS; i++) {
		owners[i] = (struct order_owner){.number = i + 1};
		flow_start(&flows[i], 7, i, ORDERS, 10);
	}
	while (!flow_is_at_end(&flows[OWNERS - 1])) {
		for (int i = 0; i < OWNERS; i++) {
			struct request request;
			struct reply reply;
			struct asked asked;

			flow_next(&flows[i], sizeof(request), &request, &asked);
			engine_execute(e, &owners[i], &request, &reply);
			assert_null(asked_check(&asked, &reply));
			requests++;
		}
		if (requests % 100 == 0)
			assert_null(engine_check(e));
	}
	assert_int_equal(requests, OWNERS * flow_requests(ORDERS, 10));
	assert_int_equal(engine_totals(e)->requests, requests);
	assert_int_equal(engine_totals(e)->heartbeats, OWNERS * (1 + ORDERS / 10));
	assert_true(engine_totals(e)->fills > requests / 10);
	assert_true(engine_totals(e)->book_full > 0);
	assert_true(engine_totals(e)->rejects > engine_totals(e)->book_full);
	for (int i = 0; i < OWNERS; i++)
		engine_leave(e, &owners[i]);
	assert_null(engine_check(e));
	assert_int_equal(engine_resting(e), 0);
	engine_free(e);
}

static void fill(uint64_t seed, uint32_t connection, struct request *requests, int nr)
{
	struct asked asked;
	struct flow f;

	flow_start(&f, seed, connection, nr, 0);
	for (int i = 0; i < nr; i++)
		flow_next(&f, sizeof(struct request), &requests[i], &asked);
}

static void test_a_flow_depends_on_seed_and_connection_alone(void **state)
{
	struct request one[200], same[200], other[200];

	(void)state;
	fill(1, 2, one, 200);
	fill(1, 2, same, 200);
	assert_memory_equal(one, same, sizeof(one));
	fill(1, 3, other, 200);
	assert_memory_not_equal(one, other, sizeof(one));
	fill(2, 2, other, 200);
	assert_memory_not_equal(one, other, sizeof(one));
}

static void assert_wrong(struct asked asked, struct reply good, struct reply bad)
{
	assert_null(asked_check(&asked, &good));
	assert_non_null(asked_check(&asked, &bad));
}

static void test_each_wrong_field_of_a_reply_is_noticed(void **state)
{
	struct asked asked = {
		.id = 5, .sequence = 1, .quantity = 10, .type = FRAME_NEW, .may_rest = true};
	struct desk *d = *state;
	struct reply good = execute(d, &d->a, limit(5, SIDE_BUY, 10, 7)), bad;

#define ASSERT_WRONG(field, value)              \
	do {                                    \
		bad = good;                     \
		bad.field = value;              \
		assert_wrong(asked, good, bad); \
	} while (0)
	ASSERT_WRONG(header.length, 33);
	ASSERT_WRONG(header.magic, 0);
	ASSERT_WRONG(header.version, 2);
	ASSERT_WRONG(header.sequence, 2);
	ASSERT_WRONG(header.type, FRAME_CANCELLED);
	ASSERT_WRONG(header.type, FRAME_REJECTED);
	ASSERT_WRONG(header.type, FRAME_HEARTBEAT);
	ASSERT_WRONG(id, 6);
	ASSERT_WRONG(filled, 1);
	ASSERT_WRONG(remaining, 9);
	ASSERT_WRONG(is_resting, 0);
	asked.reason = REASON_BAD_PRICE;
	assert_non_null(asked_check(&asked, &good));
}

/* --- session --------------------------------------------------------------------------------- */

static struct request heartbeat(uint32_t sequence, uint32_t length)
{
	struct request r = cancel_of(sequence);

	r.header.type = FRAME_HEARTBEAT;
	r.header.sequence = sequence;
	r.header.length = length;
	return r;
}

static void receive(struct session *s, struct engine *e, const void *bytes, uint32_t nr)
{
	assert_true(s->nr_in + nr <= sizeof(s->in));
	memcpy(s->in + s->nr_in, bytes, nr);
	s->nr_in += nr;
	session_execute(s, e);
}

static struct reply take(struct session *s)
{
	struct reply reply;

	assert_true(session_pending(s) >= sizeof(reply));
	memcpy(&reply, s->out + s->out_start, sizeof(reply));
	session_sent(s, sizeof(reply));
	return reply;
}

static void test_requests_are_executed_once_whole(void **state)
{
	struct desk *d = *state;
	struct session *s = session_new(0);
	struct request r = heartbeat(1, sizeof(r));

	session_reset(s, 1);
	for (size_t i = 0; i < sizeof(r); i++) {
		assert_int_equal(session_pending(s), 0);
		receive(s, d->engine, (uint8_t *)&r + i, 1);
	}
	assert_int_equal(take(s).header.type, FRAME_HEARTBEAT);
	assert_int_equal(s->nr_in, 0);
	free(s);
}

static void test_replies_to_a_full_input_fit_behind_the_output_limit(void **state)
{
	struct desk *d = *state;
	struct session *s = session_new(100);
	uint32_t sequence = 1, taken = 0;

	session_reset(s, 1);
	for (int round = 0; round < 10; round++) {
		while (session_pending(s) > 100)
			assert_int_equal(take(s).header.sequence, ++taken);
		for (uint32_t at = 0; at < SESSION_IN; at += sizeof(struct request)) {
			struct request r = heartbeat(sequence++, sizeof(r));

			memcpy(s->in + at, &r, sizeof(r));
		}
		s->nr_in = SESSION_IN;
		session_execute(s, d->engine);
		assert_int_equal(s->nr_in, 0);
		assert_true(s->out_end <= s->out_capacity);
	}
	while (session_pending(s))
		assert_int_equal(take(s).header.sequence, ++taken);
	assert_int_equal(taken, sequence - 1);
	free(s);
}

static void test_a_malformed_frame_is_rejected_behind_the_replies_before_it(void **state)
{
	struct desk *d = *state;
	struct session *s = session_new(0);
	struct request good = heartbeat(1, sizeof(good)), bad = heartbeat(3, sizeof(bad));

	session_reset(s, 1);
	receive(s, d->engine, &good, sizeof(good));
	receive(s, d->engine, &bad, sizeof(bad.header));
	assert_true(s->is_malformed);
	assert_int_equal(take(s).header.type, FRAME_HEARTBEAT);
	assert_rejected(take(s), REASON_MALFORMED);
	session_end(s);
	assert_int_equal(session_pending(s), 0);
	free(s);
}

static void test_half_a_request_at_the_end_is_malformed(void **state)
{
	struct desk *d = *state;
	struct session *s = session_new(0);
	struct request r = heartbeat(1, FRAME_MAX);

	session_reset(s, 1);
	receive(s, d->engine, &r, sizeof(r));
	assert_int_equal(session_pending(s), 0);
	session_end(s);
	assert_rejected(take(s), REASON_MALFORMED);
	free(s);
}

static void assert_malformed(struct request r, uint32_t sequence)
{
	assert_int_equal(frame_check(&r, sizeof(r), sequence), -1);
}

static void test_what_is_no_request_is_malformed(void **state)
{
	struct request good = heartbeat(1, sizeof(good)), r;

	(void)state;
	assert_int_equal(frame_check(&good, sizeof(good), 1), sizeof(good));
	assert_int_equal(frame_check(&good, sizeof(good) - 1, 1), 0);
	assert_int_equal(frame_check(&good, sizeof(good.header) - 1, 1), 0);
	assert_malformed(good, 2);
	assert_malformed(heartbeat(1, sizeof(r) - 1), 1);
	assert_malformed(heartbeat(1, FRAME_MAX + 1), 1);
	r = good, r.header.magic++;
	assert_malformed(r, 1);
	r = good, r.header.version++;
	assert_malformed(r, 1);
	r = good, r.header.type = 0;
	assert_malformed(r, 1);
	r = good, r.header.type = FRAME_ACCEPTED;
	assert_malformed(r, 1);
	r = good, r.side = NR_SIDES;
	assert_malformed(r, 1);
	r = good, r.kind = NR_KINDS;
	assert_malformed(r, 1);
}

#define AT_DESK(test) cmocka_unit_test_setup_teardown(test, open_desk, close_desk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_DESK(test_better_prices_trade_first_then_older_orders),
		AT_DESK(test_the_same_holds_for_buyers),
		AT_DESK(test_a_limit_order_rests_with_what_its_price_does_not_fill),
		AT_DESK(test_a_market_order_never_rests),
		AT_DESK(test_symbols_do_not_trade_with_each_other),
		AT_DESK(test_what_cannot_be_done_is_rejected_with_its_reason),
		AT_DESK(test_ids_belong_to_their_owner),
		AT_DESK(test_a_full_book_rejects_until_there_is_room),
		AT_DESK(test_with_its_owner_go_its_orders_alone),
		cmocka_unit_test(test_a_flow_and_the_engine_agree_and_the_books_balance),
		cmocka_unit_test(test_a_flow_depends_on_seed_and_connection_alone),
		AT_DESK(test_each_wrong_field_of_a_reply_is_noticed),
		AT_DESK(test_requests_are_executed_once_whole),
		AT_DESK(test_replies_to_a_full_input_fit_behind_the_output_limit),
		AT_DESK(test_a_malformed_frame_is_rejected_behind_the_replies_before_it),
		AT_DESK(test_half_a_request_at_the_end_is_malformed),
		cmocka_unit_test(test_what_is_no_request_is_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
