// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "base/alloc.h"
#include "base/strings.h"
#include "base/vec.h"
#include "model/merge.h"
#include "model/model.h"

static void thread_copy(struct thread *to, const struct thread *from)
{
	*to = *from;
	to->comm = from->comm ? xstrdup(from->comm) : NULL;
	to->calls = (struct syscalls){};
	syscalls_merge(&to->calls, &from->calls);
}

void process_copy(struct process *to, const struct process *from)
{
	*to = *from;
	to->comm = from->comm ? xstrdup(from->comm) : NULL;
	to->exe = from->exe ? xstrdup(from->exe) : NULL;
	to->cmdline = strings_copy(from->cmdline);
	to->calls = (struct syscalls){};
	syscalls_merge(&to->calls, &from->calls);
	to->threads = NULL;
	to->nr_threads = to->cap_threads = 0;
	for (size_t i = 0; i < from->nr_threads; i++)
		thread_copy(vec_push(to->threads, to->nr_threads, to->cap_threads),
			    &from->threads[i]);
	sockets_copy(to, from);
}
