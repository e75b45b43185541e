// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/parse.h"
#include "base/vec.h"
#include "capture/descendants.h"
#include "capture/identity.h"

struct kinship {
	pid_t pid, parent;
};

struct family {
	struct kinship *items; /* ascending by pid */
	size_t nr, cap;
};

static int compare_pids(const void *a, const void *b)
{
	const struct kinship *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* A zombie has ended. */
static void read_family(struct family *f)
{
	DIR *proc = opendir("/proc");
	struct identity_stat stat;
	struct dirent *entry;
	uint64_t pid;

	while (proc && (entry = readdir(proc))) {
		if (parse_u64(entry->d_name, 1, INT32_MAX, &pid) ||
		    identity_read_stat(pid, &stat) || stat.state == 'Z')
			continue;
		*vec_push(f->items, f->nr, f->cap) = (struct kinship){pid, stat.parent};
	}
	if (proc)
		closedir(proc);
	if (f->nr)
		qsort(f->items, f->nr, sizeof(*f->items), compare_pids);
}

static pid_t parent_of(const struct family *f, pid_t pid)
{
	const struct kinship key = {.pid = pid}, *found;

	found = bsearch(&key, f->items, f->nr, sizeof(*f->items), compare_pids);
	return found ? found->parent : 0;
}

static bool is_among(pid_t pid, const pid_t *pids, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* What is read of processes that come and go may go round in circles. */
static bool descends(const struct family *f, pid_t pid, const pid_t *pids, size_t nr)
{
	for (size_t steps = 0; pid && steps < f->nr; steps++) {
		pid = parent_of(f, pid);
		if (is_among(pid, pids, nr))
			return true;
	}
	return false;
}

pid_t *descendants_of(const pid_t *pids, size_t nr_pids, size_t *nr)
{
	struct family f = {};
	pid_t *list = NULL;
	size_t cap = 0;

	*nr = 0;
	read_family(&f);
	for (size_t i = 0; i < f.nr; i++) {
		pid_t pid = f.items[i].pid;

		if (!is_among(pid, pids, nr_pids) && descends(&f, pid, pids, nr_pids))
			*vec_push(list, *nr, cap) = pid;
	}
	free(f.items);
	return list;
}
