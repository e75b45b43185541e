// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Keeps the empty programs on entry and return of system calls until SIGINT or SIGTERM. */
#include <signal.h>
#include <stdio.h>

#include "floor.skel.h"

int main(void)
{
	struct floor_bpf *skel = floor_bpf__open_and_load();
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!skel || floor_bpf__attach(skel)) {
		perror("floor: load the empty programs");
		return 1;
	}
	fputs("tracing with empty programs\n", stderr);
	sigwait(&set, &sig);
	floor_bpf__destroy(skel);
	return 0;
}
