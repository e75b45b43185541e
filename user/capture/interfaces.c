// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/vec.h"
#include "capture/clock.h"
#include "capture/interfaces.h"

/* ns between looks for a name that was not there */
#define LOOK_AGAIN_NS 1000000000ULL

static char *proc_path(pid_t pid, const char *file)
{
	return pid ? xasprintf("/proc/%d/%s", pid, file) : xasprintf("/proc/self/%s", file);
}

uint32_t interfaces_net_of(pid_t pid)
{
	__cleanup(free) char *path = proc_path(pid, "ns/net");
	char link[64] = "";
	unsigned int net;

	if (readlink(path, link, sizeof(link) - 1) < 0 || sscanf(link, "net:[%u]", &net) != 1)
		return 0;
	return net;
}

static const char *find(const struct interfaces *i, uint32_t net, uint32_t index)
{
	for (size_t k = 0; k < i->nr; k++)
		if (i->items[k].net == net && i->items[k].index == index)
			return i->items[k].name;
	return NULL;
}

/* Who has a link-local address is in that list: address, index, length, scope, flags, name. */
static void read_names(struct interfaces *i, uint32_t net, pid_t pid)
{
	__cleanup(free) char *path = proc_path(pid, "net/if_inet6");
	__cleanup(fclose) FILE *f = fopen(path, "re");
	unsigned int index;
	char name[64];

	while (f && fscanf(f, "%*s %x %*s %*s %*s %63s", &index, name) == 2) {
		struct interface *new;

		if (find(i, net, index))
			continue;
		new = vec_push(i->items, i->nr, i->cap);
		*new = (struct interface){net, index, utf8_clean(name, strlen(name))};
	}
}

const char *interface_name(struct interfaces *i, uint32_t net, uint32_t index, pid_t pid)
{
	const char *name = find(i, net, index);
	uint64_t now_ns = kernel_clock_ns();

	if (name || now_ns - i->missed_ns < LOOK_AGAIN_NS)
		return name;
	if (interfaces_net_of(0) == net)
		read_names(i, net, 0);
	else if (interfaces_net_of(pid) == net)
		read_names(i, net, pid);
	name = find(i, net, index);
	if (!name)
		i->missed_ns = now_ns;
	return name;
}

void interfaces_free(struct interfaces *i)
{
	for (size_t k = 0; k < i->nr; k++)
		free(i->items[k].name);
	free(i->items);
}
