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
		cmocka_unit_test(test_a_loss_of_any_kind_fails),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
