// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * execs [-n STAGES] chain    one process makes execve of itself STAGES times, calls in between
 * execs [-n CALLS] thread    a thread that is not the leader makes execve: it takes the leader's
 *                            tid, while the leader and another thread die inside a call
 * execs [-n CALLS] failed    execve that fails, in several ways
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#include "oldcalls.h"
#include "truth.h"

extern char **environ;

static unsigned int count = 5;

static void calls(void)
{
	for (unsigned int i = 0; i < count; i++)
		CALL(getppid);
}

/* Makes execve of this program with words for main(); the account already has the call. */
static void exec_self(const char *word, uint32_t thread, unsigned int left)
{
	char index[16], number[16], rest[16];
	char *argv[] = {"execs", "-n", number, (char *)word, index, rest, NULL};

	snprintf(index, sizeof(index), "%u", thread);
	snprintf(number, sizeof(number), "%u", count);
	snprintf(rest, sizeof(rest), "%u", left);
	syscall(SYS_execve, "/proc/self/exe", argv, environ);
	truth_fail("execve");
}

static void chain(unsigned int left)
{
	calls();
	if (left) {
		truth_of(truth_me, "execve")->calls++;
		exec_self("chain-step", truth_thread_index(truth_me), left - 1);
	}
	truth_print();
	exit(0);
}

static int start[2], never[2];
static pid_t *tids;

/* readv, since the loader of the new image reads. */
static void *blocked_thread(void *account)
{
	char byte;
	struct iovec v = {&byte, 1};

	truth_me = account;
	tids[1] = gettid();
	syscall(SYS_readv, never[0], &v, 1);
	truth_fail("readv returned");
}

static void *exec_thread(void *account)
{
	char byte;
	struct iovec v = {&byte, 1};

	truth_me = account;
	tids[2] = gettid();
	truth_check(MOVES(readv, start[0], &v, 1) == 1, "readv");
	calls();
	truth_of(truth_me, "execve")->calls++;
	exec_self("thread-done", truth_thread_index(truth_me), 0);
	return NULL;
}

static void killed_in(struct truth_thread *t, const char *name)
{
	struct truth_call *c = truth_of(t, name);

	c->calls++;
	c->restarts++;
}

/*
 * Which thread's account execve and what follows go to is not promised, since the tid changes in
 * the middle: tid 0, compared as a process.
 */
static void victim(struct truth_process *p)
{
	struct truth_thread *accounts[3];
	pthread_t id;

	p->pid = getpid();
	p->status = 7 << 8;
	for (int i = 0; i < 3; i++)
		accounts[i] = truth_thread_new(p, 0);
	truth_me = accounts[0];
	killed_in(accounts[0], PAUSE_NAME);
	killed_in(accounts[1], "readv");
	truth_of(accounts[1], "readv")->moves_bytes = 1;
	tids[0] = getpid();
	truth_check(!pthread_create(&id, NULL, blocked_thread, accounts[1]), "pthread_create");
	truth_check(!pthread_create(&id, NULL, exec_thread, accounts[2]), "pthread_create");
	syscall(PAUSE_NR, NULL, 0, NULL, NULL, 8);
	truth_fail("pause returned");
}

static void wait_tid(int i)
{
	while (!*(volatile pid_t *)&tids[i])
		sched_yield();
}

static void from_thread(void)
{
	struct truth_process *p;
	pid_t pid;

	tids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	truth_check(tids != MAP_FAILED && !pipe(start) && !pipe2(never, O_CLOEXEC), "set up");
	p = truth_process_new(0);
	pid = fork();
	truth_check(pid >= 0, "fork");
	if (!pid)
		victim(p);
	for (int i = 0; i < 3; i++) {
		wait_tid(i);
		truth_wait_blocked(pid, tids[i], i == 0 ? PAUSE_NR : SYS_readv);
	}
	truth_check(write(start[1], "", 1) == 1, "write");
	truth_check(truth_reap(pid, p) == 7 << 8, "the process that made execve");
}

static void failed(void)
{
	char *argv[] = {"x", NULL};
	int garbage = memfd_create("garbage", 0);

	truth_check(garbage >= 0 && write(garbage, "garbage\n", 8) == 8, "memfd_create");
	for (unsigned int i = 0; i < count; i++) {
		truth_check(CALL(execve, "/nonexistent/x", argv, environ) == -1 && errno == ENOENT,
			    "execve of nothing");
		truth_check(CALL(execve, "/", argv, environ) == -1 && errno == EACCES,
			    "execve of a directory");
		truth_check(CALL(execve, NULL, argv, environ) == -1 && errno == EFAULT,
			    "execve of NULL");
		truth_check(CALL(execveat, garbage, "", argv, environ, AT_EMPTY_PATH) == -1 &&
				    (errno == ENOEXEC || errno == EACCES),
			    "execveat of garbage");
	}
}

static void resume(const char *word, char **rest)
{
	struct timespec ms = {.tv_nsec = 1000000};

	truth_thread_at(truth_number(rest[0], 0, 100));
	if (!strcmp(word, "chain-step"))
		chain(truth_number(rest[1], 0, 1000));
	/* Off the CPU and on again: whoever tells threads apart must know it still. */
	CALL(nanosleep, &ms, NULL);
	calls();
	_exit(7);
}

int main(int argc, char **argv)
{
	const char *word;
	int option;

	while ((option = truth_getopt(argc, argv, "n:")) != -1)
		count = truth_number(optarg, 1, 1000);
	word = optind < argc ? argv[optind] : "";
	truth_init("execs", 16);
	if (!strcmp(word, "chain-step") || !strcmp(word, "thread-done"))
		resume(word, argv + optind + 1);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	if (!strcmp(word, "chain"))
		chain(count);
	else if (!strcmp(word, "thread"))
		from_thread();
	else if (!strcmp(word, "failed"))
		failed();
	else
		truth_fail("which of chain, thread, failed?");
	truth_print();
	return 0;
}
