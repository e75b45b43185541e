/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BPF_ROWS_H
#define SOCKTRACE_BPF_ROWS_H

/*
 * The rows of a thread (one per system call it made) and their blocks of counters: found through
 * short chains, taken from the pools at first use. Only the thread itself walks and extends them.
 */

#include "state.h"

#define MAX_CHAIN 256 /* rows: no more than the keys of a head, KEYS / ROW_HEADS */
#define NEAR	  4

static __always_inline struct call_row *row_at(__u32 index)
{
	return bpf_map_lookup_elem(&rows, &index);
}

static __always_inline struct block *block_at(__u32 index)
{
	return bpf_map_lookup_elem(&blocks, &index);
}

/* The next free element of a thread's chunk, or of a new chunk; 0: the pool is empty. */
static __always_inline __u32 take(void *pool, __u32 *next)
{
	__u32 index = *next, chunk;

	if (index % CHUNK == 0) {
		if (bpf_map_pop_elem(pool, &chunk))
			return 0;
		index = chunk * CHUNK;
	}
	*next = index + 1;
	return index;
}

/*
 * Rows and blocks are found by walking a few steps in the program itself. What is further on, or
 * missing, is the business of functions that the verifier checks once, not once for each way that
 * leads there. 0: there is no room, which is counted as lost.
 */

/* The index of a thread's row of @key, made if missing. */
GLOBAL __u32 row_seek(__u32 task, __u32 key)
{
	struct task_record *t = task_at(task);
	struct call_row *row;
	__u32 *head, index;

	if (!t)
		return 0;
	head = &t->rows[key % ROW_HEADS];
	index = *head;
	for (int i = 0; i < MAX_CHAIN && index; i++) {
		row = row_at(index);
		if (!row || row->key == key)
			return row ? index : 0;
		index = row->next;
	}
	/* Not 0: the chain is longer than the walk. */
	index = index ? 0 : take(&free_rows, &t->next_row);
	row = row_at(index);
	if (!index || !row) {
		lose(LOST_ROWS_FULL);
		return 0;
	}
	row->key = key;
	row->task = task;
	row->kind = row_kinds[key % KEYS];
	row->next = *head;
	*head = index;
	return index;
}

static __always_inline struct call_row *row_get(struct task_record *t, __u32 key)
{
	__u32 index = t->rows[key % ROW_HEADS];
	struct call_row *row;

	if (MUTATED(SECRET_LOSS))
		return NULL;
	if (MUTATED(LOSS)) {
		lose(LOST_ROWS_FULL);
		return NULL;
	}
	for (int i = 0; i < NEAR && index; i++) {
		row = row_at(index);
		if (!row)
			return NULL;
		if (likely(row->key == key))
			return row;
		index = row->next;
	}
	index = row_seek(t->self, key);
	return index ? row_at(index) : NULL;
}

/* The index of the block @tag in a list of a thread's row of @key, made if missing. */
GLOBAL __u32 block_seek(__u32 task, __u32 key, __u32 list, __u32 tag)
{
	struct task_record *t = task_at(task);
	struct call_row *row = row_at(row_seek(task, key));
	__u32 *head, index;
	struct block *b;

	if (!t || !row || list >= BLOCK_LISTS)
		return 0;
	head = &row->lists[list];
	index = *head;
	for (int i = 0; i < MAX_CHAIN && index; i++) {
		b = block_at(index);
		if (!b || b->tag == tag)
			return b ? index : 0;
		index = b->next;
	}
	index = index ? 0 : take(&free_blocks, &t->next_block);
	b = block_at(index);
	if (!index || !b) {
		lose(LOST_BLOCKS_FULL);
		return 0;
	}
	b->tag = tag;
	b->next = *head;
	*head = index;
	return index;
}

static __always_inline __u32 block_get(struct call_row *row, __u32 list, __u32 tag)
{
	__u32 index = row->lists[list];
	struct block *b;

	for (int i = 0; i < NEAR && index; i++) {
		b = block_at(index);
		if (!b)
			return 0;
		if (likely(b->tag == tag))
			return index;
		index = b->next;
	}
	return block_seek(row->task, row->key, list, tag);
}

static __always_inline void block_count(__u32 index, __u32 nr)
{
	struct block *b = block_at(index);

	/* The verifier needs to see the bound, even where the compiler knows a better one. */
	asm volatile("" : "+r"(nr));
	if (b && index)
		b->count[nr % HIST_SUB]++;
}

static __always_inline __u32 log2_floor(__u64 v)
{
	__u32 r = 0;

	if (v >> 32) {
		v >>= 32;
		r += 32;
	}
	if (v >> 16) {
		v >>= 16;
		r += 16;
	}
	if (v >> 8) {
		v >>= 8;
		r += 8;
	}
	if (v >> 4) {
		v >>= 4;
		r += 4;
	}
	if (v >> 2) {
		v >>= 2;
		r += 2;
	}
	return r + (v >> 1);
}

static __noinline __u32 sort_slowly(struct call_row *row, __u64 ns)
{
	__u32 log, octave = 0, index, sub;

	if (!row)
		return 0;
	log = log2_floor(ns | 1);
	sub = ns >> (HIST_FIRST_SHIFT - HIST_SUB_BITS);
	if (log >= HIST_FIRST_SHIFT) {
		octave = log - HIST_FIRST_SHIFT + 1;
		sub = ns >> (log - HIST_SUB_BITS);
	}
	if (octave >= HIST_OCTAVES) {
		octave = HIST_OCTAVES - 1;
		sub = HIST_SUB - 1;
	}
	index = block_get(row, octave % HIST_HEADS, octave);
	block_count(index, sub);
	row->last_block = octave ? index : 0;
	row->last_shift = log - HIST_SUB_BITS;
	return 0;
}

/*
 * Sorts a duration into the row's histogram; the buckets are those of socktrace/histogram.h. Most
 * calls fall into the octave of the one before.
 */
static __always_inline void row_sort(struct call_row *row, __u64 ns)
{
	__u64 sub = ns >> (row->last_shift & 63);

	if (likely(sub - HIST_SUB < HIST_SUB && row->last_block))
		block_count(row->last_block, sub);
	else
		sort_slowly(row, ns);
}

#endif
