// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "base/strings.h"
#include "base/text.h"
#include "base/vec.h"
#include "capture/accounts.h"
#include "capture/capture.h"
#include "capture/clock.h"
#include "capture/descendants.h"
#include "capture/host.h"
#include "capture/identity.h"
#include "capture/records.h"
#include "capture/sockets.h"
#include "kernel/explain.h"
#include "kernel/kernel.h"
#include "model/audit.h"

/* Threads that ended keep rows of their own up to this many per process; others are summed up. */
#define MAX_ENDED_THREADS 1024

/* So do processes that ended, up to this many. */
#define MAX_ENDED_PROCESSES 4096

struct tracked {
	bool used;
	bool has_ended_record; /* its record said so at the last poll */
	uint32_t execs;	       /* how many the identity is up to date with */
	struct process process;
	size_t nr_live; /* threads, at the last poll */
};

struct capture {
	struct capture_options options;
	struct kernel *kernel;
	struct tracked *tracked; /* by index of the process record */
	struct process **owners; /* the tracked process at each index, NULL where there is none */
	bool *has_sockets;	 /* sockets refer to it: by the same index */
	struct socket_reader *sockets;
	struct process *finished;
	size_t nr_finished, cap_finished;
	size_t folded; /* index in finished of the row for many; valid if has_folded */
	bool has_folded;
	char *started; /* RFC 3339 */
	uint64_t untraced_descendants;
	uint64_t began_ns, ended_ns, setup_ns;
	bool has_ended;
};

static char *rfc3339_now(void)
{
	char text[32];
	struct timespec t;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	return xasprintf("%s.%03ldZ", text, t.tv_nsec / 1000000);
}

/* --- processes ------------------------------------------------------------------------------- */

static struct tracked *track(struct capture *c, uint32_t index)
{
	struct tracked *t = &c->tracked[index];
	const struct process_record *record = pool_at(kernel_processes(c->kernel), index);
	const struct process *parent = NULL;

	if (record->state == RECORD_FREE)
		return NULL;
	if (t->used && t->execs == record->execs)
		return t;
	if (c->tracked[record->parent].used)
		parent = &c->tracked[record->parent].process;
	t->used = true;
	t->execs = record->execs;
	t->process.pid = record->pid;
	t->process.started_ns = record->started_ns;
	t->process.exit_status = -1;
	identity_fill(&t->process, record, parent);
	return t;
}

static void set_comm(struct process *p, const char *comm)
{
	free(p->comm);
	p->comm = xstrdup(comm);
}

static void set_end(struct process *p, const struct process_record *record)
{
	int status = record->wait_status;

	p->ended = true;
	p->term_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	p->exit_status = p->term_signal ? 128 + p->term_signal : WEXITSTATUS(status);
	p->rss_peak_bytes = record->maxrss_pages * sysconf(_SC_PAGESIZE);
}

/* The one row for ended threads beyond MAX_ENDED_THREADS, made if missing. */
static struct thread *folded_thread(struct process *p)
{
	struct thread *t;

	for (size_t i = 0; i < p->nr_threads; i++) {
		if (!p->threads[i].tid)
			return &p->threads[i];
	}
	t = vec_push(p->threads, p->nr_threads, p->cap_threads);
	t->comm = xstrdup("(ended)");
	t->ended = true;
	return t;
}

/* Moves what @t counted into @p; @t is empty afterwards. */
static void take_in_thread(struct process *p, struct thread *t, bool is_leader)
{
	struct thread *folded;

	if (is_leader || !p->comm)
		set_comm(p, t->comm);
	if (p->nr_threads < MAX_ENDED_THREADS) {
		*vec_push(p->threads, p->nr_threads, p->cap_threads) = *t;
		*t = (struct thread){};
		return;
	}
	folded = folded_thread(p);
	if (!folded->nr_folded) { /* an unknown figure stays unknown only among its like */
		folded->stats = t->stats;
		folded->books = t->books;
	} else {
		task_stats_merge(&folded->stats, &t->stats);
		task_books_merge(&folded->books, &t->books);
	}
	folded->nr_folded += t->nr_folded;
	syscalls_merge(&folded->calls, &t->calls);
	thread_free(t);
}

/* --- polling --------------------------------------------------------------------------------- */

static void fold_ended_thread(struct capture *c, uint32_t index)
{
	struct task_record *record = pool_at(kernel_tasks(c->kernel), index);
	struct tracked *t = track(c, record->process);
	struct thread thread = {};

	record_to_thread(c->kernel, record, record->ended_ns, c->options.detail_full, true,
			 &thread);
	if (t)
		take_in_thread(&t->process, &thread, record->is_leader);
	else
		thread_free(&thread);
	record_release(c->kernel, index);
}

/* Adds a process that ended to the one row, of pid 0, for those beyond MAX_ENDED_PROCESSES. */
static void fold_process(struct capture *c, struct process *p)
{
	struct process *folded;

	if (!c->has_folded) {
		folded = vec_push(c->finished, c->nr_finished, c->cap_finished);
		*folded = (struct process){.ended = true, .exit_status = -1};
		folded->comm = xstrdup("(ended)");
		c->has_folded = true;
		c->folded = c->nr_finished - 1;
	}
	folded = &c->finished[c->folded];
	for (size_t i = 0; i < p->nr_threads; i++)
		take_in_thread(folded, &p->threads[i], false);
	if (p->rss_peak_bytes > folded->rss_peak_bytes)
		folded->rss_peak_bytes = p->rss_peak_bytes;
	process_free(p);
}

static void finish_process(struct capture *c, uint32_t index)
{
	struct process_record *record = pool_at(kernel_processes(c->kernel), index);
	struct tracked *t = &c->tracked[index];

	set_end(&t->process, record);
	if (c->nr_finished < MAX_ENDED_PROCESSES || record->is_target)
		*vec_push(c->finished, c->nr_finished, c->cap_finished) = t->process;
	else
		fold_process(c, &t->process);
	*t = (struct tracked){};
	memset(record, 0, sizeof(*record));
	pool_give_back(kernel_processes(c->kernel), index);
}

static size_t note_processes(struct capture *c)
{
	const struct pool *pool = kernel_processes(c->kernel);
	size_t live = 0;

	for (uint32_t i = 1; i < pool->nr; i++) {
		const struct process_record *record = pool_at(pool, i);
		uint32_t state = __atomic_load_n(&record->state, __ATOMIC_ACQUIRE);

		if (state == RECORD_FREE)
			continue;
		track(c, i);
		c->tracked[i].has_ended_record = state == RECORD_ENDED;
		c->tracked[i].nr_live = 0;
		live += state == RECORD_LIVE;
	}
	return live;
}

int capture_fd(const struct capture *c)
{
	return kernel_wake_up_fd(c->kernel);
}

/* Snapshots everything, and ends the records of sockets that are gone. */
static int snapshot(struct capture *c)
{
	uint64_t since_ns = kernel_clock_ns();
	int err = kernel_snapshot(c->kernel);

	if (!err)
		socket_reader_sweep(c->sockets, since_ns);
	return err;
}

/* First the sockets, then the processes: one that has used a socket which has ended is there. */
static void fold_ended_sockets(struct capture *c)
{
	if (!socket_reader_find_ended(c->sockets))
		return;
	/* Once the trace has ended, the kernel's counters go on and ours do not. */
	if (!c->has_ended && socket_reader_wants_look(c->sockets))
		snapshot(c);
	for (uint32_t i = 1; i < kernel_processes(c->kernel)->nr; i++) {
		struct tracked *t = track(c, i);

		c->owners[i] = t ? &t->process : NULL;
	}
	socket_reader_fold_ended(c->sockets, c->owners);
}

static bool is_over(const struct tracked *t)
{
	return t->used && t->has_ended_record && !t->nr_live;
}

/*
 * A process that ended keeps its record as long as sockets refer to it: a connection that is being
 * closed, or a datagram socket of which only a sweep tells that it is gone.
 */
static void finish_processes(struct capture *c)
{
	uint32_t nr = kernel_processes(c->kernel)->nr, nr_over = 0;

	for (uint32_t i = 1; i < nr; i++)
		nr_over += is_over(&c->tracked[i]);
	if (!c->has_ended && (socket_reader_wants_sweep(c->sockets) || nr_over > nr / 8)) {
		snapshot(c);
		fold_ended_sockets(c);
	}
	if (!nr_over)
		return;
	for (uint32_t i = 1; i < nr; i++)
		c->owners[i] = is_over(&c->tracked[i]) ? &c->tracked[i].process : NULL;
	socket_reader_fold_ended_users(c->sockets, c->owners);
	memset(c->has_sockets, 0, nr * sizeof(*c->has_sockets));
	socket_reader_mark_used(c->sockets, c->has_sockets);
	for (uint32_t i = 1; i < nr; i++) {
		if (is_over(&c->tracked[i]) && !c->has_sockets[i])
			finish_process(c, i);
	}
}

size_t capture_poll(struct capture *c)
{
	const struct pool *tasks = kernel_tasks(c->kernel);
	size_t live;

	kernel_clear_wake_up(c->kernel);
	/* A process that has ended has no new threads: those seen after this are its last. */
	live = note_processes(c);
	for (uint32_t i = 1; i < tasks->nr; i++) {
		const struct task_record *record = pool_at(tasks, i);
		uint32_t state = __atomic_load_n(&record->state, __ATOMIC_ACQUIRE);

		if (state == RECORD_ENDED)
			fold_ended_thread(c, i);
		else if (state == RECORD_LIVE)
			c->tracked[record->process].nr_live++;
	}
	fold_ended_sockets(c);
	finish_processes(c);
	return live;
}

/*
 * Whether a process whose end no program saw is gone: the last snapshot, begun at @since_ns, met
 * none of its threads.
 */
static bool is_gone(const struct capture *c, const struct process_record *p, uint64_t since_ns)
{
	return p->snapshot != kernel_nr_snapshots(c->kernel) && p->first_ns < since_ns;
}

size_t capture_count_listed(struct capture *c)
{
	const struct pool *processes = kernel_processes(c->kernel);
	uint64_t since_ns = kernel_clock_ns();
	int err = snapshot(c);
	size_t live = 0;

	for (uint32_t i = 1; i < processes->nr; i++) {
		const struct process_record *p = pool_at(processes, i);

		live += p->state == RECORD_LIVE && (err || !is_gone(c, p, since_ns));
	}
	return live;
}

/* --- the report ------------------------------------------------------------------------------ */

static void copy_process(struct report *r, const struct process *from, struct process **copy)
{
	struct process *p = vec_push(r->processes, r->nr_processes, r->cap_processes);

	process_copy(p, from);
	*copy = p;
}

/* The threads that are not in a row yet, as they stand now: live, or ended since the last poll. */
static void add_present_threads(struct capture *c, struct process **copies, uint64_t now_ns)
{
	const struct pool *tasks = kernel_tasks(c->kernel);

	for (uint32_t i = 1; i < tasks->nr; i++) {
		const struct task_record *record = pool_at(tasks, i);
		uint32_t state = __atomic_load_n(&record->state, __ATOMIC_ACQUIRE);
		struct process *p = copies[record->process];
		struct thread *t;

		if (state == RECORD_FREE || !p)
			continue;
		t = vec_push(p->threads, p->nr_threads, p->cap_threads);
		record_to_thread(c->kernel, record, now_ns, c->options.detail_full,
				 c->has_ended || state == RECORD_ENDED, t);
		if (record->is_leader || !p->comm)
			set_comm(p, t->comm);
	}
}

static void add_processes(struct capture *c, struct report *r, uint64_t now_ns)
{
	uint32_t nr = kernel_processes(c->kernel)->nr;
	struct process **copies = xcalloc(nr, sizeof(*copies)), *p;

	/* No push after this moves them. */
	r->processes = vec_reserve(r->processes, &r->cap_processes, c->nr_finished + nr,
				   sizeof(*r->processes));
	for (size_t i = 0; i < c->nr_finished; i++)
		copy_process(r, &c->finished[i], &p);
	for (uint32_t i = 1; i < nr; i++) {
		if (!c->tracked[i].used)
			continue;
		copy_process(r, &c->tracked[i].process, &copies[i]);
		copies[i]->rss_peak_bytes = identity_rss_peak(copies[i]->pid);
		if (is_over(&c->tracked[i]))
			set_end(copies[i], pool_at(kernel_processes(c->kernel), i));
	}
	add_present_threads(c, copies, now_ns);
	socket_reader_add_live(c->sockets, copies);
	free(copies);
	for (size_t i = 0; i < r->nr_processes; i++) {
		if (!r->processes[i].comm)
			r->processes[i].comm = xstrdup("");
	}
}

static void add_capture(const struct capture *c, struct report *r, uint64_t now_ns)
{
	r->capture.mode = xstrdup(c->options.mode);
	r->capture.command = strings_clean(c->options.command);
	r->capture.started = xstrdup(c->started);
	r->capture.duration_ns = now_ns - c->began_ns;
	r->capture.detail = xstrdup(c->options.detail_full ? "full" : "count");
	r->capture.complete = true;
	r->capture.untraced_descendants = c->untraced_descendants;
	accounts_fill(r, c->kernel);
	r->capture.setup_ns = c->setup_ns;
}

/* The scheduler's tick is the resolution of the coarse clock (clock_getres(2)). */
static uint64_t tick_ns(void)
{
	struct timespec t;

	clock_getres(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Whether for every live thread both counts of switches were read at one instant. */
static bool switches_agree(const struct capture *c)
{
	const struct pool *tasks = kernel_tasks(c->kernel);

	for (uint32_t i = 1; i < tasks->nr; i++) {
		const struct task_record *t = pool_at(tasks, i);
		const struct books *b = &t->books;

		if (t->state == RECORD_LIVE && (b->seen_voluntary != b->kernel_voluntary ||
						b->seen_involuntary != b->kernel_involuntary))
			return false;
	}
	return true;
}

/* A call under way moves bytes before they are counted: a few looks must do. */
#define LOOKS_AT_SOCKETS 4

static bool books_agree(const struct capture *c, int looks)
{
	return switches_agree(c) && (looks >= LOOKS_AT_SOCKETS || socket_reader_agrees(c->sockets));
}

/*
 * A thread on another CPU may be in the middle of a switch, which the kernel has counted and the
 * program not yet; a virtual CPU can be stopped there for milliseconds. So the counts are read
 * again while they differ, up to 50 ms. A switch that was really missed differs for good.
 */
static int refresh(struct capture *c)
{
	const struct timespec pause = {.tv_nsec = 500000};
	int err = snapshot(c);

	for (int i = 0; !err && i < 100 && !books_agree(c, i); i++) {
		nanosleep(&pause, NULL);
		err = snapshot(c);
	}
	if (err)
		msg_error("read the kernel's counters of the traced threads: %s; the report would "
			  "be incomplete, run again",
			  strerror(-err));
	return err;
}

int capture_report(struct capture *c, struct report *r)
{
	uint64_t now_ns = c->has_ended ? c->ended_ns : kernel_clock_ns();
	int err = c->has_ended ? 0 : refresh(c);

	if (err)
		return err;
	capture_poll(c);
	host_fill(r);
	add_capture(c, r, now_ns);
	add_processes(c, r, now_ns);
	socket_reader_add_drops(c->sockets, &r->drops);
	report_finish(r);
	report_audit(r, tick_ns());
	return 0;
}

/* --- start and end ---------------------------------------------------------------------------- */

static bool is_found(const struct capture *c, size_t target)
{
	const struct pool *pool = kernel_processes(c->kernel);
	uint32_t pid = c->options.pids[target];
	uint64_t ticks = c->options.start_ticks[target];

	for (uint32_t i = 1; i < pool->nr; i++) {
		const struct process_record *p = pool_at(pool, i);

		if (p->state != RECORD_FREE && p->is_target && p->pid == pid &&
		    (!ticks || identity_start_ticks(p->started_ns) == ticks))
			return true;
	}
	return false;
}

static bool has_ended(pid_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

static bool are_targets_known(const void *arg)
{
	const struct capture *c = arg;

	for (size_t i = 0; i < c->options.nr_pids; i++) {
		if (!is_found(c, i) && !has_ended(c->options.pids[i]))
			return false;
	}
	return true;
}

/* -ESRCH if a target was not among the tasks that the kernel listed. */
static int check_targets(const struct capture *c)
{
	for (size_t i = 0; i < c->options.nr_pids; i++) {
		if (is_found(c, i) || kernel_lost(c->kernel, LOST_PROCESSES_FULL))
			continue;
		msg_error("process %d %s", c->options.pids[i],
			  has_ended(c->options.pids[i])
				  ? "has ended, before tracing could start"
				  : "is not in the kernel's list of tasks: it ended before tracing "
				    "could start, or the host hides it");
		return -ESRCH;
	}
	return 0;
}

static bool has_record(const struct capture *c, pid_t pid)
{
	const struct pool *pool = kernel_processes(c->kernel);

	for (uint32_t i = 1; i < pool->nr; i++) {
		const struct process_record *p = pool_at(pool, i);

		if (p->state != RECORD_FREE && p->pid == (uint32_t)pid)
			return true;
	}
	return false;
}

/* Named in a message; the report has their number. */
#define MOST_NAMED 8

/* Who is born from now on is followed; who lived already is not. */
static void note_untraced_descendants(struct capture *c)
{
	__cleanup(free) char *names = NULL;
	__cleanup(free) pid_t *pids = NULL;
	size_t nr, nr_untraced = 0;

	c->untraced_descendants = METRIC_UNKNOWN;
	if (!c->options.follow || c->options.from_exec)
		return;
	pids = descendants_of(c->options.pids, c->options.nr_pids, &nr);
	for (size_t i = 0; i < nr; i++) {
		if (has_record(c, pids[i]))
			continue;
		if (nr_untraced++ < MOST_NAMED)
			text_append(&names, ", ", xasprintf("%d", pids[i]));
	}
	c->untraced_descendants = nr_untraced;
	if (nr_untraced)
		msg_warn("%zu descendant%s of the targets lived already and %s not traced: %s%s; "
			 "name them too",
			 nr_untraced, nr_untraced == 1 ? "" : "s", nr_untraced == 1 ? "is" : "are",
			 names, nr_untraced > MOST_NAMED ? "..." : "");
}

/*
 * Records that are not emptied in time are lost: where every CPU is busy, by the load that is
 * traced or another one, our turn must come at once. It takes little of it. Without the privilege
 * (CAP_SYS_NICE) the losses are counted, as ever.
 */
static void hurry(void)
{
	if (setpriority(PRIO_PROCESS, 0, -20))
		msg_verbose("stay at the usual priority: %s", strerror(errno));
}

static int begin(struct capture *c)
{
	int err = 0;

	hurry();
	for (size_t i = 0; i < c->options.nr_pids && !err; i++)
		err = kernel_add_target(c->kernel, c->options.pids[i]);
	c->started = rfc3339_now();
	c->began_ns = kernel_clock_ns();
	c->sockets = socket_reader_new(c->kernel, c->began_ns, c->options.detail_full);
	if (!err)
		err = kernel_begin(c->kernel, are_targets_known, c);
	if (err)
		msg_error("begin to trace: %s; %s", strerror(-err),
			  err == -EMFILE ? "raise the limit of open files (ulimit -n)"
					 : "see `socktrace doctor`");
	/* Who they are, before one of them can end. */
	if (!err)
		note_processes(c);
	note_untraced_descendants(c);
	c->setup_ns = kernel_clock_ns() - c->options.setup_began_ns;
	return err ?: check_targets(c);
}

int capture_start(struct capture **cp, const struct capture_options *options)
{
	uint8_t *kinds = record_row_kinds();
	struct kernel_options ko = {
		.detail_full = options->detail_full,
		.follow = options->follow,
		.max_threads = options->max_threads,
		.max_sockets = options->max_sockets,
		.forced = options->forced,
		.nr_forced = options->nr_forced,
		.listed_call = options->from_exec ? CALL_BEFORE_EXEC : CALL_UNKNOWN,
		.row_kinds = kinds,
	};
	struct capture *c = xcalloc(1, sizeof(*c));
	int err;

	*cp = c;
	c->options = *options;
	err = identity_check_proc();
	if (err) {
		free(kinds);
		return -EOPNOTSUPP;
	}
	err = kernel_open(&c->kernel, &ko);
	free(kinds);
	if (err) {
		explain_failure(c->kernel, err);
		return err;
	}
	c->tracked = xcalloc(kernel_processes(c->kernel)->nr, sizeof(*c->tracked));
	c->owners = xcalloc(kernel_processes(c->kernel)->nr, sizeof(*c->owners));
	c->has_sockets = xcalloc(kernel_processes(c->kernel)->nr, sizeof(*c->has_sockets));
	return begin(c);
}

/*
 * A process can be waited for a moment before its last thread leaves the CPU for good. Waits for
 * that moment to pass, at most a second.
 */
static void await_last_switches(struct capture *c)
{
	const struct timespec pause = {.tv_nsec = 200000};

	for (int i = 0; i < 5000; i++) {
		bool is_ending = false;

		capture_poll(c);
		for (uint32_t p = 1; p < kernel_processes(c->kernel)->nr; p++)
			is_ending |= c->tracked[p].has_ended_record && c->tracked[p].nr_live;
		if (!is_ending)
			return;
		nanosleep(&pause, NULL);
	}
}

/*
 * How many threads and processes the kernel no longer lists, although no program saw their end:
 * nothing of theirs was counted for an unknown time. @since_ns: before the last snapshot began.
 */
static unsigned int count_vanished(const struct capture *c, uint64_t since_ns)
{
	const struct pool *tasks = kernel_tasks(c->kernel);
	const struct pool *processes = kernel_processes(c->kernel);
	unsigned int nr = 0;

	for (uint32_t i = 1; i < tasks->nr; i++) {
		const struct task_record *t = pool_at(tasks, i);

		nr += t->state == RECORD_LIVE && !t->is_ending && t->first_ns < since_ns &&
		      t->snapshot != kernel_nr_snapshots(c->kernel);
	}
	for (uint32_t i = 1; i < processes->nr; i++) {
		const struct process_record *p = pool_at(processes, i);

		nr += p->state == RECORD_LIVE && is_gone(c, p, since_ns);
	}
	return nr;
}

/* A listing can miss a thread that makes execve(2) meanwhile: what is not met again is gone. */
#define LISTINGS 3

static int refresh_at_end(struct capture *c, uint64_t *since_ns)
{
	int err = 0;

	for (int i = 0; i < LISTINGS && !err; i++) {
		*since_ns = kernel_clock_ns();
		err = refresh(c);
		if (!count_vanished(c, *since_ns))
			break;
	}
	return err;
}

int capture_end(struct capture *c)
{
	uint64_t since_ns;
	int err;

	if (c->has_ended)
		return 0;
	await_last_switches(c);
	err = refresh_at_end(c, &since_ns);
	c->ended_ns = kernel_clock_ns();
	kernel_end(c->kernel);
	c->has_ended = true;
	for (unsigned int nr = count_vanished(c, since_ns); nr; nr--)
		kernel_lose(c->kernel, LOST_VANISHED);
	return err;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; c->tracked && i < kernel_processes(c->kernel)->nr; i++)
		process_free(&c->tracked[i].process);
	free(c->tracked);
	free(c->owners);
	free(c->has_sockets);
	socket_reader_free(c->sockets);
	for (size_t i = 0; i < c->nr_finished; i++)
		process_free(&c->finished[i]);
	free(c->finished);
	free(c->started);
	kernel_close(c->kernel);
	free(c);
}
