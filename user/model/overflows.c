// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/overflows.h"
#include "model/model.h"

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

uint64_t listen_overflows(const struct listen_evidence *e)
{
	uint64_t least, most; /* listen drops of this listener */
	uint64_t low, high;

	if (!e->counter || (e->is_counted && !e->overflows))
		return 0;
	if (!e->is_counted)
		return METRIC_UNKNOWN;
	most = less(e->counter, e->seen_least);
	least = e->is_alone ? e->drops : less(e->counter, e->seen_most);
	if (e->counter < e->seen_least || most < least || e->drops < least ||
	    e->drops < e->overflows)
		return METRIC_UNKNOWN;
	/* Overflows of the others are no more than their listen drops. */
	low = less(e->overflows, e->drops - least);
	high = most < e->overflows ? most : e->overflows;
	return low == high ? low : METRIC_UNKNOWN;
}
