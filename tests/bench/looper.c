// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A process that makes system calls in a loop on order. It says "ready" when all that it holds is
 * there; for each line "MS" on standard input it makes calls for about MS milliseconds and answers
 * "CALLS NS": how many, exactly, in how many ns. It ends with its standard input.
 *
 * usage: looper [--threads N] [--distinct N] [--sockets N] [--yields N] [--turns]
 *
 * --threads   so many more threads sleep beside the loop; for a line "0" each of them, and the
 * loop, makes its different calls once
 * --distinct  the loop goes through so many different calls in turn; 1, without it: getppid(2)
 * --sockets   so many sockets are open: both ends of TCP connections; of an odd number one is UDP.
 *             Those beyond its RLIMIT_NOFILE, where that cannot be raised, are its children's.
 * --yields    so many times a second the loop passes a byte to a process on the same CPU and sleeps
 *             until it comes back: a write(2) and a read(2) that are not in CALLS. The answer then
 *             has a third number: how often the process was switched off its CPU.
 * --turns     the loop does nothing but that: CALLS are turns
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define NS_PER_S 1000000000ULL

/* --- children -------------------------------------------------------------------------------- */

#define MAX_CHILDREN 64

static pid_t children[MAX_CHILDREN];
static int nr_children;

/* As fork(2), without failure. The child ends with this process at the latest. */
static pid_t start_child(void)
{
	pid_t parent = getpid(), child;

	if (nr_children == MAX_CHILDREN) {
		errno = E2BIG;
		die("children");
	}
	child = fork();
	if (child < 0)
		die("fork");
	if (child) {
		children[nr_children++] = child;
		return child;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	return 0;
}

static void end_children(void)
{
	for (int i = 0; i < nr_children; i++)
		if (kill(children[i], SIGKILL) || waitpid(children[i], NULL, 0) != children[i])
			die("end a child");
}

/* --- switches -------------------------------------------------------------------------------- */

struct partner {
	int to, from; /* pipes */
};

static int first_cpu(void)
{
	cpu_set_t cpus;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		die("sched_getaffinity");
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	return cpu;
}

/* A process on the CPU of this one, which stays there. */
static void start_partner(struct partner *p)
{
	int there[2], back[2];
	char byte;

	run_on(first_cpu());
	if (pipe(there) || pipe(back))
		die("pipe");
	if (!start_child()) {
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	*p = (struct partner){.to = there[1], .from = back[0]};
}

static void partner_turn(const struct partner *p)
{
	char byte = 0;

	if (write(p->to, &byte, 1) != 1 || read(p->from, &byte, 1) != 1)
		die("the partner");
}

static uint64_t switches(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		die("getrusage");
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/* --- calls ----------------------------------------------------------------------------------- */

/*
 * Calls that every 64-bit architecture has, that change nothing and return at once: first those
 * that succeed, then those that refuse a descriptor of -1. None concerns sockets or ends anything.
 */
#define MAX_DISTINCT 64
#define BATCH	     64 /* calls between two looks at the clock */

static const struct call {
	long nr, args[4];
} calls[MAX_DISTINCT] = {
	{SYS_getppid, {}},
	{SYS_getpid, {}},
	{SYS_getuid, {}},
	{SYS_getgid, {}},
	{SYS_gettid, {}},
	{SYS_geteuid, {}},
	{SYS_getegid, {}},
	{SYS_getpgid, {}},
	{SYS_getsid, {}},
	{SYS_times, {}},
	{SYS_getcpu, {}},
	{SYS_getgroups, {}},
	{SYS_sched_getscheduler, {}},
	{SYS_sched_get_priority_max, {}},
	{SYS_sched_get_priority_min, {}},
	{SYS_getpriority, {}},
	{SYS_sigaltstack, {}},
	{SYS_rt_sigprocmask, {0, 0, 0, 8}},
	{SYS_rt_sigaction, {SIGHUP, 0, 0, 8}},
	{SYS_clock_getres, {CLOCK_MONOTONIC}},
	{SYS_prctl, {PR_GET_DUMPABLE}},
	{SYS_personality, {0xffffffff}},
	{SYS_membarrier, {}},
	{SYS_ioprio_get, {1}},
	{SYS_brk, {}},
	{SYS_madvise, {}},
	{SYS_mprotect, {}},
	{SYS_msync, {}},
	{SYS_mincore, {}},
	{SYS_munlock, {}},
	{SYS_lseek, {-1}},
	{SYS_read, {-1}},
	{SYS_write, {-1}},
	{SYS_readv, {-1}},
	{SYS_writev, {-1}},
	{SYS_pread64, {-1}},
	{SYS_pwrite64, {-1}},
	{SYS_preadv, {-1}},
	{SYS_pwritev, {-1}},
	{SYS_fstat, {-1}},
	{SYS_fstatfs, {-1}},
	{SYS_ioctl, {-1}},
	{SYS_fcntl, {-1}},
	{SYS_dup, {-1}},
	{SYS_dup3, {-1, -1}},
	{SYS_fsync, {-1}},
	{SYS_fdatasync, {-1}},
	{SYS_syncfs, {-1}},
	{SYS_sync_file_range, {-1}},
	{SYS_ftruncate, {-1}},
	{SYS_fallocate, {-1, 0, 0, 1}},
	{SYS_fadvise64, {-1}},
	{SYS_readahead, {-1}},
	{SYS_flock, {-1, 1}},
	{SYS_fchmod, {-1}},
	{SYS_fchown, {-1}},
	{SYS_fchdir, {-1}},
	{SYS_getdents64, {-1}},
	{SYS_epoll_ctl, {-1, 2}},
	{SYS_epoll_pwait, {-1}},
	{SYS_timerfd_gettime, {-1}},
	{SYS_inotify_rm_watch, {-1}},
	{SYS_signalfd4, {-1}},
	{SYS_tee, {-1, -1, 1}},
};

static unsigned int distinct = 1;

static void make_call(unsigned int i)
{
	const struct call *c = &calls[i];

	syscall(c->nr, c->args[0], c->args[1], c->args[2], c->args[3]);
}

static void make_batch(void)
{
	static unsigned int next;

	for (int i = 0; i < BATCH; i++) {
		make_call(next);
		if (++next >= distinct)
			next = 0;
	}
}

static void make_each_call(void)
{
	for (unsigned int i = 0; i < distinct; i++)
		make_call(i);
}

/* --- threads --------------------------------------------------------------------------------- */

#define MAX_THREADS 30000

static pthread_t threads[MAX_THREADS];
static unsigned int nr_threads;
static sem_t did; /* a thread what it was to do */

static void on_order(__attribute__((unused)) int signal)
{
	make_each_call();
	sem_post(&did);
}

static void *sleep_forever(void *arg)
{
	sem_post(&did);
	for (;;)
		pause();
	return arg;
}

static void await_threads(void)
{
	for (unsigned int i = 0; i < nr_threads; i++)
		while (sem_wait(&did))
			if (errno != EINTR)
				die("sem_wait");
}

static void start_threads(unsigned int nr)
{
	struct sigaction action = {.sa_handler = on_order};
	pthread_attr_t small;

	if (sem_init(&did, 0, 0) || sigaction(SIGUSR1, &action, NULL) ||
	    pthread_attr_init(&small) ||
	    pthread_attr_setstacksize(&small, sysconf(_SC_THREAD_STACK_MIN)))
		die("prepare threads");
	for (; nr_threads < nr; nr_threads++) {
		errno = pthread_create(&threads[nr_threads], &small, sleep_forever, NULL);
		if (errno)
			die("pthread_create");
	}
	await_threads();
}

static void all_make_calls(void)
{
	make_each_call();
	for (unsigned int i = 0; i < nr_threads; i++) {
		errno = pthread_kill(threads[i], SIGUSR1);
		if (errno)
			die("pthread_kill");
	}
	await_threads();
}

/* --- sockets --------------------------------------------------------------------------------- */

#define SPARE_FILES	   64	 /* below RLIMIT_NOFILE, for all that is not such a socket */
#define PAIRS_PER_LISTENER 10000 /* each may use the whole range of local ports anew */

/* How many sockets a process may hold. Raises the limit to hold @nr, where that is permitted. */
static unsigned int holdable(unsigned int nr)
{
	struct rlimit limit;
	rlim_t hard, needed = nr + SPARE_FILES;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("getrlimit");
	hard = limit.rlim_max;
	if (limit.rlim_cur >= needed)
		return nr;
	limit.rlim_cur = needed;
	limit.rlim_max = hard < needed ? needed : hard;
	if (!setrlimit(RLIMIT_NOFILE, &limit))
		return nr;
	limit.rlim_cur = limit.rlim_max = hard;
	if (errno != EPERM || hard <= 2 * SPARE_FILES || setrlimit(RLIMIT_NOFILE, &limit))
		die("raise RLIMIT_NOFILE");
	return hard - SPARE_FILES;
}

static int open_bound(int type, struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (struct sockaddr *)address, len) ||
	    getsockname(fd, (struct sockaddr *)address, &len))
		die("open a socket");
	return fd;
}

/* Both ends of @nr connections. They end by a reset: no port is left in TIME_WAIT. */
static void open_pairs(unsigned int nr)
{
	struct linger none = {.l_onoff = 1};
	struct sockaddr_in address;
	int listener = open_bound(SOCK_STREAM, &address);

	if (listen(listener, 16))
		die("listen");
	for (unsigned int i = 0; i < nr; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
		    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)))
			die("connect");
		if (accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0)
			die("accept");
	}
	close(listener);
}

static void open_sockets(unsigned int nr)
{
	struct sockaddr_in address;

	if (nr % 2)
		open_bound(SOCK_DGRAM, &address);
	for (unsigned int pairs = nr / 2; pairs;) {
		unsigned int some = pairs < PAIRS_PER_LISTENER ? pairs : PAIRS_PER_LISTENER;

		open_pairs(some);
		pairs -= some;
	}
}

/* A child that holds @nr sockets. */
static void start_holder(unsigned int nr)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		die("pipe");
	if (!start_child()) {
		open_sockets(nr);
		if (write(ready[1], "", 1) != 1)
			die("write");
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	close(ready[0]);
}

static void hold_sockets(unsigned int nr)
{
	unsigned int most = holdable(nr);

	for (; nr > most; nr -= most)
		start_holder(most);
	open_sockets(nr);
}

/* --- orders ---------------------------------------------------------------------------------- */

struct loop {
	struct partner partner;
	bool is_turns;
	uint64_t yield_every_ns; /* 0: never */
	uint64_t calls, ns;	 /* what came of it */
};

static void run_loop(struct loop *l, unsigned int ms)
{
	uint64_t start = now_ns(), wanted = ms * 1000000ULL, yield_at = l->yield_every_ns;

	l->calls = 0;
	do {
		if (l->is_turns) {
			partner_turn(&l->partner);
			l->calls++;
		} else {
			make_batch();
			l->calls += BATCH;
		}
		l->ns = now_ns() - start;
		if (l->yield_every_ns && l->ns >= yield_at) {
			partner_turn(&l->partner);
			yield_at += l->yield_every_ns;
		}
	} while (l->ns < wanted);
}

static void each_once(struct loop *l)
{
	uint64_t start = now_ns();

	all_make_calls();
	l->calls = (nr_threads + 1ULL) * distinct;
	l->ns = now_ns() - start;
}

static void serve(struct loop *l)
{
	char line[32];

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t before = switches();
		unsigned int ms;

		line[strcspn(line, "\n")] = '\0';
		ms = number(line, 0, 60000);
		if (ms)
			run_loop(l, ms);
		else
			each_once(l);
		printf("%" PRIu64 " %" PRIu64, l->calls, l->ns);
		if (l->yield_every_ns)
			printf(" %" PRIu64, switches() - before);
		printf("\n");
		if (fflush(stdout))
			die("write");
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"threads", required_argument, NULL, 't'},
		{"distinct", required_argument, NULL, 'd'},
		{"sockets", required_argument, NULL, 's'},
		{"yields", required_argument, NULL, 'y'},
		{"turns", no_argument, NULL, 'u'},
		{},
	};
	unsigned int nr = 0, sockets = 0, yields = 0;
	struct loop loop = {};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 't')
			nr = number(optarg, 0, MAX_THREADS);
		else if (c == 'd')
			distinct = number(optarg, 1, MAX_DISTINCT);
		else if (c == 's')
			sockets = number(optarg, 0, 200000);
		else if (c == 'y')
			yields = number(optarg, 0, 1000000);
		else if (c == 'u')
			loop.is_turns = true;
		else
			return 2;
	}
	if (optind < argc) {
		fprintf(stderr, "looper: unknown argument: %s\n", argv[optind]);
		return 2;
	}
	if (yields)
		loop.yield_every_ns = NS_PER_S / yields;
	if (yields || loop.is_turns)
		start_partner(&loop.partner);
	hold_sockets(sockets);
	start_threads(nr);
	puts("ready");
	if (fflush(stdout))
		die("write");
	serve(&loop);
	end_children();
	return 0;
}
