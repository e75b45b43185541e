// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/parse.h"
#include "capture/identity.h"
#include "cmd/cmd.h"
#include "cmd/targets.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

static int refuse(pid_t pid, const char *why)
{
	msg_error("process %d: %s", pid, why);
	return EXIT_UNTRUSTED;
}

/* The process that thread @tid belongs to; 0 if there is no such thread. */
static pid_t process_of(pid_t tid)
{
	__cleanup(fclose) FILE *f = NULL;
	char path[64], line[256];
	int tgid = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	}
	return tgid;
}

/* A pidfd is readable once every thread of its process has ended (pidfd_open(2)). */
static bool has_ended(int pidfd)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/* What option of /proc's mount hides processes ("hidepid=2"), freed by the caller, or NULL. */
static char *hidden_by(void)
{
	__cleanup(fclose) FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], *option;

	while (f && fgets(line, sizeof(line), f)) {
		option = strstr(line, " /proc ") ? strstr(line, "hidepid=") : NULL;
		if (option)
			return xasprintf("%.*s", (int)strcspn(option, " ,\n"), option);
	}
	return NULL;
}

/* It lives, and /proc does not show it. */
static int refuse_hidden(pid_t pid)
{
	__cleanup(free) char *option = hidden_by();

	if (!option)
		return refuse(pid, "lives, but /proc does not show it; mount proc(5) there");
	msg_error("process %d is hidden: /proc is mounted with %s; run as root with "
		  "CAP_SYS_PTRACE, or as a member of its group (gid=)",
		  pid, option);
	return EXIT_UNTRUSTED;
}

/*
 * Looks at what the pidfd holds. What is read is that process's own if the process still lives
 * afterwards: until then its number cannot be another's.
 */
static int check_kind(struct target *t)
{
	struct identity_stat stat;
	int err = identity_read_stat(t->pid, &stat);

	if (has_ended(t->pidfd))
		return refuse(t->pid, "has ended, before tracing could start");
	if (err == -ESRCH)
		return refuse_hidden(t->pid);
	if (err)
		return refuse(t->pid, "/proc shows it in a form that socktrace does not know");
	if (stat.flags & PF_KTHREAD)
		return refuse(t->pid,
			      "is a kernel thread: it makes no system calls; name a process");
	t->start_ticks = stat.start_ticks;
	return 0;
}

static int check_number(const char *text, pid_t *pid)
{
	__cleanup(free) char *shown = escape_terminal(text);
	uint64_t n;

	if (parse_u64(text, 1, INT_MAX, &n)) {
		msg_error("'%s' is not a process id: give a whole number from 1 to %d, such as "
			  "`pidof nginx` prints",
			  shown, INT_MAX);
		return EXIT_USAGE;
	}
	if ((pid_t)n == getpid()) {
		msg_error("process %d is socktrace itself; name another", (int)n);
		return EXIT_USAGE;
	}
	*pid = n;
	return 0;
}

int target_open(const char *text, struct target *t)
{
	int err = check_number(text, &t->pid);
	pid_t owner;

	if (err)
		return err;
	t->pidfd = syscall(SYS_pidfd_open, t->pid, 0);
	if (t->pidfd >= 0)
		return check_kind(t);
	if (errno == ESRCH)
		return refuse(t->pid, "no such process; look for it with ps or pidof");
	/* EINVAL, or since 6.9 ENOENT: a thread, but not its process's first (pidfd_open(2)). */
	owner = process_of(t->pid);
	if (owner && owner != t->pid) {
		msg_error(
			"%d is a thread of process %d; attach to that, all its threads are traced",
			t->pid, owner);
		return EXIT_UNTRUSTED;
	}
	return refuse(t->pid, strerror(errno));
}

unsigned int target_count_descriptors(const struct target *t)
{
	unsigned int n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", t->pid);
	dir = opendir(path);
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n > 2 ? n - 2 : 0; /* "." and ".." */
}
