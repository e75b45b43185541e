/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_VEC_H
#define SOCKTRACE_BASE_VEC_H

#include <stddef.h>

/*
 * A growable array is three fields that stand side by side in its owner:
 *
 *	struct thread *threads; size_t nr_threads, cap_threads;
 *
 * vec_push() appends one zeroed element and returns it. The pointer is good until the next push.
 * Memory belongs to the owner, who frees the first field. Running out of memory ends the program
 * (see alloc.h).
 */
#define vec_push(items, nr, cap)                                                     \
	((items) = vec_reserve((items), &(cap), (nr) + 1, sizeof(*(items))), (nr)++, \
	 &(items)[(nr)-1])

/* Room for @need elements of @size bytes; elements past the old capacity are zeroed. */
void *vec_reserve(void *items, size_t *cap, size_t need, size_t size);

#endif
