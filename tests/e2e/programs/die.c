// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * die [-n CALLS] [-S]: processes that end while their threads are inside calls, in every way there
 * is; -S leaves out the way through a stop (strace 6.1 gives up, "PTRACE_LISTEN: Input/output
 * error", when a thread is killed between its stop and strace's answer to it).
 *
 * A thread that is killed in an interruptible call still returns from it to the kernel's exit
 * path, with a restart code or EINTR, before it dies: the call counts as returned. Only exit and
 * exit_group never return.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "oldcalls.h"
#include "truth.h"

#define MAX_TIDS 8

struct shared {
	volatile pid_t tids[MAX_TIDS];
	uint32_t word;
};

static struct shared *shared;
static int start[2], never[2];
static unsigned int count = 10;
static bool no_stop;
static volatile int *volatile nowhere;

static void killed_in(struct truth_thread *t, const char *name, bool thread_only)
{
	struct truth_call *c = truth_of(t, name);

	c->calls++;
	c->restarts++;
	c->thread_only = thread_only;
}

static void begin(int slot)
{
	if (slot)
		truth_thread_begin();
	shared->tids[slot] = gettid();
}

static void *in_read(void *unused)
{
	char byte;

	begin(1);
	killed_in(truth_me, "read", false);
	truth_of(truth_me, "read")->moves_bytes = 1;
	syscall(SYS_read, never[0], &byte, 1);
	return unused;
}

static void *in_futex(void *unused)
{
	begin(2);
	killed_in(truth_me, "futex", true);
	syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL);
	return unused;
}

static void *in_nanosleep(void *unused)
{
	struct timespec minute = {.tv_sec = 60};

	begin(3);
	killed_in(truth_me, "nanosleep", false);
	syscall(SYS_nanosleep, &minute, NULL);
	return unused;
}

static void *in_epoll_wait(void *unused)
{
	struct epoll_event event;
	int e = epoll_create1(0);

	begin(4);
	truth_of(truth_me, EPOLL_WAIT_NAME)->calls = 1;
	truth_error(truth_of(truth_me, EPOLL_WAIT_NAME), EINTR, 1);
	syscall(EPOLL_WAIT_NR, e, &event, 1, -1, NULL, 8);
	return unused;
}

static void *in_pause(void *unused)
{
	begin(5);
	killed_in(truth_me, PAUSE_NAME, false);
	syscall(PAUSE_NR, NULL, 0, NULL, NULL, 8);
	return unused;
}

static const struct {
	void *(*run)(void *);
	long nr;
} blocked[] = {
	{in_read, SYS_read},	       {in_futex, SYS_futex},
	{in_nanosleep, SYS_nanosleep}, {in_epoll_wait, EPOLL_WAIT_NR},
	{in_pause, PAUSE_NR},
};

#define NR_BLOCKED (sizeof(blocked) / sizeof(*blocked))

static void calls(void)
{
	for (unsigned int i = 0; i < count; i++)
		CALL(getppid);
}

static void start_blocked(void)
{
	pthread_t id;

	for (unsigned int i = 0; i < NR_BLOCKED; i++)
		truth_check(!pthread_create(&id, NULL, blocked[i].run, NULL), "pthread_create");
}

static void wait_start(void)
{
	char byte;

	truth_check(MOVES(read, start[0], &byte, 1) == 1, "read");
}

static void exits_group(void)
{
	start_blocked();
	wait_start();
	calls();
	truth_of(truth_me, "exit_group")->no_return++;
	syscall(SYS_exit_group, 7);
}

static void waits_for_kill(void)
{
	char byte;

	start_blocked();
	killed_in(truth_me, "read", false);
	truth_of(truth_me, "read")->moves_bytes = 1;
	syscall(SYS_read, start[0], &byte, 1);
}

static void segfaults(void)
{
	struct rlimit none = {0};

	setrlimit(RLIMIT_CORE, &none);
	start_blocked();
	wait_start();
	calls();
	*nowhere = 0;
}

static void *goes_on(void *unused)
{
	(void)unused;
	begin(1);
	wait_start();
	calls();
	truth_of(truth_me, "exit_group")->no_return++;
	syscall(SYS_exit_group, 4);
	return NULL;
}

/* The leader ends first and stays a zombie while another thread works on. */
static void leaves(void)
{
	pthread_t id;

	calls();
	truth_check(!pthread_create(&id, NULL, goes_on, NULL), "pthread_create");
	truth_of(truth_me, "exit")->no_return++;
	syscall(SYS_exit, 0);
}

static void spins(void)
{
	calls();
	truth_of(truth_me, "read")->moves_bytes = 1;
	for (volatile unsigned long i = 0;; i++)
		if (i == 1000)
			shared->tids[1] = 1;
}

struct way {
	const char *name;
	void (*victim)(void);
	bool with_blocked;
	long leader_in; /* call the leader is in; -1: none */
	int signal;	/* from the parent; 0: a byte instead */
	bool stop_first;
	int status;
};

static const struct way ways[] = {
	{"exit_group", exits_group, true, SYS_read, 0, false, 7 << 8},
	{"SIGKILL", waits_for_kill, true, SYS_read, SIGKILL, false, SIGKILL},
	{"SIGTERM", waits_for_kill, true, SYS_read, SIGTERM, false, SIGTERM},
	{"SIGKILL while stopped", waits_for_kill, true, SYS_read, SIGKILL, true, SIGKILL},
	{"SIGSEGV", segfaults, true, SYS_read, 0, false, SIGSEGV},
	{"leader first", leaves, false, -1, 0, false, 4 << 8},
	{"SIGKILL while spinning", spins, false, -1, SIGKILL, false, SIGKILL},
};

#define NR_WAYS (sizeof(ways) / sizeof(*ways))

static void wait_slot(int slot)
{
	while (!shared->tids[slot])
		sched_yield();
}

static void wait_all(pid_t pid, const struct way *w)
{
	for (unsigned int i = 0; w->with_blocked && i < NR_BLOCKED; i++) {
		wait_slot(1 + i);
		truth_wait_blocked(pid, shared->tids[1 + i], blocked[i].nr);
	}
	if (w->leader_in >= 0)
		truth_wait_blocked(pid, pid, w->leader_in);
	else
		wait_slot(1);
	if (w->victim == leaves) {
		while (truth_task_state(pid, pid) != 'Z')
			sched_yield();
		truth_wait_blocked(pid, shared->tids[1], SYS_read);
	}
}

static void drive(const struct way *w)
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	pid = fork();
	truth_check(pid >= 0, "fork");
	if (!pid) {
		truth_process_begin()->status = w->status;
		w->victim();
		truth_fail(w->name);
	}
	wait_all(pid, w);
	if (w->stop_first) {
		truth_check(kill(pid, SIGSTOP) == 0, w->name);
		while (truth_task_state(pid, pid) != 'T')
			sched_yield();
	}
	if (w->signal)
		truth_check(kill(pid, w->signal) == 0, w->name);
	else
		truth_check(write(start[1], "", 1) == 1, w->name);
	truth_check((truth_reap(pid, NULL) & ~0x80) == w->status, w->name);
}

int main(int argc, char **argv)
{
	int o;

	while ((o = truth_getopt(argc, argv, "n:S")) != -1) {
		if (o == 'S')
			no_stop = true;
		else
			count = truth_number(optarg, 1, 1000000);
	}
	truth_init("die", 64);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	truth_check(shared != MAP_FAILED && !pipe(start) && !pipe(never), "set up");
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	for (unsigned int i = 0; i < NR_WAYS; i++)
		if (!no_stop || !ways[i].stop_first)
			drive(&ways[i]);
	truth_print();
	return 0;
}
