// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cputime [-m MILLISECONDS] [-n PAGES]: threads whose CPU time, context switches and page faults
 * the kernel counts on the side, in /proc/PID/task/TID/. All of them sleep inside read before the
 * trace begins and again when it ends, so that the kernel's figures are final: first "ready",
 * then "done", each waiting for a byte on standard input.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "truth.h"

#define NR_THREADS 9
#define NR_MOVES   100

struct figures {
	uint64_t exec_ns, run_delay_ns; /* schedstat */
	uint64_t voluntary, involuntary;
	uint64_t minor;
};

struct worker {
	void (*work)(struct worker *w);
	const char *name;
	int partner;
	int start[2], stop[2], pipe[2];
	pid_t tid;
	bool finished;
	pthread_t id;
	struct truth_thread *account;
	struct figures before;
};

static unsigned int milliseconds = 200, pages = 3000;
static char *fresh;

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	truth_check(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

static void spin(struct worker *w)
{
	const uint64_t want_ns = milliseconds * 1000000ULL;

	/* Mostly in user space: the clock is a system call. */
	while (thread_ns() < want_ns)
		for (volatile int i = 0; i < 100000; i++)
			;
	truth_bound(w->account, "cpu.user_ns", want_ns * 8 / 10, UINT64_MAX);
}

static void sleep_often(struct worker *w)
{
	struct timespec ms = {.tv_nsec = 1000000};

	for (int i = 0; i < 50; i++)
		truth_check(CALL(nanosleep, &ms, NULL) == 0, "nanosleep");
	truth_bound(w->account, "cpu.blocked_ns", 45000000, UINT64_MAX);
	truth_bound(w->account, "syscalls.nanosleep.blocked_ns", 45000000, UINT64_MAX);
}

/* Two on one CPU: each call gives it to the other, as an involuntary switch. */
static void yield_often(struct worker *w)
{
	(void)w;
	pin(0);
	for (int i = 0; i < 2000; i++)
		CALL(sched_yield);
}

static struct worker workers[NR_THREADS];

/* Two that wake each other: each read blocks, as a voluntary switch. */
static void ping_pong(struct worker *w)
{
	struct worker *partner = &workers[w->partner];
	char byte = 0;

	for (int i = 0; i < 1000; i++) {
		truth_check(MOVES(write, partner->pipe[1], &byte, 1) == 1, "write");
		truth_check(MOVES(read, w->pipe[0], &byte, 1) == 1, "read");
	}
}

static void touch_pages(struct worker *w)
{
	(void)w;
	for (unsigned int i = 0; i < pages; i++)
		fresh[i * 4096UL] = 1;
}

static void wander(struct worker *w)
{
	for (int i = 0; i < NR_MOVES; i++)
		pin(i % 2);
	/* The first may already be where it stands; before it, the scheduler is free. */
	truth_bound(w->account, "switches.migrations", NR_MOVES - 1, NR_MOVES + 2);
}

static struct worker workers[NR_THREADS] = {
	{.work = spin, .name = "spinner"},
	{.work = spin, .name = "spinner"},
	{.work = sleep_often, .name = "sleeper"},
	{.work = yield_often, .name = "yielder"},
	{.work = yield_often, .name = "yielder"},
	{.work = ping_pong, .name = "ping", .partner = 6},
	{.work = ping_pong, .name = "pong", .partner = 5},
	{.work = touch_pages, .name = "toucher"},
	{.work = wander, .name = "wanderer"},
};

static void *thread(void *arg)
{
	struct worker *w = arg;
	char byte;

	pthread_setname_np(pthread_self(), w->name);
	w->account = truth_thread_begin();
	w->account->alive = 1;
	w->tid = gettid();
	/* Under way when the trace begins, and again when it ends. */
	truth_of(truth_me, "read")->in_flight_start = 1;
	truth_of(truth_me, "read")->in_flight = 1;
	truth_check(syscall(SYS_read, w->start[0], &byte, 1) == 1, "read");
	w->work(w);
	*(volatile bool *)&w->finished = true;
	truth_check(syscall(SYS_read, w->stop[0], &byte, 1) == 1, "read");
	return NULL;
}

static uint64_t number_after(const char *text, const char *label)
{
	const char *at = strstr(text, label);

	truth_check(at, label);
	return strtoull(at + strlen(label), NULL, 10);
}

static struct figures figures(pid_t tid)
{
	struct figures f;
	char text[4096];
	char *at;

	truth_task_file(getpid(), tid, "status", text, sizeof(text));
	f.voluntary = number_after(text, "\nvoluntary_ctxt_switches:");
	f.involuntary = number_after(text, "\nnonvoluntary_ctxt_switches:");
	truth_task_file(getpid(), tid, "schedstat", text, sizeof(text));
	f.exec_ns = strtoull(text, &at, 10);
	f.run_delay_ns = strtoull(at, NULL, 10);
	truth_task_file(getpid(), tid, "stat", text, sizeof(text));
	at = strrchr(text, ')');
	truth_check(at, "stat");
	/* minflt, the tenth field, is the eighth after the name. */
	for (int i = 0; i < 8; i++)
		at = strchr(at + 1, ' ');
	f.minor = strtoull(at, NULL, 10);
	return f;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* 1 % and a tick of 250 Hz, as the report's own audit allows, plus stolen time on a virtual CPU. */
static void bound_ns(struct truth_thread *t, const char *field, uint64_t ns)
{
	const uint64_t slack = ns / 100 + 4000000;

	truth_bound(t, field, minus(ns, slack), ns + slack);
}

static void account(struct worker *w)
{
	struct figures after = figures(w->tid);
	uint64_t n;

	n = after.voluntary - w->before.voluntary;
	truth_bound(w->account, "switches.voluntary", n, n);
	n = after.involuntary - w->before.involuntary;
	truth_bound(w->account, "switches.involuntary", n, n);
	n = after.minor - w->before.minor;
	truth_bound(w->account, "faults.minor", n, n);
	bound_ns(w->account, "cpu.exec_ns", after.exec_ns - w->before.exec_ns);
	for (uint32_t i = 0; i < w->account->nr_calls; i++)
		w->account->calls[i].thread_only = 1; /* the main thread reads /proc */
	bound_ns(w->account, "cpu.runnable_ns", after.run_delay_ns - w->before.run_delay_ns);
}

static void wait_asleep(struct worker *w)
{
	truth_wait_blocked(getpid(), w->tid, SYS_read);
}

static void start(struct worker *w)
{
	truth_check(!pipe(w->start) && !pipe(w->stop) && !pipe(w->pipe), "pipe");
	truth_check(!pthread_create(&w->id, NULL, thread, w), "pthread_create");
	while (!*(volatile pid_t *)&w->tid)
		sched_yield();
}

static void wait_finished(struct worker *w)
{
	while (!*(volatile bool *)&w->finished)
		sched_yield();
	wait_asleep(w);
}

static void release(int fd)
{
	truth_check(write(fd, "", 1) == 1, "write");
}

int main(int argc, char **argv)
{
	int option;

	while ((option = truth_getopt(argc, argv, "m:n:")) != -1) {
		if (option == 'm')
			milliseconds = truth_number(optarg, 1, 100000);
		else
			pages = truth_number(optarg, 1, 100000);
	}
	truth_init("cputime", 16);
	truth_process_begin()->alive = 1;
	truth_me->alive = 1;
	fresh = mmap(NULL, pages * 4096UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	truth_check(fresh != MAP_FAILED && !madvise(fresh, pages * 4096UL, MADV_NOHUGEPAGE),
		    "mmap");
	for (int i = 0; i < NR_THREADS; i++)
		start(&workers[i]);
	for (int i = 0; i < NR_THREADS; i++) {
		wait_asleep(&workers[i]);
		workers[i].before = figures(workers[i].tid);
	}
	truth_pause("ready");
	for (int i = 0; i < NR_THREADS; i++)
		release(workers[i].start[1]);
	for (int i = 0; i < NR_THREADS; i++)
		wait_finished(&workers[i]);
	for (int i = 0; i < NR_THREADS; i++)
		account(&workers[i]);
	truth_print();
	truth_pause("done");
	for (int i = 0; i < NR_THREADS; i++)
		release(workers[i].stop[1]);
	for (int i = 0; i < NR_THREADS; i++)
		truth_check(!pthread_join(workers[i].id, NULL), "pthread_join");
	return 0;
}
