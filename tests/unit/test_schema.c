// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "helpers.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

/* Needs python3-jsonschema, and fails without it. */
#define CHECKER "tests/unit/check_schema.py"

static int exit_status_of(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_saved_reports_follow_the_schema(void **state)
{
	(void)state;
	assert_int_equal(exit_status_of(CHECKER " " GOLDEN_DIR "*.json"), 0);
}

/* Checks a golden report as a temporary file, with the first @from made @to. */
static int status_of_changed(const char *golden, const char *from, const char *to)
{
	char name[] = "/tmp/socktrace-schema-XXXXXX", *command;
	char *text = read_file(golden, NULL), *at = strstr(text, from);
	int status, fd = mkstemp(name);
	FILE *f = fdopen(fd, "w");

	assert_true(f && at);
	fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	fclose(f);
	command = xasprintf(CHECKER " %s 2>/dev/null", name);
	status = exit_status_of(command);
	unlink(name);
	free(command);
	free(text);
	return status;
}

struct fault {
	const char *from, *to;
};

static void check_faults(const char *golden, const struct fault *faults, size_t nr)
{
	assert_int_equal(status_of_changed(golden, "\"attach\"", "\"attach\""), 0);
	for (size_t i = 0; i < nr; i++)
		if (status_of_changed(golden, faults[i].from, faults[i].to) != 1)
			fail_msg("not told: %s", faults[i].to);
}

static void test_the_schema_tells_what_is_not_a_report(void **state)
{
	static const struct fault faults[] = {
		{"\"socktrace/1\"", "\"socktrace/2\""},
		{"\"pid\": 4242", "\"pid\": \"4242\""},
		{"\"pid\": 4242", "\"pid\": -1"},
		{"\"mode\": \"attach\"", "\"mode\": \"attached\""},
		{"\"user_ns\": ", "\"usr_ns\": "},
		{"\"calls\": ", "\"calls\": -"},
		{"\"abi\": \"x86_64\"", "\"abi\": \"vax\""},
		{"\"errnos\": {}", "\"errnos\": {\"what\": 1}"},
		{"\"exit_status\": null", "\"exit_status\": 256"},
		{"\"ok\": true", "\"ok\": \"true\""},
		{"\"started\": \"2025", "\"started\": \"25"},
	};

	(void)state;
	check_faults(GOLDEN_DIR "server.json", faults, ARRAY_SIZE(faults));
}

static void test_the_schema_tells_what_is_no_socket(void **state)
{
	static const struct fault faults[] = {
		{"\"protocol\": \"udp\"", "\"protocol\": \"sctp\""},
		{"\"role\": \"bind\"", "\"role\": \"udp\""},
		{"\"connections\": 1", "\"connections\": null"},
		{"\"dual_stack\": false", "\"dual_stack\": null"},
		{"\"tcp\": null", "\"tcp\": {}"},
		{"\"tcp\": null,", ""},
		{"\"spreads\": {}", "\"spreads\": {\"rtt\": {}}"},
		{"\"spreads\": {}", "\"spreads\": null"},
		{"\"SOCKET_RCVBUFF\"", "\"SOCKET RCVBUFF\""},
		{"\"packets\": 4133", "\"packets\": null"},
		{"\"peek_bytes\": ", "\"peeked_bytes\": "},
		{"\"sent_calls\": ", "\"calls_sent\": "},
		{"\"state\": null", "\"state\": \"local\""},
		{"\"drops\": [", "\"dropped\": ["},
		{"\"reason\": \"NO_SOCKET\"", "\"reason\": null"},
	};

	(void)state;
	check_faults(GOLDEN_DIR "sockets.json", faults, ARRAY_SIZE(faults));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_saved_reports_follow_the_schema),
		cmocka_unit_test(test_the_schema_tells_what_is_not_a_report),
		cmocka_unit_test(test_the_schema_tells_what_is_no_socket),
	};

	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
