// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helpers.h"
#include "workload/forwarder.h"
#include "workload/forwarder_flow.h"
#include "workload/forwarder_stream.h"

/* --- options ------------------------------------------------------------------------------- */

static const char *wrong_with(const char *const (*set)[2], size_t nr)
{
	const struct workload *w = &workload_forwarder;
	uint64_t values[MAX_OPTIONS];

	for (size_t i = 0; i < w->nr_options; i++)
		assert_int_equal(
			workload_option_parse(&w->options[i], w->options[i].fallback, &values[i]),
			0);
	for (size_t i = 0; i < nr; i++) {
		size_t index = workload_option_index(w, set[i][0]);

		assert_int_equal(
			workload_option_parse(&w->options[index], set[i][1], &values[index]), 0);
	}
	return w->check(values);
}

#define WRONG_WITH(...)                                   \
	wrong_with((const char *const[][2]){__VA_ARGS__}, \
		   ARRAY_SIZE(((const char *const[][2]){__VA_ARGS__})))

static void test_options_that_do_not_go_together_are_refused(void **state)
{
	(void)state;
	assert_null(wrong_with(NULL, 0));
	assert_null(WRONG_WITH({"reverse", "yes"}));
	assert_null(WRONG_WITH({"load", "iperf3"}, {"reverse", "yes"}, {"streams", "128"}));
	assert_null(WRONG_WITH({"load", "rr"}, {"seconds", "0.5"}, {"streams", "5000"}));
	assert_non_null(WRONG_WITH({"load", "rr"}, {"reverse", "yes"}));
	assert_non_null(WRONG_WITH({"load", "crr"}, {"reverse", "yes"}));
	assert_non_null(WRONG_WITH({"load", "iperf3"}, {"seconds", "0.5"}));
	assert_non_null(WRONG_WITH({"load", "iperf3"}, {"streams", "129"}));
}

/* --- flows --------------------------------------------------------------------------------- */

#define BUFFER 4096

/* A flow from the socket in[1] to out[0]; the test has the other ends. */
struct bench {
	struct tally tally;
	struct pool pool;
	struct flow flow;
	int in[2], out[2];
};

static void open_bench(struct bench *b, bool uses_splice)
{
	int type = SOCK_STREAM | SOCK_NONBLOCK;

	*b = (struct bench){.pool = {.buffer_bytes = BUFFER, .uses_splice = uses_splice}};
	b->pool.tally = &b->tally;
	assert_int_equal(socketpair(AF_UNIX, type, 0, b->in), 0);
	assert_int_equal(socketpair(AF_UNIX, type, 0, b->out), 0);
}

static void close_bench(struct bench *b)
{
	flow_drop(&b->pool, &b->flow);
	pool_free(&b->pool);
	assert_int_equal(b->pool.nr_buffers, 0);
	for (int i = 0; i < 2; i++) {
		close(b->in[i]);
		close(b->out[i]);
	}
}

static enum flow_state move(struct bench *b)
{
	return flow_move(&b->pool, &b->flow, b->in[1], b->out[0]);
}

/* Sends until no more is taken; how much was. The bytes count up from @first. */
static size_t fill_up(int fd, size_t first)
{
	size_t sent = 0;

	for (;;) {
		unsigned char bytes[1000];
		ssize_t nr;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (first + sent + i) % 251;
		nr = send(fd, bytes, sizeof(bytes), 0);
		if (nr < 0)
			return sent;
		sent += nr;
	}
}

/* Takes what there is, which has to count up from @first; how much it was. */
static size_t take_all(int fd, size_t first)
{
	size_t taken = 0;

	for (;;) {
		unsigned char bytes[1000];
		ssize_t nr = recv(fd, bytes, sizeof(bytes), 0);

		if (nr <= 0)
			return taken;
		for (ssize_t i = 0; i < nr; i++)
			assert_int_equal(bytes[i], (first + taken + i) % 251);
		taken += nr;
	}
}

static void discard(int fd)
{
	char bytes[BUFFER];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0)
		;
}

static void check_flow(bool uses_splice)
{
	size_t sent, taken = 0;
	struct bench b;

	open_bench(&b, uses_splice);
	assert_int_equal(move(&b), FLOW_GOES_ON); /* nothing there */
	assert_null(b.flow.held);
	sent = fill_up(b.in[0], 0);
	/* The target is not read: it fills up, then one buffer at most is held. */
	do {
		assert_int_equal(move(&b), FLOW_GOES_ON);
		sent += fill_up(b.in[0], sent);
	} while (!b.flow.held);
	assert_true(b.pool.received_bytes > b.pool.sent_bytes);
	assert_true(b.pool.received_bytes - b.pool.sent_bytes <= BUFFER);
	/* The source ends; that comes after all that it sent. */
	shutdown(b.in[0], SHUT_WR);
	while (move(&b) != FLOW_ENDED)
		taken += take_all(b.out[1], taken);
	taken += take_all(b.out[1], taken);
	assert_int_equal(taken, sent);
	assert_int_equal(b.pool.sent_bytes, sent);
	assert_int_equal(b.pool.nr_buffers, 1);
	close_bench(&b);
}

static void test_flow_holds_one_buffer_and_loses_nothing(void **state)
{
	(void)state;
	check_flow(false);
	check_flow(true);
}

static void check_drop(bool uses_splice)
{
	struct bench b;

	open_bench(&b, uses_splice);
	do {
		fill_up(b.in[0], 0);
		assert_int_equal(move(&b), FLOW_GOES_ON);
	} while (!b.flow.held);
	flow_drop(&b.pool, &b.flow);
	/* What was dropped must not turn up in another flow. */
	discard(b.out[1]);
	discard(b.in[1]);
	assert_int_equal(send(b.in[0], "\0\1\2", 3, 0), 3);
	assert_int_equal(move(&b), FLOW_GOES_ON);
	assert_int_equal(take_all(b.out[1], 0), 3);
	close_bench(&b);
}

static void test_dropped_bytes_are_gone(void **state)
{
	(void)state;
	check_drop(false);
	check_drop(true);
}

static void test_flow_to_a_closed_target_is_broken(void **state)
{
	struct bench b;

	(void)state;
	open_bench(&b, false);
	assert_int_equal(send(b.in[0], "x", 1, 0), 1);
	shutdown(b.out[1], SHUT_RDWR);
	assert_int_equal(move(&b), FLOW_BROKEN);
	close_bench(&b);
}

/* --- what iperf3 says ---------------------------------------------------------------------- */

static void test_iperf3_result_is_what_was_received(void **state)
{
	struct iperf3_result r;

	(void)state;
	assert_int_equal(iperf3_parse("\n{\"end\": {\"sum_sent\": {\"bytes\": 9, \"seconds\": 1},"
				      "\"sum_received\": {\"bytes\": 1294598144, "
				      "\"seconds\": 1.00234}}}",
				      &r),
			 0);
	assert_int_equal(r.bytes, 1294598144);
	assert_int_equal(r.duration_ns, 1002340000);
	assert_string_equal(r.error, "");
}

static void test_iperf3_error_is_kept(void **state)
{
	struct iperf3_result r;

	(void)state;
	assert_int_equal(iperf3_parse("{\"end\": {}, \"error\": \"unable to connect\"}", &r), 0);
	assert_string_equal(r.error, "unable to connect");
}

static void test_text_that_is_no_iperf3_result_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"\n",
		"iperf3: nonsense",
		"[]",
		"{}",
		"{\"end\": 1}",
		"{\"end\": {\"sum_received\": {\"bytes\": 1}}}",
		"{\"end\": {\"sum_received\": {\"bytes\": \"1\", \"seconds\": 1}}}",
		"{\"end\": {\"sum_received\": {\"bytes\": 1, \"seconds\": 0}}}",
		"{\"end\": {\"sum_received\": {\"bytes\": -1, \"seconds\": 1}}}",
		"{\"end\": {\"sum_received\": {\"bytes\": 1, \"seconds\": 1e30}}}",
	};
	struct iperf3_result r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(iperf3_parse(texts[i], &r), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_that_do_not_go_together_are_refused),
		cmocka_unit_test(test_flow_holds_one_buffer_and_loses_nothing),
		cmocka_unit_test(test_dropped_bytes_are_gone),
		cmocka_unit_test(test_flow_to_a_closed_target_is_broken),
		cmocka_unit_test(test_iperf3_result_is_what_was_received),
		cmocka_unit_test(test_iperf3_error_is_kept),
		cmocka_unit_test(test_text_that_is_no_iperf3_result_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
