// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include "base/alloc.h"
#include "base/vec.h"
#include "model/audit.h"

#define TICK_NS 4000000

/* A report of one process whose @nr threads, 1, 2, …, have books that balance. */
static void balanced(struct report *r, size_t nr)
{
	struct process *p;

	*r = (struct report){0};
	p = vec_push(r->processes, r->nr_processes, r->cap_processes);
	p->pid = 42;
	for (size_t i = 0; i < nr; i++) {
		struct thread *t = vec_push(p->threads, p->nr_threads, p->cap_threads);
		struct syscall *c = syscalls_get(&t->calls, "x86_64", 0, "read");

		t->tid = i + 1;
		t->nr_folded = 1;
		c->stats.calls = 10;
		c->stats.in_flight = 1;
		c->stats.in_flight_start = 5; /* never entered while traced */
		c->stats.denied = 7;	      /* neither */
		syscalls_get(&t->calls, "x86_64", 60, "exit")->stats.no_return = 1;
		t->books = (struct task_books){
			.entries = 12,
			.kernel_voluntary = 5,
			.seen_voluntary = 5,
			.kernel_involuntary = 3,
			.seen_involuntary = 3,
			.kernel_exec_ns = 1000000000,
			.seen_exec_ns = 1000000000,
		};
	}
}

static const struct audit *audit_of(const struct report *r, const char *name)
{
	for (size_t i = 0; i < r->nr_audits; i++)
		if (!strcmp(r->audits[i].name, name))
			return &r->audits[i];
	fail_msg("no audit %s", name);
	return NULL;
}

static void assert_reason_holds(const struct audit *a, const char *part)
{
	assert_non_null(a->reason);
	if (!strstr(a->reason, part))
		fail_msg("\"%s\" does not say \"%s\"", a->reason, part);
}

static void test_balanced_books_hold(void **state)
{
	static const char *const names[] = {"context_switches", "syscall_balance", "cpu_time",
					    "lost"};
	struct report r;

	(void)state;
	balanced(&r, 3);
	report_audit(&r, TICK_NS);
	assert_int_equal(r.nr_audits, 4);
	for (size_t i = 0; i < r.nr_audits; i++) {
		assert_string_equal(r.audits[i].name, names[i]);
		assert_string_equal(r.audits[i].subject, i < 3 ? "pid 42" : "capture");
		assert_int_equal(r.audits[i].ok, YES);
		assert_null(r.audits[i].reason);
	}
	assert_true(report_audits_hold(&r));
	report_free(&r);
}

static void test_figures_are_sums_over_the_threads(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 3);
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "context_switches");
	assert_int_equal(a->observed, 24);
	assert_int_equal(a->expected, 24);
	assert_int_equal(a->tolerance, 0);
	a = audit_of(&r, "syscall_balance");
	assert_int_equal(a->observed, 36);
	assert_int_equal(a->expected, 36);
	a = audit_of(&r, "cpu_time");
	assert_int_equal(a->observed, 3000000000);
	assert_int_equal(a->expected, 3000000000);
	assert_int_equal(a->tolerance, 3 * (10000000 + TICK_NS));
	report_free(&r);
}

static void test_a_missed_switch_fails(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 3);
	r.processes[0].threads[1].books.seen_voluntary = 4;
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "context_switches");
	assert_int_equal(a->ok, NO);
	assert_int_equal(a->observed, 23);
	assert_reason_holds(a, "thread 2: 4 of 5 voluntary switches");
	assert_false(report_audits_hold(&r));
	report_free(&r);
}

static void test_errors_that_cancel_out_still_fail(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 2);
	r.processes[0].threads[0].books.seen_voluntary = 6; /* one kind taken for the other, */
	r.processes[0].threads[0].books.seen_involuntary = 2;
	r.processes[0].threads[0].books.entries = 13; /* one thread's for the other's */
	r.processes[0].threads[1].books.entries = 11;
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "context_switches");
	assert_int_equal(a->observed, a->expected);
	assert_int_equal(a->ok, NO);
	assert_reason_holds(a, "thread 1: 6 of 5 voluntary switches, 2 of 3 involuntary switches");
	a = audit_of(&r, "syscall_balance");
	assert_int_equal(a->observed, a->expected);
	assert_int_equal(a->ok, NO);
	assert_reason_holds(a, "thread 1: 13 of 12 entries; thread 2: 11 of 12 entries");
	report_free(&r);
}

static void test_cpu_time_may_differ_by_one_percent_and_a_tick(void **state)
{
	static const struct {
		uint64_t seen;
		enum tristate ok;
	} samples[] = {
		{1000000000 + 10000000 + TICK_NS, YES},
		{1000000000 + 10000000 + TICK_NS + 1, NO},
		{1000000000 - 10000000 - TICK_NS, YES},
		{1000000000 - 10000000 - TICK_NS - 1, NO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct report r;

		balanced(&r, 2);
		r.processes[0].threads[1].books.seen_exec_ns = samples[i].seen;
		report_audit(&r, TICK_NS);
		assert_int_equal(audit_of(&r, "cpu_time")->ok, samples[i].ok);
		report_free(&r);
	}
}

static void test_folded_threads_may_differ_by_a_tick_each(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	r.processes[0].threads[0].nr_folded = 5;
	r.processes[0].threads[0].tid = 0;
	r.processes[0].threads[0].books.seen_exec_ns = 1000000000 + 10000000 + 5 * TICK_NS;
	r.processes[0].threads[0].books.entries = 1;
	report_audit(&r, TICK_NS);
	assert_int_equal(audit_of(&r, "cpu_time")->ok, YES);
	a = audit_of(&r, "syscall_balance");
	assert_reason_holds(a, "5 ended threads: 1 of 12 entries");
	report_free(&r);
}

static void test_a_missing_count_is_neither_right_nor_wrong(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 2);
	for (size_t i = 0; i < 2; i++)
		r.processes[0].threads[i].books.kernel_exec_ns = METRIC_UNKNOWN;
	r.processes[0].threads[1].books.kernel_voluntary = METRIC_UNKNOWN;
	r.processes[0].threads[1].books.entries = METRIC_UNKNOWN;
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "cpu_time");
	assert_int_equal(a->ok, UNKNOWN);
	assert_int_equal(a->expected, METRIC_UNKNOWN);
	assert_int_equal(a->observed, METRIC_UNKNOWN);
	assert_reason_holds(a, "thread 1; thread 2");
	a = audit_of(&r, "context_switches");
	assert_int_equal(a->ok, UNKNOWN);
	assert_int_equal(a->expected, 8 + 3); /* what is known */
	assert_reason_holds(a, "thread 2");
	assert_int_equal(audit_of(&r, "syscall_balance")->ok, UNKNOWN);
	assert_true(report_audits_hold(&r)); /* none has failed */
	report_free(&r);
}

static void test_a_failure_weighs_more_than_a_missing_count(void **state)
{
	struct report r;

	(void)state;
	balanced(&r, 2);
	r.processes[0].threads[0].books.kernel_voluntary = METRIC_UNKNOWN;
	r.processes[0].threads[1].books.seen_involuntary = 99;
	report_audit(&r, TICK_NS);
	assert_int_equal(audit_of(&r, "context_switches")->ok, NO);
	report_free(&r);
}

static void test_a_process_without_threads_is_not_audited(void **state)
{
	struct report r;

	(void)state;
	balanced(&r, 0);
	report_audit(&r, TICK_NS);
	assert_int_equal(audit_of(&r, "context_switches")->ok, UNKNOWN);
	assert_reason_holds(audit_of(&r, "context_switches"), "no thread was traced");
	report_free(&r);
}

static void test_only_the_first_threads_are_named(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 100);
	for (size_t i = 0; i < 100; i++)
		r.processes[0].threads[i].books.entries = 0;
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "syscall_balance");
	assert_reason_holds(a, "thread 3: 0 of 12 entries; and 97 more");
	assert_null(strstr(a->reason, "thread 4"));
	report_free(&r);
}

/* --- sockets --------------------------------------------------------------------------------- */

static struct socket *add_socket(struct report *r, const char *protocol, unsigned int port)
{
	struct process *p = &r->processes[0];
	struct socket *s = vec_push(p->sockets, p->nr_sockets, p->cap_sockets);

	socket_init(s);
	s->protocol = protocol;
	s->family = "ipv4";
	s->role = "connect";
	s->local = xstrdup("127.0.0.1:80");
	s->remote = xasprintf("127.0.0.1:%u", port);
	return s;
}

static void add_tcp(struct report *r, unsigned int port, uint64_t sent, uint64_t kernel_sent)
{
	struct socket *s = add_socket(r, "tcp", port);

	s->books.sent = socket_book_of(sent, kernel_sent);
	s->books.received = socket_book_of(7, 7);
}

static bool has_audit(const struct report *r, const char *name)
{
	for (size_t i = 0; i < r->nr_audits; i++)
		if (!strcmp(r->audits[i].name, name))
			return true;
	return false;
}

static void test_sockets_whose_bytes_agree_hold(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	add_tcp(&r, 1, 100, 100);
	add_tcp(&r, 2, 0, 0);
	add_socket(&r, "udp", 3)->books.drops = socket_book_of(5, 5);
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "tcp_bytes");
	assert_int_equal(a->ok, YES);
	assert_string_equal(a->subject, "pid 42");
	assert_int_equal(a->observed, 114);
	assert_int_equal(a->expected, 114);
	assert_int_equal(a->tolerance, 0);
	assert_null(a->reason);
	a = audit_of(&r, "udp_drops");
	assert_int_equal(a->ok, YES);
	assert_int_equal(a->observed, 5);
	assert_int_equal(a->expected, 5);
	report_free(&r);
}

static void test_one_byte_too_few_fails(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	add_tcp(&r, 5555, 119, 120);
	add_socket(&r, "udp", 3)->books.drops = socket_book_of(4, 5);
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "tcp_bytes");
	assert_int_equal(a->ok, NO);
	assert_string_equal(a->reason,
			    "fails for tcp 127.0.0.1:80 - 127.0.0.1:5555: 119 of 120 bytes sent");
	a = audit_of(&r, "udp_drops");
	assert_int_equal(a->ok, NO);
	assert_string_equal(a->reason, "fails for udp 127.0.0.1:80 - 127.0.0.1:3: 4 of 5 drops");
	assert_false(report_audits_hold(&r));
	report_free(&r);
}

static void test_errors_of_two_sockets_do_not_cancel_out(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	add_tcp(&r, 1, 101, 100);
	add_tcp(&r, 2, 99, 100);
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "tcp_bytes");
	assert_int_equal(a->observed, a->expected);
	assert_int_equal(a->ok, NO);
	assert_reason_holds(a, "- 127.0.0.1:1: 101 of 100 bytes sent; tcp ");
	assert_reason_holds(a, "- 127.0.0.1:2: 99 of 100 bytes sent");
	report_free(&r);
}

/* Nor do those of two connections in one row. */
static void test_errors_of_folded_connections_do_not_cancel_out(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	for (unsigned int i = 0; i < 100; i++) {
		struct socket s;

		socket_init(&s);
		s.protocol = "tcp";
		s.family = "ipv4";
		s.role = "accept";
		s.local = xstrdup("127.0.0.1:80");
		s.remote = xasprintf("127.0.0.1:%u", i);
		s.closed_ns = i;
		s.books.sent = socket_book_of(10 + (i == 3) - (i == 50), 10);
		s.books.received = socket_book_of(1, 1);
		process_add_socket(&r.processes[0], &s);
	}
	assert_int_equal(r.processes[0].nr_sockets, 1);
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "tcp_bytes");
	assert_int_equal(a->observed, 1100);
	assert_int_equal(a->expected, 1100);
	assert_int_equal(a->ok, NO);
	assert_string_equal(a->reason, "fails for tcp 127.0.0.1:80 - *: 1000 of 1000 bytes sent "
				       "(2 of 100 connections differ)");
	report_free(&r);
}

static void test_only_the_first_sockets_are_named(void **state)
{
	struct report r;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	for (unsigned int i = 1; i <= 10; i++)
		add_tcp(&r, i, 1, 2);
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "tcp_bytes");
	assert_reason_holds(a, "127.0.0.1:3: 1 of 2 bytes sent; and 7 more");
	assert_null(strstr(a->reason, "127.0.0.1:4"));
	report_free(&r);
}

static void test_a_socket_without_the_kernels_count_is_not_audited(void **state)
{
	struct report r;
	struct socket *s;
	const struct audit *a;

	(void)state;
	balanced(&r, 1);
	add_tcp(&r, 1, 100, 100);
	add_tcp(&r, 2, 100, METRIC_UNKNOWN);
	s = add_socket(&r, "tcp", 3);
	s->books.sent = socket_book_of(METRIC_UNKNOWN, METRIC_UNKNOWN);
	s->books.received = socket_book_of(METRIC_UNKNOWN, 1);
	s->books.why_unknown = "it was not quiet";
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "tcp_bytes");
	assert_int_equal(a->ok, UNKNOWN);
	assert_int_equal(a->observed, 100 + 7 + 7); /* what is known */
	assert_int_equal(a->expected, 100 + 7 + 7);
	assert_string_equal(a->reason,
			    "one of the two counts is not known for 2 of 3 sockets "
			    "(tcp 127.0.0.1:80 - 127.0.0.1:2; tcp 127.0.0.1:80 - 127.0.0.1:3): "
			    "it was not quiet");
	assert_true(report_audits_hold(&r));
	report_free(&r);
}

static void test_a_socket_that_differs_weighs_more_than_one_not_known(void **state)
{
	struct report r;

	(void)state;
	balanced(&r, 1);
	add_tcp(&r, 1, 100, METRIC_UNKNOWN);
	add_tcp(&r, 2, 1, 2);
	report_audit(&r, TICK_NS);
	assert_int_equal(audit_of(&r, "tcp_bytes")->ok, NO);
	report_free(&r);
}

static void test_without_books_of_sockets_there_is_no_audit_of_them(void **state)
{
	struct report r;

	(void)state;
	balanced(&r, 1);
	add_socket(&r, "tcp", 1);
	add_socket(&r, "udp", 2);
	add_socket(&r, "unix-stream", 3)->books.sent = socket_book_of(1, 2);
	report_audit(&r, TICK_NS);
	assert_false(has_audit(&r, "tcp_bytes"));
	assert_false(has_audit(&r, "udp_drops"));
	assert_true(report_audits_hold(&r));
	report_free(&r);
}

/* --- losses ---------------------------------------------------------------------------------- */

static void test_a_loss_of_any_kind_fails(void **state)
{
	struct report r = {0};
	static const char *const reasons[] = {"tasks_full", "rows_full", "recursion"};
	const struct audit *a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct lost_count *lost =
			vec_push(r.capture.lost, r.capture.nr_lost, r.capture.cap_lost);

		lost->reason = xstrdup(reasons[i]);
		lost->count = i;
	}
	report_audit(&r, TICK_NS);
	a = audit_of(&r, "lost");
	assert_int_equal(a->ok, NO);
	assert_int_equal(a->expected, 0);
	assert_int_equal(a->observed, 3);
	assert_string_equal(a->reason, "rows_full 1, recursion 2");
	report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_balanced_books_hold),
		cmocka_unit_test(test_figures_are_sums_over_the_threads),
		cmocka_unit_test(test_a_missed_switch_fails),
		cmocka_unit_test(test_errors_that_cancel_out_still_fail),
		cmocka_unit_test(test_cpu_time_may_differ_by_one_percent_and_a_tick),
		cmocka_unit_test(test_folded_threads_may_differ_by_a_tick_each),
		cmocka_unit_test(test_a_missing_count_is_neither_right_nor_wrong),
		cmocka_unit_test(test_a_failure_weighs_more_than_a_missing_count),
		cmocka_unit_test(test_a_process_without_threads_is_not_audited),
		cmocka_unit_test(test_only_the_first_threads_are_named),
		cmocka_unit_test(test_sockets_whose_bytes_agree_hold),
		cmocka_unit_test(test_one_byte_too_few_fails),
		cmocka_unit_test(test_errors_of_two_sockets_do_not_cancel_out),
		cmocka_unit_test(test_errors_of_folded_connections_do_not_cancel_out),
		cmocka_unit_test(test_only_the_first_sockets_are_named),
		cmocka_unit_test(test_a_socket_without_the_kernels_count_is_not_audited),
		cmocka_unit_test(test_a_socket_that_differs_weighs_more_than_one_not_known),
		cmocka_unit_test(test_without_books_of_sockets_there_is_no_audit_of_them),
		cmocka_unit_test(test_a_loss_of_any_kind_fails),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
