// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * pidreuse [-n TIMES] [-t]: processes (with -t: threads) that get the number of one that has just
 * ended, each with a number of calls of its own. Needs the right to write ns_last_pid; says so
 * and ends with 77 without.
 *
 * Another process on the system may take the number first. Whoever gets another one is in the
 * account too, and the number is tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "truth.h"

static unsigned int times = 5;
static bool with_threads;
static pid_t got;

static int last_pid_file(void)
{
	int fd = open("/proc/sys/kernel/ns_last_pid", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror("ns_last_pid");
		exit(77);
	}
	return fd;
}

static void work(unsigned int nth)
{
	for (unsigned int i = 0; i < 10 + nth; i++)
		CALL(getppid);
}

static void *thread(void *nth)
{
	truth_thread_begin();
	/* Threads of one number are one in a report: compared as a process. */
	got = truth_me->tid;
	truth_me->tid = 0;
	work((uintptr_t)nth);
	truth_of(truth_me, "exit")->no_return++;
	return NULL;
}

static pid_t next_thread(unsigned int nth)
{
	pthread_t id;

	truth_check(!pthread_create(&id, NULL, thread, (void *)(uintptr_t)nth), "pthread_create");
	truth_check(!pthread_join(id, NULL), "pthread_join");
	return got;
}

static pid_t next_process(unsigned int nth)
{
	pid_t pid = fork();

	truth_check(pid >= 0, "fork");
	if (!pid) {
		truth_process_begin()->status = (1 + nth) << 8;
		work(nth);
		truth_of(truth_me, "exit_group")->no_return++;
		_exit(1 + nth);
	}
	truth_check(truth_reap(pid, NULL) == (int)(1 + nth) << 8, "a process");
	return pid;
}

static void set_last_pid(int fd, pid_t pid)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", pid - 1);

	truth_check(pwrite(fd, text, length, 0) == length, "ns_last_pid");
}

int main(int argc, char **argv)
{
	unsigned int reused = 0, tries = 0;
	pid_t first;
	int option, fd;

	while ((option = truth_getopt(argc, argv, "n:t")) != -1) {
		if (option == 'n')
			times = truth_number(optarg, 1, 100);
		else
			with_threads = true;
	}
	fd = last_pid_file();
	truth_init("pidreuse", 2000);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	first = with_threads ? next_thread(0) : next_process(0);
	while (reused < times && tries < 1000) {
		set_last_pid(fd, first);
		tries++;
		if ((with_threads ? next_thread(tries % 100) : next_process(tries % 100)) == first)
			reused++;
	}
	truth_check(reused == times, "the number was taken by others, time and again");
	truth_print();
	return 0;
}
