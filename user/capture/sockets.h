/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_SOCKETS_H
#define SOCKTRACE_CAPTURE_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/kernel.h"
#include "model/model.h"

/*
 * Reads the records of sockets. Where processes are handed over, they are an array by the index of
 * the process record, NULL where there is none; rows of sockets are added to them.
 */
struct socket_reader;

/* @began_ns: CLOCK_MONOTONIC when the trace began; the reader's times count from there. */
struct socket_reader *socket_reader_new(struct kernel *k, uint64_t began_ns, bool detail_full);
void socket_reader_free(struct socket_reader *r); /* NULL is fine */

/* Notes the sockets that have ended; false if there are none. */
bool socket_reader_find_ended(struct socket_reader *r);
/* Whether a snapshot is needed to know what those did that were found. */
bool socket_reader_wants_look(const struct socket_reader *r);
/* Moves those that were found into their processes, and gives their records back. */
void socket_reader_fold_ended(struct socket_reader *r, struct process **processes);
/* Adds the sockets that live, as they stand. */
void socket_reader_add_live(struct socket_reader *r, struct process **processes);
/* Adds the drops that belong to no socket. */
void socket_reader_add_drops(struct socket_reader *r, struct drops *drops);

/*
 * After a snapshot that began at @since_ns: ends the sockets that it did not meet and whose end no
 * program sees (all but TCP).
 */
void socket_reader_sweep(struct socket_reader *r, uint64_t since_ns);
/* So many sockets were made since the last sweep that another one should make room. */
bool socket_reader_wants_sweep(struct socket_reader *r);
/*
 * Moves what processes that ended did through sockets that live on into these processes (NULL where
 * one lives), as far as it does not stand in the socket's own record.
 */
void socket_reader_fold_ended_users(struct socket_reader *r, struct process **ended);
/* Marks in @is_used the processes that live sockets still refer to. */
void socket_reader_mark_used(const struct socket_reader *r, bool *is_used);
/* False: the kernel's counts and ours differ for a live socket; one of them may be about to move.
 */
bool socket_reader_agrees(const struct socket_reader *r);

#endif
