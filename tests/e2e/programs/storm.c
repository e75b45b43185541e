// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * storm [-p PROCESSES] [-c AT_ONCE] [-n CALLS]: a storm of short-lived processes, more than have
 * accounts of their own. The account is the sum over all of them, in the first process.
 */
#include <errno.h>
#include <stdlib.h>

#include "truth.h"

#define MAX_AT_ONCE 64

static unsigned int calls = 2;

static void batch(unsigned int nr)
{
	pid_t pids[MAX_AT_ONCE];

	for (unsigned int i = 0; i < nr; i++) {
		pids[i] = fork();
		truth_check(pids[i] >= 0, "fork");
		if (!pids[i]) {
			for (unsigned int n = 0; n < calls; n++)
				syscall(SYS_getppid);
			_exit(0);
		}
	}
	for (unsigned int i = 0; i < nr; i++)
		truth_check(truth_reap(pids[i], NULL) == 0, "a process");
}

static void account(unsigned int processes)
{
	truth_of(truth_me, "clone")->calls = processes;
	truth_of(truth_me, "getppid")->calls = (uint64_t)processes * calls;
	truth_of(truth_me, "exit_group")->no_return = processes + 1;
}

int main(int argc, char **argv)
{
	unsigned int processes = 10000, at_once = 8;
	int option;

	while ((option = truth_getopt(argc, argv, "p:c:n:")) != -1) {
		if (option == 'p')
			processes = truth_number(optarg, 1, 1000000);
		else if (option == 'c')
			at_once = truth_number(optarg, 1, MAX_AT_ONCE);
		else
			calls = truth_number(optarg, 0, 1000);
	}
	truth_init("storm", 1);
	truth_process_begin()->status = 0;
	account(processes);
	truth_wait_go(NULL, 0);
	for (unsigned int left = processes; left; left -= left < at_once ? left : at_once)
		batch(left < at_once ? left : at_once);
	truth_print();
	return 0;
}
