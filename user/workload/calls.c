// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "workload/calls.h"

const char *const counted_call_names[NR_COUNTED_CALLS] = {
#define COUNTED_CALL(name) #name,
#include "workload/calls.def"
};

void tally_add(struct tally *into, const struct tally *from)
{
	for (int i = 0; i < NR_COUNTED_CALLS; i++) {
		into->of[i].calls += from->of[i].calls;
		into->of[i].errors += from->of[i].errors;
		into->of[i].bytes += from->of[i].bytes;
	}
}
