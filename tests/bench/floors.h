/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The floor: empty programs where a tracer has programs. */
#ifndef FLOORS_H
#define FLOORS_H

#include <sys/types.h>

struct floor;

/*
 * An empty program, loaded but not attached, for each tracepoint on which process @tracer has a
 * program now, according to the kernel. Owned by the caller. Exits with 1 if it has programs
 * elsewhere, iterators apart, for which there is no empty one.
 */
struct floor *floor_like(pid_t tracer);

void floor_attach(struct floor *f);
void floor_detach(struct floor *f);

/* Prints the tracepoints. */
void floor_print(const struct floor *f);

void floor_free(struct floor *f);

/* How many programs anyone's BPF links have on tracepoints and kernel functions now. */
unsigned int nr_programs_attached(void);

#endif
