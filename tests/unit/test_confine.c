// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helpers.h"

#include "base/confine.h"

/* What the confined child finds allowed that is not, or forbidden that is not; 0: nothing. */
static int confined_child(void)
{
	char *argv[] = {"true", NULL}, byte = 0;
	struct iovec own = {&byte, 1};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || confine())
		return 1;
	if (execv("/bin/true", argv) != -1 || errno != EPERM)
		return 2;
	if (socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EPERM)
		return 3;
	if (process_vm_readv(getpid(), &own, 1, &own, 1, 0) != -1 || errno != EPERM)
		return 4;
	if (setuid(getuid()) != -1 || errno != EPERM)
		return 5;
	return open("/dev/null", O_RDONLY) < 0 || kill(getpid(), 0) ? 6 : 0;
}

static void forbids_what_a_tracer_does_not_do(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (!child)
		_exit(confined_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(forbids_what_a_tracer_does_not_do)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
