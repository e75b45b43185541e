// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * signals [-n TIMES]: a process whose blocking calls its parent interrupts, by a signal with a
 * handler and by stopping and continuing it.
 *
 * What counts is what the kernel returns from the call, before it arranges the restart: a call
 * that ends with ERESTARTSYS (-512), ERESTARTNOINTR (-513), ERESTARTNOHAND (-514) or
 * ERESTART_RESTARTBLOCK (-516) is a restart, whether the program then sees it made again, EINTR
 * or restart_syscall. EINTR from the kernel itself (epoll_wait) is an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "oldcalls.h"
#include "truth.h"

/* What interrupts the call: a signal with a handler, or a stop followed by a continue. */
enum step { HANDLER, STOP };

struct shared {
	atomic_int phase, handled;
	atomic_uint word;
};

static struct shared *shared;
static int ends[2];
static unsigned int times = 3;
static int handled_before; /* the phase, seen by the victim */
static int sent;	   /* by the parent */

static void handler(int signal)
{
	(void)signal;
	atomic_fetch_add(&shared->handled, 1);
}

static void handle(int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	truth_check(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

static void expect(const char *name, unsigned int calls, unsigned int restarts)
{
	struct truth_call *c = truth_of(truth_me, name);

	c->calls += calls;
	c->restarts += restarts;
}

static void expect_handled(unsigned int n)
{
	expect("rt_sigreturn", n, 0);
}

/* Made once by the program, n + 1 times by the kernel. */
static void read_restarted(void)
{
	char byte;

	handle(SA_RESTART);
	truth_check(syscall(SYS_read, ends[0], &byte, 1) == 1, "read");
	expect("read", times + 1, times);
	expect_handled(times);
	truth_of(truth_me, "read")->moves_bytes = 1;
	truth_of(truth_me, "read")->bytes += 1;
}

static void readv_interrupted(void)
{
	char byte;
	struct {
		void *base;
		size_t length;
	} v = {&byte, 1};

	handle(0);
	for (unsigned int i = 0; i < times; i++)
		truth_check(syscall(SYS_readv, ends[0], &v, 1) == -1 && errno == EINTR, "readv");
	expect("readv", times, times);
	expect_handled(times);
}

static void futex_restarted(void)
{
	handle(SA_RESTART);
	truth_check(!syscall(SYS_futex, &shared->word, FUTEX_WAIT, 0, NULL), "futex");
	expect("futex", times + 1, times);
	expect_handled(times);
}

static void accept_restarted(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr local = {.sa_family = AF_UNIX};

	truth_check(s >= 0 && !bind(s, &local, sizeof(local.sa_family)) && !listen(s, 1), "listen");
	handle(0);
	truth_check(syscall(SYS_accept4, s, NULL, NULL, 0) == -1 && errno == EINTR, "accept4");
	expect("accept4", 1, 1);
	expect_handled(1);
	close(s);
}

static void nanosleep_interrupted(void)
{
	struct timespec minute = {.tv_sec = 60};

	handle(SA_RESTART); /* which a sleep does not heed */
	for (unsigned int i = 0; i < times; i++)
		truth_check(syscall(SYS_nanosleep, &minute, NULL) == -1 && errno == EINTR,
			    "nanosleep");
	expect("nanosleep", times, times);
	expect_handled(times);
}

/* Stopped and continued, a sleep goes on as restart_syscall; the handler ends it. */
static void clock_nanosleep_stopped(void)
{
	struct timespec minute = {.tv_sec = 60};

	truth_check(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &minute, NULL) == -1 &&
			    errno == EINTR,
		    "clock_nanosleep");
	expect("clock_nanosleep", 1, 1);
	expect("restart_syscall", times, times);
	expect_handled(1);
}

/* Where it is ppoll, a stop does not make it go on as restart_syscall. */
#ifdef SYS_poll
/* As above, but the last restart_syscall returns with success: the byte came. */
static void poll_stopped(void)
{
	struct pollfd in = {.fd = ends[0], .events = POLLIN};
	char byte;

	truth_check(syscall(SYS_poll, &in, 1, 60000) == 1, "poll");
	expect("poll", 1, 1);
	expect("restart_syscall", times, times - 1);
	truth_check(syscall(SYS_read, ends[0], &byte, 1) == 1, "read");
	expect("read", 1, 0);
	truth_of(truth_me, "read")->bytes += 1;
}
#endif

static void pause_interrupted(void)
{
	for (unsigned int i = 0; i < times; i++)
		truth_check(syscall(PAUSE_NR, NULL, 0, NULL, NULL, 8) == -1 && errno == EINTR,
			    "pause");
	expect(PAUSE_NAME, times, times);
	expect_handled(times);
}

/* Stopped and continued without a handler, pause is made again. */
static void sigsuspend_stopped(void)
{
	sigset_t none;

	sigemptyset(&none);
	truth_check(syscall(SYS_rt_sigsuspend, &none, 8) == -1 && errno == EINTR, "rt_sigsuspend");
	expect("rt_sigsuspend", times + 1, times + 1);
	expect_handled(1);
}

static void epoll_interrupted(void)
{
	struct epoll_event event;
	int e = epoll_create1(0);

	truth_check(e >= 0, "epoll_create1");
	handle(SA_RESTART); /* which epoll_wait does not heed */
	for (unsigned int i = 0; i < times; i++)
		truth_check(truth_returned(EPOLL_WAIT_NAME, syscall(EPOLL_WAIT_NR, e, &event, 1, -1,
								    NULL, 8)) == -1 &&
				    errno == EINTR,
			    "epoll_wait");
	expect_handled(times);
	close(e);
}

/* The signal comes while no call is under way: rt_sigreturn gives back any register. */
static void spin_interrupted(void)
{
	while (atomic_load(&shared->handled) < handled_before + (int)times)
		;
	expect_handled(times);
}

struct phase {
	void (*victim)(void);
	long nr; /* of the call to be interrupted; -1: none */
	enum step step;
	unsigned int factor; /* interruptions: this times -n, or 1 if 0 */
	enum { NOTHING, BYTE, WAKE, SIGNAL } finish;
};

static const struct phase phases[] = {
	{read_restarted, SYS_read, HANDLER, 1, BYTE},
	{readv_interrupted, SYS_readv, HANDLER, 1, NOTHING},
	{futex_restarted, SYS_futex, HANDLER, 1, WAKE},
	{accept_restarted, SYS_accept4, HANDLER, 0, NOTHING},
	{nanosleep_interrupted, SYS_nanosleep, HANDLER, 1, NOTHING},
	{clock_nanosleep_stopped, SYS_clock_nanosleep, STOP, 1, SIGNAL},
#ifdef SYS_poll
	{poll_stopped, SYS_poll, STOP, 1, BYTE},
#endif
	{pause_interrupted, PAUSE_NR, HANDLER, 1, NOTHING},
	{sigsuspend_stopped, SYS_rt_sigsuspend, STOP, 1, SIGNAL},
	{epoll_interrupted, EPOLL_WAIT_NR, HANDLER, 1, NOTHING},
	{spin_interrupted, -1, HANDLER, 1, NOTHING},
};

#define NR_PHASES (sizeof(phases) / sizeof(*phases))

static void victim(void)
{
	truth_process_begin()->status = 9 << 8;
	for (unsigned int i = 0; i < NR_PHASES; i++) {
		handled_before = atomic_load(&shared->handled);
		atomic_store(&shared->phase, i + 1);
		phases[i].victim();
	}
	truth_of(truth_me, "exit_group")->no_return++;
	_exit(9);
}

static void stop_and_continue(pid_t pid)
{
	int status;

	truth_check(kill(pid, SIGSTOP) == 0, "SIGSTOP");
	truth_check(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "stop");
	truth_check(kill(pid, SIGCONT) == 0, "SIGCONT");
	truth_check(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status), "continue");
}

static void signal_handled(pid_t pid)
{
	truth_check(kill(pid, SIGUSR1) == 0, "SIGUSR1");
	sent++;
	while (atomic_load(&shared->handled) < sent)
		sched_yield();
}

/* A call that, stopped and continued, goes on as restart_syscall. */
static bool goes_on(long nr)
{
#ifdef SYS_poll
	if (nr == SYS_poll)
		return true;
#endif
	return nr == SYS_clock_nanosleep;
}

static void wait_blocked(pid_t pid, const struct phase *p, bool restarted)
{
	long nr = p->nr;

	if (restarted && goes_on(nr))
		nr = SYS_restart_syscall;
	if (nr >= 0)
		truth_wait_blocked(pid, pid, nr);
}

static void finish(pid_t pid, const struct phase *p)
{
	if (p->finish == NOTHING)
		return;
	wait_blocked(pid, p, true);
	if (p->finish == BYTE)
		truth_check(write(ends[1], "", 1) == 1, "write");
	else if (p->finish == WAKE)
		truth_check(syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1) == 1, "wake");
	else
		signal_handled(pid);
}

static void drive(pid_t pid)
{
	for (unsigned int i = 0; i < NR_PHASES; i++) {
		const struct phase *p = &phases[i];
		unsigned int n = p->factor ? p->factor * times : 1;

		while (atomic_load(&shared->phase) != (int)i + 1)
			sched_yield();
		for (unsigned int k = 0; k < n; k++) {
			wait_blocked(pid, p, k > 0);
			if (p->step == STOP)
				stop_and_continue(pid);
			else
				signal_handled(pid);
		}
		finish(pid, p);
	}
}

int main(int argc, char **argv)
{
	pid_t pid;

	while (truth_getopt(argc, argv, "n:") != -1)
		times = truth_number(optarg, 1, 1000);
	truth_init("signals", 8);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	truth_check(shared != MAP_FAILED && !pipe(ends), "set up");
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	pid = fork();
	truth_check(pid >= 0, "fork");
	if (!pid)
		victim();
	drive(pid);
	truth_check(truth_reap(pid, NULL) == 9 << 8, "the interrupted process");
	truth_print();
	return 0;
}
