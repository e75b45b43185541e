// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "kernel/private.h"
#include "socktrace/layout.h"

#define LOG_LEN (16 * 1024 * 1024) /* a full log of our largest program; only touched if written \
				    */

/* --- messages ------------------------------------------------------------------------------- */

/*
 * The program that libbpf last warned of. After a failed load it has closed everything and no
 * longer tells which program was refused; its warnings do: "libbpf: prog 'NAME': …".
 */
static char refused_program[64];

static void note_refused(const char *line)
{
	const char *name = strstr(line, "prog '");

	if (!name)
		return;
	name += strlen("prog '");
	snprintf(refused_program, sizeof(refused_program), "%.*s", (int)strcspn(name, "'"), name);
}

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[4096];
	size_t len;

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	if (level == LIBBPF_WARN)
		note_refused(line);
	/* Refusals are expected while hooks are tried; what matters is said by the caller. */
	if (msg_get_level() < MSG_DEBUG)
		return 0;
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
	__cleanup(close_fd) int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	uint16_t magic = 0;

	return fd >= 0 && read(fd, &magic, sizeof(magic)) == sizeof(magic) && magic == BTF_MAGIC;
}

/* --- choosing hooks -------------------------------------------------------------------------- */

static bool wanted(const struct kernel *k, const struct probe *p)
{
	return p->detail & (k->options.detail_full ? IN_FULL : IN_COUNT);
}

const struct hook *kernel_chosen_hook(const struct kernel *k, size_t probe)
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

	bpf_object__for_each_program(prog, k->skel->obj)
	{
		bpf_program__set_autoload(prog, false);
		bpf_program__set_log_buf(prog, k->log, LOG_LEN);
	}
	for (size_t i = 0; i < nr_probes; i++) {
		if (kernel_chosen_hook(k, i))
			bpf_program__set_autoload(program_of(k, kernel_chosen_hook(k, i)), true);
	}
}

/* After a load failed: the probe whose program was refused, or -1 if it did not come to that. */
static int refused_probe(const struct kernel *k)
{
	for (size_t i = 0; i < nr_probes; i++) {
		const struct hook *h = kernel_chosen_hook(k, i);

		if (h && !strcmp(h->program, refused_program))
			return i;
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
	       set_size(s->maps.targets, n / 2 + 1024) ?:
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
	k->skel->rodata->wake_up_after = k->options.max_threads / 8 + 1;
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

		if (!kernel_chosen_hook(k, i))
			continue;
		prog = program_of(k, kernel_chosen_hook(k, i));
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
	refused_program[0] = '\0';
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
	p->records =
		mmap(NULL, p->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
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
		k->results[i].hook = kernel_chosen_hook(k, i);
		k->results[i].is_missing = wanted(k, &probes[i]) && !k->results[i].hook;
		if (k->results[i].is_missing && probes[i].required)
			err = -EOPNOTSUPP;
	}
	return err;
}

static int drop_wake_up(void *ctx, void *data, size_t size)
{
	(void)ctx;
	(void)data;
	(void)size;
	return 0;
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
	if (err == -EINVAL) /* a kind of map, or a flag, that this kernel does not have */
		err = -EOPNOTSUPP;
	err = err ?: settle_results(k);
	err = err ?: set_up_pools(k);
	if (!err) {
		k->wake_ups = ring_buffer__new(bpf_map__fd(k->skel->maps.wake_ups), drop_wake_up,
					       NULL, NULL);
		err = k->wake_ups ? 0 : -errno;
	}
	return err;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	detach(k);
	ring_buffer__free(k->wake_ups);
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
