// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * forktree -d DEPTH -w WIDTH -n CALLS [-x]: every process makes CALLS calls and, down to DEPTH,
 * forks WIDTH children. With -x it ends without waiting for them, so that the root, which is
 * their subreaper, inherits every orphan.
 *
 * The number of fork calls is compared in children too: a child's first step is to return from
 * a call that it never entered.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "oldcalls.h"
#include "truth.h"

static unsigned int depth = 2, width = 3, calls = 10;
static bool orphans;

static void node(unsigned int level)
{
	truth_of(truth_me, FORK_NAME);
	for (unsigned int i = 0; i < calls; i++)
		CALL(getppid);
	for (unsigned int i = 0; level < depth && i < width; i++) {
		/* Not CALL(): the child would enter the return too. */
		long pid = syscall(FORK_NR, SIGCHLD, 0, 0, 0, 0);

		truth_check(pid >= 0, "fork");
		if (!pid) {
			truth_process_begin()->status = (level + 1) << 8;
			node(level + 1);
			if (!orphans)
				while (wait(NULL) > 0)
					;
			truth_of(truth_me, "exit_group")->no_return++;
			syscall(SYS_exit_group, level + 1);
		}
		truth_returned(FORK_NAME, pid);
	}
}

int main(int argc, char **argv)
{
	sigset_t child;
	int option;

	while ((option = truth_getopt(argc, argv, "d:w:n:x")) != -1) {
		if (option == 'd')
			depth = truth_number(optarg, 0, 6);
		else if (option == 'w')
			width = truth_number(optarg, 1, 16);
		else if (option == 'n')
			calls = truth_number(optarg, 0, 1000000);
		else
			orphans = true;
	}
	truth_init("forktree", 4096);
	truth_process_begin()->status = 0;
	truth_check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "PR_SET_CHILD_SUBREAPER");
	/* A signal that is pending makes fork return to the restart logic: one call more. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	truth_check(sigprocmask(SIG_BLOCK, &child, NULL) == 0, "sigprocmask");
	truth_wait_go(NULL, 0);
	node(0);
	while (wait(NULL) > 0)
		;
	truth_check(errno == ECHILD, "wait");
	truth_of(truth_me, "exit_group")->no_return++;
	truth_print();
	return 0;
}
