// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "kernel/kernel.h"
#include "socktrace/layout.h"
#include "socktrace.skel.h"

#define LOG_LEN (16 * 1024 * 1024) /* a full log of our largest program; only touched if written */

struct kernel {
	struct kernel_options options;
	struct socktrace_bpf *skel;
	struct probe_result *results;
	unsigned int *choice; /* per probe: index of the hook to take next */
	struct bpf_link **links; /* per probe; NULL where the program is only run by hand */
	struct pool slots, tasks, processes, rows, blocks;
	unsigned int nr_cpus;
	char *log; /* the verifier's words about the program that was refused */
};

/* --- messages ------------------------------------------------------------------------------- */

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[4096];
	size_t len;

	/* Refusals are expected while hooks are tried; what matters is said by the caller. */
	if (msg_get_level() < MSG_DEBUG || level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	len = strlen(line);
	if (len && line[len - 1] == '\n')
		line[len - 1] = '\0';
	msg_debug("%s", line);
	return 0;
}

void kernel_init_messages(void)
{
	libbpf_set_print(print_libbpf);
}

const char *kernel_libbpf_version(void)
{
	const char *text = libbpf_version_string();

	return text[0] == 'v' ? text + 1 : text;
}

bool kernel_has_btf(void)
{
	return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

/* --- choosing hooks -------------------------------------------------------------------------- */

static bool wanted(const struct kernel *k, const struct probe *p)
{
	return p->detail & (k->options.detail_full ? IN_FULL : IN_COUNT);
}

static const struct hook *chosen(const struct kernel *k, size_t probe)
{
	unsigned int i = k->choice[probe];

	if (!wanted(k, &probes[probe]) || i >= MAX_HOOKS || !probes[probe].hooks[i].program)
		return NULL;
	return &probes[probe].hooks[i];
}

/* The verifier's last complaint: the line before its statistics. */
static char *last_log_line(const char *log)
{
	const char *end = strstr(log, "processed ");
	const char *start;

	end = end ? end : log + strlen(log);
	while (end > log && end[-1] == '\n')
		end--;
	start = end;
	while (start > log && start[-1] != '\n')
		start--;
	return xstrndup(start, end - start);
}

static char *refusal(const char *what, int err, const char *log)
{
	__cleanup(free) char *line = last_log_line(log);

	return line[0] ? xasprintf("%s: %s (%s)", what, strerror(-err), line)
		       : xasprintf("%s: %s", what, strerror(-err));
}

/* Passes to the next hook of @probe. */
static void pass_over(struct kernel *k, size_t probe, char *why)
{
	unsigned int i = k->choice[probe]++;

	free(k->results[probe].passed_over[i]);
	k->results[probe].passed_over[i] = why;
	msg_verbose("probe %s: %s: %s", probes[probe].name, probes[probe].hooks[i].where, why);
}

static struct bpf_program *program_of(const struct kernel *k, const struct hook *h)
{
	return bpf_object__find_program_by_name(k->skel->obj, h->program);
}

static void choose_programs(struct kernel *k)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, k->skel->obj) {
		bpf_program__set_autoload(prog, false);
		bpf_program__set_log_buf(prog, k->log, LOG_LEN);
	}
	for (size_t i = 0; i < nr_probes; i++) {
		if (chosen(k, i))
			bpf_program__set_autoload(program_of(k, chosen(k, i)), true);
	}
}

/* After a load failed: the probe whose program was refused, or -1 if it did not come to that. */
static int refused_probe(const struct kernel *k)
{
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_map(map, k->skel->obj) {
		if (bpf_map__fd(map) < 0)
			return -1;
	}
	bpf_object__for_each_program(prog, k->skel->obj) {
		if (!bpf_program__autoload(prog) || bpf_program__fd(prog) >= 0)
			continue;
		for (size_t i = 0; i < nr_probes; i++) {
			if (chosen(k, i) && program_of(k, chosen(k, i)) == prog)
				return i;
		}
	}
	return -1;
}

/* --- loading --------------------------------------------------------------------------------- */

static int set_size(struct bpf_map *map, uint32_t nr)
{
	return bpf_map__set_max_entries(map, nr);
}

static int set_sizes(struct kernel *k)
{
	uint32_t n = k->options.max_threads;
	struct socktrace_bpf *s = k->skel;

	return set_size(s->maps.cpu_slots, k->nr_cpus) ?: set_size(s->maps.tasks, n + 1) ?:
	       set_size(s->maps.task_of, n) ?: set_size(s->maps.free_tasks, n) ?:
	       set_size(s->maps.processes, n / 2 + 2) ?: set_size(s->maps.process_of, n / 2 + 1) ?:
	       set_size(s->maps.free_processes, n / 2 + 1) ?:
	       set_size(s->maps.targets, n / 2 + 1) ?:
	       set_size(s->maps.rows, (n + 1) * CHUNK) ?: set_size(s->maps.free_rows, n) ?:
	       set_size(s->maps.blocks, (2 * n + 1) * CHUNK) ?:
	       set_size(s->maps.free_blocks, 2 * n);
}

static int open_object(struct kernel *k)
{
	int err;

	k->skel = socktrace_bpf__open();
	if (!k->skel)
		return -errno;
	k->skel->rodata->detail_full = k->options.detail_full;
	k->skel->rodata->follow = k->options.follow;
	k->skel->rodata->listed_call = k->options.listed_call;
	memcpy((void *)k->skel->rodata->row_kinds, k->options.row_kinds, KEYS);
	err = set_sizes(k);
	if (err)
		return err;
	choose_programs(k);
	return 0;
}

static void detach(struct kernel *k)
{
	for (size_t i = 0; i < nr_probes; i++) {
		bpf_link__destroy(k->links[i]);
		k->links[i] = NULL;
	}
}

static bool is_run_by_hand(const struct bpf_program *prog)
{
	return bpf_program__type(prog) != BPF_PROG_TYPE_TRACING ||
	       bpf_program__expected_attach_type(prog) == BPF_TRACE_ITER;
}

/* 0, -EAGAIN if a probe must try its next hook, or -errno. */
static int attach(struct kernel *k)
{
	for (size_t i = 0; i < nr_probes; i++) {
		struct bpf_program *prog;

		if (!chosen(k, i))
			continue;
		prog = program_of(k, chosen(k, i));
		if (is_run_by_hand(prog) && bpf_program__type(prog) != BPF_PROG_TYPE_TRACING)
			continue;
		k->links[i] = bpf_program__attach(prog);
		if (!k->links[i]) {
			pass_over(k, i, refusal("attach", -errno, ""));
			return -EAGAIN;
		}
	}
	return 0;
}

static int load_once(struct kernel *k)
{
	int err, probe;

	k->log[0] = '\0';
	err = open_object(k);
	if (err)
		return err;
	err = socktrace_bpf__load(k->skel);
	if (!err)
		return attach(k);
	probe = refused_probe(k);
	if (probe < 0)
		return err;
	pass_over(k, probe, refusal("load", err, k->log));
	return -EAGAIN;
}

static int load(struct kernel *k)
{
	int err;

	for (;;) {
		err = load_once(k);
		if (err != -EAGAIN)
			return err;
		detach(k);
		socktrace_bpf__destroy(k->skel);
		k->skel = NULL;
	}
}

/* --- pools ----------------------------------------------------------------------------------- */

static int map_pool(struct pool *p, const struct bpf_map *map, const struct bpf_map *free_list)
{
	size_t page = sysconf(_SC_PAGESIZE);

	p->record_size = (bpf_map__value_size(map) + 7) & ~7UL;
	p->nr = bpf_map__max_entries(map);
	p->map_bytes = (p->record_size * p->nr + page - 1) & ~(page - 1);
	p->free_fd = free_list ? bpf_map__fd(free_list) : -1;
	p->records = mmap(NULL, p->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map),
			  0);
	if (p->records != MAP_FAILED)
		return 0;
	p->records = NULL;
	return -errno;
}

static void unmap_pool(struct pool *p)
{
	if (p->records)
		munmap(p->records, p->map_bytes);
}

int pool_give_back(const struct pool *p, uint32_t index)
{
	return bpf_map_update_elem(p->free_fd, NULL, &index, BPF_ANY) ? -errno : 0;
}

static int fill_free_list(const struct pool *p, uint32_t nr)
{
	int err = 0;

	for (uint32_t i = 1; i <= nr && !err; i++)
		err = pool_give_back(p, i);
	return err;
}

static int set_up_pools(struct kernel *k)
{
	uint32_t n = k->options.max_threads;
	struct socktrace_bpf *s = k->skel;

	return map_pool(&k->slots, s->maps.cpu_slots, NULL) ?:
	       map_pool(&k->tasks, s->maps.tasks, s->maps.free_tasks) ?:
	       map_pool(&k->processes, s->maps.processes, s->maps.free_processes) ?:
	       map_pool(&k->rows, s->maps.rows, s->maps.free_rows) ?:
	       map_pool(&k->blocks, s->maps.blocks, s->maps.free_blocks) ?:
	       fill_free_list(&k->tasks, n) ?: fill_free_list(&k->processes, n / 2 + 1) ?:
	       fill_free_list(&k->rows, n) ?: fill_free_list(&k->blocks, 2 * n);
}

const struct pool *kernel_tasks(const struct kernel *k)
{
	return &k->tasks;
}

const struct pool *kernel_processes(const struct kernel *k)
{
	return &k->processes;
}

const struct pool *kernel_rows(const struct kernel *k)
{
	return &k->rows;
}

const struct pool *kernel_blocks(const struct kernel *k)
{
	return &k->blocks;
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* -EOPNOTSUPP if a required probe is without a hook. */
static int settle_results(struct kernel *k)
{
	int err = 0;

	for (size_t i = 0; i < nr_probes; i++) {
		k->results[i].hook = chosen(k, i);
		k->results[i].is_missing = wanted(k, &probes[i]) && !k->results[i].hook;
		if (k->results[i].is_missing && probes[i].required)
			err = -EOPNOTSUPP;
	}
	return err;
}

int kernel_open(struct kernel **kp, const struct kernel_options *options)
{
	struct kernel *k = xcalloc(1, sizeof(*k));
	int err;

	*kp = k;
	k->options = *options;
	k->results = xcalloc(nr_probes, sizeof(*k->results));
	for (size_t i = 0; i < nr_probes; i++)
		k->results[i].probe = &probes[i];
	k->choice = xcalloc(nr_probes, sizeof(*k->choice));
	k->links = xcalloc(nr_probes, sizeof(*k->links));
	k->log = xcalloc(1, LOG_LEN);
	k->nr_cpus = libbpf_num_possible_cpus();
	err = kernel_has_btf() ? load(k) : -EOPNOTSUPP;
	err = err ?: settle_results(k);
	err = err ?: set_up_pools(k);
	return err;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	detach(k);
	unmap_pool(&k->slots);
	unmap_pool(&k->tasks);
	unmap_pool(&k->processes);
	unmap_pool(&k->rows);
	unmap_pool(&k->blocks);
	socktrace_bpf__destroy(k->skel);
	for (size_t i = 0; i < nr_probes; i++) {
		for (size_t j = 0; j < MAX_HOOKS; j++)
			free(k->results[i].passed_over[j]);
	}
	free(k->results);
	free(k->choice);
	free(k->links);
	free(k->log);
	free(k);
}

const struct probe_result *kernel_probe_results(const struct kernel *k)
{
	return k->results;
}

/* --- running ---------------------------------------------------------------------------------- */

int kernel_add_target(struct kernel *k, uint32_t pid)
{
	uint32_t one = 1;

	return bpf_map__update_elem(k->skel->maps.targets, &pid, sizeof(pid), &one, sizeof(one),
				    BPF_ANY);
}

static struct bpf_link *link_of(const struct kernel *k, const char *program)
{
	for (size_t i = 0; i < nr_probes; i++) {
		if (chosen(k, i) && !strcmp(chosen(k, i)->program, program))
			return k->links[i];
	}
	return NULL;
}

/* Runs an iterator over all tasks of our PID namespace. */
static int iterate(const struct kernel *k, const char *program)
{
	__cleanup(close_fd) int fd = bpf_iter_create(bpf_link__fd(link_of(k, program)));
	char nothing[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		n = read(fd, nothing, sizeof(nothing));
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	return n < 0 ? -errno : 0;
}

static int place_threads(struct kernel *k)
{
	int fd = bpf_program__fd(k->skel->progs.place_current);

	for (unsigned int cpu = 0; cpu < k->nr_cpus; cpu++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .flags = BPF_F_TEST_RUN_ON_CPU, .cpu = cpu);

		/* ENXIO: that CPU is offline, nothing runs there. */
		if (bpf_prog_test_run_opts(fd, &opts) && errno != ENXIO)
			return -errno;
	}
	return 0;
}

int kernel_begin(struct kernel *k)
{
	int err;

	k->skel->bss->seeding = 1;
	__atomic_store_n(&k->skel->bss->tracing, 1, __ATOMIC_SEQ_CST);
	err = iterate(k, "list_tasks") ?: iterate(k, "list_tasks") ?: place_threads(k);
	__atomic_store_n(&k->skel->bss->seeding, 0, __ATOMIC_SEQ_CST);
	return err;
}

int kernel_snapshot(struct kernel *k)
{
	return iterate(k, "snapshot");
}

/*
 * A program that saw the gate open may still be at work on another CPU: programs run without
 * being preempted, so once every CPU has passed a grace period none is.
 */
static void wait_for_programs(const struct kernel *k)
{
	cpu_set_t was, one;

	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return;
	/* Refused with nohz_full CPUs (membarrier(2)): visit each CPU instead. */
	if (sched_getaffinity(0, sizeof(was), &was))
		return;
	for (unsigned int cpu = 0; cpu < k->nr_cpus && cpu < CPU_SETSIZE; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	sched_setaffinity(0, sizeof(was), &was);
}

void kernel_end(struct kernel *k)
{
	__atomic_store_n(&k->skel->bss->tracing, 0, __ATOMIC_SEQ_CST);
	wait_for_programs(k);
	/* No slot is filled any more; what is still on one stops to count here. */
	for (uint32_t cpu = 0; cpu < k->slots.nr; cpu++) {
		struct cpu_slot *slot = pool_at(&k->slots, cpu);

		__atomic_store_n(&slot->task, 0, __ATOMIC_SEQ_CST);
	}
	wait_for_programs(k);
}

/* --- accounts --------------------------------------------------------------------------------- */

uint64_t kernel_lost(const struct kernel *k, unsigned int reason)
{
	return k->skel->bss->lost[reason];
}

uint64_t kernel_map_bytes(const struct kernel *k)
{
	struct bpf_map *map;
	uint64_t sum = 0;

	bpf_object__for_each_map(map, k->skel->obj) {
		sum += (uint64_t)bpf_map__max_entries(map) * bpf_map__value_size(map);
		/* A preallocated hash element has its key and 48 bytes of its own (hashtab.c). */
		if (bpf_map__type(map) == BPF_MAP_TYPE_HASH)
			sum += (uint64_t)bpf_map__max_entries(map) * (bpf_map__key_size(map) + 48);
	}
	return sum;
}

uint64_t kernel_mapped_bytes(const struct kernel *k)
{
	return k->tasks.map_bytes + k->processes.map_bytes + k->rows.map_bytes +
	       k->blocks.map_bytes;
}

bool kernel_program_info(const struct kernel *k, size_t i, struct program_info *info)
{
	struct bpf_prog_info kernel_info = {};
	uint32_t len = sizeof(kernel_info);
	struct bpf_program *prog;
	size_t nth = 0;

	bpf_object__for_each_program(prog, k->skel->obj) {
		if (bpf_program__fd(prog) < 0 || nth++ != i)
			continue;
		if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &kernel_info, &len))
			return false;
		info->name = bpf_program__name(prog);
		/* Kept only while kernel.bpf_stats_enabled is on. */
		info->runs = kernel_info.run_cnt ? kernel_info.run_cnt : UINT64_MAX;
		info->run_ns = kernel_info.run_cnt ? kernel_info.run_time_ns : UINT64_MAX;
		/* Since 5.12 (9ed9e9ba2337): a shorter answer has no such field. */
		info->recursion_misses =
			len >= offsetof(struct bpf_prog_info, recursion_misses) + sizeof(uint64_t)
				? kernel_info.recursion_misses
				: UINT64_MAX;
		return true;
	}
	return false;
}
