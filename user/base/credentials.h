/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_CREDENTIALS_H
#define SOCKTRACE_BASE_CREDENTIALS_H

#include <stdbool.h>
#include <sys/types.h>

/* Whom a process becomes. */
struct credentials {
	bool change; /* false: nobody else */
	char *name;  /* for initgroups(3); freed by the owner */
	uid_t uid;
	gid_t gid;
};

/* The user @text, a name or number. 0, or -ENOENT: there is none. */
int credentials_find(const char *text, struct credentials *c);
/*
 * Of a root process, those for work that needs no root: the user who called sudo(8), or nobody(8).
 * Of any other, its own. 0 or -ENOENT.
 */
int credentials_unprivileged(struct credentials *c);
/* Becomes them for good: groups, gid, uid. 0, or -errno; -EPERM also if root could come back. */
int credentials_become(const struct credentials *c);

#endif
