/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_KERNEL_H
#define SOCKTRACE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "socktrace/layout.h"

/*
 * The one door to libbpf: chooses a hook for every probe by trying, loads, attaches, maps the
 * records into memory. What the records mean is capture/'s business.
 */

/* --- probes and hooks ------------------------------------------------------------------------ */

enum { MAX_HOOKS = 4, MAX_ATTACHMENTS = 40 };

/* One program, and where it attaches. */
struct attachment {
	const char *program;  /* its name in the object */
	const char *function; /* of a kprobe: the kernel's function; else NULL, its section says */
	bool is_optional;     /* not every kernel has that function */
	/* A copy of it does what it misses where a softirq has interrupted it. */
	bool has_copy, is_copy;
};

/* A way to see something. */
struct hook {
	const char *name;				/* for --hook; NULL: the table ends */
	const char *where;				/* for a person: "tp_btf sys_enter" */
	struct attachment attachments[MAX_ATTACHMENTS]; /* ends where program is NULL */
	bool is_trampoline;				/* fentry, fexit */
	bool by_calls; /* rodata.bytes_by_calls: no program of its own */
};

enum wanted_when { IN_FULL = 1, IN_COUNT = 2, IN_BOTH = 3, WITH_SOCKETS = 4 };

/* What socktrace wants to see, and where that can be seen, in order of preference. */
struct probe {
	const char *name;
	unsigned int wanted; /* enum wanted_when: one of the first three, and perhaps the last */
	bool required;
	const char *lost_without;
	struct hook hooks[MAX_HOOKS];
};

extern const struct probe probes[];
extern const size_t nr_probes;

/* The reason for passing over a hook before a forced one. */
#define NOT_ASKED_FOR "another one was asked for"

/* What became of a probe. */
struct probe_result {
	const struct probe *probe;
	const struct hook *hook;      /* taken; NULL: none */
	char *passed_over[MAX_HOOKS]; /* why an earlier hook was not taken, the kernel's reason */
	bool is_wanted;		      /* with these options */
	bool is_missing;	      /* wanted, and no hook works */
	bool is_needed;		      /* required, or a hook was asked for */
};

/* The hook called @hook of the probe called @probe must be taken, or none. */
struct forced_hook {
	const char *probe, *hook;
};

struct kernel_options {
	bool detail_full; /* else: counts only */
	bool follow;
	unsigned int max_threads; /* traced at once; sizes every pool */
	unsigned int max_sockets; /* traced at once; 0: none are */
	unsigned int listed_call; /* CALL_UNKNOWN or CALL_BEFORE_EXEC, see layout.h */
	const uint8_t *row_kinds; /* KEYS of them */
	const struct forced_hook *forced;
	size_t nr_forced;
};

/* A pool of records, mapped into memory. */
struct pool {
	void *records;
	size_t record_size; /* distance between records */
	uint32_t nr;	    /* with the unused first one */
	int free_fd;	    /* queue of free elements; -1: none */
	size_t map_bytes;
};

struct kernel;

/*
 * Loads and attaches everything; nothing counts before kernel_begin(). Returns 0, or -errno, of
 * which explain_failure() can speak: -EPERM without privilege, -EOPNOTSUPP if a required probe has
 * no hook that works here. @k is to be closed in any case, and can be asked for probe results
 * before.
 */
int kernel_open(struct kernel **k, const struct kernel_options *options);
void kernel_close(struct kernel *k); /* detaches all; NULL is fine */

const struct probe_result *kernel_probe_results(const struct kernel *k); /* nr_probes of them */

const struct pool *kernel_tasks(const struct kernel *k);
const struct pool *kernel_processes(const struct kernel *k);
const struct pool *kernel_rows(const struct kernel *k);
const struct pool *kernel_blocks(const struct kernel *k);
/* These two have no records if sockets are not traced. */
const struct pool *kernel_socks(const struct kernel *k);
const struct pool *kernel_uses(const struct kernel *k);

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	return index < p->nr ? (char *)p->records + index * p->record_size : NULL;
}

/* Gives an element (or chunk) back to the programs; the caller has zeroed it. 0 or -errno. */
int pool_give_back(const struct pool *p, uint32_t index);

/* Names a process to trace, by its number in our PID namespace. 0 or -errno. */
int kernel_add_target(struct kernel *k, uint32_t pid);
/*
 * Begins to count: opens the gate, lists the targets' threads, places those that are on a CPU.
 * @are_known: whether all targets that live have records. 0 or -errno.
 */
int kernel_begin(struct kernel *k, bool (*are_known)(const void *arg), const void *arg);
/* Readable when many records have ended; to be cleared before they are taken in. */
int kernel_wake_up_fd(const struct kernel *k);
void kernel_clear_wake_up(struct kernel *k);
/* Brings live records up to date with the kernel's own counters. 0 or -errno, message printed. */
int kernel_snapshot(struct kernel *k);
uint64_t kernel_nr_snapshots(const struct kernel *k); /* taken so far */
/* Counts a loss (enum lost_reason) that only user space can see. */
void kernel_lose(struct kernel *k, unsigned int reason);
/* Shuts the gate; on return no program is writing to a record. */
void kernel_end(struct kernel *k);

/* --- sockets --------------------------------------------------------------------------------- */

/* How many socket records ended, and were taken, since the last call. */
uint32_t kernel_take_ended_sockets(struct kernel *k);
uint32_t kernel_take_new_sockets(struct kernel *k);
/* Whether a traced process has been seen to listen on that local TCP port. */
bool kernel_listens_on(const struct kernel *k, uint32_t netns, uint16_t port);
/* Whether one listener alone of this network namespace has thrown anything away, as is known. */
bool kernel_has_one_grown_listener(const struct kernel *k, uint32_t net);
/* Datagrams to that port thrown away while they were read, nobody knows from which socket. */
uint32_t kernel_drops_when_read(const struct kernel *k, uint16_t port);
/* Makes the programs forget that @use belongs to its socket and process. */
void kernel_forget_use(const struct kernel *k, const struct sock_use *use);
/*
 * Drops by socket and reason: fills @key and @count with those after @key, of which sock
 * UINT32_MAX means the beginning. False after the last.
 */
bool kernel_next_drop(const struct kernel *k, struct drop_key *key, struct drop_count *count);
void kernel_forget_drop(const struct kernel *k, const struct drop_key *key);
/* Ends a record from user space: makes the programs forget its socket. */
void kernel_end_sock(struct kernel *k, uint32_t index, struct sock_record *s, uint64_t now_ns);

/* Whether that probe has a hook, and that one. */
bool kernel_has_probe(const struct kernel *k, const char *probe);
bool kernel_hook_is(const struct kernel *k, const char *probe, const char *hook);

uint64_t kernel_lost(const struct kernel *k, unsigned int reason); /* enum lost_reason */
unsigned int kernel_nr_cpus(const struct kernel *k);		   /* that there can be */
uint64_t kernel_map_bytes(const struct kernel *k);		   /* kernel memory of all maps */
uint64_t kernel_mapped_bytes(const struct kernel *k); /* of that, in our address space */

/* What the kernel says of one loaded program. UINT64_MAX: not known on this kernel. */
struct program_info {
	const char *name;
	uint64_t runs, run_ns, recursion_misses;
	bool may_miss; /* what it misses is not lost: a copy has done it */
};
/* Of the @i-th program; false past the last. */
bool kernel_program_info(const struct kernel *k, size_t i, struct program_info *info);

bool kernel_has_btf(void);
const char *kernel_libbpf_version(void); /* "1.1" */
/* Silences libbpf, or at -vv shows what it says. Call once at start. */
void kernel_init_messages(void);

#endif
