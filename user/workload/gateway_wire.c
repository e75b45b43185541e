// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdbool.h>
#include <string.h>

#include "workload/gateway_wire.h"

static bool is_good_header(const struct frame_header *h, uint32_t sequence)
{
	return h->magic == FRAME_MAGIC && h->version == FRAME_VERSION && h->sequence == sequence &&
	       h->length >= sizeof(struct request) && h->length <= FRAME_MAX &&
	       h->type >= FRAME_NEW && h->type <= FRAME_HEARTBEAT;
}

int frame_check(const void *bytes, size_t len, uint32_t sequence)
{
	struct request r;

	if (len < sizeof(r.header))
		return 0;
	memcpy(&r.header, bytes, sizeof(r.header));
	if (!is_good_header(&r.header, sequence))
		return -1;
	if (len < r.header.length)
		return 0;
	memcpy(&r, bytes, sizeof(r));
	return r.side < NR_SIDES && r.kind < NR_KINDS ? (int)r.header.length : -1;
}

const char *frame_type_name(unsigned int type)
{
	static const char *const names[] = {
		[FRAME_NEW] = "new order",	 [FRAME_CANCEL] = "cancel",
		[FRAME_HEARTBEAT] = "heartbeat", [FRAME_ACCEPTED] = "accepted",
		[FRAME_CANCELLED] = "cancelled", [FRAME_REJECTED] = "rejected",
	};

	return type && type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown type";
}

const char *reason_name(unsigned int reason)
{
	static const char *const names[NR_REASONS] = {
		[REASON_NONE] = "no reason",
		[REASON_MALFORMED] = "malformed frame",
		[REASON_UNKNOWN_SYMBOL] = "unknown symbol",
		[REASON_BAD_PRICE] = "bad price",
		[REASON_BAD_QUANTITY] = "bad quantity",
		[REASON_DUPLICATE_ID] = "duplicate id",
		[REASON_UNKNOWN_ORDER] = "unknown order",
		[REASON_BOOK_FULL] = "book full",
	};

	return reason < NR_REASONS ? names[reason] : "unknown reason";
}
