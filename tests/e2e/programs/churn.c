// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * churn [-c CREATORS] [-n CALLS] [-m MORE] [-p]: threads (with -p: processes) that begin and end
 * all the time, so that a trace begins in the midst of them. It says "ready" when that goes on.
 * Threads that begin before the byte on standard input make CALLS times getuid: a report may have
 * all, some or none of them. Then each creator makes MORE threads, with CALLS times getppid,
 * every one of which must be in the report. So must the calls of the creators themselves and of
 * a thread that sleeps through the beginning of the trace.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "truth.h"

#define MAX_CREATORS 16

static unsigned int creators = 3, calls = 16, more = 100;
static bool with_processes;
static atomic_bool counted; /* the trace has begun */
static atomic_uint begun;
static int sleepers[2];

static void early_work(void)
{
	for (unsigned int i = 0; i < calls; i++)
		syscall(SYS_getuid);
}

static void counted_work(void)
{
	for (unsigned int i = 0; i < calls; i++)
		CALL(getppid);
}

static void *early_thread(void *unused)
{
	early_work();
	atomic_fetch_add(&begun, 1);
	return unused;
}

static void *counted_thread(void *unused)
{
	truth_thread_begin();
	counted_work();
	return unused;
}

static void one_thread(void *(*run)(void *))
{
	pthread_t id;

	truth_check(!pthread_create(&id, NULL, run, NULL), "pthread_create");
	truth_check(!pthread_join(id, NULL), "pthread_join");
}

static void one_process(bool early)
{
	pid_t pid = fork();

	truth_check(pid >= 0, "fork");
	if (!pid && early) {
		early_work();
		_exit(0);
	} else if (!pid) {
		truth_process_begin()->status = 0;
		counted_work();
		truth_of(truth_me, "exit_group")->no_return++;
		_exit(0);
	}
	atomic_fetch_add(&begun, 1);
	truth_check(truth_reap(pid, NULL) == 0, "a process");
}

static void *creator(void *unused)
{
	truth_thread_begin();
	while (!atomic_load(&counted))
		with_processes ? one_process(true) : one_thread(early_thread);
	counted_work();
	for (unsigned int i = 0; i < more; i++)
		with_processes ? one_process(false) : one_thread(counted_thread);
	CALL(getppid);
	return unused;
}

static void *sleeper(void *unused)
{
	char byte;

	truth_thread_begin();
	truth_check(syscall(SYS_read, sleepers[0], &byte, 1) == 1, "read");
	counted_work();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t ids[MAX_CREATORS + 1];
	int option;

	while ((option = truth_getopt(argc, argv, "c:n:m:p")) != -1) {
		if (option == 'c')
			creators = truth_number(optarg, 1, MAX_CREATORS);
		else if (option == 'n')
			calls = truth_number(optarg, 1, 1000);
		else if (option == 'm')
			more = truth_number(optarg, 1, 4000 / MAX_CREATORS);
		else
			with_processes = true;
	}
	truth_init("churn", 2 + MAX_CREATORS + creators * more);
	truth_process_begin()->status = 0;
	truth_process_of(truth_me)->early = 1;
	truth_check(!pipe(sleepers), "pipe");
	truth_check(!pthread_create(&ids[creators], NULL, sleeper, NULL), "pthread_create");
	for (unsigned int i = 0; i < creators; i++)
		truth_check(!pthread_create(&ids[i], NULL, creator, NULL), "pthread_create");
	while (atomic_load(&begun) < 10 * creators)
		sched_yield();
	truth_wait_go(NULL, 0);
	atomic_store(&counted, true);
	truth_check(write(sleepers[1], "", 1) == 1, "write");
	for (unsigned int i = 0; i <= creators; i++)
		truth_check(!pthread_join(ids[i], NULL), "pthread_join");
	truth_print();
	return 0;
}
