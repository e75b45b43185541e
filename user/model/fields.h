/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_FIELDS_H
#define SOCKTRACE_MODEL_FIELDS_H

#include <stddef.h>

/*
 * How the plain fields of the model appear in JSON, once: the writer and the reader of reports
 * both walk these tables. Metrics have tables of their own (model.h); lists and maps are written
 * and read by hand.
 */
enum field_kind {
	FIELD_TEXT,	    /* char *: a string; NULL is written as "" */
	FIELD_TEXT_OR_NULL, /* char * */
	FIELD_STRINGS,	    /* char **, NULL-terminated: an array of strings; NULL is null */
	FIELD_BOOL,	    /* bool */
	FIELD_TRISTATE,	    /* enum tristate: a boolean or null */
	FIELD_COUNT,	    /* uint64_t */
	FIELD_METRIC,	    /* uint64_t: METRIC_UNKNOWN is null */
	FIELD_ORDINAL,	    /* uint64_t from 1: 0 is null */
	FIELD_U32,	    /* uint32_t */
	FIELD_PID,	    /* pid_t, 0 or above */
	FIELD_STATUS,	    /* int: 0 .. 255; -1 is null */
	FIELD_SIGNAL,	    /* int: a name such as "SIGKILL"; 0 is null */
	FIELD_ABI,	    /* const char *, static: see abi_find() */
	/* const char *, static: see word_find() */
	FIELD_PROTOCOL,
	FIELD_FAMILY,
	FIELD_ROLE,
	FIELD_STATE,	 /* or NULL */
	FIELD_CLOSED_BY, /* or NULL */
};

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset; /* in the struct that the table is for */
};

/* Each table ends with a field without a name. */
extern const struct field tool_fields[];      /* struct report, object "tool" */
extern const struct field host_fields[];      /* struct report, object "host" */
extern const struct field capture_fields[];   /* struct report, object "capture" */
extern const struct field self_fields[];      /* struct report, object "capture.self" */
extern const struct field probe_fields[];     /* struct probe_state */
extern const struct field program_fields[];   /* struct program_cost */
extern const struct field process_fields[];   /* struct process */
extern const struct field thread_fields[];    /* struct thread */
extern const struct field call_fields[];      /* struct syscall */
extern const struct field socket_fields[];    /* struct socket */
extern const struct field tcp_fields[];	      /* struct socket, object "tcp" */
extern const struct field spread_fields[];    /* struct spread */
extern const struct field place_fields[];     /* struct drop: what tells it from others */
extern const struct field drop_fields[];      /* struct drop: its figures */
extern const struct field audit_fields[];     /* struct audit */
extern const struct field workload_fields[];  /* struct workload_run */
extern const struct field parameter_fields[]; /* struct workload_parameter */
extern const struct field setting_fields[];   /* struct workload_setting */
extern const struct field trial_fields[];     /* struct workload_trial */
extern const struct field part_fields[];      /* struct workload_part */

#endif
