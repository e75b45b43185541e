// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What tracing costs one system call: a process that calls getppid(2) in a loop is timed
 * untraced, under the floor (empty programs on entry and return), under programs that only read
 * the clock, and under socktrace, in turn, round after round. Figures are medians of the rounds;
 * the ratio
 *
 *	r = (traced - untraced) / (floor - untraced)
 *
 * carries over between machines, ns do not. Beside the traced process there may be --threads
 * more that sleep, and the loop may belong to a process that is not traced (bystander).
 *
 * usage: bench-syscall SOCKTRACE [ROUNDS [CALLS [THREADS]]]
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "floor.skel.h"

#define MAX_ROUNDS 101

static const char *socktrace;
static unsigned long calls = 500000;
static int rounds = 9;

/* --- the process that is measured ------------------------------------------------------------ */

struct looper {
	pid_t pid;
	int order, answer; /* pipes: a byte starts one loop, its ns come back */
};

static void *sleep_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void loop_on_order(int order, int answer, int threads)
{
	pthread_attr_t small;
	pthread_t thread;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	for (int i = 0; i < threads; i++) {
		errno = pthread_create(&thread, &small, sleep_forever, NULL);
		if (errno)
			die("pthread_create");
	}
	while (read(order, &byte, 1) == 1) {
		uint64_t start = now_ns(), ns;

		for (unsigned long i = 0; i < calls; i++)
			syscall(SYS_getppid);
		ns = now_ns() - start;
		if (write(answer, &ns, sizeof(ns)) != sizeof(ns))
			die("write");
	}
	exit(0);
}

static struct looper start_looper(int threads)
{
	int order[2], answer[2];
	struct looper l;

	if (pipe(order) || pipe(answer))
		die("pipe");
	l.pid = fork();
	if (l.pid < 0)
		die("fork");
	if (!l.pid) {
		close(order[1]);
		close(answer[0]);
		loop_on_order(order[0], answer[1], threads);
	}
	close(order[0]);
	close(answer[1]);
	l.order = order[1];
	l.answer = answer[0];
	return l;
}

static double loop(const struct looper *l)
{
	uint64_t ns;

	if (write(l->order, "", 1) != 1 || read(l->answer, &ns, sizeof(ns)) != sizeof(ns))
		die("looper");
	return (double)ns / calls;
}

/* --- the tracer ------------------------------------------------------------------------------ */

static struct tracer trace(pid_t target, const char *detail)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", target);
	return tracer_start(
		(const char *[]){socktrace, "attach", "-F", "json", "--detail", detail, pid, NULL},
		-1);
}

/* --- what is compared ------------------------------------------------------------------------ */

enum subject { NOBODY, FLOOR, CLOCK, TRACED, BYSTANDER };

static struct contender {
	const char *name;
	enum subject subject;
	const char *detail;
	double limit; /* of r; 0: none */
	double ns[MAX_ROUNDS];
} contenders[] = {
	{.name = "untraced", .subject = NOBODY},
	{.name = "floor", .subject = FLOOR},
	{.name = "floor + clock", .subject = CLOCK},
	{.name = "full", .subject = TRACED, .detail = "full", .limit = 1.5},
	{.name = "count", .subject = TRACED, .detail = "count", .limit = 0.7},
	{.name = "bystander full", .subject = BYSTANDER, .detail = "full", .limit = 1.05},
	{.name = "bystander count", .subject = BYSTANDER, .detail = "count", .limit = 0.6},
};

#define NR_CONTENDERS (sizeof(contenders) / sizeof(contenders[0]))

/* Empty programs, or programs that read the clock, which a duration cannot do without. */
static struct floor_bpf *attach_floor(bool with_clock)
{
	struct floor_bpf *skel = floor_bpf__open();

	if (!skel)
		die("open the empty programs");
	bpf_program__set_autoload(skel->progs.floor_enter, !with_clock);
	bpf_program__set_autoload(skel->progs.floor_exit, !with_clock);
	bpf_program__set_autoload(skel->progs.clock_enter, with_clock);
	bpf_program__set_autoload(skel->progs.clock_exit, with_clock);
	if (floor_bpf__load(skel) || floor_bpf__attach(skel))
		die("load the empty programs");
	return skel;
}

static double measure(const struct contender *c, const struct looper *looper, pid_t idle)
{
	struct floor_bpf *skel = NULL;
	struct tracer tracer = {};
	double ns;

	if (c->subject == FLOOR || c->subject == CLOCK) {
		skel = attach_floor(c->subject == CLOCK);
	} else if (c->subject != NOBODY) {
		tracer = trace(c->subject == TRACED ? looper->pid : idle, c->detail);
	}
	loop(looper);
	ns = loop(looper);
	if (tracer.pid && tracer_stop(&tracer))
		exit(1);
	floor_bpf__destroy(skel);
	return ns;
}

int main(int argc, char **argv)
{
	struct looper looper, idle;
	int threads = 0, missed = 0;
	double untraced, floor;

	if (argc < 2 || argc > 5) {
		fprintf(stderr, "usage: bench-syscall SOCKTRACE [ROUNDS [CALLS [THREADS]]]\n");
		return 2;
	}
	socktrace = argv[1];
	if (argc > 2)
		rounds = number(argv[2], 1, MAX_ROUNDS);
	if (argc > 3)
		calls = number(argv[3], 1, 100000000);
	if (argc > 4)
		threads = number(argv[4], 0, 100000);
	looper = start_looper(threads);
	idle = start_looper(0);
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < NR_CONTENDERS; i++)
			contenders[i].ns[round] = measure(&contenders[i], &looper, idle.pid);
	}
	untraced = median(contenders[0].ns, rounds);
	floor = median(contenders[1].ns, rounds);
	printf("getppid, %lu calls a round, %d rounds, %d sleeping threads beside it\n", calls,
	       rounds, threads);
	printf("%-16s %10s %10s %8s %8s\n", "", "ns/call", "added", "r", "limit");
	for (size_t i = 0; i < NR_CONTENDERS; i++) {
		struct contender *c = &contenders[i];
		double ns = median(c->ns, rounds), r = (ns - untraced) / (floor - untraced);

		printf("%-16s %10.1f %10.1f %8.3f", c->name, ns, ns - untraced, r);
		if (c->limit)
			printf(" %8.2f%s", c->limit, r > c->limit ? "  MISSED" : "");
		missed += c->limit && r > c->limit;
		putchar('\n');
	}
	kill(looper.pid, SIGKILL);
	kill(idle.pid, SIGKILL);
	return missed ? 1 : 0;
}
