// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * listeners [-n CONNECTIONS]: four servers that all listen on port 8080, for attach to the first
 * three, which "ready" names: two on two addresses of one network namespace, one in another; the
 * fourth shares its address with the first (SO_REUSEPORT) and keeps what it accepts open. So many
 * connections are made to that address, a tenth to each of the others.
 *
 * Two connections are older than the trace, from the first server to the second: one from port
 * 8080, one from a port of the kernel's choice.
 */
#include <poll.h>
#include <string.h>

#include "net.h"

#define PORT	8080
#define ASKED	100
#define REPLIED 50
#define SERVERS 4

struct server {
	const char *address;
	bool is_traced, keeps;
	int ready[2], end[2];
	pid_t pid;
};

static struct server servers[SERVERS] = {
	{.address = "127.0.0.1", .is_traced = true},
	{.address = "127.0.0.2", .is_traced = true},
	{.address = "127.0.0.1", .is_traced = true}, /* in the other namespace */
	{.address = "127.0.0.1", .keeps = true},
};
static unsigned int connections = 1000;
static char buffer[ASKED];

static int bound(const char *address)
{
	struct net_address own = net_address(address, PORT);
	int fd = net_socket(address, SOCK_STREAM);

	net_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	truth_check(bind(fd, (void *)&own.storage, own.len) == 0, "bind");
	return fd;
}

static int connected(int fd, const char *address)
{
	struct net_address to = net_address(address, PORT);

	truth_check(connect(fd, (void *)&to.storage, to.len) == 0, "connect");
	return fd;
}

/* --- servers --------------------------------------------------------------------------------- */

static void note_served(int listener, unsigned int nr)
{
	struct net_address own = net_address("0.0.0.0", 0);
	struct endpoint *e = endpoint_new("tcp", "ipv4", "accept", nr);

	own.len = sizeof(own.storage);
	truth_check(!getsockname(listener, (void *)&own.storage, &own.len), "getsockname");
	endpoint_local(e, &own.storage, own.len);
	endpoint_add_sent(e, nr, (uint64_t)nr * REPLIED);
	endpoint_add_received(e, 2ULL * nr, (uint64_t)nr * ASKED);
	endpoint_figure(e, "spreads.accept_wait.count", nr, nr);
	endpoint_figure(e, "spreads.first_byte.count", nr, nr);
}

static void serve_one(int listener, bool keeps)
{
	int fd = accept(listener, NULL, NULL);

	truth_check(fd >= 0, "accept");
	truth_check(MOVES(recvfrom, fd, buffer, ASKED, MSG_WAITALL, NULL, NULL) == ASKED, "ask");
	truth_check(MOVES(sendto, fd, buffer, REPLIED, MSG_NOSIGNAL, NULL, 0) == REPLIED, "reply");
	if (keeps)
		return;
	truth_check(MOVES(recvfrom, fd, buffer, ASKED, 0, NULL, NULL) == 0, "end");
	net_close(fd);
}

static void serve(struct server *s, int listener)
{
	struct pollfd fds[2] = {{.fd = listener, .events = POLLIN},
				{.fd = s->end[0], .events = POLLIN}};
	unsigned int nr = 0;

	for (;;) {
		truth_check(poll(fds, 2, 20000) > 0, "poll");
		if (fds[0].revents)
			serve_one(listener, s->keeps), nr++;
		else if (fds[1].revents)
			break;
	}
	note_served(listener, nr);
}

/* The two connections that are older. */
static void connect_early(void)
{
	int fd = bound("127.0.0.3");

	endpoint_named(connected(fd, servers[1].address), "connect");
	fd = connected(net_socket("127.0.0.1", SOCK_STREAM), servers[1].address);
	endpoint_named(fd, "connect");
}

static void server(struct server *s)
{
	int listener;

	truth_process_begin();
	net_raise_files(connections + 1100);
	endpoints_are_early(s->is_traced);
	listener = bound(s->address);
	truth_check(listen(listener, 64) == 0, "listen");
	endpoint_named(listener, "listen");
	if (s == &servers[1]) {
		net_release(s->ready[1]);
		endpoint_named(accept(listener, NULL, NULL), "accept");
		endpoint_named(accept(listener, NULL, NULL), "accept");
	} else if (s == &servers[0]) {
		net_await(servers[1].ready[0]);
		connect_early();
	}
	endpoints_are_early(false);
	net_release(s->ready[1]);
	serve(s, listener);
	net_end_child(true);
}

static void start(struct server *s)
{
	net_pipe(s->ready);
	net_pipe(s->end);
	s->pid = net_fork();
	if (!s->pid)
		server(s);
}

/* --- clients --------------------------------------------------------------------------------- */

static void ask(const char *address, unsigned int nr, bool stays)
{
	for (unsigned int i = 0; i < nr; i++) {
		int fd = connected(net_socket(address, SOCK_STREAM), address);

		truth_check(send(fd, buffer, ASKED, MSG_NOSIGNAL) == ASKED, "send");
		truth_check(recv(fd, buffer, REPLIED, MSG_WAITALL) == REPLIED, "recv");
		truth_check(!stays || shutdown(fd, SHUT_WR) == 0, "shutdown");
		if (!stays)
			net_close(fd);
	}
}

/* In the first namespace; @go: from the parent, in the second. */
static void client(int go, int done)
{
	truth_process_begin();
	net_raise_files(connections + 1100);
	net_await(go);
	ask(servers[0].address, connections, true);
	ask(servers[1].address, connections / 10, false);
	net_release(done);
	net_end_child(true);
}

int main(int argc, char **argv)
{
	pid_t pids[SERVERS], child;
	int option, go[2], done[2];

	while ((option = truth_getopt(argc, argv, "n:")) != -1)
		connections = truth_number(optarg, 1000, 10000);
	truth_init("listeners", 8);
	endpoints_init(64);
	truth_process_begin();
	net_pipe(go);
	net_pipe(done);
	net_unshare();
	start(&servers[1]);
	start(&servers[0]);
	start(&servers[3]);
	child = net_fork();
	if (!child)
		client(go[0], done[1]);
	net_unshare();
	start(&servers[2]);
	for (int i = 0; i < SERVERS; i++) {
		pids[i] = servers[i].pid;
		net_await(servers[i].ready[0]);
	}
	truth_wait_go(pids, 3);
	net_release(go[1]);
	ask(servers[2].address, connections / 10, false);
	net_await(done[0]);
	for (int i = 0; i < SERVERS; i++)
		net_release(servers[i].end[1]);
	for (int i = 0; i < SERVERS; i++)
		truth_reap(servers[i].pid, NULL);
	truth_reap(child, NULL);
	truth_print();
	return 0;
}
