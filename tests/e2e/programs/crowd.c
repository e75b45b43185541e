// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * crowd [-t THREADS] [-n CALLS]: so many threads in one process, all there at once before the
 * first of them works; -g waits until all stand ready.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "truth.h"

#ifdef __aarch64__
#define STACK_BYTES 131072 /* the least that the C library takes there */
#else
#define STACK_BYTES 65536
#endif

static unsigned int threads = 1000, calls = 3;
static atomic_uint ready;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *thread(void *unused)
{
	truth_thread_begin();
	atomic_fetch_add(&ready, 1);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	for (unsigned int i = 0; i < calls; i++)
		CALL(getppid);
	truth_check(CALL(dup, -1) == -1 && errno == EBADF, "dup(-1)");
	truth_of(truth_me, "exit")->no_return++;
	return unused;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t *ids;
	int option;

	while ((option = truth_getopt(argc, argv, "t:n:")) != -1) {
		if (option == 't')
			threads = truth_number(optarg, 1, 30000);
		else
			calls = truth_number(optarg, 1, 1000);
	}
	truth_init("crowd", 1 + threads);
	truth_process_begin()->status = 0;
	ids = calloc(threads, sizeof(*ids));
	truth_check(ids && !pthread_attr_init(&attr), "calloc");
	truth_check(!pthread_attr_setstacksize(&attr, STACK_BYTES), "pthread_attr_setstacksize");
	pthread_mutex_lock(&gate);
	for (unsigned int i = 0; i < threads; i++)
		truth_check(!pthread_create(&ids[i], &attr, thread, NULL), "pthread_create");
	while (atomic_load(&ready) < threads)
		sched_yield();
	truth_wait_go(NULL, 0);
	pthread_mutex_unlock(&gate);
	for (unsigned int i = 0; i < threads; i++)
		truth_check(!pthread_join(ids[i], NULL), "pthread_join");
	truth_print();
	return 0;
}
