// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a peer of the gateway sends: whatever it is and however it is cut into pieces, the replies
 * are the same and the books balance.
 */
#include "fuzz.h"
#include "workload/gateway_engine.h"
#include "workload/gateway_session.h"

#define CAPACITY     16 /* resting orders: books that fill up */
#define OUTPUT_LIMIT 64

struct sink {
	uint8_t *bytes;
	size_t len;
};

static void drain(struct session *s, struct sink *out)
{
	uint32_t n = session_pending(s);

	promise(n % sizeof(struct reply) == 0, "%u bytes of replies", n);
	out->bytes = realloc(out->bytes, out->len + n + 1);
	promise(out->bytes, "out of memory");
	memcpy(out->bytes + out->len, s->out + s->out_start, n);
	out->len += n;
	session_sent(s, n);
}

/* The replies to the input, of which the session gets at most @piece bytes at a time. */
static struct sink replies(const uint8_t *data, size_t size, size_t piece)
{
	struct engine *e = engine_new(CAPACITY);
	struct session *s = session_new(OUTPUT_LIMIT);
	struct sink out = {0};

	session_reset(s, 1);
	while (size && !s->is_malformed) {
		size_t n = size < piece ? size : piece;

		if (n > SESSION_IN - s->nr_in)
			n = SESSION_IN - s->nr_in;
		promise(n, "no room for the rest of a request");
		memcpy(s->in + s->nr_in, data, n);
		s->nr_in += n;
		data += n;
		size -= n;
		session_execute(s, e);
		drain(s, &out);
	}
	session_end(s);
	drain(s, &out);
	promise(!engine_check(e), "%s", engine_check(e));
	engine_leave(e, &s->owner);
	promise(!engine_resting(e), "orders stay when their owner has left");
	promise(!engine_check(e), "%s", engine_check(e));
	free(s);
	engine_free(e);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink whole = replies(data, size, SESSION_IN);
	struct sink pieces = replies(data, size, size ? 1 + data[size - 1] % 64 : 1);

	promise(whole.len == pieces.len && !memcmp(whole.bytes, pieces.bytes, whole.len),
		"other replies to the same bytes in pieces");
	free(whole.bytes);
	free(pieces.bytes);
	return 0;
}

/* Requests that are well-formed but for what is mutated: numbers in sequence, fields in range. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct request r;

	size = LLVMFuzzerMutate(data, size, max_size);
	if (seed % 8 == 0)
		return size;
	for (size_t at = 0; at + sizeof(r) <= size; at += sizeof(r)) {
		memcpy(&r, data + at, sizeof(r));
		r.header =
			(struct frame_header){.length = sizeof(r),
					      .magic = FRAME_MAGIC,
					      .version = FRAME_VERSION,
					      .type = FRAME_NEW + r.header.type % FRAME_HEARTBEAT,
					      .sequence = 1 + at / sizeof(r)};
		r.symbol %= 4;
		r.side %= NR_SIDES;
		r.kind %= NR_KINDS;
		r.id %= 16;
		r.price %= 16;
		r.quantity %= seed % 2 ? 16 : UINT32_MAX;
		memcpy(data + at, &r, sizeof(r));
	}
	return size;
}
