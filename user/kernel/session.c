// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A trace under way: targets, begin, snapshot, end, and what it cost. */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/msg.h"
#include "kernel/names.h"
#include "kernel/private.h"
#include "socktrace/layout.h"

/* --- running ---------------------------------------------------------------------------------- */

int kernel_add_target(struct kernel *k, uint32_t pid)
{
	uint32_t one = 1;

	return bpf_map__update_elem(k->skel->maps.targets, &pid, sizeof(pid), &one, sizeof(one),
				    BPF_ANY);
}

static struct bpf_link *link_of(const struct kernel *k, const char *program)
{
	for (size_t p = 0; p < nr_probes; p++) {
		const struct hook *h = kernel_chosen_hook(k, p);

		if (h && h->attachments[0].program && !strcmp(h->attachments[0].program, program))
			return k->choices[p].links[0];
	}
	return NULL;
}

/* Runs an iterator over all tasks of our PID namespace, or their files. 0 if there is none. */
static int iterate(const struct kernel *k, const char *program)
{
	const struct bpf_link *link = link_of(k, program);
	__cleanup(close_fd) int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	char nothing[64];
	ssize_t n;

	if (!link)
		return 0;
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

int kernel_wake_up_fd(const struct kernel *k)
{
	return ring_buffer__epoll_fd(k->wake_ups);
}

void kernel_clear_wake_up(struct kernel *k)
{
	__atomic_store_n(&k->skel->bss->nr_ended, 0, __ATOMIC_SEQ_CST);
	ring_buffer__consume(k->wake_ups);
}

/* For one pass may miss a process of which a thread makes execve(2), or the kernel be busy. */
#define MAX_PASSES 20

int kernel_begin(struct kernel *k, bool (*are_known)(const void *arg), const void *arg)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int err;

	k->skel->bss->watches_listeners =
		kernel_has_probe(k, "drops") && !kernel_hook_is(k, "drops", "socket");
	k->skel->bss->seeding = SEEDING_FIRST;
	__atomic_store_n(&k->skel->bss->tracing, 1, __ATOMIC_SEQ_CST);
	err = iterate(k, "list_tasks");
	for (int i = 1; i < MAX_PASSES && !err && !are_known(arg); i++) {
		nanosleep(&pause, NULL);
		err = iterate(k, "list_tasks");
	}
	k->skel->bss->seeding = SEEDING_SECOND;
	err = err ?: iterate(k, "list_tasks") ?: place_threads(k);
	__atomic_store_n(&k->skel->bss->seeding, SEEDING_NOT, __ATOMIC_SEQ_CST);
	/* All listeners are watched before the first one is counted. */
	if (k->skel->bss->watches_listeners)
		err = err ?: iterate(k, "list_sockets");
	__atomic_store_n(&k->skel->bss->listing_sockets, 1, __ATOMIC_SEQ_CST);
	err = err ?: iterate(k, "list_sockets");
	__atomic_store_n(&k->skel->bss->listing_sockets, 0, __ATOMIC_SEQ_CST);
	return err;
}

/* A change of state that is under way is over by then. */
#define MAX_LOOKS 4

static int look_at_sockets(struct kernel *k)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int err;

	for (int look = 1;; look++) {
		k->skel->bss->nr_snapshots++;
		k->skel->bss->doubtful_states = 0;
		k->skel->bss->is_last_look = look == MAX_LOOKS;
		err = iterate(k, "list_sockets");
		if (err || !k->skel->bss->doubtful_states)
			return err;
		nanosleep(&pause, NULL);
	}
}

int kernel_snapshot(struct kernel *k)
{
	/* First the sockets: what a thread still moves through one is asked afterwards. */
	return look_at_sockets(k) ?: iterate(k, "snapshot");
}

uint64_t kernel_nr_snapshots(const struct kernel *k)
{
	return k->skel->bss->nr_snapshots;
}

void kernel_lose(struct kernel *k, unsigned int reason)
{
	__atomic_fetch_add(&k->skel->bss->lost[reason], 1, __ATOMIC_SEQ_CST);
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

/* --- sockets ---------------------------------------------------------------------------------- */

uint32_t kernel_take_ended_sockets(struct kernel *k)
{
	return __atomic_exchange_n(&k->skel->bss->nr_ended_sockets, 0, __ATOMIC_SEQ_CST);
}

uint32_t kernel_take_new_sockets(struct kernel *k)
{
	return __atomic_exchange_n(&k->skel->bss->nr_new_sockets, 0, __ATOMIC_SEQ_CST);
}

uint32_t kernel_drops_when_read(const struct kernel *k, uint16_t port)
{
	return k->skel->bss->drops_when_read[port];
}

bool kernel_has_one_grown_listener(const struct kernel *k, uint32_t net)
{
	uint32_t nr = 0;

	return k->skel->bss->watches_listeners && !k->skel->bss->misses_listeners &&
	       !bpf_map__lookup_elem(k->skel->maps.grown_listeners, &net, sizeof(net), &nr,
				     sizeof(nr), 0) &&
	       nr == 1;
}

bool kernel_listens_on(const struct kernel *k, uint32_t netns, uint16_t port)
{
	struct port_key key = {.netns = netns, .port = port};
	uint32_t yes;

	return !bpf_map__lookup_elem(k->skel->maps.ports, &key, sizeof(key), &yes, sizeof(yes), 0);
}

void kernel_forget_use(const struct kernel *k, const struct sock_use *use)
{
	struct sock_use_key key = {.sock = use->sock, .process = use->process};

	bpf_map__delete_elem(k->skel->maps.use_of, &key, sizeof(key), 0);
}

bool kernel_next_drop(const struct kernel *k, struct drop_key *key, struct drop_count *count)
{
	const struct bpf_map *map = k->skel->maps.drops;
	bool is_first = key->sock == UINT32_MAX;

	return !bpf_map__get_next_key(map, is_first ? NULL : key, key, sizeof(*key)) &&
	       !bpf_map__lookup_elem(map, key, sizeof(*key), count, sizeof(*count), 0);
}

void kernel_forget_drop(const struct kernel *k, const struct drop_key *key)
{
	bpf_map__delete_elem(k->skel->maps.drops, key, sizeof(*key), 0);
}

void kernel_end_sock(struct kernel *k, uint32_t index, struct sock_record *s, uint64_t now_ns)
{
	const struct bpf_map *map = k->skel->maps.sock_of;
	uint32_t found = 0;

	if (!bpf_map__lookup_elem(map, &s->sk, sizeof(s->sk), &found, sizeof(found), 0) &&
	    found == index)
		bpf_map__delete_elem(map, &s->sk, sizeof(s->sk), 0);
	if (!s->closed_ns)
		s->closed_ns = s->closing_ns ? s->closing_ns : now_ns;
	__atomic_store_n(&s->state, RECORD_ENDED, __ATOMIC_RELEASE);
	__atomic_fetch_add(&k->skel->bss->nr_ended_sockets, 1, __ATOMIC_SEQ_CST);
}

static const struct hook *hook_of(const struct kernel *k, const char *probe)
{
	for (size_t p = 0; p < nr_probes; p++) {
		if (!strcmp(probes[p].name, probe))
			return kernel_chosen_hook(k, p);
	}
	return NULL;
}

bool kernel_has_probe(const struct kernel *k, const char *probe)
{
	return hook_of(k, probe);
}

bool kernel_hook_is(const struct kernel *k, const char *probe, const char *hook)
{
	return hook_of(k, probe) && !strcmp(hook_of(k, probe)->name, hook);
}

/* --- accounts --------------------------------------------------------------------------------- */

uint64_t kernel_lost(const struct kernel *k, unsigned int reason)
{
	return k->skel->bss->lost[reason];
}

unsigned int kernel_nr_cpus(const struct kernel *k)
{
	return k->nr_cpus;
}

uint64_t kernel_map_bytes(const struct kernel *k)
{
	struct bpf_map *map;
	uint64_t sum = 0;

	bpf_object__for_each_map(map, k->skel->obj)
	{
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
	       k->blocks.map_bytes + k->socks.map_bytes + k->uses.map_bytes;
}

static const struct attachment *attachment_of(const struct kernel *k, const char *program)
{
	for (size_t p = 0; p < nr_probes; p++) {
		const struct hook *h = kernel_chosen_hook(k, p);

		for (size_t i = 0; h && i < MAX_ATTACHMENTS && h->attachments[i].program; i++) {
			if (!strcmp(h->attachments[i].program, program))
				return &h->attachments[i];
		}
	}
	return NULL;
}

/*
 * Since Linux 7.0 (a46023d5616e) programs at tracepoints are preempted, and then miss what a copy
 * may miss too. What guards tracepoints there has a name; one of that name was there up to 6.13,
 * but srcu_struct had no flavours before.
 */
static bool are_programs_preempted(void)
{
	static int known = -1;

	if (known < 0)
		known = kernel_has_member("srcu_data", "srcu_reader_flavor") &&
			kernel_has_symbol("tracepoint_srcu");
	return known;
}

static bool may_miss(const struct kernel *k, const struct program_info *info)
{
	const struct attachment *a = attachment_of(k, info->name);

	return a && info->recursion_misses && info->recursion_misses != UINT64_MAX &&
	       (a->is_copy || (a->has_copy && !are_programs_preempted()));
}

bool kernel_program_info(const struct kernel *k, size_t i, struct program_info *info)
{
	struct bpf_prog_info kernel_info = {};
	uint32_t len = sizeof(kernel_info);
	struct bpf_program *prog;
	size_t nth = 0;

	bpf_object__for_each_program(prog, k->skel->obj)
	{
		if (bpf_program__fd(prog) < 0 || nth++ != i)
			continue;
		info->name = bpf_program__name(prog);
		if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &kernel_info, &len)) {
			msg_error("program %s: what it missed cannot be read: %s", info->name,
				  strerror(errno));
			len = 0;
		}
		/* Kept only while kernel.bpf_stats_enabled is on. */
		info->runs = kernel_info.run_cnt ? kernel_info.run_cnt : UINT64_MAX;
		info->run_ns = kernel_info.run_cnt ? kernel_info.run_time_ns : UINT64_MAX;
		/* Since 5.12 (9ed9e9ba2337): a shorter answer has no such field. */
		info->recursion_misses =
			len >= offsetof(struct bpf_prog_info, recursion_misses) + sizeof(uint64_t)
				? kernel_info.recursion_misses
				: UINT64_MAX;
		info->may_miss = may_miss(k, info);
		return true;
	}
	return false;
}
