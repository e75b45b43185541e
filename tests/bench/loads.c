// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "loads.h"

#define REQUEST_BYTES  32
#define WRITE_BYTES    (64 * 1024)
#define DATAGRAM_BYTES 64
#define DATAGRAMS      64 /* per sendmmsg(2) */
#define SPARE_FILES    64 /* below RLIMIT_NOFILE, for all that is not an idle socket */

/* Full, it is read in less time than a slice warms up. */
#define UDP_BUFFER (8 << 20)

/* With many sockets open, socktrace's first look at each is over when a slice begins. */
#define WARM_UP_NS	50000000
#define WARM_UP_OPEN_NS 500000000

static struct sockaddr_in server_address;

/* --- TCP, request and response --------------------------------------------------------------- */

static void serve_requests(int fd)
{
	char buf[REQUEST_BYTES];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_WAITALL)) == sizeof(buf))
		if (send(fd, buf, sizeof(buf), 0) != sizeof(buf))
			die("send a response");
}

static uint64_t drive_requests(int fd, uint64_t end_ns)
{
	char buf[REQUEST_BYTES] = {};
	uint64_t nr = 0;

	do {
		if (send(fd, buf, sizeof(buf), 0) != sizeof(buf) ||
		    recv(fd, buf, sizeof(buf), MSG_WAITALL) != sizeof(buf))
			die("request");
		nr++;
	} while (nr % 8 || now_ns() < end_ns);
	return nr;
}

/* --- TCP, bulk ------------------------------------------------------------------------------- */

static void serve_bulk(int fd)
{
	static char buf[WRITE_BYTES];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static uint64_t drive_bulk(int fd, uint64_t end_ns)
{
	static char buf[WRITE_BYTES];
	uint64_t bytes = 0;

	do {
		ssize_t n = write(fd, buf, sizeof(buf));

		if (n < 0)
			die("write");
		bytes += n;
	} while (now_ns() < end_ns);
	return bytes;
}

/* --- UDP ------------------------------------------------------------------------------------- */

static void serve_datagrams(int fd)
{
	char buf[DATAGRAM_BYTES];

	while (recv(fd, buf, sizeof(buf), 0) == sizeof(buf))
		;
}

static uint64_t drive_sendto(int fd, uint64_t end_ns)
{
	char buf[DATAGRAM_BYTES] = {};
	uint64_t nr = 0;

	do {
		if (sendto(fd, buf, sizeof(buf), 0, (struct sockaddr *)&server_address,
			   sizeof(server_address)) != sizeof(buf))
			die("sendto");
		nr++;
	} while (nr % DATAGRAMS || now_ns() < end_ns);
	return nr;
}

static uint64_t drive_sendmmsg(int fd, uint64_t end_ns)
{
	char buf[DATAGRAM_BYTES] = {};
	struct iovec iov = {buf, sizeof(buf)};
	struct mmsghdr messages[DATAGRAMS];
	uint64_t nr = 0;

	for (int i = 0; i < DATAGRAMS; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &server_address,
							   .msg_namelen = sizeof(server_address),
							   .msg_iov = &iov,
							   .msg_iovlen = 1}};
	do {
		if (sendmmsg(fd, messages, DATAGRAMS, 0) != DATAGRAMS)
			die("sendmmsg");
		nr += DATAGRAMS;
	} while (now_ns() < end_ns);
	return nr;
}

struct load loads[NR_LOADS] = {
	[LOAD_REQUESTS] = {.name = "TCP requests",
			   .unit = "/s",
			   .in_unit = 1,
			   .type = SOCK_STREAM,
			   .warm_up_ns = WARM_UP_NS,
			   .serve = serve_requests,
			   .drive = drive_requests},
	[LOAD_REQUESTS_APART] = {.name = "TCP requests, two CPUs",
				 .unit = "/s",
				 .in_unit = 1,
				 .type = SOCK_STREAM,
				 .is_apart = true,
				 .warm_up_ns = WARM_UP_NS,
				 .serve = serve_requests,
				 .drive = drive_requests},
	[LOAD_REQUESTS_OPEN] = {.name = "TCP requests, 20,000 open",
				.unit = "/s",
				.in_unit = 1,
				.type = SOCK_STREAM,
				.nr_open = 20000,
				.warm_up_ns = WARM_UP_OPEN_NS,
				.serve = serve_requests,
				.drive = drive_requests},
	[LOAD_BULK] = {.name = "TCP bulk",
		       .unit = "MB/s",
		       .in_unit = 1e6,
		       .type = SOCK_STREAM,
		       .warm_up_ns = WARM_UP_NS,
		       .serve = serve_bulk,
		       .drive = drive_bulk},
	[LOAD_SENDTO] = {.name = "UDP sendto",
			 .unit = "/s",
			 .in_unit = 1,
			 .type = SOCK_DGRAM,
			 .warm_up_ns = WARM_UP_NS,
			 .serve = serve_datagrams,
			 .drive = drive_sendto},
	[LOAD_SENDTO_APART] = {.name = "UDP sendto, two CPUs",
			       .unit = "/s",
			       .in_unit = 1,
			       .type = SOCK_DGRAM,
			       .is_apart = true,
			       .warm_up_ns = WARM_UP_NS,
			       .serve = serve_datagrams,
			       .drive = drive_sendto},
	[LOAD_SENDMMSG] = {.name = "UDP sendmmsg",
			   .unit = "/s",
			   .in_unit = 1,
			   .type = SOCK_DGRAM,
			   .warm_up_ns = WARM_UP_NS,
			   .serve = serve_datagrams,
			   .drive = drive_sendmmsg},
	[LOAD_SENDMMSG_APART] = {.name = "UDP sendmmsg, two CPUs",
				 .unit = "/s",
				 .in_unit = 1,
				 .type = SOCK_DGRAM,
				 .is_apart = true,
				 .warm_up_ns = WARM_UP_NS,
				 .serve = serve_datagrams,
				 .drive = drive_sendmmsg},
};

/* --- sockets --------------------------------------------------------------------------------- */

/* A socket on a free port of 127.0.0.1; a stream's listens. */
static int open_server(int type, struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), size = UDP_BUFFER;

	*address = (struct sockaddr_in){.sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (struct sockaddr *)address, len) ||
	    getsockname(fd, (struct sockaddr *)address, &len))
		die("open a server's socket");
	if (type == SOCK_STREAM && listen(fd, 16))
		die("listen");
	if (type == SOCK_DGRAM && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("set the receive buffer");
	return fd;
}

static int connected(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("connect");
	return fd;
}

static int accepted(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("accept");
	return fd;
}

/* Both ends of @nr / 2 connections. They end by a reset: no port is left in TIME_WAIT. */
static void hold_open(unsigned int nr)
{
	struct linger none = {.l_onoff = 1};
	struct sockaddr_in address;
	int listener = open_server(SOCK_STREAM, &address);

	for (unsigned int i = 0; i < nr / 2; i++) {
		int fd = connected(&address);

		accepted(listener);
		if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)))
			die("SO_LINGER");
	}
	close(listener);
}

/* How many of @nr sockets one process may hold. Raises the limit where that is permitted. */
static unsigned int holdable(unsigned int nr)
{
	rlim_t needed = nr + SPARE_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("getrlimit");
	if (limit.rlim_cur >= needed)
		return nr;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	if (!setrlimit(RLIMIT_NOFILE, &limit))
		return nr;
	if (errno != EPERM || getrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < needed / 2 || setrlimit(RLIMIT_NOFILE, &limit))
		die("raise RLIMIT_NOFILE");
	return limit.rlim_max - SPARE_FILES;
}

/* --- processes ------------------------------------------------------------------------------- */

/* A child that runs on @cpu and dies with its parent. As fork(2), without failure. */
static pid_t start_on(int cpu)
{
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child)
		return child;
	run_on(cpu);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return 0;
}

static void wait_for_byte(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		die("a load's process ended");
}

static void tell(int fd)
{
	if (write(fd, "", 1) != 1)
		die("write");
}

static void run_server(const struct load *l, int fd, unsigned int nr_open, int ready)
{
	hold_open(nr_open);
	if (l->type == SOCK_STREAM) {
		int listener = fd;

		fd = accepted(listener);
		close(listener);
	}
	tell(ready);
	l->serve(fd);
	exit(0);
}

static void run_client(const struct load *l, int order, int answer)
{
	int fd = l->type == SOCK_STREAM ? connected(&server_address)
					: socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t ns, start;
	double rate;

	if (fd < 0)
		die("socket");
	while (read(order, &ns, sizeof(ns)) == sizeof(ns)) {
		start = now_ns();
		rate = l->drive(fd, start + ns);
		rate /= (now_ns() - start) / 1e9;
		if (write(answer, &rate, sizeof(rate)) != sizeof(rate))
			die("write");
	}
	exit(0);
}

static void run_holder(unsigned int nr_open, int ready)
{
	hold_open(nr_open);
	tell(ready);
	for (;;)
		pause();
}

void load_start(struct load *l)
{
	unsigned int nr_open = holdable(l->nr_open);
	int ready[2], order[2], answer[2], fd;

	if (pipe2(ready, O_CLOEXEC) || pipe2(order, O_CLOEXEC) || pipe2(answer, O_CLOEXEC))
		die("pipe");
	fd = open_server(l->type, &server_address);
	l->server = start_on(LOAD_CPU);
	if (!l->server)
		run_server(l, fd, nr_open, ready[1]);
	close(fd);
	l->client = start_on(l->is_apart ? OTHER_CPU : LOAD_CPU);
	if (!l->client)
		run_client(l, order[0], answer[1]);
	wait_for_byte(ready[0]);
	if (nr_open < l->nr_open) {
		l->holder = start_on(LOAD_CPU);
		if (!l->holder)
			run_holder(l->nr_open - nr_open, ready[1]);
		wait_for_byte(ready[0]);
	}
	close(ready[0]);
	close(ready[1]);
	close(order[0]);
	close(answer[1]);
	l->order = order[1];
	l->answer = answer[0];
}

double load_run(const struct load *l, uint64_t ns)
{
	double rate;

	if (write(l->order, &ns, sizeof(ns)) != sizeof(ns) ||
	    read(l->answer, &rate, sizeof(rate)) != sizeof(rate))
		die(l->name);
	return rate / l->in_unit;
}

static void stop(pid_t pid)
{
	if (pid && (kill(pid, SIGKILL) || waitpid(pid, NULL, 0) != pid))
		die("stop a load's process");
}

void load_stop(const struct load *l)
{
	stop(l->server);
	stop(l->client);
	stop(l->holder);
	close(l->order);
	close(l->answer);
}
