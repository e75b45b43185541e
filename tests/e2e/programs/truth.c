// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "truth.h"

#define ARENA_VARIABLE "SOCKTRACE_TRUTH_FD"
#define MAX_PROCESSES  4096

struct arena {
	char program[16];
	char output[256];
	uint32_t max_threads;
	_Atomic uint32_t nr_processes, nr_threads;
	uint8_t wait_go;
	struct truth_process processes[MAX_PROCESSES];
	struct truth_thread threads[];
};

__thread struct truth_thread *truth_me;
void (*truth_print_more)(FILE *f);

static struct arena *arena;
static struct truth_process *own_process;
static const char *output = "";
static bool wait_go;

#if defined(__x86_64__)
static const char native_abi[] = "x86_64";
#elif defined(__i386__)
static const char native_abi[] = "i386";
#elif defined(__aarch64__)
static const char native_abi[] = "aarch64";
#else
#error "name the ABI of this architecture as reports do"
#endif

void truth_fail(const char *what)
{
	fprintf(stderr, "test program: %s: %s\n", what, strerror(errno));
	/* Whoever waits for this process must not wait for ever. */
	if (arena && arena->nr_processes && arena->processes[0].pid != getpid())
		kill(arena->processes[0].pid, SIGKILL);
	_exit(99);
}

void truth_check(bool ok, const char *what)
{
	if (!ok)
		truth_fail(what);
}

unsigned long truth_number(const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		errno = EINVAL;
		truth_fail(text);
	}
	return value;
}

int truth_getopt(int argc, char **argv, const char *optstring)
{
	char all[64];
	int option;

	snprintf(all, sizeof(all), "o:g%s", optstring);
	while ((option = getopt(argc, argv, all)) != -1) {
		if (option == 'o')
			output = optarg;
		else if (option == 'g')
			wait_go = true;
		else if (option == '?')
			exit(99);
		else
			return option;
	}
	return -1;
}

bool truth_is_wanted(const char *name, int argc, char **argv)
{
	for (int i = optind; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return optind == argc;
}

static int arena_fd(const char *program, unsigned int threads, size_t *size)
{
	const char *inherited = getenv(ARENA_VARIABLE);
	char number[16];
	int fd;

	*size = sizeof(struct arena) + threads * sizeof(struct truth_thread);
	if (inherited)
		return truth_number(inherited, 3, 1023);
	fd = memfd_create(program, 0);
	truth_check(fd >= 0, "memfd_create");
	/* Out of the way, so that programs may close or count low descriptors. */
	truth_check(dup2(fd, 1000) == 1000, "dup2");
	close(fd);
	truth_check(ftruncate(1000, *size) == 0, "ftruncate");
	snprintf(number, sizeof(number), "%d", 1000);
	setenv(ARENA_VARIABLE, number, 1);
	return 1000;
}

void truth_init(const char *program, unsigned int threads)
{
	size_t size;
	int fd = arena_fd(program, threads, &size);

	arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	truth_check(arena != MAP_FAILED, "mmap");
	if (arena->max_threads) {
		truth_check(arena->max_threads == threads,
			    "truth_init: other size than before exec");
		return;
	}
	arena->max_threads = threads;
	arena->wait_go = wait_go;
	snprintf(arena->program, sizeof(arena->program), "%s", program);
	truth_check(strlen(output) < sizeof(arena->output), "name of the output file");
	strcpy(arena->output, output);
}

struct truth_process *truth_process_new(pid_t pid)
{
	uint32_t index = atomic_fetch_add(&arena->nr_processes, 1);
	struct truth_process *p = &arena->processes[index];

	truth_check(index < MAX_PROCESSES, "too many processes");
	p->pid = pid;
	p->status = -1;
	return p;
}

struct truth_thread *truth_thread_new(struct truth_process *p, pid_t tid)
{
	uint32_t index = atomic_fetch_add(&arena->nr_threads, 1);
	struct truth_thread *t = &arena->threads[index];

	truth_check(index < arena->max_threads, "too many threads");
	t->process = p - arena->processes;
	t->tid = tid;
	return t;
}

struct truth_thread *truth_thread_begin(void)
{
	truth_me = truth_thread_new(own_process, syscall(SYS_gettid));
	return truth_me;
}

struct truth_process *truth_process_begin(void)
{
	own_process = truth_process_new(syscall(SYS_getpid));
	truth_thread_begin();
	return own_process;
}

uint32_t truth_thread_index(const struct truth_thread *t)
{
	return t - arena->threads;
}

struct truth_thread *truth_thread_at(uint32_t index)
{
	truth_check(index < arena->nr_threads, "no such thread");
	truth_me = &arena->threads[index];
	own_process = &arena->processes[truth_me->process];
	return truth_me;
}

struct truth_process *truth_process_of(const struct truth_thread *t)
{
	return &arena->processes[t->process];
}

struct truth_call *truth_of_abi(struct truth_thread *t, const char *name, const char *abi)
{
	struct truth_call *c;

	for (uint32_t i = 0; i < t->nr_calls; i++)
		if (!strcmp(t->calls[i].name, name) && !strcmp(t->calls[i].abi, abi))
			return &t->calls[i];
	truth_check(t->nr_calls < TRUTH_CALLS, "too many kinds of calls");
	truth_check(strlen(name) < sizeof(c->name), "name of a call");
	c = &t->calls[t->nr_calls++];
	strcpy(c->name, name);
	strcpy(c->abi, abi);
	return c;
}

struct truth_call *truth_of(struct truth_thread *t, const char *name)
{
	return truth_of_abi(t, name, native_abi);
}

void truth_error(struct truth_call *c, int error, unsigned int count)
{
	for (int i = 0; i < TRUTH_ERRORS; i++) {
		struct truth_error *e = &c->errors[i];

		if (e->error && e->error != error)
			continue;
		e->error = error;
		e->count += count;
		return;
	}
	truth_fail("too many kinds of errors");
}

static struct truth_call *enter(const char *name, long ret)
{
	struct truth_call *c = truth_of(truth_me, name);

	c->calls++;
	if (ret == -1)
		truth_error(c, errno, 1);
	return c;
}

long truth_returned(const char *name, long ret)
{
	int saved = errno;

	enter(name, ret);
	errno = saved;
	return ret;
}

long truth_moved(const char *name, long ret)
{
	int saved = errno;
	struct truth_call *c = enter(name, ret);

	c->moves_bytes = 1;
	if (ret > 0)
		c->bytes += ret;
	errno = saved;
	return ret;
}

void truth_bound(struct truth_thread *t, const char *field, uint64_t min, uint64_t max)
{
	struct truth_bound *b = &t->bounds[t->nr_bounds++];

	truth_check(t->nr_bounds <= TRUTH_BOUNDS, "too many bounds");
	snprintf(b->field, sizeof(b->field), "%s", field);
	b->min = min;
	b->max = max;
}

void truth_bound_add(struct truth_thread *t, const char *field, uint64_t n)
{
	for (uint32_t i = 0; i < t->nr_bounds; i++) {
		if (strcmp(t->bounds[i].field, field))
			continue;
		t->bounds[i].min += n;
		t->bounds[i].max += n;
		return;
	}
	truth_bound(t, field, n, n);
}

/*
 * poll, readv and writev instead of stdio: programs compare read and write. A file is written
 * through a mapping for the same reason.
 */
static void say(const char *text)
{
	struct iovec v = {.iov_base = (void *)text, .iov_len = strlen(text)};

	truth_check(writev(STDOUT_FILENO, &v, 1) == (ssize_t)v.iov_len, "writev");
}

void truth_pause(const char *word)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char byte;
	struct iovec v = {.iov_base = &byte, .iov_len = 1};
	char line[64];

	snprintf(line, sizeof(line), "%s\n", word);
	say(line);
	while (poll(&in, 1, -1) < 0)
		truth_check(errno == EINTR, "poll");
	truth_check(readv(STDIN_FILENO, &v, 1) >= 0, "readv");
}

bool truth_waits(void)
{
	return arena->wait_go;
}

void truth_wait_go(const pid_t *pids, unsigned int nr)
{
	char *line = NULL;
	size_t length;
	FILE *f;

	if (!arena->wait_go)
		return;
	f = open_memstream(&line, &length);
	truth_check(f, "open_memstream");
	fprintf(f, "ready");
	for (unsigned int i = 0; i < nr; i++)
		fprintf(f, " %d", pids[i]);
	fclose(f);
	truth_pause(line);
	free(line);
}

static void print_call(FILE *f, const struct truth_call *c)
{
	fprintf(f, "{\"name\": \"%s\", \"abi\": \"%s\", \"calls\": %llu, \"restarts\": %llu, ",
		c->name, c->abi, (unsigned long long)c->calls, (unsigned long long)c->restarts);
	fprintf(f, "\"denied\": %llu, \"no_return\": %llu, \"in_flight_start\": %llu, ",
		(unsigned long long)c->denied, (unsigned long long)c->no_return,
		(unsigned long long)c->in_flight_start);
	fprintf(f, "\"in_flight\": %llu, \"thread_only\": %s, ", (unsigned long long)c->in_flight,
		c->thread_only ? "true" : "false");
	if (c->moves_bytes)
		fprintf(f, "\"bytes\": %llu, ", (unsigned long long)c->bytes);
	fprintf(f, "\"errnos\": {");
	for (int i = 0; i < TRUTH_ERRORS && c->errors[i].error; i++)
		fprintf(f, "%s\"%s\": %u", i ? ", " : "", strerrorname_np(c->errors[i].error),
			c->errors[i].count);
	fprintf(f, "}}");
}

static void print_thread(FILE *f, const struct truth_thread *t)
{
	fprintf(f, "{\"tid\": %d, \"alive\": %s, \"early\": %s, \"calls\": [", t->tid,
		t->alive ? "true" : "false", t->early ? "true" : "false");
	for (uint32_t i = 0; i < t->nr_calls; i++) {
		fputs(i ? ",\n    " : "\n    ", f);
		print_call(f, &t->calls[i]);
	}
	fprintf(f, "], \"bounds\": [");
	for (uint32_t i = 0; i < t->nr_bounds; i++)
		fprintf(f, "%s{\"field\": \"%s\", \"min\": %llu, \"max\": %llu}", i ? ", " : "",
			t->bounds[i].field, (unsigned long long)t->bounds[i].min,
			(unsigned long long)t->bounds[i].max);
	fprintf(f, "]}");
}

static void print_process(FILE *f, uint32_t index)
{
	const struct truth_process *p = &arena->processes[index];
	bool first = true;

	fprintf(f, "{\"pid\": %d, \"alive\": %s, \"early\": %s, ", p->pid,
		p->alive ? "true" : "false", p->early ? "true" : "false");
	if (p->status != -1 && WIFEXITED(p->status))
		fprintf(f, "\"exit_status\": %d, ", WEXITSTATUS(p->status));
	else if (p->status != -1)
		fprintf(f, "\"exit_status\": %d, \"term_signal\": \"SIG%s\", ",
			128 + WTERMSIG(p->status), sigabbrev_np(WTERMSIG(p->status)));
	fprintf(f, "\"threads\": [");
	for (uint32_t i = 0; i < arena->nr_threads; i++) {
		if (arena->threads[i].process != index)
			continue;
		fputs(first ? "\n  " : ",\n  ", f);
		first = false;
		print_thread(f, &arena->threads[i]);
	}
	fprintf(f, "]}");
}

static void write_mapped(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	char *map;

	truth_check(fd >= 0 && ftruncate(fd, length) == 0, path);
	map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	truth_check(map != MAP_FAILED, path);
	memcpy(map, text, length);
	truth_check(munmap(map, length) == 0 && close(fd) == 0, path);
}

void truth_print(void)
{
	char *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);

	truth_check(f, "open_memstream");
	fprintf(f, "{\"program\": \"%s\", \"processes\": [", arena->program);
	for (uint32_t i = 0; i < arena->nr_processes; i++) {
		fputs(i ? ",\n " : "\n ", f);
		print_process(f, i);
	}
	fprintf(f, "]");
	if (truth_print_more)
		truth_print_more(f);
	fprintf(f, "}\n");
	truth_check(fclose(f) == 0, "open_memstream");
	if (arena->output[0])
		write_mapped(arena->output, text, length);
	else
		say(text);
	free(text);
}

static void slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	truth_check(length >= 0, path);
	text[length] = 0;
	close(fd);
}

void truth_task_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
	slurp(path, text, size);
}

char truth_task_state(pid_t pid, pid_t tid)
{
	char text[512];
	char *end;

	truth_task_file(pid, tid, "stat", text, sizeof(text));
	end = strrchr(text, ')');
	truth_check(end, "stat");
	return end[2];
}

/*
 * The state comes first: "syscall" still shows the call of a thread that is stopped, or about to
 * be woken, on its way out of it.
 */
void truth_wait_blocked(pid_t pid, pid_t tid, long nr)
{
	char text[256], want[16];

	snprintf(want, sizeof(want), "%ld ", nr);
	do {
		while (truth_task_state(pid, tid) != 'S')
			sched_yield();
		truth_task_file(pid, tid, "syscall", text, sizeof(text));
	} while (strncmp(text, want, strlen(want)));
}

int truth_reap(pid_t pid, struct truth_process *p)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		truth_check(errno == EINTR, "waitpid");
	if (p)
		p->status = status;
	return status;
}
