// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * origins [-e] [CASE...]: connections and attempts at them, in a network namespace with loopback
 * alone and the working directory, told apart by what the program asked for: to whom, from which
 * socket, for the how manieth time. Without CASE, all but "unread". With -e the Unix sockets are
 * older than the trace.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "net.h"

#define LOOPBACK  "127.0.0.1"
#define LOOPBACK6 "::1"

static void put(int fd, size_t n)
{
	static const char zeros[4096];

	truth_check(SENDS(sendto, fd, zeros, n, MSG_NOSIGNAL, NULL, 0) == (long)n, "sendto");
}

static void get(int fd, size_t n)
{
	static char buffer[4096];

	truth_check(RECEIVES(recvfrom, fd, 0, buffer, n, MSG_WAITALL, NULL, NULL) == (long)n,
		    "recvfrom");
}

static int connect_to(int fd, const struct net_address *to)
{
	return connect(fd, (const void *)&to->storage, to->len) ? errno : 0;
}

static void disconnect(int fd)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	truth_check(connect(fd, &nobody, sizeof(nobody)) == 0, "connect to nobody");
}

static struct endpoint *failed(int fd, const struct net_address *to)
{
	struct endpoint *e = endpoint(fd);

	e->role = "connect";
	endpoint_remote(e, &to->storage, to->len);
	endpoint_figure(e, "tcp.failed_connects", 1, 1);
	endpoint_figure(e, "tcp.connect_ns", 1, 0);
	endpoint_figure(e, "tcp.first_byte_ns", 1, 0);
	return e;
}

/* A port on which nobody listens: bound, by a socket that is kept. */
static struct net_address closed_port(const char *address)
{
	int nobody = net_bound(address, SOCK_STREAM);

	endpoint_named(nobody, NULL);
	return net_address(address, net_port(nobody));
}

/* --- whom a connect(2) that failed was for --------------------------------------------------- */

static void prepare(int fd, const char *address, int way)
{
	struct net_address own = net_address(address, 0);

	if (way == 1)
		net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	else if (way == 2)
		truth_check(bind(fd, (void *)&own.storage, own.len) == 0, "bind");
}

static void refused_by(const char *address)
{
	struct net_address to[2] = {closed_port(address), closed_port(address)};

	for (int way = 0; way < 3; way++)
		for (int i = 0; i < 4; i++) {
			int fd = net_socket(address, SOCK_STREAM);
			struct endpoint *e;

			prepare(fd, address, way);
			truth_check(connect_to(fd, &to[i % 2]) == ECONNREFUSED, "refused");
			e = failed(fd, &to[i % 2]);
			endpoint_figure(e, "tcp.resets_received", 1, 1);
			endpoint_figure(e, "tcp.retransmits", 0, 0);
			net_close(fd);
		}
}

static void refused(void)
{
	refused_by(LOOPBACK);
	refused_by(LOOPBACK6);
}

/* The kernel finds no way to it, so there is no SYN. */
static void unreachable(void)
{
	static const char *const nowhere[] = {"203.0.113.9", "2001:db8::9", "::ffff:203.0.113.9"};

	for (unsigned int i = 0; i < 3; i++)
		for (int way = 0; way < 2; way++) {
			struct net_address to = net_address(nowhere[i], 443);
			int fd = net_socket(nowhere[i], SOCK_STREAM);

			prepare(fd, nowhere[i], way);
			truth_check(connect_to(fd, &to) == ENETUNREACH, "unreachable");
			failed(fd, &to);
			net_close(fd);
		}
}

/* No attempt of its own: a call that tells of the one before, or that has nothing to do. */
static void told_later(void)
{
	struct net_address to = closed_port(LOOPBACK);
	int fd = net_socket(LOOPBACK, SOCK_STREAM), fds[2], error;
	struct net_address peer;

	truth_check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	error = connect_to(fd, &to);
	truth_check(error == EINPROGRESS || error == ECONNREFUSED, "connect");
	net_wait(fd, POLLOUT);
	if (error == EINPROGRESS)
		truth_check(connect_to(fd, &to) == ECONNREFUSED, "the result");
	failed(fd, &to);
	net_close(fd);
	net_connection(LOOPBACK, fds);
	peer = net_address(LOOPBACK, net_port(fds[1]));
	truth_check(connect_to(fds[0], &peer) == EISCONN, "EISCONN");
	endpoint_figure(endpoint(fds[0]), "tcp.failed_connects", 0, 0);
	net_close(fds[0]);
	net_close(fds[1]);
}

/* --- SYNs that nobody answers ---------------------------------------------------------------- */

/* A listener whose queue is full does not answer. What it has is accepted in the end. */
static void unanswered(void)
{
	int listener = net_listen(LOOPBACK, 0), fds[3], accepted;
	struct net_address to = net_address(LOOPBACK, net_port(listener));
	uint64_t sent;

	fds[0] = net_connect(LOOPBACK, listener);
	sent = net_stat("TCPSynRetrans");
	for (int i = 1; i < 3; i++) {
		fds[i] = net_socket(LOOPBACK, SOCK_STREAM);
		net_set(fds[i], IPPROTO_TCP, TCP_SYNCNT, 1);
		truth_check(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
		truth_check(connect_to(fds[i], &to) == EINPROGRESS, "connect");
	}
	for (int i = 1; i < 3; i++) {
		net_wait(fds[i], POLLOUT);
		truth_check(connect_to(fds[i], &to) == ETIMEDOUT, "timeout");
	}
	sent = net_stat("TCPSynRetrans") - sent;
	truth_check(sent && sent % 2 == 0, "SYNs sent again, as many by each");
	for (int i = 1; i < 3; i++) {
		endpoint_figure(failed(fds[i], &to), "tcp.retransmits", sent / 2, sent / 2);
		net_close(fds[i]);
	}
	endpoint_figure(endpoint(fds[0]), "tcp.retransmits", 0, 0);
	accepted = net_accept(listener);
	net_close(fds[0]);
	net_close(accepted);
	net_close(listener);
}

/* --- a socket that is used again ------------------------------------------------------------- */

/* One connection of @fd to @listener, on which @n bytes go each way. */
static void once(int fd, int listener, size_t n)
{
	struct net_address to = net_address(LOOPBACK, net_port(listener));
	int accepted;

	truth_check(connect_to(fd, &to) == 0, "connect");
	endpoint_named(fd, "connect");
	endpoint_figure(endpoint(fd), "tcp.failed_connects", 0, 0);
	endpoint_figure(endpoint(fd), "tcp.connect_ns", 1, 10000000000);
	accepted = net_accept(listener);
	endpoint_figure(endpoint(accepted), "tcp.accept_wait_ns", 1, 10000000000);
	put(fd, n);
	get(accepted, n);
	put(accepted, n + 1);
	get(fd, n + 1);
	endpoint_figure(endpoint(fd), "tcp.first_byte_ns", 1, 10000000000);
	disconnect(fd); /* a reset */
	endpoint(fd)->closed_by = "local";
	endpoint(accepted)->closed_by = "remote";
	endpoint_figure(endpoint(fd), "tcp.resets_sent", 1, 1);
	endpoint_figure(endpoint(accepted), "tcp.resets_received", 1, 1);
	net_wait(accepted, POLLERR);
	net_close(accepted);
	endpoint_used_anew(fd);
}

static void again(void)
{
	int listeners[2] = {net_listen(LOOPBACK, 8), net_listen(LOOPBACK, 8)}, fds[2], fd;
	struct net_address to[2] = {closed_port(LOOPBACK), closed_port(LOOPBACK)};

	fd = net_socket(LOOPBACK, SOCK_STREAM);
	for (int i = 0; i < 2; i++) {
		truth_check(connect_to(fd, &to[i]) == ECONNREFUSED, "refused");
		endpoint_figure(failed(fd, &to[i]), "tcp.resets_received", 1, 1);
		endpoint_used_anew(fd);
	}
	once(fd, listeners[0], 100);
	once(fd, listeners[1], 1000);
	once(fd, listeners[0], 7);
	truth_check(listen(fd, 8) == 0, "listen");
	endpoint_named(fd, "listen");
	fds[0] = net_connect(LOOPBACK, fd);
	fds[1] = net_accept(fd);
	endpoint_figure(endpoint(fds[1]), "tcp.accept_wait_ns", 1, 10000000000);
	put(fds[0], 55);
	get(fds[1], 55);
	net_close(fds[0]);
	net_close(fds[1]);
	disconnect(fd); /* listens no more */
	endpoint_used_anew(fd);
	once(fd, listeners[1], 20);
	truth_check(connect_to(fd, &to[0]) == ECONNREFUSED, "refused");
	failed(fd, &to[0]);
	net_close(fd);
	net_close(listeners[0]);
	net_close(listeners[1]);
}

/* What is read after a reset, the kernel counts no more once the socket is used again. */
static void unread(void)
{
	struct linger at_once = {.l_onoff = 1};
	int listener = net_listen(LOOPBACK, 8), fd = net_connect(LOOPBACK, listener);
	int accepted = net_accept(listener);

	put(accepted, 10);
	net_wait(fd, POLLIN);
	truth_check(!setsockopt(accepted, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
		    "SO_LINGER");
	net_close(accepted);
	net_wait(fd, POLLERR);
	get(fd, 10);
	endpoint(fd)->closed_by = "remote";
	disconnect(fd);
	endpoint_used_anew(fd);
	once(fd, listener, 30);
	net_close(fd);
	net_close(listener);
}

/* --- datagrams ------------------------------------------------------------------------------- */

static void receive_from(int fd, int peer, size_t n)
{
	put(fd, n);
	get(peer, n);
}

/* A socket that has been connected to several peers has one row, for all of them. */
static void turns(const char *address)
{
	int peers[2] = {net_bound(address, SOCK_DGRAM), net_bound(address, SOCK_DGRAM)};
	int many = net_socket(address, SOCK_DGRAM), one = net_socket(address, SOCK_DGRAM);
	struct net_address nobody = {.storage.ss_family = AF_UNSPEC, .len = sizeof(sa_family_t)};

	for (int i = 0; i < 2; i++) {
		struct net_address to = net_address(address, net_port(peers[i]));

		endpoint_named(peers[i], "bind");
		truth_check(!connect_to(many, &to) && !connect_to(one, &to), "connect");
		receive_from(many, peers[i], 10 + i);
	}
	receive_from(one, peers[1], 5); /* the first peer had nothing from it */
	endpoint_named(one, "connect");
	endpoint_named(many, "connect");
	endpoint_remote(endpoint(many), &nobody.storage, nobody.len);
	net_close(many);
	net_close(one);
	net_close(peers[0]);
	net_close(peers[1]);
}

static void peers(void)
{
	turns(LOOPBACK);
	turns(LOOPBACK6);
}

/* --- Unix sockets ---------------------------------------------------------------------------- */

#define NAMES 5

/* A listener's name; how a client gets one of its own. */
struct unix_way {
	char first; /* NUL: abstract */
	unsigned int len;
	enum { UNNAMED, BOUND, GIVEN } client; /* GIVEN: by the kernel, for SO_PASSCRED */
	int fds[2], listener;
};

static struct unix_way unix_ways[NAMES] = {
	{.first = 'p', .len = 20, .client = UNNAMED}, {.first = 'q', .len = 107, .client = BOUND},
	{.first = 'r', .len = 108, .client = GIVEN},  {.first = 's', .len = 108, .client = BOUND},
	{.first = 0, .len = 108, .client = BOUND},
};

static socklen_t unix_name(struct sockaddr_un *a, char first, unsigned int len)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	memset(a->sun_path, first ? first : 'a', len);
	a->sun_path[0] = first;
	return offsetof(struct sockaddr_un, sun_path) + len;
}

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	truth_check(fd >= 0, "socket");
	return fd;
}

/* getsockname(2) gives the NUL that the kernel puts behind a path too. */
static void unix_endpoint(int fd, const char *role, const struct sockaddr_un *name, socklen_t len)
{
	endpoint(fd)->role = role;
	if (name)
		endpoint_local(endpoint(fd), name, len);
}

static void connect_unix(struct unix_way *w, char own)
{
	struct sockaddr_un name, client;
	socklen_t len = unix_name(&name, w->first, w->len), client_len = 0;

	w->listener = unix_socket();
	truth_check(!bind(w->listener, (void *)&name, len) && !listen(w->listener, 1), "listen");
	unix_endpoint(w->listener, "listen", &name, len);
	w->fds[0] = unix_socket();
	if (w->client == BOUND) {
		client_len = unix_name(&client, own, w->len);
		truth_check(!bind(w->fds[0], (void *)&client, client_len), "bind");
	} else if (w->client == GIVEN) {
		net_set(w->fds[0], SOL_SOCKET, SO_PASSCRED, 1);
	}
	truth_check(connect(w->fds[0], (void *)&name, len) == 0, "connect");
	if (w->client == UNNAMED)
		endpoint_remote(endpoint(w->fds[0]), &name, len);
	unix_endpoint(w->fds[0], "connect", client_len ? &client : NULL, client_len);
	w->fds[1] = accept(w->listener, NULL, NULL);
	truth_check(w->fds[1] >= 0, "accept");
	unix_endpoint(w->fds[1], "accept", &name, len);
}

static void unix_connections(void)
{
	for (int i = 0; i < NAMES; i++)
		connect_unix(&unix_ways[i], 'A' + i);
}

static void names(void)
{
	if (!unix_ways[0].fds[0])
		unix_connections();
	for (int i = 0; i < NAMES; i++) {
		struct unix_way *w = &unix_ways[i];

		put(w->fds[0], 10 + i);
		get(w->fds[1], 10 + i);
		net_close(w->fds[0]);
		net_close(w->fds[1]);
		net_close(w->listener);
	}
}

/* --- the program ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
	bool by_name_only;
} origins[] = {
	{"refused", refused, false},	   {"unreachable", unreachable, false},
	{"told-later", told_later, false}, {"unanswered", unanswered, false},
	{"again", again, false},	   {"peers", peers, false},
	{"names", names, false},	   {"unread", unread, true},
};

int main(int argc, char **argv)
{
	bool are_early = false;

	while (truth_getopt(argc, argv, "e") != -1)
		are_early = true;
	truth_init("origins", 4);
	endpoints_init(256);
	truth_process_begin();
	if (are_early) {
		endpoints_are_early(true);
		unix_connections();
	}
	truth_wait_go(NULL, 0);
	endpoints_are_early(false);
	net_unshare();
	for (size_t i = 0; i < sizeof(origins) / sizeof(*origins); i++)
		if (truth_is_wanted(origins[i].name, argc, argv) &&
		    (argc > optind || !origins[i].by_name_only))
			origins[i].run();
	truth_print();
	return 0;
}
