// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/merge.h"
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

const struct metric socket_metrics[] = {
#define SOCKET_METRIC(group, name, kind, unit, heading, help)                                   \
	{#group,      #name,	  heading, help, offsetof(struct socket_stats, group##_##name), \
	 KIND_##kind, UNIT_##unit},
#include "model/metrics.def"
};

const char *const spread_names[NR_SPREADS] = {
#define SOCKET_SPREAD(name, help) #name,
#include "model/metrics.def"
};

const size_t nr_task_metrics = ARRAY_SIZE(task_metrics);
const size_t nr_call_metrics = ARRAY_SIZE(call_metrics);
const size_t nr_socket_metrics = ARRAY_SIZE(socket_metrics);

/* The tables reach every field: nothing else may stand in these structs. */
_Static_assert(sizeof(struct task_stats) == ARRAY_SIZE(task_metrics) * sizeof(uint64_t),
	       "struct task_stats holds metrics only");
_Static_assert(sizeof(struct call_stats) == ARRAY_SIZE(call_metrics) * sizeof(uint64_t),
	       "struct call_stats holds metrics only");
_Static_assert(sizeof(struct socket_stats) == ARRAY_SIZE(socket_metrics) * sizeof(uint64_t),
	       "struct socket_stats holds metrics only");

/* --- merging ------------------------------------------------------------------------------ */

uint64_t saturating_sum(uint64_t a, uint64_t b)
{
	return a >= METRIC_UNKNOWN - b ? METRIC_UNKNOWN - 1 : a + b;
}

uint64_t known_sum(uint64_t a, uint64_t b)
{
	if (a == METRIC_UNKNOWN)
		return b;
	return b == METRIC_UNKNOWN ? a : saturating_sum(a, b);
}

uint64_t known_max(uint64_t a, uint64_t b)
{
	if (a == METRIC_UNKNOWN)
		return b;
	return b == METRIC_UNKNOWN || a > b ? a : b;
}

static uint64_t merged_metric(enum metric_kind kind, uint64_t a, uint64_t b)
{
	switch (kind) {
	case KIND_SUM:
		return known_sum(a, b);
	case KIND_TOTAL:
		if (a == METRIC_UNKNOWN || b == METRIC_UNKNOWN)
			return METRIC_UNKNOWN;
		return saturating_sum(a, b);
	case KIND_MIN:
		return a < b ? a : b; /* METRIC_UNKNOWN is above everything */
	case KIND_MAX:
		return known_max(a, b);
	case KIND_LAST:
		return b == METRIC_UNKNOWN ? a : b;
	default: /* comes from the merged histogram */
		return a == METRIC_UNKNOWN ? b : b == METRIC_UNKNOWN ? a : METRIC_UNKNOWN;
	}
}

void metrics_merge(const struct metric *metrics, size_t nr, void *into, const void *from)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t *to = metric_at(&metrics[i], into);

		*to = merged_metric(metrics[i].kind, *to, *metric_at(&metrics[i], from));
	}
}
