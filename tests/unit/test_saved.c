// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include <errno.h>

#include "base/alloc.h"

static const char *const goldens[] = {"server",	 "hostile", "count",
				      "nothing", "sockets", "workload"};

static char *golden_text(const char *name, size_t *len)
{
	char path[256];

	snprintf(path, sizeof(path), GOLDEN_DIR "%s.json", name);
	return read_file(path, len);
}

/* --- there and back ------------------------------------------------------------------------- */

static void test_what_is_read_is_written_again_to_the_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		char *before = golden_text(goldens[i], NULL), *after;
		struct report r;

		load_golden(goldens[i], &r);
		after = render(&r, "json", (struct report_options){0}, NULL);
		assert_string_equal(after, before);
		free(before);
		free(after);
		report_free(&r);
	}
}

static void test_a_report_on_one_line_is_the_same_report(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		char *before = golden_text(goldens[i], NULL), *line, *after;
		struct report r;
		size_t len;

		load_golden(goldens[i], &r);
		line = render(&r, "json", (struct report_options){.compact = true}, &len);
		report_free(&r);
		assert_ptr_equal(strchr(line, '\n'), line + len - 1);
		load_text(line, len, &r);
		after = render(&r, "json", (struct report_options){0}, NULL);
		assert_string_equal(after, before);
		free(before);
		free(line);
		free(after);
		report_free(&r);
	}
}

static void set_metrics(const struct metric *metrics, size_t nr, void *stats, uint64_t first)
{
	for (size_t i = 0; i < nr; i++)
		*metric_at(&metrics[i], stats) = first - i;
}

static void assert_metrics(const struct metric *metrics, size_t nr, const void *stats,
			   uint64_t first)
{
	for (size_t i = 0; i < nr; i++)
		if (*metric_at(&metrics[i], stats) != first - i)
			fail_msg("%s has not survived", metrics[i].name);
}

/* The first socket of a protocol in the last process of the golden report "sockets". */
static struct socket *socket_of(struct report *r, size_t process, const char *protocol)
{
	struct process *p = &r->processes[process];

	for (size_t i = 0; i < p->nr_sockets; i++)
		if (!strcmp(p->sockets[i].protocol, protocol))
			return &p->sockets[i];
	fail_msg("no socket of %s", protocol);
	return NULL;
}

static void test_every_metric_survives(void **state)
{
	const uint64_t first = METRIC_UNKNOWN - 1;
	struct report r;
	struct process *p;
	char *text;
	size_t len;

	(void)state;
	load_golden("server", &r);
	p = &r.processes[0];
	set_metrics(task_metrics, nr_task_metrics, &p->stats, first);
	set_metrics(call_metrics, nr_call_metrics, &p->calls.items[0].stats, first);
	text = render(&r, "json", (struct report_options){0}, &len);
	report_free(&r);
	load_text(text, len, &r);
	p = &r.processes[0];
	assert_metrics(task_metrics, nr_task_metrics, &p->stats, first);
	assert_metrics(call_metrics, nr_call_metrics, &p->calls.items[0].stats, first);
	free(text);
	report_free(&r);
}

/* Those of the other protocol are null: there is no object to hold them. */
static void test_every_metric_of_a_socket_survives(void **state)
{
	static const struct {
		size_t process;
		const char *protocol;
	} sockets[] = {{1, "tcp"}, {0, "udp"}, {1, "unix-stream"}};
	const uint64_t first = METRIC_UNKNOWN - 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sockets); i++) {
		struct report r;
		struct socket *s;
		char *text;
		size_t len;

		load_golden("sockets", &r);
		s = socket_of(&r, sockets[i].process, sockets[i].protocol);
		set_metrics(socket_metrics, nr_socket_metrics, &s->stats, first);
		text = render(&r, "json", (struct report_options){0}, &len);
		report_free(&r);
		load_text(text, len, &r);
		s = socket_of(&r, sockets[i].process, sockets[i].protocol);
		for (size_t k = 0; k < nr_socket_metrics; k++)
			assert_int_equal(*metric_at(&socket_metrics[k], &s->stats),
					 socket_has_metric(s, &socket_metrics[k]) ? first - k
										  : METRIC_UNKNOWN);
		free(text);
		report_free(&r);
	}
}

static void test_a_report_from_before_sockets_is_read(void **state)
{
	static const char *const formats[] = {"text", "json", "md", "csv"};
	struct report earlier, now;

	(void)state;
	load_golden("earlier/count", &earlier);
	load_golden("count", &now);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		char *a = render(&earlier, formats[i], (struct report_options){0}, NULL);
		char *b = render(&now, formats[i], (struct report_options){0}, NULL);

		assert_string_equal(a, b);
		free(a);
		free(b);
	}
	assert_int_equal(earlier.processes[0].nr_sockets, 0);
	assert_int_equal(earlier.drops.nr, 0);
	report_free(&earlier);
	report_free(&now);
}

/* --- several reports ------------------------------------------------------------------------ */

static void test_reports_follow_each_other_line_by_line(void **state)
{
	char *text = NULL, *why;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct saved *s;
	struct report r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		load_golden(goldens[i], &r);
		report_json.print(&r, &(struct report_options){.compact = true}, f);
		report_free(&r);
	}
	fclose(f);
	s = saved_open(text, len);
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		assert_int_equal(saved_next(s, &r, &why), 1);
		assert_null(why);
		report_free(&r);
	}
	assert_int_equal(saved_next(s, &r, &why), 0);
	assert_int_equal(saved_next(s, &r, &why), 0);
	saved_close(s);
	free(text);
}

static void test_no_text_is_no_report(void **state)
{
	struct saved *s = saved_open(" \n\t\r\n", 5);
	struct report r;
	char *why;

	(void)state;
	assert_int_equal(saved_next(s, &r, &why), 0);
	assert_null(why);
	saved_close(s);
}

/* --- faults --------------------------------------------------------------------------------- */

/* Expects the text to be refused; returns why, which the caller frees. */
static char *refusal_of(const char *text, size_t len)
{
	struct saved *s = saved_open(text, len);
	struct report r, empty;
	char *why = NULL;
	int err;

	memset(&empty, 0, sizeof(empty));
	while ((err = saved_next(s, &r, &why)) == 1)
		report_free(&r);
	saved_close(s);
	if (err != -EINVAL)
		fail_msg("not refused (%d): %.200s", err, text);
	assert_memory_equal(&r, &empty, sizeof(r));
	assert_non_null(why);
	assert_int_equal(strncmp(why, "line ", 5), 0);
	return why;
}

static void assert_refusal(const char *text, size_t len, const char *why)
{
	char *said = refusal_of(text, len);

	assert_string_equal(said, why);
	free(said);
}

/* A golden report on one line, with the first @from made @to. */
static char *changed_in(const char *golden, const char *from, const char *to)
{
	struct report r;
	char *line, *at, *text;

	load_golden(golden, &r);
	line = render(&r, "json", (struct report_options){.compact = true}, NULL);
	report_free(&r);
	at = strstr(line, from);
	if (!at)
		fail_msg("nothing to change: %s", from);
	text = xasprintf("%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
	free(line);
	return text;
}

static char *changed(const char *from, const char *to)
{
	return changed_in("server", from, to);
}

struct fault {
	const char *from, *to, *why;
};

static void check_faults(const struct fault *faults, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		char *text = changed(faults[i].from, faults[i].to);

		assert_refusal(text, strlen(text), faults[i].why);
		free(text);
	}
}

static void test_other_schemas_are_refused(void **state)
{
	static const char why[] =
		"line 1: schema: not \"socktrace/1\", which is all that is read here";
	static const struct fault faults[] = {
		{"socktrace/1", "socktrace/2", why},	  {"socktrace/1", "", why},
		{"\"schema\":\"socktrace/1\",", "", why}, {"\"socktrace/1\"", "1", why},
		{"\"socktrace/1\"", "null", why},
	};

	(void)state;
	check_faults(faults, ARRAY_SIZE(faults));
	assert_refusal("{}", 2, why);
	assert_refusal("[]", 2, "line 1, byte 1: a report begins with '{'");
	assert_refusal("\n\n 17", 5, "line 3, byte 4: a report begins with '{'");
}

static void test_faults_are_told_with_their_place(void **state)
{
	static const struct fault faults[] = {
		{"\"version\":\"0.1.0\",", "", "line 1: tool.version: missing"},
		{"\"version\":\"0.1.0\"", "\"version\":null", "line 1: tool.version: missing"},
		{"\"version\":\"0.1.0\"", "\"version\":[]",
		 "line 1: tool.version: a string is expected"},
		{"\"cpus\":8", "\"cpus\":\"8\"",
		 "line 1: host.cpus: a whole number, 0 or above, is expected"},
		{"\"btf\":true", "\"btf\":1", "line 1: host.btf: true or false is expected"},
		{"\"host\":{", "\"host\":[],\"hostess\":{", "line 1: host: an object is expected"},
		{"\"attach\",\"-d\"", "\"attach\",17",
		 "line 1: capture.command[2]: a string is expected"},
		{"\"tasks_full\":0", "\"\\u001b[2J\":0",
		 "line 1: capture.lost.\\x1b[2J: not the name of a reason"},
		{"\"probes\":[", "\"probes\":[null,",
		 "line 1: capture.probes[0]: an object is expected"},
		{"\"processes\":[", "\"processes\":7,\"p\":[",
		 "line 1: processes: an array is expected"},
		{"\"tid\":0", "\"tid\":2147483648",
		 "line 1: processes[0].threads[0].tid: 2147483648 is above 2147483647"},
		{"\"tid\":0", "\"tid\":9999",
		 "line 1: processes[0].threads[1]: the threads do not ascend by tid"},
		{"\"exit_status\":null", "\"exit_status\":256",
		 "line 1: processes[0].exit_status: 256 is above 255"},
		{"\"term_signal\":null", "\"term_signal\":\"SIGNONE\"",
		 "line 1: processes[0].term_signal: no signal has this name"},
		{"\"abi\":\"x86_64\"", "\"abi\":\"vax\"",
		 "line 1: processes[0].threads[0].syscalls[0].abi: no ABI has this name"},
		{"\"nr\":60", "\"nr\":45",
		 "line 1: processes[0].threads[0].syscalls[1]: the same system call is there "
		 "twice"},
		{"\"errnos\":{}", "\"errnos\":{\"EWHAT\":1}",
		 "line 1: processes[0].threads[0].syscalls[0].errnos.EWHAT: "
		 "no error has this name"},
	};

	(void)state;
	check_faults(faults, ARRAY_SIZE(faults));
}

/* In "count", process 100 started at 123456789 and process 200 at 99. */
static void test_processes_that_do_not_ascend_are_refused(void **state)
{
	static const char *const pids[] = {"\"pid\":300", "\"pid\":200"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		char *text = changed_in("count", "\"pid\":100", pids[i]);

		assert_refusal(
			text, strlen(text),
			"line 1: processes[1]: the processes do not ascend by pid and start");
		free(text);
	}
}

static void test_what_only_looks_like_json_is_refused(void **state)
{
	static const struct {
		const char *from, *to;
	} faults[] = {
		{"\"programs\":[", "\"x\":[1,],\"programs\":["},
		{"\"programs\":[", "\"x\":{\"a\":1,},\"programs\":["},
		{"\"programs\":[", "\"x\":'a',\"programs\":["},
		{"\"programs\":[", "/* x */\"programs\":["},
		{"\"cpus\":8", "\"cpus\":08"},
		{"\"btf\":true", "\"btf\":True"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		char *text = changed(faults[i].from, faults[i].to);

		free(refusal_of(text, strlen(text)));
		free(text);
	}
}

static void test_histograms_that_contradict_themselves_are_refused(void **state)
{
#define PLACE "line 1: processes[0].threads[0].syscalls[1].histogram"
	static const struct fault faults[] = {
		{"\"histogram\":[]", "\"histogram\":[[17,1]]",
		 PLACE "[0]: no bucket begins at 17 ns"},
		{"\"histogram\":[]", "\"histogram\":[[16,0]]", PLACE "[0]: an empty bucket"},
		{"\"histogram\":[]", "\"histogram\":[[16,1],[16,1]]",
		 PLACE "[1]: the buckets do not ascend"},
		{"\"histogram\":[]", "\"histogram\":[[18,1],[16,1]]",
		 PLACE "[1]: the buckets do not ascend"},
		{"\"histogram\":[]", "\"histogram\":[[16]]",
		 PLACE "[0]: [low_ns, count] is expected"},
		{"\"histogram\":[]", "\"histogram\":[16,1]",
		 PLACE "[0]: [low_ns, count] is expected"},
		{"\"histogram\":[]", "\"histogram\":[[16,-1]]",
		 PLACE "[0]: a whole number, 0 or above, is expected"},
		{"\"histogram\":[]", "\"histogram\":{}", PLACE ": an array is expected"},
	};

	(void)state;
	check_faults(faults, ARRAY_SIZE(faults));
}

static void test_faults_of_sockets_are_told_with_their_place(void **state)
{
#define AT_SOCKET  "line 1: processes[0].sockets[0]."
#define NOT_A_WORD "not one of the words that stand here"
	static const struct fault faults[] = {
		{"\"protocol\":\"udp\"", "\"protocol\":\"sctp\"",
		 AT_SOCKET "protocol: " NOT_A_WORD},
		{"\"protocol\":\"udp\"", "\"protocol\":\"bind\"",
		 AT_SOCKET "protocol: " NOT_A_WORD},
		{"\"protocol\":\"udp\"", "\"protocol\":null", AT_SOCKET "protocol: missing"},
		{"\"family\":\"ipv4\"", "\"family\":4", AT_SOCKET "family: a string is expected"},
		{"\"role\":\"bind\"", "\"role\":\"\"", AT_SOCKET "role: " NOT_A_WORD},
		{"\"connections\":1", "\"connections\":null", AT_SOCKET "connections: missing"},
		{"\"udp\":{", "\"udp\":[],\"x\":{", AT_SOCKET "udp: an object is expected"},
		{"\"spreads\":{}", "\"spreads\":[]", AT_SOCKET "spreads: an object is expected"},
		{"\"spreads\":{}", "\"spreads\":{\"rtt\":1}",
		 AT_SOCKET "spreads.rtt: an object is expected"},
		{"\"spreads\":{}", "\"spreads\":{\"rtt\":{}}",
		 AT_SOCKET "spreads.rtt.count: missing"},
		{"\"SOCKET_RCVBUFF\":{", "\"a b\":{",
		 AT_SOCKET "drops.a b: not the name of a reason"},
		{"\"SOCKET_RCVBUFF\":{", "\"SOCKET_RCVBUFF\":1,\"x\":{",
		 AT_SOCKET "drops.SOCKET_RCVBUFF: an object is expected"},
		{"\"packets\":4133", "\"packets\":-1",
		 AT_SOCKET "drops.SOCKET_RCVBUFF.packets: a whole number, 0 or above, is expected"},
		{"\"state\":null", "\"state\":\"local\"",
		 "line 1: processes[0].sockets[1].tcp.state: " NOT_A_WORD},
		{"\"reason\":\"NETFILTER_DROP\"", "\"reason\":\"\\u001b[0m\"",
		 "line 1: drops[0]: not the name of a reason"},
		{"\"reason\":\"NETFILTER_DROP\",\"where\":\"nf_hook_slow\"",
		 "\"reason\":\"NO_SOCKET\",\"where\":null",
		 "line 1: drops[1]: the same drops are there twice"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		char *text = changed_in("sockets", faults[i].from, faults[i].to);

		assert_refusal(text, strlen(text), faults[i].why);
		free(text);
	}
}

static void test_numbers_are_exact_or_refused(void **state)
{
#define AT_USER "line 1: processes[0].cpu.user_ns: "
	static const struct fault faults[] = {
		{"\"user_ns\":", "\"user_ns\":-1,\"x\":",
		 AT_USER "a whole number, 0 or above, is expected"},
		{"\"user_ns\":", "\"user_ns\":1.5,\"x\":",
		 AT_USER "a whole number, 0 or above, is expected"},
		{"\"user_ns\":", "\"user_ns\":1e3,\"x\":",
		 AT_USER "a whole number, 0 or above, is expected"},
		{"\"user_ns\":", "\"user_ns\":true,\"x\":",
		 AT_USER "a whole number, 0 or above, is expected"},
		{"\"user_ns\":", "\"user_ns\":18446744073709551615,\"x\":",
		 AT_USER "the number is too large"},
		{"\"user_ns\":", "\"user_ns\":18446744073709551616,\"x\":",
		 AT_USER "the number is too large"},
		{"\"user_ns\":", "\"user_ns\":99999999999999999999999999,\"x\":",
		 AT_USER "the number is too large"},
		{"\"user_ns\":", "\"user_ns\":-99999999999999999999999999,\"x\":",
		 AT_USER "a whole number, 0 or above, is expected"},
		{"\"cpus\":8", "\"cpus\":18446744073709551616",
		 "line 1: host.cpus: the number is too large"},
	};
	char *text = changed("\"user_ns\":", "\"user_ns\":18446744073709551614,\"x\":");
	struct report r;

	(void)state;
	check_faults(faults, ARRAY_SIZE(faults));
	load_text(text, strlen(text), &r);
	assert_int_equal(r.processes[0].stats.user_ns, 18446744073709551614u);
	report_free(&r);
	free(text);
}

static void test_later_fields_are_ignored_and_missing_metrics_unknown(void **state)
{
	char *text = changed("\"blocked_ns\":", "\"later_ns\":[1,{}],\"renamed_ns\":");
	struct report r;

	(void)state;
	load_text(text, strlen(text), &r);
	assert_int_equal(r.processes[0].stats.blocked_ns, METRIC_UNKNOWN);
	report_free(&r);
	free(text);
}

static void test_strings_are_made_clean(void **state)
{
	char *text = changed("\"comm\":\"gateway\"", "\"comm\":\"a\\u0000b\\ud800c\\u001b\"");
	struct report r;

	(void)state;
	load_text(text, strlen(text), &r);
	assert_string_equal(r.processes[0].comm, "a\\x00b\xef\xbf\xbd"
						 "c\x1b");
	report_free(&r);
	free(text);
}

/* The place is ours; the words are those of json-c, whose versions differ. */
static void assert_refusal_at(const char *text, size_t len, const char *place)
{
	char *said = refusal_of(text, len);

	if (strncmp(said, place, strlen(place)) || strlen(said) == strlen(place))
		fail_msg("\"%s\" does not begin with \"%s\"", said, place);
	free(said);
}

static void test_broken_json_is_told_with_line_and_byte(void **state)
{
	static const char deep[] =
		"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";

	(void)state;
	assert_refusal_at("{\"a\":\n!}", 8, "line 2, byte 7: ");
	assert_refusal("{", 1, "line 1, byte 2: the text ends inside a report");
	assert_refusal("null", 4, "line 1, byte 1: a report begins with '{'");
	assert_refusal_at("{\"a\":\"\xff\"}", 9, "line 1, byte 7: ");
	assert_refusal_at(deep, sizeof(deep) - 1, "line 1, byte 37: ");
	assert_refusal("{\"a\":1}\0{}", 10,
		       "line 1: schema: not \"socktrace/1\", which is all that is read here");
	assert_refusal("\0", 1, "line 1, byte 1: a report begins with '{'");
}

static void test_text_behind_a_report_is_an_error(void **state)
{
	char *text = changed("\"audits\":[", "\"audits\":[");
	char *longer = xasprintf("%s,", text), *why;

	(void)state;
	why = refusal_of(longer, strlen(longer));
	assert_int_equal(strncmp(why, "line 2, byte ", 13), 0);
	free(why);
	free(longer);
	free(text);
}

/* Every beginning of a report: a file that was cut short anywhere. */
static void check_cut_short(const char *golden)
{
	size_t len;
	char *text = golden_text(golden, &len);

	while (len && text[len - 1] != '}')
		len--;
	for (size_t cut = 1; cut < len; cut++) {
		char *part = xcalloc(1, cut); /* exactly: reading on is seen by the sanitizer */

		memcpy(part, text, cut);
		free(refusal_of(part, cut));
		free(part);
	}
	free(text);
}

static void test_a_report_cut_short_anywhere_is_refused(void **state)
{
	(void)state;
	check_cut_short("hostile");
	check_cut_short("sockets");
}

/* Bytes changed at random: whatever comes of it, it is a report or an error. */
static void check_damaged(const char *golden)
{
	static const char likely[] = "\"{}[]:,0123456789-e.tfn\\u\x80\xff\0 ";
	uint64_t seed = 99;
	size_t len, nr_refused = 0;
	char *text = golden_text(golden, &len);

	for (int round = 0; round < 4000; round++) {
		char *damaged = xcalloc(1, len);
		char *why = NULL;
		struct saved *s;
		struct report r;

		memcpy(damaged, text, len);
		for (uint64_t k = next_random(&seed) % 4; k < 4; k++)
			damaged[next_random(&seed) % len] =
				likely[next_random(&seed) % (sizeof(likely) - 1)];
		s = saved_open(damaged, len);
		while (saved_next(s, &r, &why) == 1) {
			free(render(&r, "text", (struct report_options){.width = 80}, NULL));
			report_free(&r);
		}
		nr_refused += why != NULL;
		saved_close(s);
		free(why);
		free(damaged);
	}
	assert_true(nr_refused > 1000 && nr_refused < 4000);
	free(text);
}

static void test_damaged_reports_are_read_or_refused(void **state)
{
	(void)state;
	check_damaged("hostile");
	check_damaged("sockets");
	check_damaged("workload");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_read_is_written_again_to_the_byte),
		cmocka_unit_test(test_a_report_on_one_line_is_the_same_report),
		cmocka_unit_test(test_every_metric_survives),
		cmocka_unit_test(test_every_metric_of_a_socket_survives),
		cmocka_unit_test(test_a_report_from_before_sockets_is_read),
		cmocka_unit_test(test_reports_follow_each_other_line_by_line),
		cmocka_unit_test(test_no_text_is_no_report),
		cmocka_unit_test(test_other_schemas_are_refused),
		cmocka_unit_test(test_faults_are_told_with_their_place),
		cmocka_unit_test(test_processes_that_do_not_ascend_are_refused),
		cmocka_unit_test(test_what_only_looks_like_json_is_refused),
		cmocka_unit_test(test_histograms_that_contradict_themselves_are_refused),
		cmocka_unit_test(test_faults_of_sockets_are_told_with_their_place),
		cmocka_unit_test(test_numbers_are_exact_or_refused),
		cmocka_unit_test(test_later_fields_are_ignored_and_missing_metrics_unknown),
		cmocka_unit_test(test_strings_are_made_clean),
		cmocka_unit_test(test_broken_json_is_told_with_line_and_byte),
		cmocka_unit_test(test_text_behind_a_report_is_an_error),
		cmocka_unit_test(test_a_report_cut_short_anywhere_is_refused),
		cmocka_unit_test(test_damaged_reports_are_read_or_refused),
	};

	return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
