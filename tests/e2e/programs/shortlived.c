// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * shortlived [-t THREADS] [-p PROCESSES] [-c AT_ONCE] [-n CALLS]: threads, then processes, by the
 * thousand, each with a few calls.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "truth.h"

#define MAX_AT_ONCE 64

static unsigned int calls = 3;

static void work(void)
{
	for (unsigned int i = 0; i < calls; i++)
		CALL(getppid);
	truth_check(CALL(dup, -1) == -1 && errno == EBADF, "dup(-1)");
}

static void *thread(void *unused)
{
	truth_thread_begin();
	work();
	truth_of(truth_me, "exit")->no_return++;
	return unused;
}

static void batch_of_threads(unsigned int nr)
{
	pthread_t ids[MAX_AT_ONCE];

	for (unsigned int i = 0; i < nr; i++)
		truth_check(!pthread_create(&ids[i], NULL, thread, NULL), "pthread_create");
	for (unsigned int i = 0; i < nr; i++)
		truth_check(!pthread_join(ids[i], NULL), "pthread_join");
}

static void batch_of_processes(unsigned int nr)
{
	pid_t pids[MAX_AT_ONCE];

	for (unsigned int i = 0; i < nr; i++) {
		pids[i] = fork();
		truth_check(pids[i] >= 0, "fork");
		if (!pids[i]) {
			truth_process_begin()->status = 6 << 8;
			work();
			truth_of(truth_me, "exit_group")->no_return++;
			_exit(6);
		}
	}
	for (unsigned int i = 0; i < nr; i++)
		truth_check(truth_reap(pids[i], NULL) == 6 << 8, "a process");
}

static void batches(void (*batch)(unsigned int), unsigned int all, unsigned int at_once)
{
	while (all) {
		unsigned int nr = all < at_once ? all : at_once;

		batch(nr);
		all -= nr;
	}
}

int main(int argc, char **argv)
{
	unsigned int threads = 5000, processes = 500, at_once = 8;
	int option;

	while ((option = truth_getopt(argc, argv, "t:p:c:n:")) != -1) {
		if (option == 't')
			threads = truth_number(optarg, 0, 100000);
		else if (option == 'p')
			processes = truth_number(optarg, 0, 4000);
		else if (option == 'c')
			at_once = truth_number(optarg, 1, MAX_AT_ONCE);
		else
			calls = truth_number(optarg, 1, 1000);
	}
	truth_init("shortlived", 1 + threads + processes);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	batches(batch_of_threads, threads, at_once);
	batches(batch_of_processes, processes, at_once);
	truth_print();
	return 0;
}
