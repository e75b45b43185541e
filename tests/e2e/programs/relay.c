// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * relay [-n BYTES] splice|splice-unix|sendfile: a source, a forwarder that moves what it gets with
 * splice(2) and never sees it, and a sink that answers, a process each; or a server that sends a
 * file with sendfile(2) on a socket that does not wait, and its client.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "net.h"

#define ADDRESS "127.0.0.1"
#define ANSWER	100000
#define CHUNK	65536

static unsigned long bytes = 20000000;
static char buffer[CHUNK];
static int first, second; /* listeners: of the forwarder or server, of the sink */

static void put_all(int fd, unsigned long n)
{
	for (unsigned int i = 0; n; i++) {
		/* of many sizes */
		size_t chunk = 1 + (i * 7919UL) % CHUNK;
		long ret = SENDS(sendto, fd, buffer, chunk < n ? chunk : n, 0, NULL, 0);

		truth_check(ret > 0, "sendto");
		n -= ret;
	}
}

/* Until the end of the stream. */
static void get_all(int fd, unsigned long n)
{
	long ret;

	while ((ret = RECEIVES(recvfrom, fd, 0, buffer, sizeof(buffer), 0, NULL, NULL)) > 0)
		n -= ret;
	truth_check(ret == 0 && n == 0, "all bytes");
}

static void end(int fd)
{
	truth_check(shutdown(fd, SHUT_WR) == 0, "shutdown");
}

/* --- splice ---------------------------------------------------------------------------------- */

static int unix_listener(void)
{
	struct sockaddr_un u = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	/* Without a name: the kernel chooses an abstract one. */
	truth_check(fd >= 0 && !bind(fd, (void *)&u, sizeof(u.sun_family)), "bind");
	truth_check(listen(fd, 1) == 0, "listen");
	endpoint_named(fd, "listen");
	return fd;
}

static int connect_to(int listener)
{
	struct sockaddr_storage to;
	socklen_t len = sizeof(to);
	int fd;

	truth_check(getsockname(listener, (void *)&to, &len) == 0, "getsockname");
	fd = socket(to.ss_family, SOCK_STREAM, 0);
	truth_check(fd >= 0 && !connect(fd, (void *)&to, len), "connect");
	endpoint_named(fd, "connect");
	return fd;
}

static void forward(int from, int to)
{
	int pipe[2];
	long in;

	net_pipe(pipe);
	do {
		in = endpoint_received(
			from, 0,
			MOVES(splice, from, NULL, pipe[1], NULL, (long)CHUNK, SPLICE_F_MOVE));
		truth_check(in >= 0, "splice");
		for (long left = in, out; left; left -= out) {
			out = endpoint_sent(to, MOVES(splice, pipe[0], NULL, to, NULL, left, 0));
			truth_check(out > 0, "splice");
		}
	} while (in);
	end(to);
}

static void forwarder(void)
{
	int a, b;

	truth_process_begin()->status = 0;
	a = net_accept(first);
	b = connect_to(second);
	forward(a, b);
	forward(b, a);
	net_close(a);
	net_close(b);
	net_end_child(true);
}

static void sink(void)
{
	int fd;

	truth_process_begin()->status = 0;
	fd = net_accept(second);
	get_all(fd, bytes);
	put_all(fd, ANSWER);
	net_close(fd);
	net_end_child(true);
}

static void source(void)
{
	int fd = connect_to(first);

	put_all(fd, bytes);
	end(fd);
	get_all(fd, ANSWER);
	net_close(fd);
}

/* --- sendfile -------------------------------------------------------------------------------- */

static void file_server(void)
{
	int fd, file = memfd_create("relay", 0);
	unsigned long left = bytes;
	loff_t at = 0;

	truth_process_begin()->status = 0;
	truth_check(file >= 0 && ftruncate(file, bytes) == 0, "memfd_create");
	fd = net_accept(first);
	truth_check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	while (left) {
		long ret = endpoint_sent(fd, MOVES(sendfile, fd, file, &at, left));

		truth_check(ret > 0 || errno == EAGAIN, "sendfile");
		if (ret > 0)
			left -= ret;
		else
			net_wait(fd, POLLOUT);
	}
	net_close(fd);
	net_end_child(true);
}

static void file_client(void)
{
	int fd = connect_to(first);

	get_all(fd, bytes);
	net_close(fd);
}

/* --- the program ----------------------------------------------------------------------------- */

static void start(void (*run)(void), pid_t *pid)
{
	*pid = net_fork();
	if (!*pid)
		run();
}

int main(int argc, char **argv)
{
	bool is_file, is_unix;
	pid_t pids[3] = {getpid()};
	unsigned int nr = 1;

	while (truth_getopt(argc, argv, "n:") != -1)
		bytes = truth_number(optarg, 1, 1UL << 40);
	truth_check(argc == optind + 1, "splice, splice-unix or sendfile");
	is_file = !strcmp(argv[optind], "sendfile");
	is_unix = !strcmp(argv[optind], "splice-unix");
	truth_init("relay", 8);
	endpoints_init(32);
	truth_process_begin()->status = 0;
	truth_wait_go(pids, 1);
	first = net_listen(ADDRESS, 1);
	if (is_file) {
		start(file_server, &pids[nr++]);
		file_client();
	} else {
		second = is_unix ? unix_listener() : net_listen(ADDRESS, 1);
		start(sink, &pids[nr++]);
		start(forwarder, &pids[nr++]);
		source();
	}
	while (nr-- > 1)
		truth_reap(pids[nr], NULL);
	truth_print();
	return 0;
}
