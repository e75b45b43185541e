// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Keeps the programs of one step of ladder.bpf.c in place until SIGINT or SIGTERM.
 *
 * usage: ladder STEP PID   steps have names like getppid/clock; PID is a process of one thread
 *        ladder --list     the names, one a line, in order
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bench.h"
#include "ladder.skel.h"
#include "socktrace/layout.h"

#define POOL	      1024
#define MAX_PROGRAMS  4
#define TASK_SWITCHES "sched_switch", "sched_wakeup" /* the tracer's own; they fill the slots */

/*
 * By the load first: the target's calls, those of a process that is not the target, the target's
 * switches. Each does what the ones before do and one thing more, up to those with "or".
 */
static const struct step {
	const char *name;
	const char *programs[MAX_PROGRAMS];
} steps[] = {
	{"getppid/empty", {"empty_enter", "empty_exit"}},
	{"getppid/slot", {"slot_enter", "slot_exit", TASK_SWITCHES}},
	{"getppid/record", {"record_enter", "record_exit", TASK_SWITCHES}},
	{"getppid/clock", {"clock_enter", "clock_exit", TASK_SWITCHES}},
	{"getppid/row", {"row_enter", "row_exit", TASK_SWITCHES}},
	{"getppid/histogram", {"histogram_enter", "histogram_exit", TASK_SWITCHES}},
	{"getppid/or empty classic tracepoints", {"empty_classic_enter", "empty_classic_exit"}},
	{"getppid/or classic tracepoints", {"classic_enter", "classic_exit", TASK_SWITCHES}},
	{"getppid/or a hash of pids for the slot", {"pid_hash_enter", "pid_hash_exit"}},
	{"getppid/or hashes by tid", {"tid_hash_enter", "tid_hash_exit"}},
	{"getppid/or task storage", {"storage_enter", "storage_exit", TASK_SWITCHES}},
	{"getppid/or sums in one array", {"clock_enter", "flat_exit", TASK_SWITCHES}},
	{"getppid/or atomic sums in one array", {"clock_enter", "atomic_exit", TASK_SWITCHES}},
	{"getppid/or a per-CPU array", {"clock_enter", "per_cpu_exit", TASK_SWITCHES}},
	{"bystander/empty", {"empty_enter", "empty_exit"}},
	{"bystander/slot", {"histogram_enter", "histogram_exit", TASK_SWITCHES}},
	{"bystander/or a hash of pids for the slot", {"pid_hash_enter", "pid_hash_exit"}},
	{"bystander/or hashes by tid", {"tid_hash_enter", "tid_hash_exit"}},
	{"bystander/or task storage", {"storage_enter", "storage_exit", TASK_SWITCHES}},
	{"switch/empty", {"empty_switch", "empty_wakeup"}},
	{"switch/whose", {"whose_switch", "whose_wakeup"}},
	{"switch/when", {"timed_switch", "timed_wakeup"}},
	{"switch/times", {TASK_SWITCHES}},
	{"switch/or a hash by address", {"hashed_switch", "hashed_wakeup"}},
	{"switch/or storage of tasks", {"stored_switch", "stored_wakeup"}},
};

#define NR_STEPS (sizeof(steps) / sizeof(steps[0]))

static const struct step *find_step(const char *name)
{
	for (size_t i = 0; i < NR_STEPS; i++)
		if (!strcmp(steps[i].name, name))
			return &steps[i];
	fprintf(stderr, "ladder: no step %s; ladder --list has their names\n", name);
	exit(2);
}

static bool is_of(const struct step *step, const struct bpf_program *program)
{
	for (int i = 0; i < MAX_PROGRAMS && step->programs[i]; i++)
		if (!strcmp(step->programs[i], bpf_program__name(program)))
			return true;
	return false;
}

static void size_maps(struct ladder_bpf *skel)
{
	struct bpf_map *pools[] = {
		skel->maps.tasks,	skel->maps.rows,    skel->maps.blocks,
		skel->maps.task_of,	skel->maps.targets, skel->maps.free_rows,
		skel->maps.free_blocks,
	};

	for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
		if (bpf_map__set_max_entries(pools[i], POOL))
			die("size a map");
	if (bpf_map__set_max_entries(skel->maps.cpu_slots, libbpf_num_possible_cpus()))
		die("size a map");
}

/* Elements are handed out by chunks; the first holds element 0, which means "none". */
static void fill(const struct bpf_map *queue, __u32 chunk)
{
	for (__u32 i = 1; i < POOL / chunk; i++)
		if (bpf_map_update_elem(bpf_map__fd(queue), NULL, &i, BPF_ANY))
			die("fill a queue");
}

static void make_storage(struct ladder_bpf *skel, pid_t target)
{
	struct task_record t = {.state = RECORD_LIVE, .call = CALL_NONE};
	int pidfd = syscall(SYS_pidfd_open, target, 0);

	if (pidfd < 0 || bpf_map_update_elem(bpf_map__fd(skel->maps.storage), &pidfd, &t, BPF_ANY))
		die("make a task's storage");
	close(pidfd);
}

static void find_target(struct ladder_bpf *skel)
{
	struct bpf_link *link = bpf_program__attach(skel->progs.find_target);
	int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	char nothing[64];
	__u32 found;

	if (fd < 0)
		die("list tasks");
	while (read(fd, nothing, sizeof(nothing)) > 0)
		;
	close(fd);
	bpf_link__destroy(link);
	if (bpf_map_get_next_key(bpf_map__fd(skel->maps.targets), NULL, &found)) {
		errno = ESRCH;
		die("find the process by its number outside of PID namespaces");
	}
}

static struct ladder_bpf *load(const struct step *step, pid_t target)
{
	struct ladder_bpf *skel = ladder_bpf__open();
	struct bpf_program *program;

	if (!skel)
		die("open the programs");
	bpf_object__for_each_program(program, skel->obj)
		bpf_program__set_autoload(program, is_of(step, program));
	bpf_program__set_autoload(skel->progs.find_target, true);
	bpf_program__set_autoattach(skel->progs.find_target, false);
	skel->rodata->target = target;
	size_maps(skel);
	if (ladder_bpf__load(skel))
		die("load the programs");
	fill(skel->maps.free_rows, CHUNK);
	fill(skel->maps.free_blocks, CHUNK);
	skel->bss->tracing = 1;
	find_target(skel);
	make_storage(skel, target);
	if (ladder_bpf__attach(skel))
		die("attach the programs");
	return skel;
}

int main(int argc, char **argv)
{
	struct ladder_bpf *skel;
	sigset_t set;
	int sig;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < NR_STEPS; i++)
			puts(steps[i].name);
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: ladder STEP PID | ladder --list\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	skel = load(find_step(argv[1]), number(argv[2], 1, 1 << 30));
	fprintf(stderr, "tracing with %s\n", argv[1]);
	sigwait(&set, &sig);
	ladder_bpf__destroy(skel);
	return 0;
}
