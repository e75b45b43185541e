/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_WORKLOAD_H
#define SOCKTRACE_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A workload is a few programs, its roles, that make a load on loopback or on links of their own:
 * the service to be looked at, what it needs, and what drives it. Each role runs in a process of
 * its own (`socktrace workload NAME ROLE`), and counts what it does. Nothing here knows of tracing.
 */

struct part;

enum option_kind {
	OPTION_NUMBER,	/* min to max */
	OPTION_SIZE,	/* bytes, min to max; "64K": suffixes K, M, G of 1024 */
	OPTION_SECONDS, /* "0.5"; the value is in ns */
	OPTION_CHOICE,	/* the value is the index in choices */
	OPTION_SWITCH,	/* "no" (0), "yes" (1); `--name` alone: yes */
};

struct workload_option {
	const char *name; /* without the dashes */
	const char *arg;  /* what its value is called in the help: "N" */
	const char *fallback;
	const char *help;
	enum option_kind kind;
	uint64_t min, max;
	const char *choices; /* "threaded|epoll" */
	unsigned int roles;  /* bit i: of role i */
};

struct role {
	const char *name;
	const char *summary;
	/*
	 * What the process does, from start to end, see part.h. 0, or -1 after part_fail(). A role
	 * that is not the last one ends when part->stop_fd is readable; the last one by itself.
	 */
	int (*run)(struct part *part);
	bool listens;	 /* part->listen says where */
	bool connects;	 /* part->connect: to where the role before it listens */
	bool is_subject; /* the service that the report is about */
};

/* The most options and roles that a workload has. */
#define MAX_OPTIONS 32
#define MAX_ROLES   3

struct workload {
	const char *name;
	const char *summary;
	const struct workload_option *options;
	size_t nr_options;
	/* In the order in which they start; the last is the load, whose end ends them all. */
	const struct role *roles;
	size_t nr_roles;
	/* What is wrong with these values together (a static text), or NULL. NULL: no such check.
	 */
	const char *(*check)(const uint64_t *values);
	/* How many sockets and threads the parts need at most, if many. NULL: no more than usual. */
	uint64_t (*nr_sockets)(const uint64_t *values);
	uint64_t (*nr_threads)(const uint64_t *values);
	/* What of the machine bears on the figures: sysctl names, NULL-terminated. */
	const char *const *sysctls;
};

extern const struct workload workload_gateway, workload_feed, workload_forwarder;
extern const struct workload *const workloads[];
extern const size_t nr_workloads;

const struct workload *workload_find(const char *name);
const struct role *workload_role(const struct workload *w, const char *name); /* or NULL */
/* The index of option @name, which must be there. */
size_t workload_option_index(const struct workload *w, const char *name);
/* The value of @text, or -EINVAL, -ERANGE. */
int workload_option_parse(const struct workload_option *o, const char *text, uint64_t *value);
/* What it takes, for a message: "a whole number from 1 to 100". The caller frees it. */
char *workload_option_takes(const struct workload_option *o);

#endif
