// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What tracing costs programs that use sockets: pairs of processes on loopback run untraced, under
 * the floor (an empty program on each tracepoint that socktrace uses), and under socktrace, in
 * short slices, in turn, round after round, every second round backwards. Rates are medians of the
 * rounds; a ratio is the median of the rounds' ratios, since neighbouring slices share what the
 * machine does at the time. Ratios carry over between machines, rates do not.
 *
 * The two processes of a pair share one CPU, and socktrace has to find its time there too: then
 * every nanosecond of tracing is missing from the rate, and the rate is steady. On two CPUs, where
 * socktrace runs on whichever it likes, requests spend most of their time waking the other CPU,
 * which varies more than tracing costs, and datagrams are sent as fast as one CPU can while the
 * other reads. Left to the scheduler, pairs change between the two and rates change tenfold.
 *
 * What starting and ending a trace costs is no part of a slice.
 *
 * usage: bench-socket SOCKTRACE [ROUNDS]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "floors.h"
#include "loads.h"

#define MAX_ROUNDS  101
#define SLICE_NS    300000000
#define MAX_SOCKETS "--max-sockets=65536" /* room for 20,000; the same in every slice */

enum state { UNTRACED, FLOOR, BOTH, SERVER, NR_STATES };

static const char *const state_names[NR_STATES] = {"untraced", "floor", "both", "server"};

#define NOT_SERVER (1 << UNTRACED | 1 << FLOOR | 1 << BOTH)
#define ALL_STATES (NOT_SERVER | 1 << SERVER)

/* The slices of a round, as they follow each other. */
static const unsigned int states_of[NR_LOADS] = {
	[LOAD_REQUESTS_APART] = ALL_STATES,
	[LOAD_REQUESTS] = ALL_STATES,
	[LOAD_REQUESTS_OPEN] = 1 << UNTRACED | 1 << SERVER,
	[LOAD_BULK] = NOT_SERVER,
	[LOAD_SENDTO] = NOT_SERVER,
	[LOAD_SENDTO_APART] = NOT_SERVER,
	[LOAD_SENDMMSG] = NOT_SERVER,
	[LOAD_SENDMMSG_APART] = NOT_SERVER,
};

static const char *socktrace;
static int rounds = 9;
static struct floor *empty_programs;
static double rates[NR_LOADS][NR_STATES][MAX_ROUNDS];
static unsigned int nr_disturbed, nr_failed; /* slices */

/* --- one slice ------------------------------------------------------------------------------- */

static struct tracer trace(const struct load *l, enum state state)
{
	const char *argv[10] = {socktrace, "attach", "-F", "json", MAX_SOCKETS};
	char pids[3][16];
	int nr = 5;

	snprintf(pids[0], sizeof(pids[0]), "%d", l->server);
	argv[nr++] = pids[0];
	if (l->holder) {
		snprintf(pids[1], sizeof(pids[1]), "%d", l->holder);
		argv[nr++] = pids[1];
	}
	if (state == BOTH) {
		snprintf(pids[2], sizeof(pids[2]), "%d", l->client);
		argv[nr++] = pids[2];
	}
	return tracer_start(argv, l->is_apart ? -1 : LOAD_CPU);
}

static double rate_of(const struct load *l)
{
	load_run(l, l->warm_up_ns);
	return load_run(l, SLICE_NS);
}

static double measure(const struct load *l, enum state state)
{
	struct tracer tracer;
	double rate;

	nr_disturbed += nr_programs_attached() != 0;
	switch (state) {
	case UNTRACED:
		return rate_of(l);
	case FLOOR:
		floor_attach(empty_programs);
		rate = rate_of(l);
		floor_detach(empty_programs);
		return rate;
	default:
		tracer = trace(l, state);
		rate = rate_of(l);
		nr_failed += tracer_stop(&tracer) != 0;
		return rate;
	}
}

/* --- the report ------------------------------------------------------------------------------ */

static const struct claim {
	double target; /* least ratio; 0: none */
	int load;
	enum state state;
	int base_load;
	enum state base_state;
} claims[] = {
	{0.97, LOAD_REQUESTS, SERVER, LOAD_REQUESTS, FLOOR},
	{0.97, LOAD_REQUESTS, BOTH, LOAD_REQUESTS, FLOOR},
	{0.97, LOAD_REQUESTS_APART, SERVER, LOAD_REQUESTS_APART, FLOOR},
	{0.97, LOAD_REQUESTS_APART, BOTH, LOAD_REQUESTS_APART, FLOOR},
	{0.97, LOAD_REQUESTS_OPEN, SERVER, LOAD_REQUESTS, SERVER},
	{0, LOAD_REQUESTS_OPEN, UNTRACED, LOAD_REQUESTS, UNTRACED},
	{0.98, LOAD_BULK, BOTH, LOAD_BULK, UNTRACED},
	{0, LOAD_BULK, BOTH, LOAD_BULK, FLOOR},
	{0, LOAD_BULK, FLOOR, LOAD_BULK, UNTRACED},
	{0.95, LOAD_SENDTO, BOTH, LOAD_SENDTO, UNTRACED},
	{0, LOAD_SENDTO, BOTH, LOAD_SENDTO, FLOOR},
	{0, LOAD_SENDTO, FLOOR, LOAD_SENDTO, UNTRACED},
	{0.95, LOAD_SENDTO_APART, BOTH, LOAD_SENDTO_APART, UNTRACED},
	{0, LOAD_SENDTO_APART, BOTH, LOAD_SENDTO_APART, FLOOR},
	{0, LOAD_SENDTO_APART, FLOOR, LOAD_SENDTO_APART, UNTRACED},
	{0.95, LOAD_SENDMMSG, BOTH, LOAD_SENDMMSG, UNTRACED},
	{0, LOAD_SENDMMSG, BOTH, LOAD_SENDMMSG, FLOOR},
	{0, LOAD_SENDMMSG, FLOOR, LOAD_SENDMMSG, UNTRACED},
	{0.95, LOAD_SENDMMSG_APART, BOTH, LOAD_SENDMMSG_APART, UNTRACED},
	{0, LOAD_SENDMMSG_APART, BOTH, LOAD_SENDMMSG_APART, FLOOR},
	{0, LOAD_SENDMMSG_APART, FLOOR, LOAD_SENDMMSG_APART, UNTRACED},
};

#define NR_CLAIMS (sizeof(claims) / sizeof(claims[0]))

static void print_rates(void)
{
	double sorted[MAX_ROUNDS];

	printf("%-32s", "medians");
	for (int state = 0; state < NR_STATES; state++)
		printf(" %10s", state_names[state]);
	putchar('\n');
	for (int load = 0; load < NR_LOADS; load++) {
		printf("%-26s %-5s", loads[load].name, loads[load].unit);
		for (int state = 0; state < NR_STATES; state++) {
			memcpy(sorted, rates[load][state], sizeof(sorted));
			if (states_of[load] & 1 << state)
				printf(" %10.0f", median(sorted, rounds));
			else
				printf(" %10s", "-");
		}
		putchar('\n');
	}
}

/* Returns whether the target, if there is one, is met. */
static bool print_claim(const struct claim *c)
{
	const double *rate = rates[c->load][c->state], *base = rates[c->base_load][c->base_state];
	double ratios[MAX_ROUNDS], ratio;
	char of_what[64];

	for (int i = 0; i < rounds; i++)
		ratios[i] = rate[i] / base[i];
	ratio = median(ratios, rounds);
	snprintf(of_what, sizeof(of_what), "%s / %s%s%s", state_names[c->state],
		 state_names[c->base_state], c->load == c->base_load ? "" : ", ",
		 c->load == c->base_load ? "" : loads[c->base_load].name);
	printf("%-26s %-33s %6.3f  %5.3f..%5.3f", loads[c->load].name, of_what, ratio,
	       quantile(ratios, rounds, 0.25), quantile(ratios, rounds, 0.75));
	if (c->target)
		printf("  %6.2f  %s", c->target, ratio < c->target ? "MISSED" : "met");
	putchar('\n');
	return ratio >= c->target;
}

static void print_claims(void)
{
	int nr_missed = 0;

	printf("\n%-60s %6s  %12s  %6s\n", "ratios", "median", "middle half", "target");
	for (size_t i = 0; i < NR_CLAIMS; i++)
		nr_missed += !print_claim(&claims[i]);
	printf("\n%d targets missed\n", nr_missed);
}

/* --- the whole ------------------------------------------------------------------------------- */

static void prepare(void)
{
	struct tracer tracer;

	for (int i = 0; i < NR_LOADS; i++)
		load_start(&loads[i]);
	tracer = trace(&loads[0], SERVER);
	empty_programs = floor_like(tracer.pid);
	nr_failed += tracer_stop(&tracer) != 0;
}

static void measure_round(int round)
{
	int nr = NR_LOADS * NR_STATES;

	for (int i = 0; i < nr; i++) {
		int at = round % 2 ? nr - 1 - i : i, load = at / NR_STATES, state = at % NR_STATES;

		if (states_of[load] & 1 << state)
			rates[load][state][round] = measure(&loads[load], state);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: bench-socket SOCKTRACE [ROUNDS]\n");
		return 2;
	}
	socktrace = argv[1];
	if (argc > 2)
		rounds = number(argv[2], 1, MAX_ROUNDS);
	prepare();
	for (int round = 0; round < rounds; round++)
		measure_round(round);
	for (int i = 0; i < NR_LOADS; i++)
		load_stop(&loads[i]);
	printf("sockets on loopback, %d rounds of slices of %.2f s, " MAX_SOCKETS "\n", rounds,
	       SLICE_NS / 1e9);
	floor_print(empty_programs);
	floor_free(empty_programs);
	print_rates();
	print_claims();
	if (nr_disturbed)
		printf("other tracers were attached as %u slices began: run again\n", nr_disturbed);
	if (nr_failed)
		printf("socktrace did not end with 0 after %u slices\n", nr_failed);
	return nr_failed ? 1 : 0;
}
