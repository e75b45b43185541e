// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "kernel/names.h"
#include "kernel/private.h"
#include "socktrace/layout.h"

#define LOG_LEN                                                                          \
	(16 * 1024 * 1024) /* a full log of our largest program; only touched if written \
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

	if (fd < 0 && errno != ENOENT)
		return true; /* too many open files, say: that is not it */
	return fd >= 0 && read(fd, &magic, sizeof(magic)) == sizeof(magic) && magic == BTF_MAGIC;
}

/* --- choosing hooks -------------------------------------------------------------------------- */

static bool wanted(const struct kernel *k, const struct probe *p)
{
	if (p->wanted & WITH_SOCKETS && !k->options.max_sockets)
		return false;
	return p->wanted & (k->options.detail_full ? IN_FULL : IN_COUNT);
}

const struct hook *kernel_chosen_hook(const struct kernel *k, size_t probe)
{
	unsigned int i = k->choices[probe].hook;

	if (!wanted(k, &probes[probe]) || i >= MAX_HOOKS || !probes[probe].hooks[i].name)
		return NULL;
	return &probes[probe].hooks[i];
}

/* The @i-th attachment of what is chosen for @probe; NULL: past the last, or not on this kernel. */
static const struct attachment *chosen_attachment(const struct kernel *k, size_t probe, size_t i)
{
	const struct hook *h = kernel_chosen_hook(k, probe);

	if (!h || i >= MAX_ATTACHMENTS || !h->attachments[i].program ||
	    k->choices[probe].absent & 1ULL << i)
		return NULL;
	return &h->attachments[i];
}

static void force_hook(struct kernel *k, const struct forced_hook *f, size_t probe)
{
	struct choice *c = &k->choices[probe];

	for (c->hook = 0; c->hook < MAX_HOOKS; c->hook++) {
		const char *name = probes[probe].hooks[c->hook].name;

		if (!name || !strcmp(name, f->hook))
			break;
		free(k->results[probe].passed_over[c->hook]);
		k->results[probe].passed_over[c->hook] = xstrdup(NOT_ASKED_FOR);
	}
	c->is_forced = true;
}

static void force_hooks(struct kernel *k)
{
	for (size_t i = 0; i < k->options.nr_forced; i++) {
		for (size_t p = 0; p < nr_probes; p++) {
			if (!strcmp(probes[p].name, k->options.forced[i].probe))
				force_hook(k, &k->options.forced[i], p);
		}
	}
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
	struct choice *c = &k->choices[probe];

	free(k->results[probe].passed_over[c->hook]);
	k->results[probe].passed_over[c->hook] = why;
	msg_verbose("probe %s: %s: %s", probes[probe].name, probes[probe].hooks[c->hook].where,
		    why);
	c->hook = c->is_forced ? MAX_HOOKS : c->hook + 1;
	c->absent = 0;
}

/* Attachment @i of @probe does not work: goes on without it if it is optional. @why passes on. */
static void give_up(struct kernel *k, size_t probe, size_t i, char *why)
{
	const struct attachment *a = chosen_attachment(k, probe, i);

	if (!a->is_optional) {
		pass_over(k, probe, why);
		return;
	}
	msg_verbose("probe %s: goes on without %s: %s", probes[probe].name,
		    a->function ? a->function : a->program, why);
	k->choices[probe].absent |= 1ULL << i;
	free(why);
}

static struct bpf_program *program_of(const struct kernel *k, const struct attachment *a)
{
	return bpf_object__find_program_by_name(k->skel->obj, a->program);
}

static void choose_programs(struct kernel *k)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, k->skel->obj)
	{
		bpf_program__set_autoload(prog, false);
		bpf_program__set_log_buf(prog, k->log, LOG_LEN);
	}
	bpf_program__set_autoload(k->skel->progs.fill_pool, true);
	for (size_t p = 0; p < nr_probes; p++) {
		for (size_t i = 0; i < MAX_ATTACHMENTS; i++) {
			if (chosen_attachment(k, p, i))
				bpf_program__set_autoload(program_of(k, chosen_attachment(k, p, i)),
							  true);
		}
	}
}

/* After a load failed: gives up the program that was refused. False if it did not come to that. */
static bool give_up_refused(struct kernel *k, int err)
{
	for (size_t p = 0; p < nr_probes; p++) {
		for (size_t i = 0; i < MAX_ATTACHMENTS; i++) {
			const struct attachment *a = chosen_attachment(k, p, i);

			if (!a || strcmp(a->program, refused_program))
				continue;
			give_up(k, p, i, refusal("load", err, k->log));
			return true;
		}
	}
	return false;
}

/* --- loading --------------------------------------------------------------------------------- */

static int set_size(struct bpf_map *map, uint32_t nr)
{
	return bpf_map__set_max_entries(map, nr);
}

static int set_sizes(struct kernel *k)
{
	uint32_t n = k->options.max_threads, m = k->options.max_sockets;
	struct socktrace_bpf *s = k->skel;

	return set_size(s->maps.cpu_slots, k->nr_cpus) ?: set_size(s->maps.tasks, n + 1) ?:
	       set_size(s->maps.task_of, n) ?: set_size(s->maps.free_tasks, n) ?:
	       set_size(s->maps.processes, n / 2 + 2) ?: set_size(s->maps.process_of, n / 2 + 1) ?:
	       set_size(s->maps.free_processes, n / 2 + 1) ?:
	       set_size(s->maps.targets, n / 2 + 1024) ?:
	       set_size(s->maps.rows, (n + 1) * CHUNK) ?: set_size(s->maps.free_rows, n) ?:
	       set_size(s->maps.blocks, (2 * n + 1) * CHUNK) ?:
	       set_size(s->maps.free_blocks, 2 * n) ?: set_size(s->maps.socks, m + 1) ?:
	       set_size(s->maps.sock_of, m + 1) ?: set_size(s->maps.free_socks, m + 1) ?:
	       set_size(s->maps.uses, m / 4 + 1) ?: set_size(s->maps.use_of, m / 4 + 1) ?:
	       set_size(s->maps.free_uses, m / 4 + 1) ?: set_size(s->maps.drops, m / 8 + 1) ?:
	       set_size(s->maps.ports, m / 8 + 64);
}

/* What calls have done to sockets matters at their return only as far as no other hook shows it. */
static void set_row_kinds(struct kernel *k, bool bytes_by_calls)
{
	uint8_t *kinds = (uint8_t *)k->skel->rodata->row_kinds;
	uint8_t *ops = (uint8_t *)k->skel->rodata->call_ops;

	for (size_t key = 0; key < KEYS; key++) {
		uint8_t kind = k->options.row_kinds[key], op = kind >> SOCKET_OP_SHIFT;
		bool is_wanted =
			k->options.max_sockets && (bytes_by_calls || op < OP_FIRST_OF_CALLS);

		kinds[key] = is_wanted ? kind : kind & ROW_KIND_MASK;
		ops[key] = op;
	}
}

static bool is_by_calls(const struct kernel *k)
{
	for (size_t p = 0; p < nr_probes; p++) {
		if (kernel_chosen_hook(k, p) && kernel_chosen_hook(k, p)->by_calls)
			return true;
	}
	return false;
}

/* Where the kernel keeps counts of a network namespace. */
static void set_counts(struct kernel *k)
{
	static const char *const names[] = {"LINUX_MIB_LISTENOVERFLOWS", "LINUX_MIB_LISTENDROPS",
					    "LINUX_MIB_SYNCOOKIESRECV"};
	uint32_t numbers[3];

	if (!k->options.max_sockets || !kernel_enumerators("LINUX_MIB_NUM", names, numbers, 3))
		return;
	k->skel->rodata->mib_listen_overflows = numbers[0];
	k->skel->rodata->mib_listen_drops = numbers[1];
	k->skel->rodata->mib_cookies_received = numbers[2];
}

/*
 * All types that the programs look for are the kernel's own, if it has them at all. Where it lacks
 * one, libbpf goes on to look through the modules (load_module_btfs()), which takes CAP_SYS_ADMIN
 * and fails without; named as if it were a file of the person's, the kernel's BTF is all it looks
 * at.
 */
static int open_object(struct kernel *k)
{
	LIBBPF_OPTS(bpf_object_open_opts, open_options,
		    .btf_custom_path = "/sys/kernel/btf/vmlinux");
	int err;

	k->skel = socktrace_bpf__open_opts(&open_options);
	if (!k->skel)
		return -errno;
	k->skel->rodata->detail_full = k->options.detail_full;
	k->skel->rodata->follow = k->options.follow;
	k->skel->rodata->with_sockets = k->options.max_sockets != 0;
	k->skel->rodata->wake_up_after = k->options.max_threads / 8 + 1;
	k->skel->rodata->listed_call = k->options.listed_call;
	k->skel->rodata->wake_up_after_sockets = k->options.max_sockets / 16 + 1;
	k->skel->rodata->bytes_by_calls = is_by_calls(k);
	k->skel->rodata->nr_cpus = k->nr_cpus;
	set_counts(k);
	set_row_kinds(k, is_by_calls(k));
	err = set_sizes(k);
	if (err)
		return err;
	choose_programs(k);
	return 0;
}

static void detach(struct kernel *k)
{
	for (size_t p = 0; p < nr_probes; p++) {
		for (size_t i = 0; i < MAX_ATTACHMENTS; i++) {
			bpf_link__destroy(k->choices[p].links[i]);
			k->choices[p].links[i] = NULL;
		}
	}
}

/* NULL with errno set, or the link. */
static struct bpf_link *attach_one(const struct kernel *k, const struct attachment *a)
{
	struct bpf_program *prog = program_of(k, a);

	if (!a->function)
		return bpf_program__attach(prog);
	return bpf_program__attach_kprobe(prog, !strncmp(a->program, "kretprobe", 9), a->function);
}

static bool is_run_by_hand(const struct kernel *k, const struct attachment *a)
{
	return bpf_program__type(program_of(k, a)) == BPF_PROG_TYPE_RAW_TRACEPOINT;
}

/* No other hook would do better. */
static bool is_limit(int error)
{
	return error == EMFILE || error == ENFILE;
}

/* 0, or -EAGAIN if a probe must try its next hook; -EMFILE, -ENFILE. */
static int attach_probe(struct kernel *k, size_t p)
{
	for (size_t i = 0; i < MAX_ATTACHMENTS; i++) {
		const struct attachment *a = chosen_attachment(k, p, i);

		if (!a || is_run_by_hand(k, a))
			continue;
		k->choices[p].links[i] = attach_one(k, a);
		if (k->choices[p].links[i])
			continue;
		if (is_limit(errno))
			return -errno;
		give_up(k, p, i, refusal("attach", -errno, ""));
		return -EAGAIN;
	}
	return 0;
}

static int attach(struct kernel *k)
{
	int err = 0;

	for (size_t p = 0; p < nr_probes && !err; p++)
		err = attach_probe(k, p);
	return err;
}

static int load_once(struct kernel *k)
{
	int err;

	k->log[0] = '\0';
	refused_program[0] = '\0';
	err = open_object(k);
	if (err)
		return err;
	err = socktrace_bpf__load(k->skel);
	if (!err)
		return attach(k);
	if (is_limit(-err))
		return err;
	return give_up_refused(k, err) ? -EAGAIN : err;
}

/*
 * Some hosts refuse every fentry and fexit program, whatever it attaches to. That is quickly seen
 * with one that attaches to nothing; finding it out in a full load takes as long as the load.
 */
static int try_trampoline(void)
{
	static const struct bpf_insn nothing[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K},
						  {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FEXIT,
		    .attach_btf_id = 1);
	int fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nothing", "GPL", nothing, 2, &opts);

	if (fd < 0)
		return -errno; /* EINVAL: what it attaches to is no function */
	close(fd);
	return 0;
}

static void pass_over_refused_trampolines(struct kernel *k)
{
	for (size_t p = 0; p < nr_probes; p++) {
		const struct hook *h = kernel_chosen_hook(k, p);

		if (h && h->is_trampoline && try_trampoline() == -EPERM)
			pass_over(k, p, refusal("load", -EPERM, ""));
	}
}

static int load(struct kernel *k)
{
	int err;

	pass_over_refused_trampolines(k);
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

static int fill_free_list(const struct kernel *k, enum pool_number pool, uint32_t nr)
{
	int fd = bpf_program__fd(k->skel->progs.fill_pool);

	for (uint32_t i = 1; i <= nr; i += FILL_AT_ONCE) {
		uint32_t count = nr + 1 - i < FILL_AT_ONCE ? nr + 1 - i : FILL_AT_ONCE;
		uint64_t args[] = {pool, i, count};
		LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));

		if (bpf_prog_test_run_opts(fd, &opts))
			return -errno;
	}
	return 0;
}

static int set_up_pools(struct kernel *k)
{
	uint32_t n = k->options.max_threads, m = k->options.max_sockets;
	struct socktrace_bpf *s = k->skel;

	return map_pool(&k->slots, s->maps.cpu_slots, NULL) ?:
	       map_pool(&k->tasks, s->maps.tasks, s->maps.free_tasks) ?:
	       map_pool(&k->processes, s->maps.processes, s->maps.free_processes) ?:
	       map_pool(&k->rows, s->maps.rows, s->maps.free_rows) ?:
	       map_pool(&k->blocks, s->maps.blocks, s->maps.free_blocks) ?:
	       fill_free_list(k, POOL_TASKS, n) ?: fill_free_list(k, POOL_PROCESSES, n / 2 + 1) ?:
	       map_pool(&k->socks, s->maps.socks, s->maps.free_socks) ?:
	       map_pool(&k->uses, s->maps.uses, s->maps.free_uses) ?:
	       fill_free_list(k, POOL_ROWS, n) ?: fill_free_list(k, POOL_BLOCKS, 2 * n) ?:
	       fill_free_list(k, POOL_SOCKS, m) ?: fill_free_list(k, POOL_USES, m / 4);
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

const struct pool *kernel_socks(const struct kernel *k)
{
	return &k->socks;
}

const struct pool *kernel_uses(const struct kernel *k)
{
	return &k->uses;
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* -EOPNOTSUPP if a probe that is required, or for which a hook was asked, is without one. */
static int settle_results(struct kernel *k)
{
	int err = 0;

	for (size_t i = 0; i < nr_probes; i++) {
		k->results[i].hook = kernel_chosen_hook(k, i);
		k->results[i].is_wanted = wanted(k, &probes[i]);
		k->results[i].is_missing = k->results[i].is_wanted && !k->results[i].hook;
		k->results[i].is_needed = probes[i].required || k->choices[i].is_forced;
		if (k->results[i].is_missing && k->results[i].is_needed)
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

/* Programs, maps and links are some 100 descriptors; a soft limit below that is no wish to fail. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		msg_verbose("raise the limit of open files: %s", strerror(errno));
}

int kernel_open(struct kernel **kp, const struct kernel_options *options)
{
	struct kernel *k = xcalloc(1, sizeof(*k));
	int err;

	*kp = k;
	raise_descriptors();
	k->options = *options;
	k->results = xcalloc(nr_probes, sizeof(*k->results));
	for (size_t i = 0; i < nr_probes; i++)
		k->results[i].probe = &probes[i];
	k->choices = xcalloc(nr_probes, sizeof(*k->choices));
	force_hooks(k);
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
	unmap_pool(&k->socks);
	unmap_pool(&k->uses);
	socktrace_bpf__destroy(k->skel);
	for (size_t i = 0; i < nr_probes; i++) {
		for (size_t j = 0; j < MAX_HOOKS; j++)
			free(k->results[i].passed_over[j]);
	}
	free(k->results);
	free(k->choices);
	free(k->log);
	free(k);
}

const struct probe_result *kernel_probe_results(const struct kernel *k)
{
	return k->results;
}
