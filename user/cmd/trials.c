// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/capabilities.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "base/outfile.h"
#include "base/streams.h"
#include "base/strings.h"
#include "base/vec.h"
#include "capture/capture.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/session.h"
#include "cmd/signals.h"
#include "cmd/trials.h"
#include "kernel/explain.h"
#include "model/workload.h"
#include "workload/cast.h"

/* One trial: a cell of the sweep, traced or not. */
struct trial {
	size_t cell;
	bool traced;
	uint64_t number; /* from 1 */
	const char *texts[MAX_OPTIONS];
	uint64_t values[MAX_OPTIONS];
};

struct runner {
	struct trials *trials;
	struct report report;
	struct credentials as;
	int nice; /* ours, before tracing changed it */
	struct signals signals;
	uint64_t began_ns;
	size_t nr_all, nr_done;
	bool has_progress;
};

/* --- progress ---------------------------------------------------------------------------- */

static void show_progress(struct runner *r, const struct trial *t)
{
	__cleanup(free) char *name = sweep_name(&r->trials->sweep, t->cell);
	double passed = (session_now_ns() - r->began_ns) / 1e9;

	if (!isatty(STDERR_FILENO) || msg_get_level() < MSG_NORMAL || !streams_can_say())
		return;
	r->has_progress = true;
	fprintf(stderr, "\r\033[Ktrial %ju of %zu%s%s%s%s", (uintmax_t)t->number, r->nr_all,
		name ? ": " : "", name ?: "", t->traced ? "" : " untraced",
		r->nr_done ? "" : ", Ctrl-C ends it");
	if (r->nr_done)
		fprintf(stderr, ", %.0f s left", passed / r->nr_done * (r->nr_all - r->nr_done));
}

static void clear_progress(struct runner *r)
{
	if (r->has_progress)
		fputs("\r\033[K", stderr);
	r->has_progress = false;
}

/* --- one trial ---------------------------------------------------------------------------- */

/* What the person said, or the default and what the workload needs besides. */
static unsigned int room_for_sockets(const struct runner *r, const struct trial *t)
{
	const struct options *o = &r->trials->options;
	const struct workload *w = r->trials->sweep.workload;

	if (o->has_max_sockets || !w->nr_sockets)
		return o->max_sockets;
	return o->max_sockets + w->nr_sockets(t->values);
}

static int start_capture(struct runner *r, const struct trial *t, const struct cast *cast,
			 struct capture **c)
{
	const struct options *o = &r->trials->options;
	const struct workload *w = r->trials->sweep.workload;
	uint64_t nr_threads = w->nr_threads ? w->nr_threads(t->values) : 0;
	uint64_t start_ticks[MAX_ROLES] = {}; /* they are our children */
	pid_t pids[MAX_ROLES];
	struct capture_options co = {
		.mode = "run-workload",
		.command = r->trials->command,
		.detail_full = o->detail_full,
		.max_threads = o->max_threads > nr_threads ? o->max_threads : nr_threads,
		.max_sockets = room_for_sockets(r, t),
		.forced = o->forced,
		.nr_forced = o->nr_forced,
		.pids = pids,
		.start_ticks = start_ticks,
		.nr_pids = cast->nr_parts,
		.setup_began_ns = session_now_ns(),
	};
	int err;

	for (size_t i = 0; i < cast->nr_parts; i++)
		pids[i] = cast->parts[i].pid;
	err = capture_start(c, &co);
	if (!err)
		return EXIT_COMPLETE;
	return err == -EPERM || err == -EOPNOTSUPP || err == -ESRCH ? EXIT_UNTRUSTED : EXIT_FAILED;
}

/* Until all parts have ended. EXIT_COMPLETE, or EXIT_UNTRUSTED with a message. */
static int wait_for_end(struct runner *r, struct cast *cast, struct capture *c)
{
	struct pollfd fds[2 + MAX_ROLES];
	int state;

	for (;;) {
		fds[0] = (struct pollfd){r->signals.fd, POLLIN, 0};
		fds[1] = (struct pollfd){c ? capture_fd(c) : -1, POLLIN, 0};
		for (size_t i = 0; i < cast->nr_parts; i++)
			fds[2 + i] = (struct pollfd){
				cast->parts[i].ended_ns ? -1 : cast->parts[i].pidfd, POLLIN, 0};
		if (poll(fds, 2 + cast->nr_parts, CAPTURE_POLL_MS) < 0 && errno != EINTR) {
			msg_error("wait for the workload: %s", strerror(errno));
			return EXIT_FAILED;
		}
		if (fds[0].revents)
			signals_take(&r->signals);
		if (r->signals.is_over)
			return EXIT_UNTRUSTED;
		if (c)
			capture_poll(c);
		state = cast_poll(cast);
		if (state)
			return state > 0 ? EXIT_COMPLETE : EXIT_UNTRUSTED;
	}
}

static char **cell_values(const struct sweep *s, const struct trial *t)
{
	char **values = NULL;
	size_t nr = 0, cap = 0;

	for (size_t i = 0; i < s->workload->nr_options; i++) {
		if (s->nr[i] > 1)
			*vec_push(values, nr, cap) = xstrdup(t->texts[i]);
	}
	*vec_push(values, nr, cap) = NULL;
	return values;
}

static void add_calls(struct facts *facts, const struct tally *tally)
{
	for (int i = 0; i < NR_COUNTED_CALLS; i++) {
		const struct call_tally *c = &tally->of[i];
		const struct {
			const char *what;
			uint64_t value;
		} rows[] = {{"calls", c->calls}, {"errors", c->errors}, {"bytes", c->bytes}};

		for (size_t j = 0; j < 3; j++) {
			__cleanup(free) char *name =
				xasprintf("%s.%s", rows[j].what, counted_call_names[i]);

			facts_set(facts, name, rows[j].value);
		}
	}
}

static void add_part(struct workload_trial *wt, const struct cast_part *p)
{
	struct workload_part *part = vec_push(wt->parts, wt->nr_parts, wt->cap_parts);
	struct truth *truth = xcalloc(1, sizeof(*truth));

	cast_copy_truth(p, truth);
	part->role = xstrdup(p->role->name);
	part->pid = wt->traced ? p->pid : 0;
	part->is_subject = p->role->is_subject;
	/* What another program counted is not ours to vouch for. */
	if (!truth->is_foreign)
		add_calls(&part->truth, &truth->tally);
	for (uint32_t i = 0; i < truth->nr_facts; i++)
		facts_set(&part->truth, truth->facts[i].name, truth->facts[i].value);
	for (uint32_t i = 0; i < truth->nr_results; i++)
		facts_set(&wt->results, truth->results[i].name, truth->results[i].value);
	free(truth);
}

/* Takes the trial's figures into the report. */
static int record(struct runner *r, const struct trial *t, const struct cast *cast,
		  struct capture *c)
{
	struct workload_trial *wt = workload_add_trial(r->report.workload, t->number);
	struct report report = {};
	int err = 0;

	wt->cell = cell_values(&r->trials->sweep, t);
	wt->traced = t->traced;
	for (size_t i = 0; i < cast->nr_parts; i++)
		add_part(wt, &cast->parts[i]);
	if (!t->traced)
		return EXIT_COMPLETE;
	err = capture_end(c) ?: capture_report(c, &report);
	if (!err) {
		workload_observe(&report, wt);
		report_absorb(&r->report, &report, t->number);
	}
	report_free(&report);
	return err ? EXIT_FAILED : EXIT_COMPLETE;
}

static bool has_links(const struct workload *w, const uint64_t *values)
{
	for (size_t i = 0; i < w->nr_options; i++) {
		if (!strcmp(w->options[i].name, "topology"))
			return values[i];
	}
	return false;
}

static int run_trial(struct runner *r, const struct trial *t)
{
	const struct cast_options co = {
		.workload = r->trials->sweep.workload,
		.texts = t->texts,
		.values = t->values,
		.port = r->trials->port,
		.has_links = has_links(r->trials->sweep.workload, t->values),
		.as = &r->as,
		.nice = r->nice,
	};
	struct capture *c = NULL;
	struct cast cast;
	int code = EXIT_COMPLETE;

	if (cast_start(&cast, &co, r->signals.fd))
		code = EXIT_UNTRUSTED;
	if (code == EXIT_COMPLETE && t->traced)
		code = start_capture(r, t, &cast, &c);
	if (code == EXIT_COMPLETE && cast_go(&cast))
		code = EXIT_UNTRUSTED;
	if (code == EXIT_COMPLETE)
		code = wait_for_end(r, &cast, c);
	if (code == EXIT_COMPLETE)
		code = record(r, t, &cast, c);
	cast_close(&cast);
	capture_close(c);
	return code;
}

/* --- all of them --------------------------------------------------------------------------- */

/* Round by round through all cells, so that what drifts on the machine meets all alike. */
static int run_all(struct runner *r)
{
	const struct trials *ts = r->trials;
	size_t per_cell = ts->has_baseline ? 2 : 1;
	int code = EXIT_COMPLETE;

	r->nr_all = ts->nr * ts->sweep.nr_cells * per_cell;
	for (size_t i = 0; i < r->nr_all && code == EXIT_COMPLETE; i++) {
		size_t round = i / (ts->sweep.nr_cells * per_cell);
		struct trial t = {.cell = i / per_cell % ts->sweep.nr_cells, .number = i + 1};

		/* The untraced one is first in every other round. */
		t.traced = per_cell == 1 || (i + round) % 2;
		sweep_cell(&ts->sweep, t.cell, t.texts, t.values);
		show_progress(r, &t);
		code = run_trial(r, &t);
		clear_progress(r);
		r->nr_done++;
	}
	/* One that wakes up who waits for a part is still there. */
	signals_take(&r->signals);
	if (r->signals.is_over)
		streams_hurry();
	if (code != EXIT_COMPLETE)
		msg_error("%s after %zu of %zu trials; there is no report",
			  r->signals.is_over ? "interrupted" : "given up", r->nr_done - 1,
			  r->nr_all);
	return code;
}

static void add_parameters(struct workload_run *run, const struct sweep *s)
{
	for (size_t i = 0; i < s->workload->nr_options; i++) {
		struct workload_parameter *p =
			vec_push(run->parameters, run->nr_parameters, run->cap_parameters);

		p->name = xstrdup(s->workload->options[i].name);
		p->values = strings_copy(s->texts[i]);
		p->is_swept = s->nr[i] > 1;
	}
}

/* The value of sysctl @name ("net.core.rmem_max"), NULL if there is none here. */
static char *read_sysctl(const char *name)
{
	__cleanup(free) char *path = xasprintf("/proc/sys/%s", name);
	__cleanup(fclose) FILE *f = NULL;
	char text[256];

	for (char *dot = path + strlen("/proc/sys/"); (dot = strchr(dot, '.'));)
		*dot = '/';
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	for (char *tab = text; (tab = strchr(tab, '\t'));)
		*tab = ' ';
	return xstrdup(text);
}

static void add_environment(struct workload_run *run, const struct workload *w)
{
	for (const char *const *name = w->sysctls; name && *name; name++) {
		struct workload_setting *s =
			vec_push(run->environment, run->nr_environment, run->cap_environment);

		s->name = xstrdup(*name);
		s->value = read_sysctl(*name);
	}
}

static bool has_any_links(const struct sweep *s)
{
	const char *texts[MAX_OPTIONS];
	uint64_t values[MAX_OPTIONS];
	bool any = false;

	for (size_t cell = 0; cell < s->nr_cells; cell++) {
		sweep_cell(s, cell, texts, values);
		any |= has_links(s->workload, values);
	}
	return any;
}

/* What is left is for loading programs, and for starting parts as somebody else. */
static int give_up_privileges(const struct trials *t)
{
	uint64_t keep = privileges_to_go_on() | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETGID) |
			CAPABILITY(CAP_KILL) | CAPABILITY(CAP_SYS_NICE) |
			CAPABILITY(CAP_SYS_RESOURCE);
	int err;

	if (has_any_links(&t->sweep))
		keep |= CAPABILITY(CAP_SYS_ADMIN) | CAPABILITY(CAP_NET_ADMIN);
	if (t->options.output)
		keep |= CAPABILITIES_TO_WRITE;
	err = capabilities_keep(keep);
	if (!err)
		return EXIT_COMPLETE;
	msg_error("give up privileges that are not needed: %s", strerror(-err));
	return EXIT_FAILED;
}

static int prepare(struct runner *r)
{
	const struct workload *w = r->trials->sweep.workload;

	if (signals_open(&r->signals))
		return EXIT_FAILED;
	if (credentials_unprivileged(&r->as)) {
		msg_error("there is no user nobody, as whom the workload would run; use sudo");
		return EXIT_UNTRUSTED;
	}
	r->nice = getpriority(PRIO_PROCESS, 0);
	r->began_ns = session_now_ns();
	r->report.workload = xcalloc(1, sizeof(*r->report.workload));
	r->report.workload->name = xstrdup(w->name);
	add_parameters(r->report.workload, &r->trials->sweep);
	add_environment(r->report.workload, w);
	return give_up_privileges(r->trials);
}

int trials_run(struct trials *t)
{
	struct runner r = {.trials = t, .signals.fd = -1};
	struct outfile *file = NULL;
	int code = EXIT_COMPLETE;

	if (t->options.output && outfile_open(&file, t->options.output))
		code = EXIT_FAILED;
	if (code == EXIT_COMPLETE)
		code = prepare(&r);
	if (code == EXIT_COMPLETE)
		code = run_all(&r);
	if (code == EXIT_COMPLETE) {
		code = output_report(&t->options, &r.report, file);
		code = output_finish(&t->options, file, 1, code);
		/* Without its report a run is as if it had not been made. */
		if (code == EXIT_FAILED)
			code = EXIT_UNTRUSTED;
	} else {
		outfile_abort(file);
	}
	signals_close(&r.signals);
	report_free(&r.report);
	free(r.as.name);
	return code;
}
