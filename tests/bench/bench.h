/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the benchmarks share: clocks, medians, a tracer that is started and stopped. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <sys/types.h>

/* Says what failed and errno, and exits with 1. */
void die(const char *what) __attribute__((noreturn));

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* The value at @share (0..1) of the way through @n (> 0) values in ascending order; sorts them. */
double quantile(double *v, int n, double share);
double median(double *v, int n);

/* A whole number of @min..@max; anything else exits with 2. */
unsigned long number(const char *text, unsigned long min, unsigned long max);

/* The calling process runs on @cpu alone from now on. */
void run_on(int cpu);

struct tracer {
	pid_t pid;
	int said; /* its standard error */
};

/*
 * Starts @argv, on @cpu or where the scheduler likes (-1), and returns when it has said that it is
 * tracing. Its standard output is thrown away. Exits with 1 if it ends before.
 */
struct tracer tracer_start(const char *const argv[], int cpu);

/* Ends it. 0, or -1 if its exit status was not 0; then what it said is on standard error. */
int tracer_stop(const struct tracer *t);

#endif
