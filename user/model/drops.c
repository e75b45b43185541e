// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "model/merge.h"
#include "model/model.h"

/* Not known where comes before every place. */
static int compare(const struct drop *d, const char *reason, const char *where)
{
	int order = strcmp(d->reason, reason);

	if (order)
		return order;
	if (!d->where || !where)
		return (d->where != NULL) - (where != NULL);
	return strcmp(d->where, where);
}

struct drop *drops_get(struct drops *d, const char *reason, const char *where)
{
	struct drop *drop;
	size_t at = 0;

	while (at < d->nr && compare(&d->items[at], reason, where) < 0)
		at++;
	if (at < d->nr && !compare(&d->items[at], reason, where))
		return &d->items[at];
	drop = vec_push(d->items, d->nr, d->cap);
	drop -= d->nr - 1 - at;
	memmove(drop + 1, drop, (d->nr - 1 - at) * sizeof(*drop));
	*drop = (struct drop){
		.reason = xstrdup(reason),
		.where = where ? xstrdup(where) : NULL,
		.first_ns = METRIC_UNKNOWN,
		.last_ns = METRIC_UNKNOWN,
	};
	return drop;
}

void drops_merge(struct drops *into, const struct drops *from)
{
	for (size_t i = 0; i < from->nr; i++) {
		const struct drop *f = &from->items[i];
		struct drop *to = drops_get(into, f->reason, f->where);

		if (!to->packets)
			to->bytes = f->bytes;
		else if (to->bytes != METRIC_UNKNOWN && f->bytes != METRIC_UNKNOWN)
			to->bytes = saturating_sum(to->bytes, f->bytes);
		else
			to->bytes = METRIC_UNKNOWN;
		to->packets = saturating_sum(to->packets, f->packets);
		if (f->first_ns < to->first_ns) /* METRIC_UNKNOWN is above everything */
			to->first_ns = f->first_ns;
		to->last_ns = known_max(to->last_ns, f->last_ns);
	}
}

uint64_t drops_packets(const struct drops *d)
{
	uint64_t packets = 0;

	for (size_t i = 0; i < d->nr; i++)
		packets = saturating_sum(packets, d->items[i].packets);
	return packets;
}

void drops_free(struct drops *d)
{
	for (size_t i = 0; i < d->nr; i++) {
		free(d->items[i].reason);
		free(d->items[i].where);
	}
	free(d->items);
	*d = (struct drops){0};
}
