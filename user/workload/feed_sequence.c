// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "workload/feed.h"

static uint64_t *word_of(struct feed_sequence *s, uint64_t sequence)
{
	return &s->seen[sequence % FEED_WINDOW / 64];
}

static uint64_t bit_of(uint64_t sequence)
{
	return 1ULL << sequence % 64;
}

/* Those between, not seen so far, take the places of those that leave the window. */
static void advance(struct feed_sequence *s, uint64_t sequence)
{
	if (sequence - s->highest >= FEED_WINDOW) {
		memset(s->seen, 0, sizeof(s->seen));
	} else {
		for (uint64_t i = s->highest + 1; i < sequence; i++)
			*word_of(s, i) &= ~bit_of(i);
	}
	s->highest = sequence;
}

bool feed_sequence_note(struct feed_sequence *s, uint64_t sequence)
{
	if (!sequence || sequence + FEED_WINDOW <= s->highest)
		return false;
	s->received++;
	if (sequence > s->highest)
		advance(s, sequence);
	else if (*word_of(s, sequence) & bit_of(sequence))
		s->duplicates++;
	else
		s->out_of_order++;
	*word_of(s, sequence) |= bit_of(sequence);
	return true;
}

uint64_t feed_sequence_gaps(const struct feed_sequence *s)
{
	return s->highest - (s->received - s->duplicates);
}
