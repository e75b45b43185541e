/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_HISTOGRAM_H
#define SOCKTRACE_HISTOGRAM_H

/*
 * The log-linear histogram of call durations, shared by the kernel side that fills it and the
 * user side that reads it. Every power of two (octave) is cut into HIST_SUB equal buckets, so a
 * bucket is at most 1/8 of its lower bound wide, and its middle is at most 1/16 = 6.25 % away
 * from any duration in it.
 *
 * Octave 0 holds 0 to 15 ns in buckets of 2 ns: no system call returns that fast. Octave k >= 1
 * holds [2^(k+3), 2^(k+4)) ns. The last octave begins at 2^51 ns (26 days); longer calls are
 * counted in its last bucket.
 */
#define HIST_SUB_BITS	 3
#define HIST_SUB	 (1 << HIST_SUB_BITS)
#define HIST_FIRST_SHIFT 4 /* durations below 1 << 4 ns share octave 0 */
#define HIST_OCTAVES	 49
#define HIST_BUCKETS	 (HIST_OCTAVES * HIST_SUB)

#endif
