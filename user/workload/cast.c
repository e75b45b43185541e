// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/vec.h"
#include "workload/cast.h"
#include "workload/links.h"

/* A part prepares itself in milliseconds, thousands of threads and buffers included. */
#define READY_MS 20000
/* Without a call of the part that is waited for, for so long, nothing moves any more. */
#define STALLED_NS 20000000000ULL
/* Time for the results of another program, after its end. */
#define FOREIGN_NS 3000000000ULL

/* --- the child --------------------------------------------------------------------------- */

struct child_plan {
	const struct cast *cast;
	const struct cast_part *part;
	char **argv;
	pid_t parent;
	int go_fd, ready_fd, truth_fd;
};

static void say_child(const struct child_plan *plan, const char *what, int err)
{
	snprintf(plan->part->truth->error, sizeof(plan->part->truth->error), "%s: %s", what,
		 strerror(err));
}

/* A namespace of its own, which the parent then links to that of the part before. */
static int enter_namespace(const struct child_plan *plan)
{
	char byte = 0;

	if (!plan->cast->options.has_links)
		return 0;
	if (unshare(CLONE_NEWNET)) {
		say_child(plan,
			  errno == EPERM ? "a network namespace needs root (CAP_SYS_ADMIN)"
					 : "make a network namespace",
			  errno);
		return -1;
	}
	return write(plan->ready_fd, &byte, 1) == 1 && read(plan->go_fd, &byte, 1) == 1 ? 0 : -1;
}

static int keep_open(int fd)
{
	return fcntl(fd, F_SETFD, 0);
}

/* Ends with its parent; also asked for after the change of user, which forgets it. */
static int end_with_parent(const struct child_plan *plan)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != plan->parent ? -1 : 0;
}

__attribute__((noreturn)) static void be_part(const struct child_plan *plan)
{
	sigset_t none;
	int null, err;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpriority(PRIO_PROCESS, 0, plan->cast->options.nice);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (end_with_parent(plan) || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || enter_namespace(plan))
		_exit(1);
	err = credentials_become(plan->cast->options.as);
	if (err) {
		say_child(plan, "become an ordinary user", -err);
		_exit(1);
	}
	if (end_with_parent(plan) || keep_open(plan->go_fd) || keep_open(plan->ready_fd) ||
	    keep_open(plan->truth_fd))
		_exit(1);
	execv("/proc/self/exe", plan->argv);
	say_child(plan, "execute /proc/self/exe", errno);
	_exit(1);
}

/* --- starting ---------------------------------------------------------------------------- */

/* Link i joins role i, at its address .1, to role i + 1, at .2. */
static char *listen_address(const struct cast *c, unsigned int index)
{
	unsigned int port = c->options.workload->roles[index].is_subject ? c->options.port : 0;

	if (c->options.has_links)
		return xasprintf("10.77.%u.1:%u", index, port);
	return xasprintf("127.0.0.1:%u", port);
}

static char **part_argv(const struct cast *c, unsigned int index, const int fds[3])
{
	const struct workload *w = c->options.workload;
	size_t nr = 0, cap = 0;
	char **argv = NULL;

	*vec_push(argv, nr, cap) = xstrdup("socktrace");
	*vec_push(argv, nr, cap) = xstrdup("workload");
	*vec_push(argv, nr, cap) = xstrdup(w->name);
	*vec_push(argv, nr, cap) = xstrdup(w->roles[index].name);
	for (size_t i = 0; i < w->nr_options; i++) {
		if (w->options[i].roles & 1U << index)
			*vec_push(argv, nr, cap) =
				xasprintf("--%s=%s", w->options[i].name, c->options.texts[i]);
	}
	if (w->roles[index].listens) {
		__cleanup(free) char *address = listen_address(c, index);

		*vec_push(argv, nr, cap) = xasprintf("--listen=%s", address);
	}
	if (w->roles[index].connects)
		*vec_push(argv, nr, cap) = xasprintf("--connect=%s", c->parts[index - 1].address);
	*vec_push(argv, nr, cap) = xasprintf("--started-with=%d,%d,%d", fds[0], fds[1], fds[2]);
	*vec_push(argv, nr, cap) = NULL;
	return argv;
}

static void free_argv(char **argv)
{
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
	free(argv);
}

/* Why part @p failed, for the person. */
static void say_failed(const struct cast *c, const struct cast_part *p, const char *otherwise)
{
	__cleanup(free) char *clean =
		utf8_clean(p->truth->error, strnlen(p->truth->error, sizeof(p->truth->error)));
	__cleanup(free) char *shown = escape_terminal(clean);

	msg_error("%s %s (process %d): %s", c->options.workload->name, p->role->name, p->pid,
		  shown[0] ? shown : otherwise);
}

/* Waits for a byte of the part. 0; -1: it ended instead, or takes too long, or @wake_fd says so. */
static int await_byte(struct cast *c, struct cast_part *p, int wake_fd)
{
	struct pollfd fds[] = {{p->ready_fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
	char byte;
	int nr;

	do {
		nr = poll(fds, 2, READY_MS);
	} while (nr < 0 && errno == EINTR);
	if (nr > 0 && fds[1].revents)
		return -1;
	if (nr > 0 && read(p->ready_fd, &byte, 1) == 1)
		return 0;
	say_failed(c, p, nr ? "it ended before it was ready" : "it is not ready after 20 s");
	return -1;
}

/* What the part needs besides itself: its links, to the part before and to the one after. */
static int link_part(struct cast *c, unsigned int index, int wake_fd)
{
	struct cast_part *p = &c->parts[index];
	char byte = 0;

	if (!c->options.has_links)
		return 0;
	if (await_byte(c, p, wake_fd))
		return -1;
	if (index && links_join(c->parts[index - 1].pid, p->pid, index - 1))
		return -1;
	if (index + 1 < c->options.workload->nr_roles && links_open(p->pid, index))
		return -1;
	return write(p->go_fd, &byte, 1) == 1 ? 0 : -1;
}

/* Where it listens, by its own word. */
static int take_address(const struct cast *c, struct cast_part *p)
{
	struct sockaddr_in address;

	snprintf(p->address, sizeof(p->address), "%.*s", (int)sizeof(p->truth->address) - 1,
		 p->truth->address);
	if (!p->role->listens || !address_parse(p->address, &address))
		return 0;
	say_failed(c, p, "it does not say where it listens");
	return -1;
}

static int fork_part(struct cast *c, unsigned int index, struct child_plan *plan)
{
	struct cast_part *p = &c->parts[index];
	int fds[3] = {plan->go_fd, plan->ready_fd, plan->truth_fd};

	plan->argv = part_argv(c, index, fds);
	p->pid = fork();
	if (!p->pid)
		be_part(plan);
	free_argv(plan->argv);
	if (p->pid < 0)
		return -errno;
	p->pidfd = syscall(SYS_pidfd_open, p->pid, 0);
	return p->pidfd < 0 ? -errno : 0;
}

/* Memory and pipes between the part and us; the part's ends are in @plan. */
static int open_channels(struct cast_part *p, struct child_plan *plan)
{
	int go[2], ready[2];

	/* Its size stays: whoever may write to it cannot take pages from under us. */
	plan->truth_fd = memfd_create("truth", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (plan->truth_fd < 0 || ftruncate(plan->truth_fd, sizeof(struct truth)) ||
	    fcntl(plan->truth_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	p->truth = mmap(NULL, sizeof(*p->truth), PROT_READ | PROT_WRITE, MAP_SHARED, plan->truth_fd,
			0);
	if (p->truth == MAP_FAILED) {
		p->truth = NULL;
		return -errno;
	}
	if (pipe2(go, O_CLOEXEC))
		return -errno;
	plan->go_fd = go[0];
	p->go_fd = go[1];
	if (pipe2(ready, O_CLOEXEC))
		return -errno;
	p->ready_fd = ready[0];
	plan->ready_fd = ready[1];
	return 0;
}

static int start_part(struct cast *c, unsigned int index, int wake_fd)
{
	struct cast_part *p = &c->parts[index];
	struct child_plan plan = {
		.cast = c,
		.part = p,
		.parent = getpid(),
		.go_fd = -1,
		.ready_fd = -1,
		.truth_fd = -1,
	};
	int err;

	*p = (struct cast_part){
		.role = &c->options.workload->roles[index],
		.pidfd = -1,
		.go_fd = -1,
		.ready_fd = -1,
	};
	c->nr_parts = index + 1;
	err = open_channels(p, &plan) ?: fork_part(c, index, &plan);
	if (plan.go_fd >= 0)
		close(plan.go_fd);
	if (plan.ready_fd >= 0)
		close(plan.ready_fd);
	if (plan.truth_fd >= 0)
		close(plan.truth_fd);
	if (err) {
		msg_error("start %s %s: %s", c->options.workload->name, p->role->name,
			  strerror(-err));
		return -1;
	}
	return link_part(c, index, wake_fd) ?: await_byte(c, p, wake_fd) ?: take_address(c, p);
}

int cast_start(struct cast *c, const struct cast_options *options, int wake_fd)
{
	*c = (struct cast){.options = *options};
	for (unsigned int i = 0; i < options->workload->nr_roles; i++) {
		if (start_part(c, i, wake_fd))
			return -1;
	}
	return 0;
}

/* --- running ------------------------------------------------------------------------------ */

static int tell(struct cast *c, struct cast_part *p)
{
	if (write(p->go_fd, "", 1) == 1)
		return 0;
	say_failed(c, p, "it ended before its time");
	return -1;
}

int cast_go(struct cast *c)
{
	for (size_t i = 0; i < c->nr_parts; i++) {
		if (tell(c, &c->parts[i]))
			return -1;
	}
	c->progress_ns = part_now_ns();
	return 0;
}

/* The load has ended: the others finish. */
static int stop_others(struct cast *c)
{
	c->is_stopping = true;
	c->stop_ns = c->progress_ns = part_now_ns();
	for (size_t i = 0; i + 1 < c->nr_parts; i++) {
		if (!c->parts[i].has_ended && tell(c, &c->parts[i]))
			return -1;
	}
	return 0;
}

/* Whether the part has ended, and how; it stays to be waited for. */
static bool has_ended(const struct cast_part *p, siginfo_t *info)
{
	*info = (siginfo_t){};
	return !waitid(P_PIDFD, p->pidfd, info, WEXITED | WNOHANG | WNOWAIT) && info->si_pid;
}

static bool was_killed(const siginfo_t *info)
{
	return info->si_code != CLD_EXITED;
}

static void say_how_it_ended(const struct cast *c, const struct cast_part *p, const siginfo_t *info)
{
	__cleanup(free) char *how = xasprintf(was_killed(info) ? "it was killed by signal %d"
							       : "it ended with status %d",
					      info->si_status);

	if (was_killed(info))
		msg_error("%s %s (process %d): %s", c->options.workload->name, p->role->name,
			  p->pid, how);
	else
		say_failed(c, p, how);
}

/*
 * Part @p failed, perhaps because another one was killed: its peers see its connections end before
 * we see its process end. Says what was first, as far as that shows within a moment.
 */
static void say_first_failure(const struct cast *c, const struct cast_part *p,
			      const siginfo_t *info)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	for (int looks = 0; looks < 20 && !was_killed(info); looks++) {
		for (size_t i = 0; i < c->nr_parts; i++) {
			siginfo_t other;

			if (c->parts[i].has_ended || !has_ended(&c->parts[i], &other) ||
			    !was_killed(&other))
				continue;
			say_how_it_ended(c, &c->parts[i], &other);
			return;
		}
		nanosleep(&pause, NULL);
	}
	say_how_it_ended(c, p, info);
}

/* What another program did, or why it failed, is told by who listens to it: a little later. */
static bool may_still_say_why(const struct cast_part *p)
{
	return p->truth->is_foreign && !p->truth->error[0] &&
	       part_now_ns() - p->ended_ns < FOREIGN_NS;
}

/* The part has ended without a failure. 1: it is done; 0: its results are on their way; -1. */
static int look_at_results(struct cast *c, struct cast_part *p)
{
	bool is_load = p == &c->parts[c->nr_parts - 1];
	uint64_t since_ns = p->ended_ns > c->stop_ns ? p->ended_ns : c->stop_ns;
	siginfo_t info;

	if (__atomic_load_n(&p->truth->is_complete, __ATOMIC_ACQUIRE)) {
		if (!is_load && !c->is_stopping) {
			say_failed(c, p, "it ended before the load did");
			return -1;
		}
		p->has_ended = waitid(P_PIDFD, p->pidfd, &info, WEXITED) == 0;
		return p->has_ended;
	}
	/* Of another program that serves they come after the stop. */
	if ((!is_load && !c->is_stopping) || part_now_ns() - since_ns < FOREIGN_NS)
		return 0;
	say_failed(c, p, "it ended without its results");
	return -1;
}

/* 1: the part ended well; 0: it goes on; -1: it failed. */
static int look_at(struct cast *c, struct cast_part *p)
{
	siginfo_t info;

	if (!has_ended(p, &info))
		return 0;
	if (!p->ended_ns)
		p->ended_ns = part_now_ns();
	if (!was_killed(&info) && !info.si_status)
		return look_at_results(c, p);
	if (!was_killed(&info) && may_still_say_why(p))
		return 0;
	say_first_failure(c, p, &info);
	return -1;
}

static uint64_t nr_calls(const struct truth *t)
{
	uint64_t sum = 0;

	for (int i = 0; i < NR_COUNTED_CALLS; i++)
		sum += __atomic_load_n(&t->tally.of[i].calls, __ATOMIC_RELAXED);
	return sum;
}

/* The load; once it has ended, the first part that has not. */
static const struct cast_part *awaited(const struct cast *c)
{
	size_t i = c->is_stopping ? 0 : c->nr_parts - 1;

	while (i + 1 < c->nr_parts && c->parts[i].has_ended)
		i++;
	return &c->parts[i];
}

/* Whether all moves on as it should. */
static int look_for_stall(struct cast *c)
{
	const struct cast_part *p = awaited(c);
	uint64_t now_ns = part_now_ns(), calls = nr_calls(p->truth);

	/* Another program's progress is not seen; it has limits of its own. */
	if (calls != c->progress_calls || (p->truth->is_foreign && !c->is_stopping)) {
		c->progress_calls = calls;
		c->progress_ns = now_ns;
	}
	if (now_ns - c->progress_ns < STALLED_NS)
		return 0;
	say_failed(c, p,
		   c->is_stopping ? "it did not come to its end within 20 s"
				  : "it made no system call for 20 s: the load is stuck");
	return -1;
}

int cast_poll(struct cast *c)
{
	size_t nr_ended = 0;

	for (size_t i = 0; i < c->nr_parts; i++) {
		struct cast_part *p = &c->parts[i];
		int state = p->has_ended ? 1 : look_at(c, p);

		if (state < 0)
			return -1;
		nr_ended += state;
		if (state && i + 1 == c->nr_parts && !c->is_stopping && stop_others(c))
			return -1;
	}
	return nr_ended == c->nr_parts ? 1 : look_for_stall(c);
}

void cast_copy_truth(const struct cast_part *p, struct truth *copy)
{
	*copy = *(const volatile struct truth *)p->truth;
	if (copy->nr_facts > MAX_FACTS)
		copy->nr_facts = MAX_FACTS;
	if (copy->nr_results > MAX_FACTS)
		copy->nr_results = MAX_FACTS;
	for (int i = 0; i < MAX_FACTS; i++) {
		copy->facts[i].name[FACT_NAME_LEN - 1] = '\0';
		copy->results[i].name[FACT_NAME_LEN - 1] = '\0';
	}
}

/* --- the end ------------------------------------------------------------------------------ */

static void close_part(struct cast_part *p)
{
	siginfo_t info;

	if (p->pidfd >= 0 && !p->has_ended) {
		kill(p->pid, SIGKILL); /* not waited for yet: nobody else has its number */
		while (waitid(P_PIDFD, p->pidfd, &info, WEXITED) && errno == EINTR)
			;
	}
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (p->go_fd >= 0)
		close(p->go_fd);
	if (p->ready_fd >= 0)
		close(p->ready_fd);
	if (p->truth)
		munmap(p->truth, sizeof(*p->truth));
}

void cast_close(struct cast *c)
{
	for (size_t i = 0; i < c->nr_parts; i++)
		close_part(&c->parts[i]);
	c->nr_parts = 0;
}
