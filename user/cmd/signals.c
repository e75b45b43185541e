// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/msg.h"
#include "base/streams.h"
#include "capture/clock.h"
#include "cmd/signals.h"

static const int always[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
static const int others[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGPOLL, SIGXCPU, SIGSTKFLT, SIGPWR};

/* Unless whoever started socktrace had them ignored. */
static void add_unless_ignored(sigset_t *set, int sig)
{
	struct sigaction now;

	if (!sigaction(sig, NULL, &now) && now.sa_handler != SIG_IGN)
		sigaddset(set, sig);
}

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		sigaddset(set, always[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		add_unless_ignored(set, others[i]);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		add_unless_ignored(set, i);
}

static bool is_end(const struct signalfd_siginfo *info)
{
	return info->ssi_signo != SIGUSR1 && info->ssi_signo != SIGUSR2;
}

/*
 * What the command did not get itself. From the terminal, or from the command to its whole group,
 * it did. The limit on CPU time is one for each process; timers stay with the process over
 * execve(2), so that whoever set one and then executed socktrace meant the command.
 */
static bool is_for_child(const struct signals *s, const struct signalfd_siginfo *info)
{
	if (!s->child || (pid_t)info->ssi_pid == s->child)
		return false;
	return info->ssi_code != SI_KERNEL || info->ssi_signo == SIGALRM ||
	       info->ssi_signo == SIGVTALRM || info->ssi_signo == SIGPROF;
}

static void pass_on(const struct signals *s, const struct signalfd_siginfo *info)
{
	const union sigval value = {.sival_ptr = (void *)(uintptr_t)info->ssi_ptr};

	if (info->ssi_code == SI_QUEUE && !sigqueue(s->child, info->ssi_signo, value))
		return;
	kill(s->child, info->ssi_signo);
}

/* How many that would end socktrace. */
static unsigned int take(struct signals *s)
{
	struct signalfd_siginfo info;
	unsigned int nr = 0;

	while (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
		if (is_for_child(s, &info))
			pass_on(s, &info);
		if (!is_end(&info))
			continue;
		/* Without a command to pass it on to; or our own CPU time has run out. */
		s->is_over |=
			!s->child || (info.ssi_signo == SIGXCPU && info.ssi_code == SI_KERNEL);
		s->at_ns = kernel_clock_ns();
		nr++;
	}
	return nr;
}

static unsigned int take_in_write(void *arg)
{
	return take(arg);
}

void signals_take(struct signals *s)
{
	take(s);
}

int signals_open(struct signals *s)
{
	sigset_t set;

	signal_set(&set);
	sigprocmask(SIG_BLOCK, &set, &s->was);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0) {
		int err = -errno;

		msg_error("take signals: signalfd(2): %s; close descriptors, or raise their limit",
			  strerror(-err));
		return err;
	}
	streams_watch(s->fd, take_in_write, s);
	return 0;
}

void signals_close(struct signals *s)
{
	streams_watch(-1, NULL, NULL);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}
