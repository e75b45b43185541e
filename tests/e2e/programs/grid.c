// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * grid -p PROCESSES -t THREADS -n ITERATIONS [-l]: every thread of every process makes the same
 * mix of calls and errors. With -l, -g waits when all threads stand ready, not before the first
 * is made, and names every process.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

struct shared {
	pthread_barrier_t ready, go;
	pid_t pids[1 + 256];
};

static struct shared *shared;
static unsigned int processes = 8, threads = 4, iterations = 32;
static bool late;

static void barrier(pthread_barrier_t *b)
{
	int err = pthread_barrier_wait(b);

	truth_check(!err || err == PTHREAD_BARRIER_SERIAL_THREAD, "pthread_barrier_wait");
}

static void work(int *ends)
{
	char buffer[8] = "";

	for (unsigned int i = 0; i < iterations; i++) {
		for (int k = 0; k < 3; k++)
			CALL(getppid);
		for (int k = 0; k < 2; k++)
			truth_check(CALL(close, -1) == -1 && errno == EBADF, "close(-1)");
		CALL(sched_yield);
		truth_check(MOVES(write, ends[1], buffer, 8) == 8, "write");
		truth_check(MOVES(read, ends[0], buffer, 8) == 8, "read");
		truth_check(CALL(lseek, ends[0], 0, SEEK_SET) == -1 && errno == ESPIPE, "lseek");
		if (i % 4 == 0)
			truth_check(CALL(dup, -1) == -1 && errno == EBADF, "dup(-1)");
	}
}

static void *thread(void *unused)
{
	int ends[2];

	(void)unused;
	truth_thread_begin();
	truth_check(pipe(ends) == 0, "pipe");
	if (late) {
		barrier(&shared->ready);
		barrier(&shared->go);
	}
	work(ends);
	return NULL;
}

static void process(void)
{
	pthread_t ids[256];

	truth_process_begin();
	for (unsigned int i = 0; i < threads; i++)
		truth_check(!pthread_create(&ids[i], NULL, thread, NULL), "pthread_create");
	for (unsigned int i = 0; i < threads; i++)
		truth_check(!pthread_join(ids[i], NULL), "pthread_join");
	_exit(0);
}

static void set_up(void)
{
	pthread_barrierattr_t attr;
	unsigned int all = processes * threads + 1;

	truth_init("grid", 1 + processes * (1 + threads));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	truth_check(shared != MAP_FAILED, "mmap");
	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	truth_check(!pthread_barrier_init(&shared->ready, &attr, all), "barrier");
	truth_check(!pthread_barrier_init(&shared->go, &attr, all), "barrier");
}

int main(int argc, char **argv)
{
	int option;

	while ((option = truth_getopt(argc, argv, "p:t:n:l")) != -1) {
		if (option == 'p')
			processes = truth_number(optarg, 1, 256);
		else if (option == 't')
			threads = truth_number(optarg, 1, 256);
		else if (option == 'n')
			iterations = truth_number(optarg, 1, 10000000);
		else
			late = true;
	}
	set_up();
	truth_process_begin()->status = 0;
	shared->pids[0] = getpid();
	if (!late)
		truth_wait_go(NULL, 0);
	for (unsigned int i = 0; i < processes; i++) {
		/* Not straight into the memory that the child shares. */
		pid_t pid = fork();

		truth_check(pid >= 0, "fork");
		if (!pid)
			process();
		shared->pids[1 + i] = pid;
	}
	if (late) {
		barrier(&shared->ready);
		truth_wait_go(shared->pids, 1 + processes);
		barrier(&shared->go);
	}
	for (unsigned int i = 0; i < processes; i++)
		truth_check(truth_reap(shared->pids[1 + i], NULL) == 0, "a process of the grid");
	truth_print();
	return 0;
}
