// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * takeover again     a thread that is not the leader makes execve(2) of this program, over and
 * over: each takes the number of its leader, while the leader dies takeover many N    N threads
 * that sleep Both until a signal comes, two minutes at most.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_S 120

static char **arguments;

static void *sleep_on(void *unused)
{
	(void)unused;
	pause();
	return NULL;
}

static void *take_over(void *unused)
{
	(void)unused;
	execv("/proc/self/exe", arguments);
	perror("execv");
	exit(1);
}

static void start(void *(*run)(void *), const pthread_attr_t *attributes)
{
	pthread_t thread;

	if (!pthread_create(&thread, attributes, run, NULL))
		return;
	fputs("takeover: no more threads\n", stderr);
	exit(1);
}

static void be_many(int nr)
{
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (int i = 0; i < nr; i++)
		start(sleep_on, &small);
	sleep(MOST_S);
}

static int take_turns(time_t until)
{
	char text[32];
	char *next[] = {"takeover", "again", text, NULL};

	if (time(NULL) > until)
		return 0;
	snprintf(text, sizeof(text), "%lld", (long long)until);
	arguments = next;
	start(take_over, NULL);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "many"))
		be_many(atoi(argv[2]));
	else if (argc > 1 && !strcmp(argv[1], "again"))
		return take_turns(argc > 2 ? atoll(argv[2]) : time(NULL) + MOST_S);
	return 0;
}
