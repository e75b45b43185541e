// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "base/vec.h"
#include "capture/accounts.h"
#include "socktrace/layout.h"

static char *join_reasons(const struct probe_result *result)
{
	char *text = NULL;

	for (size_t i = 0; i < MAX_HOOKS; i++) {
		if (result->passed_over[i])
			text_append(&text, "; ",
				    xasprintf("%s: %s", result->probe->hooks[i].where,
					      result->passed_over[i]));
	}
	return text;
}

static void add_probes(const struct kernel *k, struct report *r)
{
	const struct probe_result *results = kernel_probe_results(k);

	for (size_t i = 0; i < nr_probes; i++) {
		struct probe_state *p;

		if (!results[i].is_wanted)
			continue;
		p = vec_push(r->capture.probes, r->capture.nr_probes, r->capture.cap_probes);
		p->name = xstrdup(probes[i].name);
		p->hook = results[i].hook ? xstrdup(results[i].hook->where) : NULL;
		p->required = probes[i].required;
		p->attached = results[i].hook != NULL;
		p->reason = join_reasons(&results[i]);
	}
}

static uint64_t add_programs(const struct kernel *k, struct report *r)
{
	struct program_info info;
	uint64_t misses = 0;

	for (size_t i = 0; kernel_program_info(k, i, &info); i++) {
		struct program_cost *p = vec_push(r->capture.programs, r->capture.nr_programs,
						  r->capture.cap_programs);

		p->name = xstrdup(info.name);
		p->runs = info.runs;
		p->run_ns = info.run_ns;
		p->recursion_misses = info.recursion_misses;
		if (info.recursion_misses != METRIC_UNKNOWN && !info.may_miss)
			misses += info.recursion_misses;
	}
	return misses;
}

static void add_lost(const struct kernel *k, struct report *r, uint64_t recursion_misses)
{
	static const char *const names[] = {
#define LOST(id, name, help) name,
#include "socktrace/lost.def"
#undef LOST
	};

	for (unsigned int i = 0; i < NR_LOST; i++) {
		struct lost_count *l =
			vec_push(r->capture.lost, r->capture.nr_lost, r->capture.cap_lost);

		l->reason = xstrdup(names[i]);
		l->count = i == LOST_RECURSION ? recursion_misses : kernel_lost(k, i);
	}
}

/* Of this process, now (proc(5), statm). */
static uint64_t resident_bytes(void)
{
	__cleanup(fclose) FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (!f || fscanf(f, "%*u %llu", &pages) != 1)
		return 0;
	return pages * sysconf(_SC_PAGESIZE);
}

static void add_self(const struct kernel *k, struct report *r)
{
	uint64_t rss, mapped;
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	r->capture.self_cpu_ns = cpu.tv_sec * 1000000000ULL + cpu.tv_nsec;
	r->capture.map_bytes = kernel_map_bytes(k);
	/* The records are mapped whole, and counted with the maps. */
	rss = resident_bytes();
	mapped = kernel_mapped_bytes(k);
	r->capture.self_rss_bytes = rss > mapped ? rss - mapped : METRIC_UNKNOWN;
}

void accounts_fill(struct report *r, const struct kernel *k)
{
	add_probes(k, r);
	add_lost(k, r, add_programs(k, r));
	add_self(k, r);
}
