// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include "base/alloc.h"
#include "base/strings.h"
#include "base/vec.h"
#include "model/workload.h"

/* --- a trial, made by hand ---------------------------------------------------------------- */

#define SERVER_PID 100
#define CLIENT_PID 200

struct trial {
	struct report report;
	struct workload_run run;
	struct workload_trial *trial;
};

static struct process *add_process(struct report *r, pid_t pid, bool has_sockets)
{
	struct process *p = vec_push(r->processes, r->nr_processes, r->cap_processes);

	p->pid = pid;
	p->comm = xstrdup("part");
	p->started_ns = 5000 + pid;
	p->stats.sent_bytes = has_sockets ? 0 : METRIC_UNKNOWN;
	return p;
}

static struct call_stats *add_call(struct process *p, uint32_t nr, const char *name, uint64_t calls)
{
	struct syscall *c = syscalls_get(&p->calls, "x86_64", nr, name);

	c->stats.calls = calls;
	return &c->stats;
}

static struct socket *add_socket(struct process *p, const char *protocol, const char *role)
{
	struct socket *s = vec_push(p->sockets, p->nr_sockets, p->cap_sockets);

	socket_init(s);
	s->protocol = protocol;
	s->family = "ipv4";
	s->role = role;
	return s;
}

static struct workload_part *add_part(struct workload_trial *t, const char *role, pid_t pid,
				      bool is_subject)
{
	struct workload_part *part = vec_push(t->parts, t->nr_parts, t->cap_parts);

	part->role = xstrdup(role);
	part->pid = pid;
	part->is_subject = is_subject;
	return part;
}

/* A server with a traced process, and no facts. */
static struct workload_part *begin(struct trial *t, bool has_sockets)
{
	*t = (struct trial){0};
	t->report.capture.complete = true;
	add_process(&t->report, SERVER_PID, has_sockets);
	t->trial = workload_add_trial(&t->run, 1);
	t->trial->traced = true;
	t->trial->cell = xcalloc(1, sizeof(char *));
	return add_part(t->trial, "server", SERVER_PID, true);
}

static void end(struct trial *t)
{
	struct workload_run *run = xcalloc(1, sizeof(*run));

	*run = t->run;
	workload_run_free(run);
	report_free(&t->report);
}

/* The only audit of @name whose subject is @subject. */
static const struct audit *audit_of(const struct report *r, const char *name, const char *subject)
{
	const struct audit *found = NULL;

	for (size_t i = 0; i < r->nr_audits; i++) {
		if (strcmp(r->audits[i].name, name) || strcmp(r->audits[i].subject, subject))
			continue;
		assert_null(found);
		found = &r->audits[i];
	}
	if (!found)
		fail_msg("no audit %s of %s", name, subject);
	return found;
}

/* --- truth -------------------------------------------------------------------------------- */

static void test_facts_keep_their_order_and_are_set_once(void **state)
{
	struct facts f = {0};

	(void)state;
	facts_set(&f, "b", 1);
	facts_set(&f, "a", 2);
	facts_set(&f, "b", 3);
	assert_int_equal(f.nr, 2);
	assert_string_equal(f.items[0].name, "b");
	assert_int_equal(facts_get(&f, "b"), 3);
	assert_int_equal(facts_get(&f, "c"), METRIC_UNKNOWN);
	facts_free(&f);
}

static void test_what_agrees_is_exact(void **state)
{
	struct workload_part *server;
	struct call_stats *stats;
	struct trial t;

	(void)state;
	server = begin(&t, true);
	stats = add_call(&t.report.processes[0], 45, "recvfrom", 13);
	stats->restarts = 1;
	stats->errors = 2;
	stats->bytes = 640;
	facts_set(&server->truth, "calls.recvfrom", 12);
	facts_set(&server->truth, "errors.recvfrom", 2);
	facts_set(&server->truth, "bytes.recvfrom", 640);
	facts_set(&server->truth, "calls.accept4", 0);
	facts_set(&server->truth, "orders", 5);
	workload_observe(&t.report, t.trial);
	assert_int_equal(t.trial->exact, YES);
	assert_int_equal(server->started_ns, 5000 + SERVER_PID);
	assert_int_equal(facts_get(&server->observed, "calls.recvfrom"), 12);
	assert_int_equal(facts_get(&server->observed, "calls.accept4"), 0);
	assert_int_equal(server->observed.nr, 4); /* no trace tells of orders */
	assert_int_equal(t.report.nr_audits, 3);
	assert_int_equal(audit_of(&t.report, "workload_truth", "server (pid 100): calls")->ok, YES);
	assert_true(t.report.capture.complete);
	end(&t);
}

static void test_differences_that_cancel_fail(void **state)
{
	const struct audit *a;
	struct workload_part *server;
	struct trial t;

	(void)state;
	server = begin(&t, true);
	add_call(&t.report.processes[0], 45, "recvfrom", 1201);
	add_call(&t.report.processes[0], 44, "sendto", 1199);
	facts_set(&server->truth, "calls.recvfrom", 1200);
	facts_set(&server->truth, "calls.sendto", 1200);
	workload_observe(&t.report, t.trial);
	a = audit_of(&t.report, "workload_truth", "server (pid 100): calls");
	assert_int_equal(t.trial->exact, NO);
	assert_int_equal(a->ok, NO);
	assert_int_equal(a->expected, 2400);
	assert_int_equal(a->observed, 2400);
	assert_string_equal(a->reason, "recvfrom: 1,201 calls seen, 1,200 made; "
				       "sendto: 1,199 calls seen, 1,200 made");
	assert_false(t.report.capture.complete);
	end(&t);
}

static void test_the_first_differences_are_named(void **state)
{
	static const char *const names[] = {"calls.bind", "calls.close", "calls.connect",
					    "calls.listen", "calls.socket"};
	struct workload_part *server;
	struct trial t;

	(void)state;
	server = begin(&t, true);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		facts_set(&server->truth, names[i], 1);
	workload_observe(&t.report, t.trial);
	assert_string_equal(t.report.audits[0].reason,
			    "bind: 0 calls seen, 1 made; close: 0 calls seen, 1 made; "
			    "connect: 0 calls seen, 1 made; and 2 more");
	end(&t);
}

static void test_what_was_not_traced_is_not_known(void **state)
{
	const struct audit *a;
	struct workload_part *server, *client;
	struct trial t;

	(void)state;
	begin(&t, false);
	client = add_part(t.trial, "client", CLIENT_PID, false);
	server = &t.trial->parts[0];
	facts_set(&server->truth, "sent_bytes", 7);
	facts_set(&client->truth, "calls.close", 1);
	workload_observe(&t.report, t.trial);
	assert_int_equal(t.trial->exact, UNKNOWN);
	a = audit_of(&t.report, "workload_truth", "server (pid 100): socket bytes");
	assert_int_equal(a->ok, UNKNOWN);
	assert_int_equal(a->expected, 7);
	assert_int_equal(a->observed, METRIC_UNKNOWN);
	assert_string_equal(a->reason, "sockets were not traced (--no-sockets)");
	a = audit_of(&t.report, "workload_truth", "client (pid 200): calls");
	assert_string_equal(a->reason, "its process is not in the trace");
	assert_true(t.report.capture.complete); /* not known is not wrong */
	end(&t);
}

static void test_connections_are_those_made_in_the_trace(void **state)
{
	struct workload_part *server;
	struct process *p;
	struct socket *s;
	struct trial t;

	(void)state;
	server = begin(&t, true);
	p = &t.report.processes[0];
	add_socket(p, "tcp", "accept")->stats.tcp_accept_wait_ns = 10;
	add_socket(p, "tcp", "accept"); /* older than the trace, or never accepted */
	s = add_socket(p, "tcp", "accept");
	s->connections = 100;
	s->spreads[SPREAD_accept_wait].count = 98;
	add_socket(p, "tcp", "connect")->stats.tcp_connect_ns = 10;
	add_socket(p, "tcp", "connect")->stats.tcp_failed_connects = 1;
	for (size_t i = 0; i < p->nr_sockets; i++)
		p->sockets[i].stats.send_bytes = p->sockets[i].stats.receive_bytes = i;
	facts_set(&server->truth, "connections_accepted", 99);
	facts_set(&server->truth, "connections_opened", 1);
	facts_set(&server->truth, "sent_bytes", 10);
	facts_set(&server->truth, "received_bytes", 10);
	workload_observe(&t.report, t.trial);
	assert_int_equal(t.trial->exact, YES);
	assert_int_equal(facts_get(&server->observed, "connections_accepted"), 99);
	end(&t);
}

static void test_children_count_for_the_subject_alone(void **state)
{
	struct workload_part *client;
	struct trial t;

	(void)state;
	begin(&t, true);
	add_call(add_process(&t.report, CLIENT_PID, true), 3, "close", 5);
	add_call(add_process(&t.report, 300, true), 3, "close", 7);
	add_call(&t.report.processes[0], 3, "close", 1);
	client = add_part(t.trial, "client", CLIENT_PID, false);
	facts_set(&t.trial->parts[0].truth, "calls.close", 8);
	facts_set(&client->truth, "calls.close", 5);
	workload_observe(&t.report, t.trial);
	assert_int_equal(t.trial->exact, YES);
	assert_int_equal(t.trial->stats.calls, 8);
	end(&t);
}

/* --- datagrams ---------------------------------------------------------------------------- */

/* A subscriber that received, dropped and left in its queue so many of 100 datagrams. */
static struct audit balance_of(uint64_t received, uint64_t dropped, uint64_t queued)
{
	struct workload_part *publisher;
	struct audit a;
	struct socket *s;
	struct trial t;

	begin(&t, true);
	publisher = add_part(t.trial, "publisher", CLIENT_PID, false);
	facts_set(&publisher->truth, "datagrams_sent", 100);
	facts_set(&t.trial->parts[0].truth, "datagrams_received", received);
	s = add_socket(&t.report.processes[0], "udp", "bind");
	s->stats.udp_datagrams_received = received;
	s->stats.udp_datagrams_queued = queued;
	drops_get(&s->drops, "SOCKET_RCVBUFF", NULL)->packets = dropped;
	workload_observe(&t.report, t.trial);
	a = *audit_of(&t.report, "udp_balance", "server (pid 100)");
	assert_int_equal(a.expected, 100);
	assert_int_equal(t.trial->stats.drops, dropped);
	a.name = a.subject = NULL;
	a.reason = a.reason ? strdup(a.reason) : NULL;
	end(&t);
	return a;
}

static void test_datagrams_balance(void **state)
{
	struct audit a;

	(void)state;
	assert_int_equal(balance_of(90, 7, 3).ok, YES);
	assert_int_equal(balance_of(93, 7, METRIC_UNKNOWN).ok, YES);
	a = balance_of(90, 7, 2);
	assert_int_equal(a.ok, NO);
	assert_int_equal(a.observed, 99);
	assert_string_equal(a.reason, "received 90, dropped 7, queued 2");
	free(a.reason);
	a = balance_of(90, 7, METRIC_UNKNOWN);
	assert_int_equal(a.ok, UNKNOWN);
	assert_string_equal(a.reason, "a socket was closed before its queue was read");
	free(a.reason);
	a = balance_of(95, 7, METRIC_UNKNOWN); /* too many is wrong, whatever the queue held */
	assert_int_equal(a.ok, NO);
	free(a.reason);
}

/* --- figures ------------------------------------------------------------------------------ */

static const struct workload_figure *figure(const char *name)
{
	for (size_t i = 0; i < nr_workload_figures; i++)
		if (!strcmp(workload_figures[i].name, name))
			return &workload_figures[i];
	fail_msg("no figure %s", name);
	return NULL;
}

static double value_of(const char *name, const struct workload_trial *t)
{
	double value = 0;

	assert_true(workload_figure_of(figure(name), t, &value));
	return value;
}

static void test_figures_are_ratios_of_what_the_trial_holds(void **state)
{
	struct trial t;
	double value;
	char *name;

	(void)state;
	begin(&t, true);
	facts_set(&t.trial->results, "duration_ns", 2000000000);
	facts_set(&t.trial->results, "bytes", 3 << 20);
	t.trial->stats.calls = 6;
	t.trial->stats.on_cpu_ns = 500000000;
	assert_true(value_of("calls_per_work", t.trial) == 2);
	assert_true(value_of("bits_per_second", t.trial) == 3.0 * (1 << 20) * 8 / 2);
	assert_true(value_of("cpu_share", t.trial) == 0.25);
	name = workload_figure_name(figure("calls_per_work"), t.trial);
	assert_string_equal(name, "calls_per_mib");
	free(name);
	facts_set(&t.trial->results, "requests", 12);
	assert_true(value_of("calls_per_work", t.trial) == 0.5);
	name = workload_figure_heading(figure("calls_per_work"), t.trial);
	assert_string_equal(name, "system calls per request");
	free(name);
	assert_false(workload_figure_of(figure("messages_per_second"), t.trial, &value));
	facts_set(&t.trial->results, "duration_ns", 0); /* no ratio to nothing */
	assert_false(workload_figure_of(figure("bits_per_second"), t.trial, &value));
	end(&t);
}

/* --- absorbing ---------------------------------------------------------------------------- */

static void test_a_report_absorbs_its_trials(void **state)
{
	struct report all = {0}, trial;

	(void)state;
	for (uint64_t number = 2; number <= 4; number++) {
		load_golden("sockets", &trial);
		trial.capture.complete = number != 3;
		trial.capture.self_rss_bytes = number * 100;
		trial.capture.lost[0].count = number;
		report_absorb(&all, &trial, number);
		assert_null(trial.processes);
	}
	load_golden("sockets", &trial);
	assert_int_equal(all.nr_processes, 3 * trial.nr_processes);
	assert_int_equal(all.nr_audits, 3 * trial.nr_audits);
	assert_int_equal(strncmp(all.audits[0].subject, "trial 2: ", 9), 0);
	assert_int_equal(all.processes[0].trial, 2);
	assert_int_equal(all.processes[1].trial, 3);
	assert_int_equal(all.processes[1].pid, all.processes[0].pid);
	assert_int_equal(all.capture.duration_ns, 3 * trial.capture.duration_ns);
	assert_int_equal(all.capture.self_cpu_ns, trial.capture.self_cpu_ns);
	assert_int_equal(all.capture.self_rss_bytes, 400);
	assert_int_equal(all.capture.setup_ns, trial.capture.setup_ns);
	assert_int_equal(all.capture.lost[0].count, 2 + 3 + 4);
	assert_int_equal(all.capture.nr_lost, trial.capture.nr_lost);
	assert_int_equal(all.capture.nr_programs, trial.capture.nr_programs);
	assert_int_equal(all.capture.programs[0].runs, 3 * trial.capture.programs[0].runs);
	assert_int_equal(all.capture.nr_probes, trial.capture.nr_probes);
	assert_int_equal(all.drops.nr, trial.drops.nr);
	assert_int_equal(all.drops.items[0].packets, 3 * trial.drops.items[0].packets);
	assert_int_equal(all.drops.items[0].first_ns, METRIC_UNKNOWN);
	assert_false(all.capture.complete);
	report_free(&trial);
	report_free(&all);
}

/* --- saved reports ------------------------------------------------------------------------ */

/* What is said of the golden report with the first @from behind "workload" made @to. */
static char *refusal_of(const char *from, const char *to)
{
	struct report r, damaged;
	char *line, *at, *text, *why;
	struct saved *s;
	int more;

	load_golden("workload", &r);
	line = render(&r, "json", (struct report_options){.compact = true}, NULL);
	report_free(&r);
	at = strstr(strstr(line, "\"workload\":{"), from);
	if (!at)
		fail_msg("nothing to change: %s", from);
	text = xasprintf("%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
	s = saved_open(text, strlen(text));
	more = saved_next(s, &damaged, &why);
	if (more > 0)
		report_free(&damaged);
	assert_true((more < 0) == (why != NULL));
	saved_close(s);
	free(text);
	free(line);
	return why;
}

static void test_workloads_that_contradict_themselves_are_refused(void **state)
{
	static const struct {
		const char *from, *to, *why;
	} faults[] = {
		{"\"workload\":{", "\"workload\":[],\"x\":{", "workload: an object is expected"},
		{"\"workload\":{", "\"workload\":null,\"x\":{", "workload: missing"},
		{"\"values\":[\"100000\"]", "\"values\":[]",
		 "workload.parameters[0]: a parameter without a value"},
		{"\"values\":[\"100000\"]", "\"values\":null",
		 "workload.parameters[0]: a parameter without a value"},
		{"\"is_swept\":false", "\"is_swept\":true",
		 "workload.trials[0]: the cell has not one value for each swept parameter"},
		{"\"cell\":[\"64K\"]", "\"cell\":null",
		 "workload.trials[0]: the cell has not one value for each swept parameter"},
		{"\"cell\":[\"64K\"]", "\"cell\":[\"64K\",\"1\"]",
		 "workload.trials[0]: the cell has not one value for each swept parameter"},
		{"\"number\":1", "\"number\":0", "workload.trials[0]: trials are counted from 1"},
		{"\"number\":1", "\"number\":2",
		 "workload.trials[1]: the trials do not ascend by number"},
		{"\"role\":\"publisher\"", "\"role\":\"subscriber\"",
		 "workload.trials[0].parts[1]: a part with this role is there already"},
		{"\"role\":\"publisher\"", "\"role\":\"a\\u001b\"",
		 "workload.trials[0].parts[1]: not a name: up to 63 of a-z, 0-9, _ and - are "
		 "expected"},
		{"\"truth\":{\"subscriber\"", "\"truth\":{\"nobody\"",
		 "workload.trials[0].truth.nobody: no part has this role"},
		{"\"calls\":{\"recvmmsg\"", "\"calls\":{\"Recv\"",
		 "workload.trials[0].truth.subscriber.calls.Recv: not a name: up to 63 of a-z, "
		 "0-9, _ and "
		 "- are expected"},
		{"\"datagrams_sent\":100000", "\"datagrams_sent\":-1",
		 "workload.trials[0].truth.publisher.datagrams_sent: a whole number, 0 or above, "
		 "is "
		 "expected"},
		{"\"results\":{", "\"results\":[],\"x\":{",
		 "workload.trials[0].results: an object is expected"},
		{"\"exact\":true", "\"exact\":1",
		 "workload.trials[0].exact: true or false is expected"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		char *why = refusal_of(faults[i].from, faults[i].to), *expected;

		expected = xasprintf("line 1: %s", faults[i].why);
		if (!why || strcmp(why, expected))
			fail_msg("%s made %s: %s", faults[i].from, faults[i].to,
				 why ? why : "read without a word");
		free(expected);
		free(why);
	}
}

static void test_figures_are_not_read_back(void **state)
{
	(void)state;
	assert_null(refusal_of("\"figures\":{", "\"figures\":{\"x\":\"y\","));
	assert_null(refusal_of("\"figures\":{", "\"later\":{"));
}

/* Texts of a workload are ours; those of a saved report are anybody's. */
static void test_hostile_workloads_do_no_harm(void **state)
{
	static const char *const formats[] = {"text", "md", "csv"};
	const char *hostile = "\033[2J|<b>";
	struct report r;

	(void)state;
	load_golden("workload", &r);
	for (size_t i = 0; i < r.workload->nr_parameters; i++) {
		free(r.workload->parameters[i].name);
		r.workload->parameters[i].name = xstrdup(hostile);
		r.workload->parameters[i].is_swept = true;
	}
	for (size_t i = 0; i < r.workload->nr_trials; i++) {
		strings_free(r.workload->trials[i].cell);
		r.workload->trials[i].cell =
			strings_copy((char *const[]){(char *)hostile, (char *)hostile, NULL});
	}
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		char *text = render(&r, formats[i], (struct report_options){0}, NULL);

		assert_null(strchr(text, '\033'));
		if (!strcmp(formats[i], "md"))
			assert_null(strstr(text, "<b>"));
		free(text);
	}
	report_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts_keep_their_order_and_are_set_once),
		cmocka_unit_test(test_what_agrees_is_exact),
		cmocka_unit_test(test_differences_that_cancel_fail),
		cmocka_unit_test(test_the_first_differences_are_named),
		cmocka_unit_test(test_what_was_not_traced_is_not_known),
		cmocka_unit_test(test_connections_are_those_made_in_the_trace),
		cmocka_unit_test(test_children_count_for_the_subject_alone),
		cmocka_unit_test(test_datagrams_balance),
		cmocka_unit_test(test_figures_are_ratios_of_what_the_trial_holds),
		cmocka_unit_test(test_a_report_absorbs_its_trials),
		cmocka_unit_test(test_workloads_that_contradict_themselves_are_refused),
		cmocka_unit_test(test_figures_are_not_read_back),
		cmocka_unit_test(test_hostile_workloads_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
