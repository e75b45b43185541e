/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_H
#define SOCKTRACE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "socktrace/histogram.h"

/*
 * The report as plain data: what capture/ fills or a saved file yields, and all that report/
 * reads. Times are ns, sizes bytes. Strings are valid UTF-8 (utf8_clean() at the door), but may
 * hold control characters: each format escapes for its medium. Everything reachable from a
 * struct report belongs to it; report_free() frees it all.
 */

#define REPORT_SCHEMA  "socktrace/1"
#define METRIC_UNKNOWN UINT64_MAX

enum tristate { NO, YES, UNKNOWN }; /* false, true, null */

/* --- metrics ------------------------------------------------------------------------------ */

enum metric_kind {
	KIND_SUM,
	KIND_TOTAL, /* a sum that is not known unless all of it is */
	KIND_MIN,
	KIND_MAX,
	KIND_LAST,
	KIND_MEDIAN,
	KIND_P500,
	KIND_P900,
	KIND_P990,
	KIND_P999,
};
enum metric_unit { UNIT_COUNT, UNIT_NS, UNIT_BYTES };

struct metric {
	const char *group; /* JSON object that holds it; NULL for the metrics of a call */
	const char *name;
	const char *heading;
	const char *help;
	size_t offset; /* of its uint64_t in struct task_stats, call_stats or socket_stats */
	enum metric_kind kind;
	enum metric_unit unit;
};

extern const struct metric task_metrics[];
extern const size_t nr_task_metrics;
extern const struct metric call_metrics[];
extern const size_t nr_call_metrics;
extern const struct metric socket_metrics[];
extern const size_t nr_socket_metrics;

static inline uint64_t *metric_at(const struct metric *m, const void *stats)
{
	return (uint64_t *)((char *)stats + m->offset);
}

struct task_stats {
#define TASK_METRIC(group, field, kind, unit, heading, help) uint64_t field;
#include "model/metrics.def"
};

struct call_stats {
#define CALL_METRIC(field, kind, unit, heading, help) uint64_t field;
#include "model/metrics.def"
};

struct socket_stats {
#define SOCKET_METRIC(group, name, kind, unit, heading, help) uint64_t group##_##name;
#include "model/metrics.def"
};

/* --- histogram ---------------------------------------------------------------------------- */

/* Only buckets that hold something, in ascending order of index (0 .. HIST_BUCKETS-1). */
struct hist_bucket {
	uint32_t index;
	uint64_t count;
};

struct histogram {
	struct hist_bucket *buckets;
	size_t nr, cap;
};

uint64_t hist_low(uint32_t index);  /* lowest duration of a bucket, ns */
uint64_t hist_high(uint32_t index); /* first duration above it, ns; UINT64_MAX: last bucket */
uint32_t hist_index(uint64_t ns);   /* the bucket of a duration */
void hist_add(struct histogram *h, uint32_t index, uint64_t count);
void hist_merge(struct histogram *into, const struct histogram *from);
uint64_t hist_count(const struct histogram *h);
/*
 * The duration that @permille / 1000 of the calls did not exceed (nearest rank), as the middle
 * of its bucket clamped to [@min, @max]; METRIC_UNKNOWN if the histogram is empty.
 */
uint64_t hist_percentile(const struct histogram *h, unsigned int permille, uint64_t min,
			 uint64_t max);

/* --- sockets ------------------------------------------------------------------------------- */

/* One duration of each of several connections. */
struct spread {
	uint64_t count;
	uint64_t min_ns, p50_ns, p90_ns, p99_ns, max_ns; /* METRIC_UNKNOWN if count is 0 */
	struct histogram histogram;			 /* not in saved reports */
};

enum {
#define SOCKET_SPREAD(name, help) SPREAD_##name,
#include "model/metrics.def"
	NR_SPREADS,
};

extern const char *const spread_names[NR_SPREADS];

/* Packets that the kernel threw away for one reason. */
struct drop {
	char *reason; /* the kernel's name, "SOCKET_RCVBUFF": letters, digits and _ */
	char *where;  /* kernel function; NULL: not known, or a socket's */
	uint64_t packets, bytes;
	uint64_t first_ns, last_ns; /* since the trace began */
};

struct drops {
	struct drop *items; /* ascending by (reason, where) */
	size_t nr, cap;
};

/* Two counts of the same thing, and of how many sockets they differ. */
struct socket_book {
	uint64_t observed, expected; /* METRIC_UNKNOWN: not known */
	uint64_t nr, nr_failed;	     /* sockets in these sums; of these, how many do not agree */
	uint64_t nr_unknown;	     /* sockets for which one of the two is not known; not in nr */
};

/* For the audits; not in saved reports. A row that is not its socket's first has none: nr 0. */
struct socket_books {
	struct socket_book sent, received, drops;
	const char *why_unknown; /* static; NULL: nothing to say */
};

/* A socket as one process used it, or (connections > 1) closed ones with the same key. */
struct socket {
	const char *protocol; /* a name of socktrace/protocols.def */
	const char *family;   /* "ipv4", "ipv6", "unix", "netlink", "packet" */
	const char
		*role; /* "listen", "accept", "connect", "bind" (datagrams), "none": or not known */
	const char *state;     /* of TCP, as ss(8) has it: "ESTAB"; NULL: not TCP, or folded */
	const char *closed_by; /* "local", "remote": who ended a TCP connection first; NULL */
	char *local, *remote;  /* "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@name"; "*": any */
	uint64_t netns;	       /* network namespace, as in /proc/PID/ns/net */
	uint64_t opened_ns;    /* since the trace began; METRIC_UNKNOWN: before, or folded */
	uint64_t closed_ns;    /* since the trace began; METRIC_UNKNOWN: still open, or folded */
	uint64_t connections;  /* 1, or how many were folded */
	/* Of these, those whose figures, state and drops stand in another process's row. */
	uint64_t connections_elsewhere;
	uint64_t shared_by;    /* tables of descriptors that held it at the last look */
	bool dual_stack;       /* an IPv6 socket that takes IPv4 too */
	enum tristate agrees;  /* its books do, all of them; UNKNOWN: not compared, or not all */
	struct socket_stats stats;
	struct spread spreads[NR_SPREADS];
	struct drops drops;
	struct socket_books books;
};

/* --- processes, threads, calls ------------------------------------------------------------- */

struct errno_count {
	int error; /* 1 .. 4095 */
	uint64_t count;
};

struct syscall {
	const char *abi; /* "x86_64", "i386", "x32", "aarch64", "arm": static strings */
	uint32_t nr;
	char *name;
	struct call_stats stats;
	struct errno_count *errnos; /* ascending by error */
	size_t nr_errnos, cap_errnos;
	struct histogram histogram; /* of the durations of stats.calls calls */
};

struct syscalls {
	struct syscall *items; /* ascending by (abi, nr) */
	size_t nr, cap;
};

/* What the kernel and the programs counted on the side, for the audits; not in saved reports. */
struct task_books {
	uint64_t entries; /* system calls entered, counted apart from returns */
	uint64_t kernel_voluntary, kernel_involuntary; /* nvcsw, nivcsw over the traced span */
	uint64_t seen_voluntary, seen_involuntary; /* our counts at the moment those were read */
	uint64_t kernel_exec_ns;		   /* sum_exec_runtime over the traced span */
	uint64_t seen_exec_ns; /* our on-CPU time less stolen time, at that moment */
};

struct thread {
	pid_t tid; /* 0: several ended threads folded into one, see nr_folded */
	char *comm;
	bool ended;
	uint64_t nr_folded; /* 1 for a thread of its own */
	struct task_stats stats;
	struct syscalls calls;
	struct task_books books;
};

struct process {
	pid_t pid;
	uint64_t trial;	     /* of run-workload, from 1; 0: not of a trial */
	char *comm, *exe;    /* exe NULL: unknown */
	char **cmdline;	     /* NULL-terminated; NULL: unknown */
	uint64_t started_ns; /* CLOCK_BOOTTIME at its start: with pid, its identity */
	bool ended;
	int exit_status; /* of an ended process, as a shell says it: 0..255, or 128 + signal; -1:
			    unknown */
	int term_signal; /* 0: ended by exit */
	uint64_t rss_peak_bytes;
	struct task_stats stats; /* totals over threads, ended ones included */
	struct syscalls calls;	 /* totals over threads */
	struct thread *threads;	 /* ascending by tid */
	size_t nr_threads, cap_threads;
	struct socket *sockets; /* busiest first: by bytes, then calls, then address */
	size_t nr_sockets, cap_sockets;
	struct socket_index *socket_index; /* of process_add_socket(); NULL: none at present */
};

/* --- the report ----------------------------------------------------------------------------- */

struct probe_state {
	char *name, *hook; /* hook NULL: none attached */
	bool required, attached;
	char *reason; /* why earlier hooks were passed over, or none is attached; NULL: nothing to
			 say */
};

struct lost_count {
	char *reason;
	uint64_t count;
};

struct program_cost {
	char *name;
	uint64_t runs, run_ns;	   /* METRIC_UNKNOWN unless kernel.bpf_stats_enabled */
	uint64_t recursion_misses; /* METRIC_UNKNOWN before Linux 5.12 */
};

struct audit {
	char *name, *subject;
	uint64_t expected, observed, tolerance; /* one unit: ns or counts; METRIC_UNKNOWN: null */
	enum tristate ok;
	char *reason; /* why it could not be made, or where it fails; NULL: nothing to say */
};

struct report {
	struct {
		char *version, *commit, *libbpf, *compiler;
	} tool;
	struct {
		char *os, *kernel, *arch, *cpu_model, *virtualization,
			*lockdown; /* NULL: unknown */
		uint64_t cpus;
		bool has_btf;
		uint64_t netns; /* of socktrace */
	} host;
	struct {
		char *mode;	/* "attach", "run", "run-workload" */
		char **command; /* what was typed, NULL-terminated */
		char *started;	/* RFC 3339 UTC */
		uint64_t duration_ns;
		char *detail; /* "full" or "count" */
		bool complete;
		uint64_t untraced_descendants; /* of the targets, that lived before */
		struct probe_state *probes;
		size_t nr_probes, cap_probes;
		struct lost_count *lost; /* every row of lost.def, in order */
		size_t nr_lost, cap_lost;
		struct program_cost *programs;
		size_t nr_programs, cap_programs;
		uint64_t self_cpu_ns, self_rss_bytes, map_bytes; /* of socktrace itself */
		uint64_t setup_ns;				 /* from start to "tracing" */
	} capture;
	struct process *processes; /* ascending by (pid, started_ns) */
	size_t nr_processes, cap_processes;
	struct drops drops; /* that no socket of a traced process owns */
	struct audit *audits;
	size_t nr_audits, cap_audits;
	struct workload_run *workload; /* see workload.h; NULL unless run-workload */
};

void report_free(struct report *r); /* frees what it holds and zeroes it; not @r itself */
void process_free(struct process *p);
void process_copy(struct process *to, const struct process *from); /* deep; over what @to held */
void thread_free(struct thread *t);
void syscalls_free(struct syscalls *calls);

/* The entry for (@abi, @nr), made if missing (zeroed counts, min_ns and percentiles unknown). */
struct syscall *syscalls_get(struct syscalls *calls, const char *abi, uint32_t nr,
			     const char *name);
void syscall_add_errno(struct syscall *c, int error, uint64_t count);
/* Adds counts, histograms and errnos; METRIC_UNKNOWN plus a number is the number. */
void syscalls_merge(struct syscalls *into, const struct syscalls *from);
void task_stats_merge(struct task_stats *into, const struct task_stats *from);
void task_books_merge(struct task_books *into, const struct task_books *from);
/* Counts a duration; METRIC_UNKNOWN is none. */
void spread_add(struct spread *s, uint64_t ns);
/*
 * The entry for (@reason, @where), made if missing: no packets, times unknown. @where may be NULL.
 * Strings are copied. Good until the next call.
 */
struct drop *drops_get(struct drops *d, const char *reason, const char *where);
void drops_merge(struct drops *into, const struct drops *from);
void drops_free(struct drops *d);
/* The book of one socket, from its two counts. */
struct socket_book socket_book_of(uint64_t observed, uint64_t expected);
/* All figures unknown or empty, connections 1, no books; strings NULL. */
void socket_init(struct socket *s);
void socket_free(struct socket *s); /* frees what it holds, not @s itself */
/* For qsort(3): busiest first, by bytes, calls, then address. */
int socket_compare(const void *a, const void *b);
/* Whether sockets such as @s have @m: "tcp" is of TCP and MPTCP alone, "udp" of UDP. */
bool socket_has_metric(const struct socket *s, const struct metric *m);
/*
 * Gives @s to @p; @s is empty afterwards. Open sockets stay rows of their own. Of closed ones, no
 * more than 64 with the same key (protocol, family, role, and the local address of those accepted,
 * bound or listening, the peer's of those connected) do: then all of that key are folded into one
 * row, whose other address is "*". A process keeps at most 4,096 keys; further ones are folded by
 * (protocol, family, role) alone, both addresses "*", as are those without a role. Once 8,192
 * closed sockets have rows, a key is folded as soon as it has two.
 *
 * A row of one connection has no spreads, those of @s are thrown away: folding makes them, of
 * opened_ns and closed_ns and of the metrics of KIND_MEDIAN.
 */
void process_add_socket(struct process *p, struct socket *s);
/* Gives all sockets of @from to @into in this way. */
void process_move_sockets(struct process *into, struct process *from);
/* Percentiles from histogram, min and max, of every call. */
void syscalls_finish(struct syscalls *calls);
/*
 * Process totals from threads (those of a process without threads stay), percentiles everywhere,
 * all lists in their order; no exit status for what still runs. May be called again.
 */
void report_finish(struct report *r);
/* False if any audit has failed. */
bool report_audits_hold(const struct report *r);

#endif
