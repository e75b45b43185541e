// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include "base/alloc.h"
#include "base/vec.h"

/* --- building a report by hand -------------------------------------------------------------- */

static struct process *add_process(struct report *r, pid_t pid, uint64_t started_ns)
{
	struct process *p = vec_push(r->processes, r->nr_processes, r->cap_processes);

	p->pid = pid;
	p->started_ns = started_ns;
	p->comm = xstrdup("process");
	return p;
}

static struct thread *add_thread(struct process *p, pid_t tid)
{
	struct thread *t = vec_push(p->threads, p->nr_threads, p->cap_threads);

	t->tid = tid;
	t->nr_folded = 1;
	t->comm = xstrdup("thread");
	return t;
}

/* A call that took @ns each of @calls times. */
static struct syscall *add_call(struct syscalls *calls, uint32_t nr, uint64_t count, uint64_t ns)
{
	struct syscall *c = syscalls_get(calls, "x86_64", nr, "name");

	c->stats.calls += count;
	c->stats.total_ns += count * ns;
	if (count && ns < c->stats.min_ns)
		c->stats.min_ns = ns;
	if (count && ns > c->stats.max_ns)
		c->stats.max_ns = ns;
	hist_add(&c->histogram, hist_index(ns), count);
	return c;
}

static const struct syscall *find(const struct syscalls *calls, uint32_t nr)
{
	for (size_t i = 0; i < calls->nr; i++)
		if (calls->items[i].nr == nr)
			return &calls->items[i];
	fail_msg("no call %u", nr);
	return NULL;
}

/* --- calls ---------------------------------------------------------------------------------- */

static void test_calls_are_kept_in_order_and_once(void **state)
{
	struct syscalls calls = {0};
	uint64_t seed = 5;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		const char *abi = next_random(&seed) & 1 ? "x86_64" : "i386";

		syscalls_get(&calls, abi, next_random(&seed) % 100, "x")->stats.calls++;
	}
	assert_int_equal(calls.nr, 200);
	for (size_t i = 1; i < calls.nr; i++) {
		int order = strcmp(calls.items[i - 1].abi, calls.items[i].abi);

		assert_true(order < 0 || (!order && calls.items[i - 1].nr < calls.items[i].nr));
	}
	syscalls_free(&calls);
	assert_int_equal(calls.nr, 0);
}

static void test_a_new_call_has_zero_counts_and_unknown_extremes(void **state)
{
	struct syscalls calls = {0};
	struct syscall *c = syscalls_get(&calls, "x86_64", 1, "write");

	(void)state;
	assert_string_equal(c->name, "write");
	for (size_t i = 0; i < nr_call_metrics; i++) {
		uint64_t value = *metric_at(&call_metrics[i], &c->stats);
		bool starts_at_0 =
			call_metrics[i].kind == KIND_SUM || call_metrics[i].kind == KIND_MAX;

		assert_int_equal(value, starts_at_0 ? 0 : METRIC_UNKNOWN);
	}
	syscalls_free(&calls);
}

static void test_errnos_ascend_and_add_up(void **state)
{
	struct syscalls calls = {0};
	struct syscall *c = syscalls_get(&calls, "x86_64", 0, "read");

	(void)state;
	syscall_add_errno(c, 32, 1);
	syscall_add_errno(c, 4, 2);
	syscall_add_errno(c, 11, 3);
	syscall_add_errno(c, 4, 5);
	assert_int_equal(c->nr_errnos, 3);
	assert_int_equal(c->errnos[0].error, 4);
	assert_int_equal(c->errnos[0].count, 7);
	assert_int_equal(c->errnos[1].error, 11);
	assert_int_equal(c->errnos[2].error, 32);
	syscalls_free(&calls);
}

/* --- merging -------------------------------------------------------------------------------- */

static void test_every_metric_merges_by_its_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < nr_call_metrics; i++) {
		const struct metric *m = &call_metrics[i];
		struct syscalls into = {0}, from = {0};
		struct syscall *a = syscalls_get(&into, "x86_64", 0, "read");
		struct syscall *b = syscalls_get(&from, "x86_64", 0, "read");
		uint64_t expected;

		*metric_at(m, &a->stats) = 30;
		*metric_at(m, &b->stats) = 12;
		syscalls_merge(&into, &from);
		expected = m->kind == KIND_SUM	 ? 42
			   : m->kind == KIND_MIN ? 12
			   : m->kind == KIND_MAX ? 30
						 : METRIC_UNKNOWN;
		assert_int_equal(*metric_at(m, &into.items[0].stats), expected);
		syscalls_free(&into);
		syscalls_free(&from);
	}
}

static void test_unknown_plus_a_number_is_the_number(void **state)
{
	struct task_stats a = {0}, b = {0};

	(void)state;
	for (size_t i = 0; i < nr_task_metrics; i++) {
		const struct metric *m = &task_metrics[i];

		*metric_at(m, &a) = i % 3 ? 5 : METRIC_UNKNOWN;
		*metric_at(m, &b) = i % 3 == 1 ? METRIC_UNKNOWN : 7;
	}
	task_stats_merge(&a, &b);
	for (size_t i = 0; i < nr_task_metrics; i++)
		assert_int_equal(*metric_at(&task_metrics[i], &a), i % 3 == 0	? 7
								   : i % 3 == 1 ? 5
										: 12);
}

static void test_a_figure_unknown_everywhere_stays_unknown(void **state)
{
	struct syscalls into = {0}, from = {0};
	struct syscall *c = syscalls_get(&from, "x86_64", 0, "close");

	(void)state;
	c->stats.bytes = METRIC_UNKNOWN;
	c->stats.on_cpu_ns = METRIC_UNKNOWN;
	syscalls_merge(&into, &from);
	syscalls_merge(&into, &from);
	assert_int_equal(into.items[0].stats.bytes, METRIC_UNKNOWN);
	assert_int_equal(into.items[0].stats.on_cpu_ns, METRIC_UNKNOWN);
	syscalls_free(&into);
	syscalls_free(&from);
}

static void test_sums_saturate_below_unknown(void **state)
{
	struct task_stats a = {.user_ns = METRIC_UNKNOWN - 1}, b = {.user_ns = METRIC_UNKNOWN - 1};

	(void)state;
	task_stats_merge(&a, &b);
	assert_int_equal(a.user_ns, METRIC_UNKNOWN - 1);
}

static void test_merging_takes_histograms_and_errnos_along(void **state)
{
	struct syscalls into = {0}, from = {0};

	(void)state;
	syscall_add_errno(add_call(&into, 0, 2, 1000), 11, 1);
	syscall_add_errno(add_call(&from, 0, 3, 5000), 11, 2);
	syscall_add_errno(add_call(&from, 1, 4, 100), 32, 4);
	syscalls_merge(&into, &from);
	assert_int_equal(into.nr, 2);
	assert_int_equal(hist_count(&find(&into, 0)->histogram), 5);
	assert_int_equal(find(&into, 0)->errnos[0].count, 3);
	assert_int_equal(find(&into, 1)->errnos[0].count, 4);
	assert_int_equal(find(&into, 0)->stats.min_ns, 1000);
	assert_int_equal(find(&into, 0)->stats.max_ns, 5000);
	syscalls_free(&into);
	syscalls_free(&from);
}

static void test_books_with_an_unknown_part_are_unknown(void **state)
{
	struct task_books a = {.entries = 1, .kernel_voluntary = METRIC_UNKNOWN, .seen_exec_ns = 5};
	struct task_books b = {.entries = 2, .kernel_voluntary = 7, .seen_exec_ns = METRIC_UNKNOWN};

	(void)state;
	task_books_merge(&a, &b);
	assert_int_equal(a.entries, 3);
	assert_int_equal(a.kernel_voluntary, METRIC_UNKNOWN);
	assert_int_equal(a.seen_exec_ns, METRIC_UNKNOWN);
}

/* --- finishing ------------------------------------------------------------------------------ */

static void fill_report(struct report *r)
{
	struct process *p;
	struct thread *t;

	add_process(r, 20, 5);
	add_process(r, 10, 9);
	p = add_process(r, 10, 3);
	t = add_thread(p, 12);
	t->stats = (struct task_stats){.user_ns = 100, .kernel_ns = METRIC_UNKNOWN, .voluntary = 3};
	add_call(&t->calls, 0, 90, 1000);
	t = add_thread(p, 11);
	t->stats = (struct task_stats){.user_ns = 20, .kernel_ns = METRIC_UNKNOWN, .voluntary = 4};
	add_call(&t->calls, 0, 10, 64000);
	syscalls_get(&t->calls, "x86_64", 60, "exit")->stats.no_return = 1;
	t = add_thread(p, 11);
	t->ended = true;
	t->stats.user_ns = 5;
}

static void test_finishing_orders_every_list(void **state)
{
	struct report r = {0};

	(void)state;
	fill_report(&r);
	report_finish(&r);
	assert_int_equal(r.processes[0].pid, 10);
	assert_int_equal(r.processes[0].started_ns, 3);
	assert_int_equal(r.processes[1].started_ns, 9);
	assert_int_equal(r.processes[2].pid, 20);
	assert_int_equal(r.processes[0].threads[0].tid, 11);
	assert_true(r.processes[0].threads[0].ended);
	assert_int_equal(r.processes[0].threads[1].tid, 11);
	assert_int_equal(r.processes[0].threads[2].tid, 12);
	report_free(&r);
}

static void check_totals(const struct process *p)
{
	const struct syscall *c = find(&p->calls, 0);

	assert_int_equal(p->stats.user_ns, 125);
	assert_int_equal(p->stats.voluntary, 7);
	assert_int_equal(p->calls.nr, 2);
	assert_int_equal(c->stats.calls, 100);
	assert_int_equal(c->stats.min_ns, 1000);
	assert_int_equal(c->stats.max_ns, 64000);
	assert_int_equal(c->stats.p50_ns, 1000); /* middle 992, but none was that short */
	assert_int_equal(c->stats.p90_ns, 1000);
	assert_int_equal(c->stats.p99_ns, hist_percentile(&c->histogram, 990, 1000, 64000));
	assert_true(c->stats.p99_ns >= 60000);
}

static void test_finishing_totals_the_threads(void **state)
{
	struct report r = {0};

	(void)state;
	fill_report(&r);
	report_finish(&r);
	check_totals(&r.processes[0]);
	report_finish(&r); /* once more changes nothing */
	check_totals(&r.processes[0]);
	report_free(&r);
}

static void test_a_process_without_threads_keeps_its_figures(void **state)
{
	struct report r = {0};
	struct process *p = add_process(&r, 1, 1);

	(void)state;
	p->stats.user_ns = 77;
	add_call(&p->calls, 0, 1, 100);
	report_finish(&r);
	assert_int_equal(r.processes[0].stats.user_ns, 77);
	assert_int_equal(find(&r.processes[0].calls, 0)->stats.p50_ns, 100);
	report_free(&r);
}

static void test_calls_that_never_returned_have_no_durations(void **state)
{
	struct report r = {0};
	const struct syscall *c;

	(void)state;
	fill_report(&r);
	report_finish(&r);
	c = find(&r.processes[0].calls, 60);
	assert_int_equal(c->stats.no_return, 1);
	assert_int_equal(c->stats.min_ns, METRIC_UNKNOWN);
	assert_int_equal(c->stats.max_ns, METRIC_UNKNOWN);
	assert_int_equal(c->stats.p50_ns, METRIC_UNKNOWN);
	report_free(&r);
}

static void test_what_still_runs_has_no_exit_status(void **state)
{
	struct report r = {0};
	struct process *p = add_process(&r, 1, 1);

	(void)state;
	p->exit_status = 0;
	p = add_process(&r, 2, 1);
	p->ended = true;
	p->exit_status = 137;
	p->term_signal = 9;
	report_finish(&r);
	assert_int_equal(r.processes[0].exit_status, -1);
	assert_int_equal(r.processes[1].exit_status, 137);
	assert_int_equal(r.processes[1].term_signal, 9);
	report_free(&r);
}

static void test_freeing_leaves_an_empty_report(void **state)
{
	struct report r, empty;

	(void)state;
	memset(&empty, 0, sizeof(empty));
	load_golden("hostile", &r);
	report_free(&r);
	assert_memory_equal(&r, &empty, sizeof(r));
	report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_are_kept_in_order_and_once),
		cmocka_unit_test(test_a_new_call_has_zero_counts_and_unknown_extremes),
		cmocka_unit_test(test_errnos_ascend_and_add_up),
		cmocka_unit_test(test_every_metric_merges_by_its_kind),
		cmocka_unit_test(test_unknown_plus_a_number_is_the_number),
		cmocka_unit_test(test_a_figure_unknown_everywhere_stays_unknown),
		cmocka_unit_test(test_sums_saturate_below_unknown),
		cmocka_unit_test(test_merging_takes_histograms_and_errnos_along),
		cmocka_unit_test(test_books_with_an_unknown_part_are_unknown),
		cmocka_unit_test(test_finishing_orders_every_list),
		cmocka_unit_test(test_finishing_totals_the_threads),
		cmocka_unit_test(test_a_process_without_threads_keeps_its_figures),
		cmocka_unit_test(test_calls_that_never_returned_have_no_durations),
		cmocka_unit_test(test_what_still_runs_has_no_exit_status),
		cmocka_unit_test(test_freeing_leaves_an_empty_report),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
