// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/capabilities.h"
#include "base/cleanup.h"
#include "base/confine.h"
#include "base/msg.h"
#include "base/outfile.h"
#include "base/streams.h"
#include "capture/capture.h"
#include "capture/clock.h"
#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/session.h"
#include "kernel/explain.h"

/* What one poll loop waits for; the targets' pidfds follow. */
enum { FD_SIGNAL, FD_POLL, FD_INTERVAL, FD_DURATION, FD_CAPTURE, NR_FDS };

/* ns between looks for children that outlive the targets */
#define LIST_EVERY_NS 1000000000ULL
/* A command that ends later than this after a signal has ended for another reason. */
#define ENDED_BY_SIGNAL_NS 10000000000ULL
/* Looks in a row that find nobody: one can miss a thread that makes execve(2) meanwhile. */
#define UNLISTED 2

struct loop {
	struct session *session;
	struct capture *capture;
	struct outfile *file; /* NULL: standard output */
	struct pollfd *fds;
	size_t nr_fds, nr_targets_alive;
	uint64_t end_ns;    /* CLOCK_MONOTONIC; 0: no end set */
	uint64_t listed_ns; /* when children that outlive the targets were last looked for */
	unsigned int nr_unlisted;
	unsigned int nr_reports;	     /* printed */
	bool has_progress, is_over, is_lost; /* is_lost: a report could not be written */
	int exit_code;
};

uint64_t session_now_ns(void)
{
	return kernel_clock_ns();
}

/* --- progress: one line on a terminal, rewritten --------------------------------------------- */

static void show_progress(struct loop *l)
{
	uint64_t now = session_now_ns();

	if (!isatty(STDERR_FILENO) || msg_get_level() < MSG_NORMAL || !streams_can_say())
		return;
	l->has_progress = true;
	if (l->end_ns)
		fprintf(stderr, "\r\033[Ktracing, %.0f s left (Ctrl-C ends it)",
			now < l->end_ns ? (l->end_ns - now) / 1e9 : 0);
	else
		fprintf(stderr, "\r\033[Ktracing for %.0f s (Ctrl-C ends it)",
			(now - l->session->began_ns) / 1e9);
}

static void clear_progress(struct loop *l)
{
	if (l->has_progress)
		fputs("\r\033[K", stderr);
	l->has_progress = false;
}

/* --- reports --------------------------------------------------------------------------------- */

/* Prints a report of what was counted up to now. */
static void print_report(struct loop *l)
{
	struct report r = {};
	int code;

	clear_progress(l);
	if (capture_report(l->capture, &r)) {
		l->exit_code = EXIT_FAILED;
		report_free(&r);
		return;
	}
	l->session->options.report.is_further = l->nr_reports;
	code = output_report(&l->session->options, &r, l->file);
	l->nr_reports++;
	if (code != EXIT_COMPLETE)
		l->exit_code = code;
	l->is_lost |= code == EXIT_FAILED;
	l->is_over |= l->is_lost;
	report_free(&r);
}

/* --- events ---------------------------------------------------------------------------------- */

static int periodic_timer(uint64_t first_ns, uint64_t every_ns)
{
	struct itimerspec t = {
		.it_value = {first_ns / 1000000000, first_ns % 1000000000},
		.it_interval = {every_ns / 1000000000, every_ns % 1000000000},
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && timerfd_settime(fd, 0, &t, NULL)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_fds(struct loop *l)
{
	const struct options *o = &l->session->options;
	uint64_t poll_ns = CAPTURE_POLL_MS * 1000000ULL;

	l->nr_fds = NR_FDS + l->session->nr_targets;
	l->fds = xcalloc(l->nr_fds, sizeof(*l->fds));
	for (size_t i = 0; i < l->nr_fds; i++)
		l->fds[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	l->fds[FD_SIGNAL].fd = l->session->signals.fd;
	l->fds[FD_POLL].fd = periodic_timer(poll_ns, poll_ns);
	l->fds[FD_CAPTURE].fd = capture_fd(l->capture);
	if (l->fds[FD_POLL].fd < 0)
		return -errno;
	if (o->interval_ns) {
		l->fds[FD_INTERVAL].fd = periodic_timer(o->interval_ns, o->interval_ns);
		if (l->fds[FD_INTERVAL].fd < 0)
			return -errno;
	}
	if (o->duration_ns) {
		l->fds[FD_DURATION].fd = periodic_timer(o->duration_ns, 0);
		if (l->fds[FD_DURATION].fd < 0)
			return -errno;
	}
	for (size_t i = 0; i < l->session->nr_targets; i++)
		l->fds[NR_FDS + i].fd = l->session->targets[i].pidfd;
	l->nr_targets_alive = l->session->nr_targets;
	return 0;
}

static void close_fds(struct loop *l)
{
	for (size_t i = FD_POLL; i < FD_CAPTURE && l->fds; i++) {
		if (l->fds[i].fd >= 0)
			close(l->fds[i].fd);
	}
	free(l->fds);
}

static bool has_fired(struct loop *l, int timer)
{
	uint64_t times;

	return l->fds[timer].fd >= 0 && l->fds[timer].revents &&
	       read(l->fds[timer].fd, &times, sizeof(times)) == sizeof(times);
}

static void on_targets(struct loop *l)
{
	for (size_t i = NR_FDS; i < l->nr_fds; i++) {
		if (l->fds[i].fd < 0 || !l->fds[i].revents)
			continue;
		l->fds[i].fd = -1;
		l->nr_targets_alive--;
	}
}

/*
 * Everything that ends the trace by itself: the targets, and with --follow their children. That
 * these have ended is asked of the kernel too: the event of an end may have been missed.
 */
static void look_for_end(struct loop *l, size_t nr_live)
{
	if (l->nr_targets_alive)
		return;
	if (nr_live && !l->session->child && l->session->options.follow) {
		if (session_now_ns() - l->listed_ns < LIST_EVERY_NS)
			return;
		l->listed_ns = session_now_ns();
		l->nr_unlisted = capture_count_listed(l->capture) ? 0 : l->nr_unlisted + 1;
		if (l->nr_unlisted < UNLISTED)
			return;
	}
	l->is_over = true;
}

static int wait_for_end(struct loop *l)
{
	/* A signal may come while something is written, too. */
	while (!l->is_over && !l->session->signals.is_over) {
		if (poll(l->fds, l->nr_fds, -1) < 0 && errno != EINTR)
			return -errno;
		if (l->fds[FD_SIGNAL].revents)
			signals_take(&l->session->signals);
		on_targets(l);
		if (has_fired(l, FD_DURATION))
			l->is_over = true;
		if (has_fired(l, FD_POLL) || l->fds[FD_CAPTURE].revents || !l->nr_targets_alive) {
			look_for_end(l, capture_poll(l->capture));
			show_progress(l);
		}
		if (!l->is_over && has_fired(l, FD_INTERVAL))
			print_report(l);
	}
	return 0;
}

/* --- the whole ------------------------------------------------------------------------------- */

static int start(struct loop *l)
{
	struct session *s = l->session;
	pid_t *pids = xcalloc(s->nr_targets, sizeof(*pids));
	uint64_t *start_ticks = xcalloc(s->nr_targets, sizeof(*start_ticks));
	struct capture_options co = {
		.mode = s->mode,
		.command = s->command,
		.detail_full = s->options.detail_full,
		.follow = s->options.follow,
		.from_exec = s->child != 0,
		.max_threads = s->options.max_threads,
		.max_sockets = s->options.max_sockets,
		.forced = s->options.forced,
		.nr_forced = s->options.nr_forced,
		.pids = pids,
		.start_ticks = start_ticks,
		.nr_pids = s->nr_targets,
		.setup_began_ns = s->began_ns,
	};
	int err;

	for (size_t i = 0; i < s->nr_targets; i++) {
		pids[i] = s->targets[i].pid;
		start_ticks[i] = s->targets[i].start_ticks;
		if (!s->options.has_max_sockets)
			co.max_sockets += 2 * target_count_descriptors(&s->targets[i]);
	}
	err = capture_start(&l->capture, &co);
	free(pids);
	free(start_ticks);
	if (!err)
		return EXIT_COMPLETE;
	if (err == -EPERM || err == -EOPNOTSUPP || err == -ESRCH)
		return EXIT_UNTRUSTED;
	return EXIT_FAILED;
}

/* What the rest of the session does not need is given up. The command has its own since its fork.
 */
static int give_up_privileges(const struct session *s)
{
	uint64_t keep = privileges_to_go_on();
	int err;

	if (s->options.output)
		keep |= CAPABILITIES_TO_WRITE;
	if (s->options.user) /* signals are passed on to it */
		keep |= CAPABILITY(CAP_KILL);
	err = capabilities_keep(keep);
	if (err) {
		msg_error("give up privileges that are not needed any more: %s", strerror(-err));
		return EXIT_FAILED;
	}
	err = confine();
	if (err) {
		msg_error("forbid calls that are not needed any more: seccomp(2): %s; run outside "
			  "of the filter that is around this process",
			  strerror(-err));
		return EXIT_FAILED;
	}
	return EXIT_COMPLETE;
}

static void say_tracing(const struct session *s)
{
	if (s->child)
		msg_info("tracing %s (process %d)", s->name, s->child);
	else if (s->nr_targets == 1)
		msg_info("tracing process %d; Ctrl-C ends it and reports", s->targets[0].pid);
	else
		msg_info("tracing %zu processes; Ctrl-C ends it and reports", s->nr_targets);
}

/* The trace is over; the command may go on, and signals are still passed to it. */
static void wait_for_child(struct loop *l)
{
	struct session *s = l->session;
	struct pollfd fds[2] = {{.fd = s->signals.fd, .events = POLLIN}, {.events = POLLIN}};

	if (!s->child)
		return;
	/* A child that was never let go finds its pipe closed, and ends. */
	close(s->go_fd);
	fds[1].fd = s->targets[0].pidfd;
	while (!fds[1].revents) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			signals_take(&s->signals);
	}
	s->has_child_ended = waitpid(s->child, &s->child_status, 0) == s->child;
}

static int let_go(struct session *s)
{
	if (!s->child || write(s->go_fd, "", 1) == 1)
		return 0;
	return -errno;
}

/*
 * Whoever reads the last report has only so much time for it if a signal ended the trace, or has
 * ended the command: one that the command took for something else is long past.
 */
static void limit_patience(const struct session *s)
{
	if (s->signals.is_over ||
	    (s->signals.at_ns && session_now_ns() - s->signals.at_ns < ENDED_BY_SIGNAL_NS))
		streams_hurry();
}

int session_exec_error(struct session *s)
{
	struct pollfd fd = {.fd = s->failed_fd, .events = POLLIN};

	if (s->child && !s->exec_error && poll(&fd, 1, 0) == 1 &&
	    read(s->failed_fd, &s->exec_error, sizeof(s->exec_error)) != sizeof(s->exec_error))
		s->exec_error = 0;
	return s->exec_error;
}

static void trace(struct loop *l)
{
	int err = open_fds(l);

	if (!err) {
		say_tracing(l->session);
		if (l->session->options.duration_ns)
			l->end_ns = session_now_ns() + l->session->options.duration_ns;
		err = let_go(l->session);
	}
	if (!err)
		err = wait_for_end(l);
	limit_patience(l->session);
	clear_progress(l);
	if (err) {
		msg_error("trace: %s; run again", strerror(-err));
		l->exit_code = EXIT_FAILED;
		return;
	}
	if (capture_end(l->capture)) {
		l->exit_code = EXIT_FAILED;
	} else if (!l->is_lost && !session_exec_error(l->session)) {
		limit_patience(l->session);
		print_report(l);
	}
}

int session_run(struct session *s)
{
	struct loop l = {.session = s};

	if (s->options.output && outfile_open(&l.file, s->options.output))
		l.exit_code = EXIT_FAILED;
	else
		l.exit_code = start(&l);
	if (l.exit_code == EXIT_COMPLETE)
		l.exit_code = give_up_privileges(s);
	if (l.exit_code == EXIT_COMPLETE)
		trace(&l);
	l.exit_code = output_finish(&s->options, l.file, l.nr_reports, l.exit_code);
	capture_close(l.capture);
	wait_for_child(&l);
	close_fds(&l);
	return l.exit_code;
}
