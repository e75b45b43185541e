// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* --- figures --------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double quantile(double *v, int n, double share)
{
	double at = share * (n - 1);
	int below = at;

	qsort(v, n, sizeof(*v), by_value);
	if (below + 1 >= n)
		return v[n - 1];
	return v[below] + (at - below) * (v[below + 1] - v[below]);
}

double median(double *v, int n)
{
	return quantile(v, n, 0.5);
}

unsigned long number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end || end == text || *text == '-' || errno || n < min || n > max) {
		fprintf(stderr, "%s: not a number of %lu to %lu: %s\n",
			program_invocation_short_name, min, max, text);
		exit(2);
	}
	return n;
}

void run_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");
}

/* --- the tracer ------------------------------------------------------------------------------ */

static void become_tracer(const char *const argv[], int cpu, int said)
{
	int null = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (cpu >= 0)
		run_on(cpu);
	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(said, STDERR_FILENO) < 0)
		die("redirect the tracer");
	execv(argv[0], (char *const *)argv);
	die(argv[0]);
}

/* Up to @size - 1 bytes of what it says, until @word appears in it or it ends. Whether it did. */
static bool read_until(int said, const char *word, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	text[0] = '\0';
	while (len < size - 1 && (n = read(said, text + len, size - 1 - len)) > 0) {
		len += n;
		text[len] = '\0';
		if (word && strstr(text, word))
			return true;
	}
	return false;
}

struct tracer tracer_start(const char *const argv[], int cpu)
{
	struct tracer t;
	char text[4096];
	int said[2];

	if (pipe2(said, O_CLOEXEC))
		die("pipe");
	t.pid = fork();
	if (t.pid < 0)
		die("fork");
	if (!t.pid)
		become_tracer(argv, cpu, said[1]);
	close(said[1]);
	t.said = said[0];
	if (read_until(t.said, "; Ctrl-C ends it", text, sizeof(text)))
		return t;
	fputs(text, stderr);
	errno = ECHILD;
	die("the tracer did not begin to trace");
}

int tracer_stop(const struct tracer *t)
{
	char text[4096];
	int status;

	kill(t->pid, SIGINT);
	read_until(t->said, NULL, text, sizeof(text));
	close(t->said);
	if (waitpid(t->pid, &status, 0) != t->pid)
		die("waitpid");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	fprintf(stderr, "%s%s: the tracer ended with status %#x\n", text,
		program_invocation_short_name, status);
	return -1;
}
