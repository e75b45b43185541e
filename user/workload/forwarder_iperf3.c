// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/vec.h"
#include "workload/forwarder.h"

/*
 * The parts server and client of the load iperf3. The part's own process becomes iperf3. Before
 * that it makes a second one, the watcher, which reads what iperf3 writes, goes on as the part
 * towards who started it, and has no other purpose: it ends once iperf3 has, whatever the reason,
 * because then nobody has the other end of the pipe any more.
 */

#define LISTEN_MS  10000
#define MAX_OUTPUT (4 << 20)

struct program {
	struct part *part;
	char *path; /* of iperf3 */
	pid_t pid;  /* of the part, and of iperf3 */
	int output; /* the watcher's end of the pipe */
	char *text; /* what came out of it, NUL-terminated */
	size_t nr, cap;
};

/* --- becoming iperf3 ----------------------------------------------------------------------- */

/* The path of iperf3; the caller frees it. NULL after part_fail(). */
static char *find_iperf3(struct part *p)
{
	const char *dirs = getenv("PATH") ?: "/usr/bin:/bin";

	while (*dirs) {
		size_t len = strcspn(dirs, ":");
		__cleanup(free) char *path = xasprintf("%.*s/iperf3", (int)len, dirs);

		if (!access(path, X_OK))
			return xstrdup(path);
		dirs += len + (dirs[len] == ':');
	}
	part_fail(p, "iperf3 is not installed: apt install iperf3");
	return NULL;
}

/* The watcher gets 0 and the pipe in @g; the part gets 1 and the pipe's other end in @input. */
static int split(struct part *p, struct program *g, int *input)
{
	int fds[2];
	pid_t watcher;

	*g = (struct program){.part = p, .path = find_iperf3(p), .pid = getpid()};
	if (!g->path)
		return -1;
	p->truth->is_foreign = 1;
	if (pipe2(fds, O_CLOEXEC))
		return part_fail(p, "pipe: %s", strerror(errno));
	watcher = fork();
	if (watcher < 0)
		return part_fail(p, "fork: %s", strerror(errno));
	close(fds[watcher ? 0 : 1]);
	g->output = fds[0];
	*input = fds[1];
	return watcher > 0;
}

/* Returns only if that fails: -1. */
static int become_iperf3(const struct program *g, int input, char **argv)
{
	struct part *p = g->part;
	sigset_t none;

	sigemptyset(&none);
	/* What concerns socktrace alone is not for iperf3: its descriptors, its signals. */
	if (fcntl(p->stop_fd, F_SETFD, FD_CLOEXEC) ||
	    (p->ready_fd >= 0 && fcntl(p->ready_fd, F_SETFD, FD_CLOEXEC)) ||
	    dup2(input, STDOUT_FILENO) < 0 || dup2(input, STDERR_FILENO) < 0 ||
	    sigprocmask(SIG_SETMASK, &none, NULL))
		return part_fail(p, "prepare to be iperf3: %s", strerror(errno));
	execv(g->path, argv);
	return part_fail(p, "execute %s: %s", g->path, strerror(errno));
}

/* --- the watcher --------------------------------------------------------------------------- */

/*
 * Reads what is there, or comes within @ms (-1: at some time). 1: more was read, 0: the end. -1
 * after part_fail(): neither, and iperf3 was ended.
 */
static int read_more(struct program *g, int ms)
{
	struct pollfd fd = {.fd = g->output, .events = POLLIN};
	char bytes[4096];
	ssize_t nr = poll(&fd, 1, ms);

	if (nr > 0)
		nr = read(g->output, bytes, sizeof(bytes));
	else if (!nr)
		errno = ETIMEDOUT;
	if ((!nr && fd.revents) || (nr > 0 && g->nr + nr > MAX_OUTPUT))
		return 0;
	if (nr <= 0) {
		part_fail(g->part, "iperf3: %s", strerror(errno));
		if (getppid() == g->pid) /* else it is not there any more */
			kill(g->pid, SIGKILL);
		return -1;
	}
	for (ssize_t i = 0; i < nr; i++)
		*vec_push(g->text, g->nr, g->cap) = bytes[i];
	*vec_push(g->text, g->nr, g->cap) = '\0';
	g->nr--;
	return 1;
}

static const char *said(const struct program *g)
{
	return g->text ?: "";
}

/* The line in which iperf3 says what went wrong, or NULL. */
static char *error_line(const struct program *g)
{
	const char *at = strstr(said(g), "iperf3: ");

	return at ? xstrndup(at, strcspn(at, "\n")) : NULL;
}

static int end_of_output(struct program *g, int ms)
{
	int more;

	do {
		more = read_more(g, ms);
	} while (more > 0);
	return more;
}

/* --- the server ---------------------------------------------------------------------------- */

/* iperf3 cannot ask for any free port, so one is taken that is free now. */
static int free_port(struct part *p, char *address, char *host, unsigned int *port)
{
	char any[64];
	struct sockaddr_in in;
	int fd = part_listen_tcp(p, false, any);

	if (fd < 0)
		return -1;
	close(fd);
	if (address_parse(any, &in) || !inet_ntop(AF_INET, &in.sin_addr, host, INET_ADDRSTRLEN))
		return part_fail(p, "%s is no address", any);
	*port = ntohs(in.sin_port);
	memcpy(address, any, sizeof(any));
	return 0;
}

/* The starter's word ends the part, not iperf3, which ends by itself after the one test. */
static void wait_for_stop(struct part *p)
{
	struct pollfd fd = {.fd = p->stop_fd, .events = POLLIN};

	while (p->go_fd >= 0 && poll(&fd, 1, -1) < 0 && errno == EINTR)
		;
}

static int watch_server(struct program *g, const char *address)
{
	__cleanup(free) char *error = NULL;
	int more;

	do {
		more = read_more(g, LISTEN_MS);
	} while (more > 0 && !strstr(said(g), "Server listening"));
	if (more < 0)
		return -1;
	if (more > 0 && (part_ready(g->part, address) || end_of_output(g, -1)))
		return -1;
	error = error_line(g);
	if (error)
		return part_fail(g->part, "%s", error);
	if (!more)
		return part_fail(g->part, "iperf3 ended before it listened");
	wait_for_stop(g->part);
	return 0;
}

int forwarder_iperf3_server(struct part *p)
{
	char address[64], host[INET_ADDRSTRLEN], port_text[8];
	char *argv[] = {"iperf3", "--server",	  "--one-off",	"--bind", host,
			"--port", port_text,	  "--interval", "0",	  "--format",
			"k",	  "--forceflush", NULL};
	struct program g;
	unsigned int port = 0;
	int input, side, err;

	if (free_port(p, address, host, &port))
		return -1;
	snprintf(port_text, sizeof(port_text), "%u", port);
	side = split(p, &g, &input);
	if (side < 0)
		return -1;
	if (side)
		return become_iperf3(&g, input, argv);
	prctl(PR_SET_NAME, "iperf3 watcher");
	err = watch_server(&g, address);
	free(g.text);
	free(g.path);
	return err;
}

/* --- the client ---------------------------------------------------------------------------- */

static int parse_sum(struct json_object *root, struct iperf3_result *result)
{
	struct json_object *end, *sum, *bytes, *seconds;
	double s;

	if (!json_object_object_get_ex(root, "end", &end) ||
	    !json_object_object_get_ex(end, "sum_received", &sum) ||
	    !json_object_object_get_ex(sum, "bytes", &bytes) ||
	    !json_object_object_get_ex(sum, "seconds", &seconds) ||
	    !json_object_is_type(bytes, json_type_int) || json_object_get_int64(bytes) < 0)
		return -EINVAL;
	s = json_object_get_double(seconds);
	if (!(s > 0 && s < 1e6))
		return -EINVAL;
	result->bytes = json_object_get_int64(bytes);
	result->duration_ns = s * 1e9;
	return 0;
}

int iperf3_parse(const char *text, struct iperf3_result *result)
{
	struct json_object *root = json_tokener_parse(text), *error;
	int err = 0;

	*result = (struct iperf3_result){};
	if (json_object_object_get_ex(root, "error", &error))
		snprintf(result->error, sizeof(result->error), "%s",
			 json_object_get_string(error) ?: "");
	else
		err = parse_sum(root, result);
	json_object_put(root);
	return err;
}

static int watch_client(struct program *g)
{
	uint64_t seconds = part_option(g->part, "seconds") / 1000000000;
	struct iperf3_result result;
	const char *text;

	/* A line end says that it has been let go; from then on its time is limited. */
	if (read_more(g, -1) <= 0)
		return part_fail(g->part, "iperf3 was not started");
	if (end_of_output(g, 1000 * seconds + FORWARDER_LIMIT_NS / 1000000))
		return -1;
	text = said(g);
	text += *text == '\n'; /* that line end */
	if (iperf3_parse(text, &result))
		return part_fail(g->part, "iperf3 gave no result, but: %.*s",
				 (int)strcspn(text, "\n"), text);
	if (result.error[0])
		return part_fail(g->part, "iperf3: %s", result.error);
	part_result(g->part, "bytes", result.bytes);
	part_result(g->part, "duration_ns", result.duration_ns);
	part_result(g->part, "connections", part_option(g->part, "streams"));
	return 0;
}

/* With the text of the numbers, which the caller frees; the rest is static. */
static char **client_argv(struct part *p, const char *host)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{"--parallel", part_option(p, "streams")},
		{"--time", part_option(p, "seconds") / 1000000000},
		{"--length", part_option(p, "block")},
		{"--connect-timeout", FORWARDER_LIMIT_NS / 1000000},
		{"--interval", 0},
	};
	size_t nr = 0, cap = 0;
	char **argv = NULL;

	*vec_push(argv, nr, cap) = xstrdup("iperf3");
	*vec_push(argv, nr, cap) = xstrdup("--json");
	*vec_push(argv, nr, cap) = xstrdup("--client");
	*vec_push(argv, nr, cap) = xstrdup(host);
	*vec_push(argv, nr, cap) = xstrdup("--port");
	*vec_push(argv, nr, cap) = xstrdup(strrchr(p->connect, ':') + 1);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		*vec_push(argv, nr, cap) = xstrdup(numbers[i].name);
		*vec_push(argv, nr, cap) = xasprintf("%" PRIu64, numbers[i].value);
	}
	if (part_option(p, "reverse"))
		*vec_push(argv, nr, cap) = xstrdup("--reverse");
	if (part_option(p, "nodelay"))
		*vec_push(argv, nr, cap) = xstrdup("--no-delay");
	*vec_push(argv, nr, cap) = NULL;
	return argv;
}

/* The part that becomes iperf3 once it is let go. */
static int play_client(const struct program *g, int input)
{
	struct part *p = g->part;
	__cleanup(free) char *host = xstrndup(p->connect, strcspn(p->connect, ":"));
	char **argv = client_argv(p, host);
	int err = part_ready(p, NULL);

	if (!err && write(input, "\n", 1) != 1)
		err = part_fail(p, "write to the watcher: %s", strerror(errno));
	if (!err)
		err = become_iperf3(g, input, argv);
	for (size_t i = 0; argv[i]; i++)
		free(argv[i]);
	free(argv);
	return err;
}

int forwarder_iperf3_client(struct part *p)
{
	struct program g;
	int input, side = split(p, &g, &input), err;

	if (side < 0)
		return -1;
	if (side)
		return play_client(&g, input);
	prctl(PR_SET_NAME, "iperf3 watcher");
	err = watch_client(&g);
	free(g.text);
	free(g.path);
	return err;
}
