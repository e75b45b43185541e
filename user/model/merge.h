/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_MERGE_H
#define SOCKTRACE_MODEL_MERGE_H

#include "model/model.h"

/* What the files of the model share and nobody else needs. */

/* A sum never becomes METRIC_UNKNOWN by being large. */
uint64_t saturating_sum(uint64_t a, uint64_t b);
/* What of the two is known; METRIC_UNKNOWN if neither is. */
uint64_t known_sum(uint64_t a, uint64_t b);
uint64_t known_max(uint64_t a, uint64_t b);

/* Merges each metric of @from into @into by its kind; METRIC_UNKNOWN plus a number is the number.
 */
void metrics_merge(const struct metric *metrics, size_t nr, void *into, const void *from);

/* All packets in @d. */
uint64_t drops_packets(const struct drops *d);

struct workload_trial;
/* Fills stats of @t, whose processes are those of @r. */
void trial_sum_subject(const struct report *r, struct workload_trial *t);
/* Task metrics of sockets are there exactly if sockets were traced. */
static inline bool process_has_sockets_traced(const struct process *p)
{
	return p->stats.sent_bytes != METRIC_UNKNOWN;
}

/* Ascending by (pid, started_ns). */
void processes_sort(struct report *r);

/* The sockets of a process, for those who free, copy and finish the process. */
void sockets_free(struct process *p);
void sockets_copy(struct process *to, const struct process *from); /* over what @to held */
void sockets_finish(struct process *p);

void socket_clear_spreads(struct socket *s);
bool socket_is_closed(const struct socket *s);
/* Makes one row of both; addresses stay as they are. Frees what @from holds. */
void socket_fold(struct socket *into, struct socket *from);
void socket_index_free(struct process *p);

#endif
