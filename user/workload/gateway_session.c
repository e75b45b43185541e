// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "base/alloc.h"
#include "workload/gateway_session.h"

struct session *session_new(uint32_t output_limit)
{
	struct session *s = xcalloc(1, sizeof(*s) + output_limit + SESSION_IN);

	s->out_capacity = output_limit + SESSION_IN;
	return s;
}

void session_reset(struct session *s, uint32_t number)
{
	s->owner = (struct order_owner){.number = number};
	s->next_sequence = 1;
	s->is_malformed = false;
	s->nr_in = s->out_start = s->out_end = 0;
}

static void append(struct session *s, const struct reply *reply)
{
	if (s->out_end + sizeof(*reply) > s->out_capacity) {
		memmove(s->out, s->out + s->out_start, session_pending(s));
		s->out_end -= s->out_start;
		s->out_start = 0;
	}
	memcpy(s->out + s->out_end, reply, sizeof(*reply));
	s->out_end += sizeof(*reply);
}

static void reject_malformed(struct session *s)
{
	struct reply reply = {
		.header = {.length = sizeof(reply),
			   .magic = FRAME_MAGIC,
			   .version = FRAME_VERSION,
			   .type = FRAME_REJECTED,
			   .sequence = s->next_sequence},
		.reason = REASON_MALFORMED,
	};

	s->is_malformed = true;
	append(s, &reply);
}

void session_execute(struct session *s, struct engine *e)
{
	uint32_t at = 0;
	int length;

	while ((length = frame_check(s->in + at, s->nr_in - at, s->next_sequence)) > 0) {
		struct request request;
		struct reply reply;

		memcpy(&request, s->in + at, sizeof(request));
		engine_execute(e, &s->owner, &request, &reply);
		append(s, &reply);
		s->next_sequence++;
		at += length;
	}
	if (length < 0)
		reject_malformed(s);
	s->nr_in -= at;
	memmove(s->in, s->in + at, s->nr_in);
}

void session_end(struct session *s)
{
	if (s->nr_in && !s->is_malformed)
		reject_malformed(s);
}

void session_sent(struct session *s, uint32_t bytes)
{
	s->out_start += bytes;
	if (s->out_start == s->out_end)
		s->out_start = s->out_end = 0;
}
