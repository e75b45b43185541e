// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/model.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

const struct metric task_metrics[] = {
#define TASK_METRIC(group, field, kind, unit, heading, help)                         \
	{#group,      #field,	  heading, help, offsetof(struct task_stats, field), \
	 KIND_##kind, UNIT_##unit},
#include "model/metrics.def"
};

const struct metric call_metrics[] = {
#define CALL_METRIC(field, kind, unit, heading, help) \
	{NULL, #field, heading, help, offsetof(struct call_stats, field), KIND_##kind, UNIT_##unit},
#include "model/metrics.def"
};

const size_t nr_task_metrics = ARRAY_SIZE(task_metrics);
const size_t nr_call_metrics = ARRAY_SIZE(call_metrics);

/* The tables reach every field: nothing else may stand in these structs. */
_Static_assert(sizeof(struct task_stats) == ARRAY_SIZE(task_metrics) * sizeof(uint64_t),
	       "struct task_stats holds metrics only");
_Static_assert(sizeof(struct call_stats) == ARRAY_SIZE(call_metrics) * sizeof(uint64_t),
	       "struct call_stats holds metrics only");
