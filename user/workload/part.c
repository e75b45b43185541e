// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>

#include "base/parse.h"
#include "workload/part.h"

/* Threads of a part fail, and end, at once. */
static pthread_mutex_t truth_mutex = PTHREAD_MUTEX_INITIALIZER;

uint64_t part_option(const struct part *p, const char *name)
{
	return p->values[workload_option_index(p->workload, name)];
}

uint64_t part_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

int part_fail(struct part *p, const char *fmt, ...)
{
	va_list args;

	pthread_mutex_lock(&truth_mutex);
	if (!p->truth->error[0]) {
		va_start(args, fmt);
		vsnprintf(p->truth->error, sizeof(p->truth->error), fmt, args);
		va_end(args);
	}
	pthread_mutex_unlock(&truth_mutex);
	return -1;
}

/*
 * Waits for the word to go, by a call that is not among those counted: whether a trace that begins
 * meanwhile sees its entry is a matter of chance.
 */
static bool is_let_go(int fd)
{
	char byte;
	struct iovec room = {&byte, 1};

	return readv(fd, &room, 1) == 1;
}

int part_ready(struct part *p, const char *address)
{
	char byte = 0;

	if (address)
		snprintf(p->truth->address, sizeof(p->truth->address), "%s", address);
	if (p->ready_fd >= 0 && write(p->ready_fd, &byte, 1) != 1)
		return part_fail(p, "say that it is ready: %s", strerror(errno));
	if (p->go_fd >= 0 && !is_let_go(p->go_fd))
		return part_fail(p, "not let go");
	if (p->go_fd < 0 && address) {
		printf("%s %s: listening on %s\n", p->workload->name, p->role->name, address);
		fflush(stdout);
	}
	memset(&p->truth->tally, 0, sizeof(p->truth->tally));
	return 0;
}

static void set_fact(struct fact *facts, uint32_t *nr, const char *name, uint64_t value)
{
	uint32_t i = 0;

	while (i < *nr && strcmp(facts[i].name, name))
		i++;
	if (i == MAX_FACTS || strlen(name) >= FACT_NAME_LEN)
		abort(); /* the workload's own code says too much */
	if (i == *nr)
		snprintf(facts[(*nr)++].name, FACT_NAME_LEN, "%s", name);
	facts[i].value = value;
}

void part_fact(struct part *p, const char *name, uint64_t value)
{
	set_fact(p->truth->facts, &p->truth->nr_facts, name, value);
}

void part_result(struct part *p, const char *name, uint64_t value)
{
	set_fact(p->truth->results, &p->truth->nr_results, name, value);
}

void part_add_tally(struct part *p, const struct tally *t)
{
	pthread_mutex_lock(&truth_mutex);
	tally_add(&p->truth->tally, t);
	pthread_mutex_unlock(&truth_mutex);
}

uint64_t part_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) && getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	return limit.rlim_cur;
}

/* --- addresses ----------------------------------------------------------------------------- */

int address_parse(const char *text, struct sockaddr_in *address)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN];
	uint64_t port;

	if (!colon || colon - text >= (long)sizeof(host) ||
	    parse_u64(colon + 1, 0, UINT16_MAX, &port))
		return -EINVAL;
	memcpy(host, text, colon - text);
	host[colon - text] = '\0';
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	return inet_pton(AF_INET, host, &address->sin_addr) == 1 ? 0 : -EINVAL;
}

int socket_address(int fd, char *text)
{
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	char host[INET_ADDRSTRLEN];

	if (getsockname(fd, (struct sockaddr *)&address, &len))
		return -errno;
	inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
	snprintf(text, 64, "%s:%u", host, ntohs(address.sin_port));
	return 0;
}

int part_listen_tcp(struct part *p, bool is_nonblocking, char *text)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | (is_nonblocking ? SOCK_NONBLOCK : 0);
	int fd = socket(AF_INET, type, 0), one = 1;
	struct sockaddr_in address;

	if (fd < 0)
		return part_fail(p, "make a socket: %s", strerror(errno));
	/* Connections of an earlier run that linger (TIME_WAIT) do not keep a port from us. */
	if (address_parse(p->listen, &address) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, INT32_MAX) ||
	    socket_address(fd, text)) {
		part_fail(p, "listen on %s: %s", p->listen, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}
