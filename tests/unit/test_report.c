// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include <errno.h>
#include <locale.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "model/workload.h"

/*
 * What each format makes of the saved reports in GOLDEN_DIR, to the byte. With
 * SOCKTRACE_UPDATE_GOLDEN=1 in the environment the expected files are written instead of
 * compared, each is named, and the test fails: look at the differences before they are committed.
 */
#define UPDATE_VARIABLE "SOCKTRACE_UPDATE_GOLDEN"

static const char *const goldens[] = {"server",	 "hostile", "count",
				      "nothing", "sockets", "workload"};

static const struct {
	const char *suffix, *format;
	struct report_options options;
	const char *only; /* the golden that it is made for; NULL: all */
} variants[] = {
	{"txt", "text", {0}, NULL},
	{"80.txt", "text", {.width = 80}, NULL},
	{"threads.txt", "text", {.with_threads = true}, NULL},
	{"top.txt", "text", {.top = 2}, NULL},
	{"trial.txt", "text", {.trial = 3}, "workload"},
	{"trial.md", "md", {.trial = 7}, "workload"},
	{"colour.txt", "text", {.colour = true, .width = 100}, NULL},
	{"md", "md", {0}, NULL},
	{"threads.md", "md", {.with_threads = true, .top = 5}, NULL},
	{"csv", "csv", {0}, NULL},
	{"threads.csv", "csv", {.with_threads = true}, NULL},
};

static bool wants_update(void)
{
	const char *value = getenv(UPDATE_VARIABLE);

	return value && !strcmp(value, "1");
}

static void update(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	fprintf(stderr, "written: %s\n", path);
}

static void compare(const char *path, const char *text)
{
	char *expected = read_file(path, NULL);
	bool is_same = !strcmp(text, expected);

	if (!is_same)
		fprintf(stderr, "--- %s is\n%s\n--- but this was made\n%s\n", path, expected, text);
	free(expected);
	if (!is_same)
		fail_msg("%s: set %s=1 to write it anew", path, UPDATE_VARIABLE);
}

static void test_every_format_gives_the_expected_bytes(void **state)
{
	char path[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		struct report r;

		load_golden(goldens[i], &r);
		for (size_t k = 0; k < ARRAY_SIZE(variants); k++) {
			char *text;

			if (variants[k].only && strcmp(variants[k].only, goldens[i]))
				continue;
			text = render(&r, variants[k].format, variants[k].options, NULL);

			snprintf(path, sizeof(path), GOLDEN_DIR "%s.%s", goldens[i],
				 variants[k].suffix);
			if (wants_update())
				update(path, text);
			else
				compare(path, text);
			free(text);
		}
		report_free(&r);
	}
	if (wants_update())
		fail_msg("the expected files were written, nothing was compared");
}

/* --- what holds for every report ------------------------------------------------------------- */

typedef void check_fn(const struct report *r);

static void for_each_golden(check_fn *check)
{
	for (size_t i = 0; i < ARRAY_SIZE(goldens); i++) {
		struct report r;

		load_golden(goldens[i], &r);
		check(&r);
		report_free(&r);
	}
}

static size_t columns_of(const char *line, size_t len)
{
	char *copy = strndup(line, len);
	wchar_t wide[8192];
	size_t nr = mbstowcs(wide, copy, ARRAY_SIZE(wide));

	assert_true(nr < ARRAY_SIZE(wide));
	free(copy);
	return wcswidth(wide, nr);
}

static void check_width(const struct report *r)
{
	for (unsigned int width = 40; width <= 200; width++) {
		struct report_options o = {.with_threads = true, .width = width};
		char *text = render(r, "text", o, NULL);

		for (char *line = text, *end; *line; line = end + 1) {
			end = strchr(line, '\n');
			if (columns_of(line, end - line) > width)
				fail_msg("wider than %u: %.*s", width, (int)(end - line), line);
		}
		free(text);
	}
}

static void test_no_line_is_wider_than_the_terminal(void **state)
{
	(void)state;
	assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
	for_each_golden(check_width);
}

/* A width that holds every line at its natural width leaves no column out and wraps nothing. */
static void check_natural_width(const struct report *r)
{
	char *natural = render(r, "text", (struct report_options){0}, NULL);
	char *wide = render(r, "text", (struct report_options){.width = 4000}, NULL);

	assert_string_equal(natural, wide);
	free(natural);
	free(wide);
}

static void test_a_wide_terminal_shows_everything(void **state)
{
	(void)state;
	for_each_golden(check_natural_width);
}

/* In UTF-8, C1 controls are C2 80 to C2 9F. */
static void assert_harmless(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p < 0x20 && *p != '\n' && *p != '\r') || *p == 0x7f ||
		    (*p == 0xc2 && p[1] < 0xa0))
			fail_msg("control character in: %.80s", (const char *)p);
	assert_null(strstr(text, "\xe2\x80\xae"));
	assert_null(strstr(text, "\xe2\x80\x8b"));
}

static void check_harmless(const struct report *r)
{
	static const char *const names[] = {"text", "json", "md", "csv"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct report_options o = {.with_threads = true};
		char *text = render(r, names[i], o, NULL);

		assert_harmless(text);
		free(text);
	}
}

static void test_no_control_character_gets_through(void **state)
{
	(void)state;
	for_each_golden(check_harmless);
}

/* Takes the sequences away that --color may print. */
static void strip_colours(char *text)
{
	static const char *const known[] = {"\033[0m", "\033[1m", "\033[31m", "\033[33m"};
	char *to = text;

	while (*text) {
		size_t skip = 0;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (!strncmp(text, known[i], strlen(known[i])))
				skip = strlen(known[i]);
		if (skip)
			text += skip;
		else
			*to++ = *text++;
	}
	*to = '\0';
}

static void check_colour(const struct report *r)
{
	char *plain = render(r, "text", (struct report_options){.width = 90}, NULL);
	char *coloured =
		render(r, "text", (struct report_options){.width = 90, .colour = true}, NULL);

	assert_null(strchr(plain, '\033'));
	assert_non_null(strchr(coloured, '\033'));
	strip_colours(coloured);
	assert_string_equal(plain, coloured);
	free(plain);
	free(coloured);
}

static void test_colour_changes_nothing_but_colour(void **state)
{
	(void)state;
	for_each_golden(check_colour);
}

static void check_locale(const struct report *r)
{
	struct report_options o = {.with_threads = true, .width = 100};
	char *in_c, *in_utf8;

	assert_non_null(setlocale(LC_ALL, "C"));
	in_c = render(r, "text", o, NULL);
	assert_non_null(setlocale(LC_ALL, "C.UTF-8"));
	in_utf8 = render(r, "text", o, NULL);
	assert_string_equal(in_c, in_utf8);
	free(in_c);
	free(in_utf8);
}

static void test_the_locale_changes_nothing(void **state)
{
	(void)state;
	for_each_golden(check_locale);
}

/* Standard output becomes a terminal of 20 columns; returns what it was. */
static int become_terminal(void)
{
	const struct winsize size = {.ws_row = 10, .ws_col = 20};
	int saved = dup(STDOUT_FILENO), ours, theirs;

	assert_int_equal(openpty(&ours, &theirs, NULL, NULL, &size), 0);
	fflush(stdout);
	dup2(theirs, STDOUT_FILENO);
	close(theirs);
	return saved;
}

static void check_surroundings(const struct report *r)
{
	struct report_options o = {0};
	char *before = render(r, "text", o, NULL), *after;
	int saved;

	assert_int_equal(setenv("COLUMNS", "20", 1), 0);
	assert_int_equal(setenv("TERM", "vt100", 1), 0);
	saved = become_terminal();
	after = render(r, "text", o, NULL);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_environment_and_terminal_change_nothing(void **state)
{
	(void)state;
	for_each_golden(check_surroundings);
}

/* --- content --------------------------------------------------------------------------------- */

static void test_every_metric_is_in_json_and_csv(void **state)
{
	struct report r;
	char *json, *csv, name[128];

	(void)state;
	load_golden("sockets", &r);
	json = render(&r, "json", (struct report_options){0}, NULL);
	csv = render(&r, "csv", (struct report_options){0}, NULL);
	csv[strcspn(csv, "\n") + 1] = '\0'; /* its first line */
	for (size_t i = 0; i < nr_task_metrics; i++) {
		snprintf(name, sizeof(name), "\"%s\": ", task_metrics[i].name);
		assert_non_null(strstr(json, name));
		snprintf(name, sizeof(name), ",%s.%s,", task_metrics[i].group,
			 task_metrics[i].name);
		assert_non_null(strstr(csv, name));
	}
	for (size_t i = 0; i < nr_call_metrics; i++) {
		snprintf(name, sizeof(name), "\"%s\": ", call_metrics[i].name);
		assert_non_null(strstr(json, name));
		snprintf(name, sizeof(name), ",%s,", call_metrics[i].name);
		assert_non_null(strstr(csv, name));
	}
	for (size_t i = 0; i < nr_socket_metrics; i++) {
		snprintf(name, sizeof(name), "\"%s\": ", socket_metrics[i].name);
		assert_non_null(strstr(json, name));
		snprintf(name, sizeof(name), ",%s.%s,", socket_metrics[i].group,
			 socket_metrics[i].name);
		assert_non_null(strstr(csv, name));
	}
	for (size_t i = 0; i < NR_SPREADS; i++) {
		snprintf(name, sizeof(name), "\"%s\": {", spread_names[i]);
		assert_non_null(strstr(json, name));
		snprintf(name, sizeof(name), ",%s.p99_ns,", spread_names[i]);
		assert_non_null(strstr(csv, name));
	}
	free(json);
	free(csv);
	report_free(&r);
}

/* The end of the field of RFC 4180 that begins at @p: a comma or the CR LF of the record. */
static const char *field_end(const char *p)
{
	if (*p != '"')
		return p + strcspn(p, ",\r");
	for (p++; *p != '"' || p[1] == '"'; p += *p == '"' ? 2 : 1)
		assert_true(*p);
	return p + 1;
}

static size_t check_record(const char **p)
{
	size_t nr = 1;

	for (;;) {
		assert_null(memchr("=+-@", **p, 4)); /* no formula */
		*p = field_end(*p);
		if (**p != ',')
			break;
		(*p)++;
		nr++;
	}
	assert_int_equal(strncmp(*p, "\r\n", 2), 0);
	*p += 2;
	return nr;
}

static size_t workload_rows(const struct workload_run *w)
{
	size_t nr = 0;

	for (size_t i = 0; w && i < w->nr_trials; i++) {
		const struct workload_trial *t = &w->trials[i];

		nr += t->results.nr + (t->traced ? nr_trial_metrics : 0);
		for (size_t k = 0; k < t->nr_parts; k++)
			nr += t->parts[k].truth.nr + t->parts[k].observed.nr;
	}
	return nr;
}

static void check_csv(const struct report *r)
{
	char *text = render(r, "csv", (struct report_options){.with_threads = true}, NULL);
	const char *p = text;
	size_t nr_fields = check_record(&p), nr_records = 0, expected = 0;

	for (; *p; nr_records++)
		assert_int_equal(check_record(&p), nr_fields);
	for (size_t i = 0; i < r->nr_processes; i++) {
		expected += 1 + r->processes[i].calls.nr;
		for (size_t k = 0; k < r->processes[i].nr_threads; k++)
			expected += 1 + r->processes[i].threads[k].calls.nr;
		for (size_t k = 0; k < r->processes[i].nr_sockets; k++)
			expected += 1 + r->processes[i].sockets[k].drops.nr;
	}
	expected += r->drops.nr + workload_rows(r->workload);
	assert_int_equal(nr_records, expected);
	free(text);
}

static void test_csv_is_a_table_without_formulas(void **state)
{
	(void)state;
	for_each_golden(check_csv);
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("not there: %s\n%s", part, text);
}

static void test_text_says_in_words_what_is_seldom(void **state)
{
	struct report r;
	struct call_stats *s;
	char *text;

	(void)state;
	load_golden("server", &r);
	s = &r.processes[0].calls.items[0].stats;
	s->errors += 3; /* beyond those whose errno is known */
	s->denied = 1234;
	s->in_flight_start = 2;
	text = render(&r, "text", (struct report_options){.top = 3}, NULL);
	assert_has(text, "errors:             write: EPIPE 1; read: EAGAIN 420, others 3; ");
	assert_has(text, "denied:             read 1,234\n");
	assert_has(text, "under way at start: read 2\n");
	assert_has(text, "under way at end:   epoll_wait 2; futex 1\n");
	assert_has(text, "never returned:     exit 30\n");
	assert_has(text, "restarts:           futex 2\n");
	assert_has(text, "left out:           6 more system calls: 2,037 calls, on a CPU for ");
	assert_has(text,
		   "\naudits: 4 of 4 hold (context_switches, syscall_balance, cpu_time, lost)\n");
	free(text);
	report_free(&r);
}

static void test_losses_are_told_with_what_they_mean(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("hostile", &r);
	for (size_t i = 0; i < r.capture.nr_lost; i++)
		r.capture.lost[i].count = i == 0 ? 3 : 0;
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_has(text, "\nlost:     tasks_full 3: threads not traced: ");
	free(text);
	strcpy(r.capture.lost[0].reason, "later"); /* shorter; of a version to come */
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_has(text, "\nlost:     later 3\n");
	free(text);
	report_free(&r);
}

static void test_calls_stand_in_order_of_cpu_time_then_calls_then_name(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("server", &r);
	for (size_t i = 0; i < r.processes[0].calls.nr; i++) {
		struct syscall *c = &r.processes[0].calls.items[i];

		c->stats.on_cpu_ns = !strcmp(c->name, "futex") ? 2 : 1;
		c->stats.calls = !strcmp(c->name, "write") ? 6 : 5;
	}
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_true(strstr(text, "\nfutex ") < strstr(text, "\nwrite "));
	assert_true(strstr(text, "\nwrite ") < strstr(text, "\naccept4 "));
	assert_true(strstr(text, "\naccept4 ") < strstr(text, "\nclone3 "));
	assert_true(strstr(text, "\nrecvfrom ") < strstr(text, "\nsendfile "));
	free(text);
	report_free(&r);
}

static void test_what_is_unknown_everywhere_has_no_column(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("count", &r);
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_null(strstr(text, "P50"));
	assert_null(strstr(text, "KERNEL"));
	assert_has(text, "ON-CPU");
	assert_has(text, "\nSYSCALL  CALLS ERRORS    BYTES\n");
	free(text);
	report_free(&r);
}

/* --- sockets and drops ----------------------------------------------------------------------- */

static void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("there, and should not be: %s\n%s", part, text);
}

static void test_a_short_table_never_hides_drops(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("sockets", &r);
	text = render(&r, "text", (struct report_options){.top = 1}, NULL);
	assert_has(text, "\n4242 tcp   10.0.0.5:443 ");
	assert_has(text, "\n  77 udp   239.1.1.1:5000 ");
	assert_has(text, "\n4242 tcp46 [::]:443 ");
	assert_lacks(text, "2001:db8:");
	assert_lacks(text, "@abstract");
	assert_has(text, "\nleft out: 7 more rows: 875 MiB sent, 2.41 MiB received\n");
	free(text);
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_lacks(text, "left out");
	free(text);
	report_free(&r);
}

static void test_without_sockets_and_drops_nothing_is_said_of_them(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("server", &r);
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_lacks(text, "ockets");
	assert_lacks(text, "rops");
	free(text);
	drops_get(&r.drops, "NO_SOCKET", NULL)->packets = 5;
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_has(text, "\nDrops that belong to no traced socket\nREASON    WHERE PACKETS ");
	free(text);
	report_free(&r);
}

static void test_what_no_socket_has_to_say_has_no_column(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("sockets", &r);
	for (size_t i = 0; i < r.nr_processes; i++) {
		for (size_t k = 0; k < r.processes[i].nr_sockets; k++) {
			struct socket *s = &r.processes[i].sockets[k];

			s->stats.tcp_retransmits = 0;
			s->stats.tcp_rtt_ns = METRIC_UNKNOWN;
			s->stats.receive_peek_calls = 0;
			s->shared_by = 1;
			drops_free(&s->drops);
		}
	}
	text = render(&r, "text", (struct report_options){0}, NULL);
	assert_lacks(text, "RETRANS ");
	assert_lacks(text, "RTT ");
	assert_lacks(text, "PEEKS ");
	assert_lacks(text, "SHARED");
	assert_lacks(text, "DROPS");
	assert_lacks(text, "REASON              PACKETS");
	assert_has(text, "PEEKED");
	free(text);
	report_free(&r);
}

static void test_an_address_keeps_both_ends(void **state)
{
	struct report r;
	char *text;

	(void)state;
	load_golden("sockets", &r);
	text = render(&r, "text", (struct report_options){.width = 80}, NULL);
	assert_has(text, "[2001:db8:…eee:1]:443 [2001:db8:…666]:50012");
	free(text);
	report_free(&r);
}

/* --- the stream and the list ------------------------------------------------------------------ */

static void test_a_full_device_is_an_error_in_every_format(void **state)
{
	static const char *const names[] = {"text", "json", "md", "csv"};
	struct report r;

	(void)state;
	load_golden("server", &r);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		FILE *full = fopen("/dev/full", "w");

		assert_non_null(full);
		assert_int_equal(
			report_format_find(names[i])->print(&r, &(struct report_options){0}, full),
			-ENOSPC);
		fclose(full);
	}
	report_free(&r);
}

static void test_formats_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(report_format_find("text"), &report_text);
	assert_ptr_equal(report_format_find("json"), &report_json);
	assert_ptr_equal(report_format_find("md"), &report_markdown);
	assert_ptr_equal(report_format_find("csv"), &report_csv);
	assert_null(report_format_find("xml"));
	assert_null(report_format_find(""));
	assert_string_equal(report_format_names(), "text, json, md, csv");
	assert_string_equal(report_format_names(), "text, json, md, csv");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_format_gives_the_expected_bytes),
		cmocka_unit_test(test_no_line_is_wider_than_the_terminal),
		cmocka_unit_test(test_a_wide_terminal_shows_everything),
		cmocka_unit_test(test_no_control_character_gets_through),
		cmocka_unit_test(test_colour_changes_nothing_but_colour),
		cmocka_unit_test(test_the_locale_changes_nothing),
		cmocka_unit_test(test_environment_and_terminal_change_nothing),
		cmocka_unit_test(test_every_metric_is_in_json_and_csv),
		cmocka_unit_test(test_csv_is_a_table_without_formulas),
		cmocka_unit_test(test_text_says_in_words_what_is_seldom),
		cmocka_unit_test(test_losses_are_told_with_what_they_mean),
		cmocka_unit_test(test_calls_stand_in_order_of_cpu_time_then_calls_then_name),
		cmocka_unit_test(test_what_is_unknown_everywhere_has_no_column),
		cmocka_unit_test(test_a_short_table_never_hides_drops),
		cmocka_unit_test(test_without_sockets_and_drops_nothing_is_said_of_them),
		cmocka_unit_test(test_what_no_socket_has_to_say_has_no_column),
		cmocka_unit_test(test_an_address_keeps_both_ends),
		cmocka_unit_test(test_a_full_device_is_an_error_in_every_format),
		cmocka_unit_test(test_formats_are_found_by_name),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
