// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "base/alloc.h"
#include "base/msg.h"
#include "workload/play.h"

/* A descriptor that is readable once the person wants the end; -1 and errno. */
static int person_stop_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The starter decides on the end of all parts; a Ctrl-C at its terminal is meant for it. */
static void leave_signals_to_starter(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static void print_facts(const struct fact *facts, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		printf("%s: %" PRIu64 "\n", facts[i].name, facts[i].value);
}

static bool is_among(const struct fact *facts, uint32_t nr, const char *name)
{
	for (uint32_t i = 0; i < nr; i++) {
		if (!strcmp(facts[i].name, name))
			return true;
	}
	return false;
}

/* For a person: what it did, one figure a line. */
static void print_truth(const struct truth *t)
{
	for (int i = 0; i < NR_COUNTED_CALLS; i++) {
		const struct call_tally *c = &t->tally.of[i];

		if (c->calls)
			printf("%s: %" PRIu64 " calls, %" PRIu64 " errors, %" PRIu64 " bytes\n",
			       counted_call_names[i], c->calls, c->errors, c->bytes);
	}
	print_facts(t->facts, t->nr_facts);
	/* What was done and what was measured can be the same: the requests of a load. */
	for (uint32_t i = 0; i < t->nr_results; i++) {
		if (!is_among(t->facts, t->nr_facts, t->results[i].name))
			print_facts(&t->results[i], 1);
	}
}

static struct truth *map_truth(const struct play *play)
{
	struct truth *truth;

	if (play->is_by_hand)
		return xcalloc(1, sizeof(*truth));
	truth = mmap(NULL, sizeof(*truth), PROT_READ | PROT_WRITE, MAP_SHARED, play->truth_fd, 0);
	return truth == MAP_FAILED ? NULL : truth;
}

int play(const struct play *play)
{
	struct part part = {
		.workload = play->workload,
		.role = play->role,
		.values = play->values,
		.listen = play->listen,
		.connect = play->connect,
		.go_fd = play->is_by_hand ? -1 : play->go_fd,
		.ready_fd = play->is_by_hand ? -1 : play->ready_fd,
		.truth = map_truth(play),
	};
	int err;

	if (!part.truth) {
		msg_error("map the memory shared with socktrace: %s", strerror(errno));
		return -1;
	}
	part.tally = &part.truth->tally;
	signal(SIGPIPE, SIG_IGN);
	if (!play->is_by_hand)
		leave_signals_to_starter();
	part.stop_fd = play->is_by_hand ? person_stop_fd() : play->go_fd;
	prctl(PR_SET_NAME, play->role->name);
	err = part.stop_fd < 0 ? part_fail(&part, "signalfd: %s", strerror(errno))
			       : play->role->run(&part);
	if (err && play->is_by_hand)
		msg_error("%s %s: %s", play->workload->name, play->role->name, part.truth->error);
	part.truth->is_complete = !err;
	if (!err && play->is_by_hand)
		print_truth(part.truth);
	if (play->is_by_hand)
		free(part.truth);
	return err;
}
