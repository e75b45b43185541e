/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_WORKLOAD_H
#define SOCKTRACE_MODEL_WORKLOAD_H

#include "model/model.h"

/*
 * What run-workload adds to a report: which workload ran, in trials over a sweep of parameters,
 * what its parts counted themselves, what the trace saw of that, and what the load measured.
 */

/* A count under a name: "orders", "calls.recvfrom". */
struct workload_fact {
	char *name;
	uint64_t value; /* METRIC_UNKNOWN: not known */
};

struct facts {
	struct workload_fact *items; /* in the order in which they were first set; names differ */
	size_t nr, cap;
};

/* Sets @name to @value, made if missing. @name is copied. */
void facts_set(struct facts *f, const char *name, uint64_t value);
/* METRIC_UNKNOWN if it is not there. */
uint64_t facts_get(const struct facts *f, const char *name);
void facts_free(struct facts *f);

/* What the subject did in a trial, from the trace; METRIC_UNKNOWN: not counted. */
struct trial_stats {
#define WORKLOAD_SUM(field, unit, help) uint64_t field;
#include "model/metrics.def"
};
extern const struct metric trial_metrics[]; /* offsets in struct trial_stats */
extern const size_t nr_trial_metrics;

/* The process that played a role in a trial. */
struct workload_part {
	char *role;
	/* Its process in the report; 0 in a trial that was not traced, or if it was not seen. */
	pid_t pid;
	uint64_t started_ns;
	bool is_subject;       /* the service that the report is about */
	struct facts truth;    /* what it did, by its own count */
	struct facts observed; /* the same names, as traced; those alone that a trace can tell */
};

struct workload_trial {
	uint64_t number; /* from 1, in the order in which they ran */
	char **cell;	 /* a value for each swept parameter, NULL-terminated; never NULL itself */
	bool traced;
	enum tristate exact;  /* whether all that was observed is true; UNKNOWN: cannot be told */
	struct facts results; /* what the load measured: "requests", "latency_p99_ns" */
	struct workload_part *parts;
	size_t nr_parts, cap_parts;
	struct trial_stats stats;
};

struct workload_parameter {
	char *name;
	char **values; /* NULL-terminated; more than one only if swept */
	bool is_swept;
};

struct workload_setting {
	char *name, *value; /* value NULL: not known */
};

struct workload_run {
	char *name;
	struct workload_parameter *parameters;
	size_t nr_parameters, cap_parameters;
	struct workload_setting *environment; /* what of the machine bears on the figures */
	size_t nr_environment, cap_environment;
	struct workload_trial *trials; /* ascending by number */
	size_t nr_trials, cap_trials;
};

void workload_run_free(struct workload_run *w); /* and @w itself, which may be NULL */
/* Appends a trial: not traced, nothing known. Good until the next one. */
struct workload_trial *workload_add_trial(struct workload_run *w, uint64_t number);

enum figure_unit {
	FIGURE_COUNT,
	FIGURE_NS,
	FIGURE_BYTES,
	FIGURE_PER_SECOND,
	FIGURE_BITS_PER_SECOND,
	FIGURE_SHARE, /* 1.0 is 100 % */
};

/* A figure of a trial for a person: a ratio of what the trial holds. */
struct workload_figure {
	const char *name, *heading, *numerator, *denominator, *help;
	enum figure_unit unit;
};
extern const struct workload_figure workload_figures[];
extern const size_t nr_workload_figures;

/* Whether @f is known of @t; 0 or above, in @value. */
bool workload_figure_of(const struct workload_figure *f, const struct workload_trial *t,
			double *value);
/* Its name and heading with the noun of what the load of @t counts; the caller frees them. */
char *workload_figure_name(const struct workload_figure *f, const struct workload_trial *t);
char *workload_figure_heading(const struct workload_figure *f, const struct workload_trial *t);

/*
 * What the trace of a trial has of the datagrams of a part: of its UDP sockets. METRIC_UNKNOWN
 * where that was not counted.
 */
struct datagram_balance {
	uint64_t published; /* by the other parts' count */
	uint64_t received, dropped, queued;
};
/* False if no part of @t counted datagrams_received. @r holds the processes of @t. */
bool workload_balance(const struct report *r, const struct workload_trial *t,
		      struct datagram_balance *b);
/* Whether @p is (of) @part of @t, where @p is of that trial: see workload_observe(). */
bool workload_owns(const struct workload_trial *t, const struct workload_part *part,
		   const struct process *p);
/* Received, dropped and (where known) queued; METRIC_UNKNOWN if the trace did not count them. */
uint64_t balance_seen(const struct datagram_balance *b);

/*
 * Holds a traced trial against @r, the finished report (report_finish()) of that trial alone:
 * fills observed of every part, exact and stats of @t, and appends the audits workload_truth (per
 * part and kind of count) and, where a part counted datagrams_received, udp_balance to @r->audits.
 * Parts are found by pid, and by started_ns unless that is 0, which is then filled in. Processes
 * of no part are taken for children of the subject, and counted with it. If an audit fails, @r is
 * no longer complete.
 */
void workload_observe(struct report *r, struct workload_trial *t);

/*
 * Moves what @trial holds into @into, as trial @number: processes, audits (their subjects begin
 * with "trial N: "); adds up durations, drops, losses and costs. What is the same for all comes
 * from the first. @into begins zeroed but for its workload, @trial has none, and ends zeroed.
 */
void report_absorb(struct report *into, struct report *trial, uint64_t number);

#endif
