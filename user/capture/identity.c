// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/msg.h"
#include "base/strings.h"
#include "capture/clock.h"
#include "capture/identity.h"

/* More of a /proc file is not read: a process can make its command line as long as it likes. */
#define MAX_PROC_BYTES (128 * 1024)

/* A /proc file, NUL-terminated; NULL if it cannot be read. */
static char *read_proc(pid_t pid, const char *file, size_t *len)
{
	__cleanup(close_fd) int fd = -1;
	size_t cap = 4096;
	char path[64], *text;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = xcalloc(1, cap);
	*len = 0;
	while (*len < MAX_PROC_BYTES && (n = read(fd, text + *len, cap - *len - 1)) > 0) {
		*len += n;
		if (*len + 1 == cap)
			text = xrealloc(text, cap *= 2);
	}
	text[*len] = '\0';
	return text;
}

/* NUL-separated strings, as execve(2) lays them out. */
static char **split(const char *args, size_t len)
{
	char **list;
	size_t nr = 0;

	/* A process that shortens its title leaves NULs behind it. */
	while (len > 1 && !args[len - 1] && !args[len - 2])
		len--;
	for (size_t i = 0; i < len; i++)
		nr += args[i] == '\0' || i + 1 == len;
	list = xcalloc(nr + 1, sizeof(*list));
	nr = 0;
	for (size_t i = 0; i < len;) {
		size_t n = strnlen(args + i, len - i);

		list[nr++] = utf8_clean(args + i, n);
		i += n + 1;
	}
	return list;
}

static void set_exe(struct process *p, char *exe)
{
	free(p->exe);
	p->exe = exe;
}

static void set_cmdline(struct process *p, char **cmdline)
{
	strings_free(p->cmdline);
	p->cmdline = cmdline;
}

/*
 * The name in /proc/PID/stat may hold blanks, parentheses and newlines: what is read begins behind
 * the file's last ')' (proc(5)).
 */
int identity_read_stat(pid_t pid, struct identity_stat *stat)
{
	unsigned long long start;
	char *after_comm;
	size_t len;
	__cleanup(free) char *text = read_proc(pid, "stat", &len);

	if (!text || !len)
		return -ESRCH;
	after_comm = strrchr(text, ')');
	if (!after_comm || sscanf(after_comm + 1,
				  " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				  "%*d %*d %*d %llu",
				  &stat->state, &stat->parent, &stat->flags, &start) != 4)
		return -EINVAL;
	stat->start_ticks = start;
	return 0;
}

uint64_t identity_start_ticks(uint64_t started_ns)
{
	return (started_ns + boottime_offset_ns()) / (1000000000 / sysconf(_SC_CLK_TCK));
}

static bool is_same_process(pid_t pid, uint64_t started_ns)
{
	struct identity_stat stat;

	return !identity_read_stat(pid, &stat) &&
	       stat.start_ticks == identity_start_ticks(started_ns);
}

static bool fill_from_proc(struct process *p)
{
	__cleanup(free) char *args = NULL;
	char link[64], exe[4096];
	ssize_t n;
	size_t len;

	snprintf(link, sizeof(link), "/proc/%d/exe", p->pid);
	n = readlink(link, exe, sizeof(exe));
	args = read_proc(p->pid, "cmdline", &len);
	if (n <= 0 || !args || !len || !is_same_process(p->pid, p->started_ns))
		return false;
	set_exe(p, utf8_clean(exe, n));
	set_cmdline(p, split(args, len));
	return true;
}

void identity_fill(struct process *p, const struct process_record *record,
		   const struct process *parent)
{
	if (record->state == RECORD_LIVE && fill_from_proc(p))
		return;
	if (record->execs) {
		set_exe(p, utf8_clean(record->filename,
				      strnlen(record->filename, sizeof(record->filename))));
		if (record->args_len)
			set_cmdline(p, split(record->args, record->args_len));
	} else if (!p->exe && parent && parent->exe) {
		set_exe(p, xstrdup(parent->exe));
		if (parent->cmdline)
			set_cmdline(p, strings_copy(parent->cmdline));
	}
}

uint64_t identity_rss_peak(pid_t pid)
{
	size_t len;
	__cleanup(free) char *status = read_proc(pid, "status", &len);
	const char *line = status ? strstr(status, "\nVmHWM:") : NULL;
	unsigned long long kib;

	if (!line || sscanf(line, "\nVmHWM: %llu kB", &kib) != 1)
		return METRIC_UNKNOWN;
	return kib * 1024;
}

int identity_check_proc(void)
{
	char self[32], shown[32];
	ssize_t len = readlink("/proc/self", shown, sizeof(shown) - 1);

	snprintf(self, sizeof(self), "%d", getpid());
	if (len < 0) {
		msg_error("/proc does not show this process: %s; mount proc(5) there",
			  strerror(errno));
		return -ENOTSUP;
	}
	shown[len] = 0;
	if (!strcmp(self, shown))
		return 0;
	msg_error("/proc shows another PID namespace: this process is %s, and there %s; mount "
		  "proc(5) anew, as `unshare --mount-proc` does",
		  self, shown);
	return -ENOTSUP;
}
