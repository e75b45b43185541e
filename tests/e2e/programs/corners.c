// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * corners [CASE...]: uses of sockets that are easily counted wrong: errors that arrive from
 * elsewhere, queues beside the receive queue, several datagrams in one, sockets without a
 * transport, sockets that change their peer.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

#define ADDRESS "127.0.0.1"
#define TIMES	10

static char buffer[65536];

static long put(int fd, size_t n, const struct net_address *to)
{
	return SENDS(sendto, fd, buffer, n, MSG_NOSIGNAL, to ? &to->storage : NULL,
		     to ? to->len : 0);
}

static long get(int fd, size_t n, int flags)
{
	return RECEIVES(recvfrom, fd, flags, buffer, n, flags, NULL, NULL);
}

static void moved(long ret, long want)
{
	truth_check(ret == want, "bytes moved");
}

static void fails(long ret, int error)
{
	truth_check(ret == -1 && errno == error, "a call that must fail");
}

static void connect_to(int fd, int other)
{
	struct net_address to = net_address(ADDRESS, net_port(other));

	truth_check(connect(fd, (void *)&to.storage, to.len) == 0, "connect");
}

static void datagrams(int fd, uint64_t sent, uint64_t received)
{
	endpoint_figure(endpoint(fd), "udp.datagrams_sent", sent, sent);
	endpoint_figure(endpoint(fd), "udp.datagrams_received", received, received);
}

/* A port of which nobody is any more, known to @fd as its peer. */
static void connect_to_nobody(int fd)
{
	int nobody = net_bound(ADDRESS, SOCK_DGRAM);

	connect_to(fd, nobody);
	endpoint_named(nobody, "bind");
	net_close(nobody);
}

/* The answer to a datagram that nobody took fails the next call. */
static void refused(void)
{
	int fd = net_bound(ADDRESS, SOCK_DGRAM);

	connect_to_nobody(fd);
	for (int i = 0; i < TIMES; i++) {
		moved(put(fd, 10, NULL), 10);
		fails(put(fd, 10, NULL), ECONNREFUSED);
		moved(put(fd, 10, NULL), 10);
		fails(get(fd, 10, 0), ECONNREFUSED);
	}
	endpoint_named(fd, "connect");
	datagrams(fd, 2 * TIMES, 0);
	net_close(fd);
}

/* recvmmsg(2) returns it without asking the socket's protocol. */
static void refused_to_many(void)
{
	int fd = net_bound(ADDRESS, SOCK_DGRAM);
	struct iovec v = {buffer, 100};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};

	connect_to_nobody(fd);
	for (int i = 0; i < TIMES; i++) {
		moved(put(fd, 10, NULL), 10);
		net_wait(fd, POLLERR);
		fails(endpoint_received(fd, 0, recvmmsg(fd, &m, 1, 0, NULL)), ECONNREFUSED);
	}
	endpoint_named(fd, "connect");
	datagrams(fd, TIMES, 0);
	net_close(fd);
}

/* With IP_RECVERR the refused datagram comes back, through a queue of its own. */
static void returned(void)
{
	int fd = net_bound(ADDRESS, SOCK_DGRAM);
	char control[256];
	struct iovec v = {buffer, sizeof(buffer)};

	net_set(fd, IPPROTO_IP, IP_RECVERR, 1);
	connect_to_nobody(fd);
	for (int i = 0; i < TIMES; i++) {
		struct msghdr m = {.msg_iov = &v,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};

		moved(put(fd, 500, NULL), 500);
		net_wait(fd, POLLERR);
		moved(RECEIVES(recvmsg, fd, MSG_ERRQUEUE, &m, MSG_ERRQUEUE), 500);
	}
	endpoint_named(fd, "connect");
	datagrams(fd, TIMES, 0);
	net_close(fd);
}

/* What one send has left, taken with one receive or, where loopback cuts it up, with several. */
static void get_all(int fd, long n)
{
	while (n > 0) {
		long got = get(fd, sizeof(buffer), 0);

		truth_check(got > 0, "bytes moved");
		n -= got;
	}
	truth_check(!n, "bytes moved");
}

/* The segments of one send, taken in one receive. */
static void merged(void)
{
	int a = net_bound(ADDRESS, SOCK_DGRAM), b = net_bound(ADDRESS, SOCK_DGRAM);

	net_set(b, IPPROTO_UDP, UDP_GRO, 1);
	net_set(a, IPPROTO_UDP, UDP_SEGMENT, 1000);
	connect_to(a, b);
	for (int i = 0; i < TIMES; i++) {
		moved(put(a, 9500, NULL), 9500);
		get_all(b, 9500);
	}
	endpoint_named(a, "connect");
	endpoint_named(b, "bind");
	datagrams(a, 10 * TIMES, 0);
	/* A read may have given several. */
	endpoint_figure(endpoint(b), "udp.datagrams_received", 1, 0);
	net_close(a);
	net_close(b);
}

/* One socket sends to one peer after the other, and to none. */
static void changes_peer(void)
{
	int a = net_bound(ADDRESS, SOCK_DGRAM), b = net_bound(ADDRESS, SOCK_DGRAM);
	int c = net_bound(ADDRESS, SOCK_DGRAM);
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	struct net_address to = net_address(ADDRESS, net_port(c));

	connect_to(a, b);
	moved(put(a, 100, NULL), 100);
	moved(get(b, 1000, 0), 100);
	connect_to(a, c);
	moved(put(a, 200, NULL), 200);
	moved(get(c, 1000, 0), 200);
	truth_check(connect(a, &nobody, sizeof(nobody)) == 0, "connect to none");
	fails(put(a, 10, NULL), EDESTADDRREQ);
	moved(put(a, 300, &to), 300);
	moved(get(c, 1000, 0), 300);
	/* What its row is called after all that is another question. */
	endpoint(a)->role = NULL;
	datagrams(a, 3, 0);
	endpoint_named(b, "bind");
	endpoint_named(c, "bind");
	net_close(a);
	net_close(b);
	net_close(c);
}

/* To learn the length of a datagram: a peek, whatever else it is. */
static void asks_length(void)
{
	int fd = net_bound("::1", SOCK_DGRAM);
	struct net_address to = net_address("::1", net_port(fd));

	endpoint_named(fd, "bind");
	for (int i = 0; i < TIMES; i++) {
		moved(put(fd, 5000 + i, &to), 5000 + i);
		moved(get(fd, 0, MSG_PEEK | MSG_TRUNC), 5000 + i);
		moved(get(fd, 10000, 0), 5000 + i);
	}
	datagrams(fd, TIMES, TIMES);
	net_close(fd);
}

/* A protocol that is nobody's; what is received has the IP header. */
static void raw(void)
{
	int fd = socket(AF_INET, SOCK_RAW, 253);
	struct net_address to = net_address(ADDRESS, 0);

	truth_check(fd >= 0, "socket");
	endpoint(fd)->role = NULL;
	for (int i = 0; i < TIMES; i++) {
		moved(put(fd, 100, &to), 100);
		moved(get(fd, sizeof(buffer), 0), 120);
	}
	net_close(fd);
}

/* A TCP socket that is connected a second time. */
static void connects_again(void)
{
	int listener = net_listen(ADDRESS, 8), fd = net_socket(ADDRESS, SOCK_STREAM), other;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	for (int i = 1; i <= 2; i++) {
		connect_to(fd, listener);
		endpoint_named(fd, "connect")->closed_by = i == 1 ? "local" : "remote";
		other = net_accept(listener);
		moved(put(fd, 100 * i, NULL), 100 * i);
		moved(get(other, 1000, 0), 100 * i);
		moved(put(other, 10 * i, NULL), 10 * i);
		moved(get(fd, 1000, 0), 10 * i);
		if (i == 1) {
			truth_check(connect(fd, &nobody, sizeof(nobody)) == 0, "connect to none");
			endpoint_used_anew(fd);
		}
		net_close(other);
	}
	net_close(fd);
	net_close(listener);
}

/* More than 4 GiB: counts and sequence numbers wrap. */
static void wraps(void)
{
	enum { CHUNK = 65536, CHUNKS = 70000 };
	int fds[2];

	net_connection(ADDRESS, fds);
	for (int i = 0; i < CHUNKS; i++) {
		moved(MOVES(sendto, fds[0], buffer, CHUNK, 0, NULL, 0), CHUNK);
		moved(MOVES(recvfrom, fds[1], buffer, CHUNK, MSG_WAITALL, NULL, NULL), CHUNK);
	}
	endpoint_add_sent(endpoint(fds[0]), CHUNKS, (uint64_t)CHUNK * CHUNKS);
	endpoint_add_received(endpoint(fds[1]), CHUNKS, (uint64_t)CHUNK * CHUNKS);
	net_close(fds[0]);
	net_close(fds[1]);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool by_name_only;
} corners[] = {
	{"refused", refused, false},
	{"refused-to-many", refused_to_many, false},
	{"returned", returned, false},
	{"merged", merged, false},
	{"changes-peer", changes_peer, false},
	{"asks-length", asks_length, false},
	{"raw", raw, false},
	{"connects-again", connects_again, false},
	{"wraps", wraps, true},
};

int main(int argc, char **argv)
{
	truth_check(truth_getopt(argc, argv, "") == -1, "usage");
	truth_init("corners", 2);
	endpoints_init(64);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	for (size_t i = 0; i < sizeof(corners) / sizeof(*corners); i++)
		if (truth_is_wanted(corners[i].name, argc, argv) &&
		    (argc > optind || !corners[i].by_name_only))
			corners[i].run();
	truth_print();
	return 0;
}
