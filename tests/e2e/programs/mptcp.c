// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * mptcp [-e] [-k] [-n CONNECTIONS]: connections of which both ends, or the listener, or the client
 * alone speak MPTCP, CONNECTIONS of each over IPv4 and IPv6, in a network namespace with loopback
 * alone; with -e the listeners are older than the trace, with -k the last connections stay open,
 * after "done". A connection has one row at each end, of MPTCP where both speak it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static const struct {
	int listener, client;
} ways[] = {
	{IPPROTO_MPTCP, IPPROTO_MPTCP},
	{IPPROTO_MPTCP, IPPROTO_TCP},
	{IPPROTO_TCP, IPPROTO_MPTCP},
};

#define WAYS (sizeof(ways) / sizeof(*ways))

static const char *const addresses[] = {"127.0.0.1", "::1"};
static int listeners[2][WAYS];
static unsigned int connections = 3;
static bool holds;

static int socket_of(const char *address, int protocol)
{
	int fd = socket(strchr(address, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, protocol);

	truth_check(fd >= 0, "socket");
	return fd;
}

static void listen_all(void)
{
	for (int i = 0; i < 2; i++)
		for (size_t w = 0; w < WAYS; w++) {
			struct net_address own = net_address(addresses[i], 0);
			int fd = socket_of(addresses[i], ways[w].listener);

			truth_check(!bind(fd, (void *)&own.storage, own.len), "bind");
			truth_check(!listen(fd, 8), "listen");
			endpoint_named(fd, "listen");
			endpoint(fd)->alive = holds;
			listeners[i][w] = fd;
		}
}

static void move(int from, int to, size_t n)
{
	static char buffer[5000];

	truth_check(SENDS(sendto, from, buffer, n, MSG_NOSIGNAL, NULL, 0) == (long)n, "sendto");
	truth_check(RECEIVES(recvfrom, to, 0, buffer, n, MSG_WAITALL, NULL, NULL) == (long)n,
		    "recvfrom");
}

static void ends(int fd)
{
	char byte;

	truth_check(RECEIVES(recvfrom, fd, 0, &byte, 1, 0, NULL, NULL) == 0, "end of stream");
}

static void figures(int fd, const char *path, uint64_t start)
{
	endpoint_figure(endpoint(fd), path, 1, net_now_ns() - start);
}

static void stays(int fd)
{
	endpoint(fd)->alive = 1;
	endpoint(fd)->state = "ESTAB";
	endpoint_tcp_info(fd);
}

static void connection(const char *address, int client, int listener, bool is_last)
{
	struct net_address to = net_address(address, net_port(listener));
	int a = socket_of(address, client), b;
	uint64_t start = net_now_ns();

	net_set(a, SOL_SOCKET, SO_SNDBUF, 100000);
	truth_check(connect(a, (void *)&to.storage, to.len) == 0, "connect");
	endpoint_named(a, "connect");
	figures(a, "tcp.connect_ns", start);
	b = accept(listener, NULL, NULL);
	truth_check(b >= 0, "accept");
	endpoint_named(b, "accept");
	figures(b, "tcp.accept_wait_ns", start);
	move(a, b, 1000);
	figures(b, "tcp.first_byte_ns", start);
	move(b, a, 5000);
	figures(a, "tcp.first_byte_ns", start);
	endpoint_figure(endpoint(a), "tcp.failed_connects", 0, 0);
	if (holds && is_last) {
		stays(a);
		stays(b);
		return;
	}
	endpoint(a)->closed_by = "local";
	endpoint(b)->closed_by = "remote";
	net_close(a);
	ends(b);
	net_close(b);
}

/* Nobody is there: refused by the peer, then by the kernel itself, then heard. */
static void refused(const char *address, const char *nowhere)
{
	int nobody = net_bound(address, SOCK_STREAM), fd = socket_of(address, IPPROTO_MPTCP), other;
	struct net_address to[] = {net_address(address, net_port(nobody)),
				   net_address(nowhere, 443)};
	int errors[] = {ECONNREFUSED, ENETUNREACH};

	endpoint_named(nobody, NULL);
	for (int i = 0; i < 2; i++) {
		struct endpoint *e = endpoint(fd);

		truth_check(connect(fd, (void *)&to[i].storage, to[i].len) == -1 &&
				    errno == errors[i],
			    "a connect that fails");
		e->role = "connect";
		endpoint_remote(e, &to[i].storage, to[i].len);
		endpoint_figure(e, "tcp.failed_connects", 1, 1);
		endpoint_figure(e, "tcp.connect_ns", 1, 0);
		endpoint_used_anew(fd);
	}
	truth_check(listen(nobody, 1) == 0, "listen");
	endpoint(nobody)->role = "listen";
	truth_check(connect(fd, (void *)&to[0].storage, to[0].len) == 0, "connect");
	endpoint_named(fd, "connect");
	other = net_accept(nobody);
	move(fd, other, 10);
	net_close(fd);
	ends(other);
	net_close(other);
	net_close(nobody);
}

int main(int argc, char **argv)
{
	bool are_early = false;
	int option;

	while ((option = truth_getopt(argc, argv, "ekn:")) != -1) {
		if (option == 'n')
			connections = truth_number(optarg, 1, 1000);
		else if (option == 'e')
			are_early = true;
		else
			holds = true;
	}
	truth_init("mptcp", 4);
	endpoints_init(32 + 12 * connections);
	truth_process_begin()->status = holds ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = holds;
	endpoints_are_early(are_early);
	if (are_early) {
		net_unshare();
		listen_all();
	}
	truth_wait_go(NULL, 0);
	endpoints_are_early(false);
	if (!are_early) {
		net_unshare();
		listen_all();
	}
	for (int i = 0; i < 2; i++)
		for (size_t w = 0; w < WAYS; w++)
			for (unsigned int n = 0; n < connections; n++)
				connection(addresses[i], ways[w].client, listeners[i][w],
					   n + 1 == connections);
	refused(addresses[0], "203.0.113.9");
	refused(addresses[1], "2001:db8::9");
	truth_print();
	if (holds)
		truth_pause("done");
	return 0;
}
