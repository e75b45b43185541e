// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * exact [-d DIR] [-H HOOK] [-u] [-l] [PATTERN...]: one table of cells, each a way to move
 * bytes (or to fail to) through sockets of one family. The cells of all families with all ways that
 * fit them are tried, or those that one of the patterns (fnmatch(3)) names: "udp4/send-*".
 *
 * -H HOOK   of the cells, only those that this hook of socket_bytes sees (column seen_by)
 * -u        only those that it cannot see; what they move is in no account, except as
 * "unseen_bytes" -d DIR    where paths of Unix sockets are made -l        prints the names of the
 * cells and does nothing
 *
 * Its account has, beside the sockets, what became of each cell: {"cell", "pid", "result", "why",
 * "unseen_bytes", "drops"}; "skipped" is what this kernel cannot do. tests/e2e/lib/exact.py reads
 * it.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "exact.h"

#define MAX_CELLS 4000
#define LIMIT	  20 /* s for one cell; it only turns a hang into a failure */

enum { UNTRIED, RAN, SKIPPED, FAILED };

struct outcome {
	const struct family *family;
	const struct way *way;
	pid_t pid;
	int result;
	bool drops_unknown;
	uint64_t unseen_bytes;
	char why[MAX_WHY];
};

static const char *const results[] = {"untried", "ran", "skipped", "failed"};

static struct outcome *outcomes; /* shared with the cells' processes */
static unsigned int nr_cells;
static struct outcome *own;
static int hook_sees = NO_HOOK; /* ways up to this */
static char **patterns;

char buffer[BUFFER], other[BUFFER];
bool is_unseen;
uint64_t unseen_bytes;

/* --- one cell ----------------------------------------------------------------------------------
 */

static void cell_over(int result, const char *what)
{
	int error = errno;

	own->result = result;
	snprintf(own->why, sizeof(own->why), "%s%s%s", what, error ? ": " : "",
		 error ? strerror(error) : "");
	_exit(0);
}

void cell_skip(struct cell *c, const char *what)
{
	(void)c;
	cell_over(SKIPPED, what);
	__builtin_unreachable();
}

void cell_check(struct cell *c, bool ok, const char *what)
{
	(void)c;
	if (!ok)
		cell_over(FAILED, what);
}

static void figure(struct endpoint *e, const char *path, uint64_t n, bool unknown)
{
	if (unknown)
		endpoint_figure(e, path, 1, 0);
	else
		endpoint_figure(e, path, n, n);
}

/* Reads are what a program knows of datagrams that it receives. */
static void enter_datagrams(struct cell *c)
{
	struct endpoint_counts *a = &c->ea->counts, *b = &c->eb->counts;

	if (!(c->family->is & UDP) || is_unseen)
		return;
	figure(c->ea, "udp.datagrams_sent", a->send_calls + c->datagrams_sent, c->sent_unknown);
	figure(c->ea, "udp.datagrams_received", 0, false);
	figure(c->eb, "udp.datagrams_sent", 0, false);
	figure(c->eb, "udp.datagrams_received", b->receive_calls + b->trunc_calls,
	       c->received_unknown);
}

static void open_others(struct cell *c)
{
	c->file = memfd_create("exact", MFD_CLOEXEC);
	cell_check(c, c->file >= 0 && ftruncate(c->file, sizeof(buffer)) == 0, "memfd_create");
	cell_check(c, pwrite(c->file, buffer, 4096, 0) == 4096, "a file");
	cell_check(c, pipe2(c->pipe, O_CLOEXEC) == 0, "pipe");
}

static void try_cell(struct outcome *o)
{
	struct cell c = {.family = o->family, .way = o->way};

	own = o;
	own->pid = syscall(SYS_getpid);
	alarm(LIMIT);
	/* What the kernel answers; other families do not look at what they send. */
	buffer[0] = o->family->domain == AF_INET ? 8 /* ICMP_ECHO */ : (char)128 /* ICMPv6's */;
	open_others(&c);
	o->family->open(&c);
	o->way->run(&c);
	enter_datagrams(&c);
	o->drops_unknown = c.drops_unknown;
	o->unseen_bytes = unseen_bytes;
	if (c.b >= 0 && c.b != c.a)
		net_close(c.b);
	net_close(c.a);
	errno = 0;
	cell_over(RAN, "");
}

/* A report tells the cells by their numbers: one that was another's does nothing. */
static bool is_used(pid_t pid)
{
	for (unsigned int i = 0; i < nr_cells; i++)
		if (outcomes[i].pid == pid)
			return true;
	return false;
}

static void run_cell(struct outcome *o)
{
	int status;

	do {
		pid_t pid = net_fork();

		if (!pid && !is_used(syscall(SYS_getpid)))
			try_cell(o);
		if (!pid)
			_exit(0);
		status = truth_reap(pid, NULL);
	} while (!status && o->result == UNTRIED);
	if (status || o->result == UNTRIED) {
		o->result = FAILED;
		strcpy(o->why, "it hung, or was killed");
	}
}

/* --- the table ---------------------------------------------------------------------------------
 */

static bool fits(const struct family *f, const struct way *w)
{
	return (f->is & w->needs) == w->needs && (!w->either || f->is & w->either) &&
	       !(f->is & w->lacks);
}

static bool is_wanted(const struct outcome *o)
{
	char name[64];

	if ((o->way->seen_by > hook_sees) != is_unseen)
		return false;
	snprintf(name, sizeof(name), "%s/%s", o->family->name, o->way->name);
	for (char **pattern = patterns; *pattern; pattern++)
		if (!fnmatch(*pattern, name, 0))
			return true;
	return !*patterns;
}

static void add_ways(const struct family *f, const struct way *ways, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct outcome o = {.family = f, .way = &ways[i]};

		if (!fits(f, &ways[i]) || !is_wanted(&o))
			continue;
		truth_check(nr_cells < MAX_CELLS, "too many cells");
		outcomes[nr_cells++] = o;
	}
}

static void make_table(void)
{
	outcomes = mmap(NULL, MAX_CELLS * sizeof(*outcomes), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	truth_check(outcomes != MAP_FAILED, "mmap");
	for (unsigned int i = 0; i < nr_families; i++) {
		add_ways(&families[i], call_ways, nr_call_ways);
		add_ways(&families[i], error_ways, nr_error_ways);
		add_ways(&families[i], ring_ways, nr_ring_ways);
	}
}

static int list_cells(void)
{
	for (unsigned int i = 0; i < nr_cells; i++)
		printf("%s/%s\n", outcomes[i].family->name, outcomes[i].way->name);
	return 0;
}

/* --- the account -------------------------------------------------------------------------------
 */

static void (*print_sockets)(FILE *f);

static void print_more(FILE *f)
{
	print_sockets(f);
	fprintf(f, ",\n\"cells\": [");
	for (unsigned int i = 0; i < nr_cells; i++) {
		const struct outcome *o = &outcomes[i];

		fprintf(f, "%s\n {\"cell\": \"%s/%s\", \"pid\": %d, \"result\": \"%s\", ",
			i ? "," : "", o->family->name, o->way->name, o->pid, results[o->result]);
		fprintf(f, "\"why\": \"%s\", \"unseen_bytes\": %llu, \"drops\": %s}", o->why,
			(unsigned long long)o->unseen_bytes, o->drops_unknown ? "null" : "{}");
	}
	fprintf(f, "]");
}

/* Of the namespace: who may send echo requests without being root. Who may not skips them. */
static void allow_ping(void)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	truth_check(write(fd, "0 0", 3) == 3, "ping_group_range");
	close(fd);
}

int main(int argc, char **argv)
{
	const char *dir = NULL;
	bool lists = false;
	int option, failed = 0;

	while ((option = truth_getopt(argc, argv, "d:H:ul")) != -1) {
		if (option == 'd')
			dir = optarg;
		else if (option == 'H')
			hook_sees = strcmp(optarg, "calls") ? NOT_CALLS : ALL_HOOKS;
		else if (option == 'u')
			is_unseen = true;
		else
			lists = true;
	}
	patterns = &argv[optind];
	make_table();
	if (lists)
		return list_cells();
	truth_check(!dir || chdir(dir) == 0, "chdir");
	signal(SIGPIPE, SIG_IGN);
	truth_init("exact", 4);
	endpoints_init(4 * MAX_CELLS);
	print_sockets = truth_print_more;
	truth_print_more = print_more;
	truth_process_begin()->status = 0;
	net_unshare();
	allow_ping();
	truth_wait_go(NULL, 0);
	for (unsigned int i = 0; i < nr_cells; i++) {
		run_cell(&outcomes[i]);
		failed |= outcomes[i].result == FAILED;
	}
	truth_print();
	return failed;
}
