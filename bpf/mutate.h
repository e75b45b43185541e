/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_MUTATE_H
#define SOCKTRACE_BPF_MUTATE_H

/*
 * Builds that count wrongly, to see that the audits notice: never installed, and they say what they
 * are (mutations.def has the list). Where something is counted there stands, on lines of its own,
 *
 *	if (MUTATED(ID))
 *		return;
 *
 * which is true for one event in so many of a build with MUTATE=ID. In any other build it is a
 * constant, and no code comes of it.
 */

#ifdef MUTATE

#include "vmlinux.h"

#define MUTATION(id, every, audit, run, text) MUTATION_##id,
enum mutation {
#include "mutations.def"
};
#undef MUTATION

#define MUTATION(id, every, audit, run, text) [MUTATION_##id] = every,
static const __u32 mutation_rates[] = {
#include "mutations.def"
};
#undef MUTATION

extern __u32 mutation_events;

/* CPUs may lose an event of each other's, which shifts the next mutation and does no harm. */
static __always_inline bool mutation_is_due(__u32 every)
{
	return ++mutation_events % every == 0;
}

#define MUTATED(id) (MUTATE == MUTATION_##id && mutation_is_due(mutation_rates[MUTATION_##id]))

#else

#define MUTATED(id) false

#endif

#endif
