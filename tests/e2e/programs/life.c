// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * life [-m MILLISECONDS] [-k] [CASE...]: how TCP connections begin and end, and what they suffer,
 * with bounds measured from outside or taken from TCP_INFO. Without CASE, all but those that need
 * something of their own. With -k what is still open stays so while the program waits, after
 * "done".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "net.h"

#define LOOPBACK "127.0.0.1"

static unsigned int wait_ms = 50;
static bool stays_open;
static char buffer[1 << 20];

static void put(int fd, size_t n)
{
	truth_check(SENDS(sendto, fd, buffer, n, MSG_NOSIGNAL, NULL, 0) == (long)n, "sendto");
}

static void put_fails(int fd, int error)
{
	long ret = SENDS(sendto, fd, buffer, 1, MSG_NOSIGNAL, NULL, 0);

	truth_check(ret == -1 && errno == error, "a send that must fail");
}

static void get(int fd, size_t n)
{
	while (n) {
		size_t room = n < sizeof(buffer) ? n : sizeof(buffer);
		long ret = RECEIVES(recvfrom, fd, 0, buffer, room, 0, NULL, NULL);

		truth_check(ret > 0, "recvfrom");
		n -= ret;
	}
}

static void get_end(int fd)
{
	truth_check(RECEIVES(recvfrom, fd, 0, buffer, 1, 0, NULL, NULL) == 0, "end of stream");
}

static void get_fails(int fd, int error)
{
	long ret = RECEIVES(recvfrom, fd, 0, buffer, 1, 0, NULL, NULL);

	truth_check(ret == -1 && errno == error, "a receive that must fail");
}

static void pause_a_while(void)
{
	usleep(wait_ms * 1000);
}

static void closed_by(int fd, const char *who)
{
	endpoint(fd)->closed_by = who;
}

static void resets(int fd, unsigned int sent, unsigned int received)
{
	endpoint_figure(endpoint(fd), "tcp.resets_sent", sent, sent);
	endpoint_figure(endpoint(fd), "tcp.resets_received", received, received);
}

/* --- beginning ------------------------------------------------------------------------------- */

static void refused(void)
{
	int nobody = net_bound(LOOPBACK, SOCK_STREAM);
	struct net_address to = net_address(LOOPBACK, net_port(nobody));

	endpoint_named(nobody, NULL);
	for (int i = 0; i < 3; i++) {
		int fd = net_socket(LOOPBACK, SOCK_STREAM);
		struct endpoint *e = endpoint(fd);

		truth_check(connect(fd, (void *)&to.storage, to.len) == -1 && errno == ECONNREFUSED,
			    "a connect that is refused");
		e->role = "connect";
		endpoint_remote(e, &to.storage, to.len);
		endpoint_figure(e, "tcp.failed_connects", 1, 1);
		endpoint_figure(e, "tcp.connect_ns", 1, 0);
		resets(fd, 0, 1);
		net_close(fd);
	}
	net_close(nobody);
}

/* One socket that tries again until it is heard: each time is a row. */
static void refused_then_connected(void)
{
	int listener = net_bound(LOOPBACK, SOCK_STREAM), fd = net_socket(LOOPBACK, SOCK_STREAM), b;
	struct net_address to = net_address(LOOPBACK, net_port(listener));

	for (int i = 0; i < 2; i++) {
		struct endpoint *e = endpoint(fd);

		truth_check(connect(fd, (void *)&to.storage, to.len) == -1 && errno == ECONNREFUSED,
			    "a connect that is refused");
		e->role = "connect";
		endpoint_remote(e, &to.storage, to.len);
		endpoint_figure(e, "tcp.failed_connects", 1, 1);
		endpoint_used_anew(fd);
	}
	truth_check(listen(listener, 1) == 0, "listen");
	truth_check(connect(fd, (void *)&to.storage, to.len) == 0, "connect");
	endpoint_named(listener, "listen");
	endpoint_named(fd, "connect");
	endpoint_figure(endpoint(fd), "tcp.failed_connects", 0, 0);
	endpoint_figure(endpoint(fd), "tcp.connect_ns", 1, 10000000000);
	b = net_accept(listener);
	put(fd, 10);
	get(b, 10);
	net_close(fd);
	get_end(b);
	net_close(b);
	net_close(listener);
}

/* The server is slow to accept; then each end is slow to send its first byte. */
static void waits(void)
{
	int listener = net_listen(LOOPBACK, 8), a, b;
	uint64_t start, connected, before_accept, accepted, sent;

	start = net_now_ns();
	a = net_connect(LOOPBACK, listener);
	connected = net_now_ns();
	pause_a_while();
	before_accept = net_now_ns();
	b = net_accept(listener);
	accepted = net_now_ns();
	endpoint_figure(endpoint(a), "tcp.connect_ns", 1, connected - start);
	endpoint_figure(endpoint(b), "tcp.accept_wait_ns", before_accept - connected,
			accepted - start);
	pause_a_while();
	sent = net_now_ns();
	put(a, 10);
	get(b, 10);
	endpoint_figure(endpoint(b), "tcp.first_byte_ns", sent - connected, net_now_ns() - start);
	pause_a_while();
	sent = net_now_ns();
	put(b, 10);
	get(a, 10);
	endpoint_figure(endpoint(a), "tcp.first_byte_ns", sent - connected, net_now_ns() - start);
	closed_by(b, "local");
	closed_by(a, "remote");
	net_close(b);
	get_end(a);
	net_close(a);
	net_close(listener);
}

/* connect that does not wait: the latency is that of the handshake, not of the call. */
static void connects_in_background(void)
{
	int listener = net_listen("::1", 8), a = net_socket("::1", SOCK_STREAM), b;
	struct net_address to = net_address("::1", net_port(listener));
	uint64_t start = net_now_ns();

	truth_check(fcntl(a, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	truth_check(connect(a, (void *)&to.storage, to.len) == 0 || errno == EINPROGRESS,
		    "connect");
	net_wait(a, POLLOUT);
	endpoint_named(a, "connect");
	endpoint_figure(endpoint(a), "tcp.connect_ns", 1, net_now_ns() - start);
	b = net_accept(listener);
	net_close(a);
	get_end(b);
	net_close(b);
	net_close(listener);
}

/* --- ending ---------------------------------------------------------------------------------- */

static void first_closes(void)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	resets(fds[0], 0, 0);
	resets(fds[1], 0, 0);
	closed_by(fds[0], "local");
	closed_by(fds[1], "remote");
	net_close(fds[0]);
	get_end(fds[1]);
	net_close(fds[1]);
}

static void second_closes(void)
{
	int fds[2];

	net_connection("::1", fds);
	closed_by(fds[1], "local");
	closed_by(fds[0], "remote");
	net_close(fds[1]);
	get_end(fds[0]);
	net_close(fds[0]);
}

static void half_closes(void)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	closed_by(fds[0], "local");
	closed_by(fds[1], "remote");
	truth_check(shutdown(fds[0], SHUT_WR) == 0, "shutdown");
	get_end(fds[1]);
	put(fds[1], 5000);
	get(fds[0], 5000);
	put_fails(fds[0], EPIPE);
	truth_check(shutdown(fds[1], SHUT_RDWR) == 0, "shutdown");
	get_end(fds[0]);
	net_close(fds[0]);
	net_close(fds[1]);
}

static void closes_with_unread_data(void)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	closed_by(fds[0], "local");
	closed_by(fds[1], "remote");
	put(fds[1], 100);
	net_wait(fds[0], POLLIN);
	resets(fds[0], 1, 0);
	resets(fds[1], 0, 1);
	net_close(fds[0]);
	net_wait(fds[1], POLLERR);
	get_fails(fds[1], ECONNRESET);
	net_close(fds[1]);
}

static void aborts(void)
{
	struct linger at_once = {.l_onoff = 1};
	int fds[2];

	net_connection(LOOPBACK, fds);
	closed_by(fds[1], "local");
	closed_by(fds[0], "remote");
	resets(fds[1], 1, 0);
	resets(fds[0], 0, 1);
	truth_check(!setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)),
		    "SO_LINGER");
	net_close(fds[1]);
	net_wait(fds[0], POLLERR);
	get_fails(fds[0], ECONNRESET);
	net_close(fds[0]);
}

static void sends_to_closed(void)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	closed_by(fds[0], "local");
	closed_by(fds[1], "remote");
	resets(fds[1], 0, 1);
	/* Its reset is sent when the process has let go of it. */
	endpoint_figure(endpoint(fds[0]), "tcp.resets_sent", 0, 1);
	net_close(fds[0]);
	get_end(fds[1]);
	put(fds[1], 10);
	net_wait(fds[1], POLLERR);
	put_fails(fds[1], EPIPE);
	net_close(fds[1]);
}

static void victim(int listener, int ready)
{
	int fds[4];

	truth_process_begin()->status = SIGKILL;
	for (int i = 0; i < 4; i++) {
		fds[i] = net_connect(LOOPBACK, listener);
		closed_by(fds[i], "local");
		resets(fds[i], i < 2, 0);
		put(fds[i], 10 + i);
	}
	for (int i = 0; i < 2; i++)
		net_wait(fds[i], POLLIN);
	net_release(ready);
	pause();
}

/* A child is killed with connections open, two of them with data unread. */
static void killed(void)
{
	int listener = net_listen(LOOPBACK, 8), ready[2], fds[4];
	pid_t pid;

	net_pipe(ready);
	pid = net_fork();
	if (!pid)
		victim(listener, ready[1]);
	for (int i = 0; i < 4; i++) {
		fds[i] = net_accept(listener);
		closed_by(fds[i], "remote");
		resets(fds[i], 0, i < 2);
		get(fds[i], 10 + i);
		if (i < 2)
			put(fds[i], 20);
	}
	net_await(ready[0]);
	truth_check(kill(pid, SIGKILL) == 0, "kill");
	truth_reap(pid, NULL);
	for (int i = 0; i < 4; i++) {
		net_wait(fds[i], POLLIN);
		if (i < 2)
			get_fails(fds[i], ECONNRESET);
		else
			get_end(fds[i]);
		net_close(fds[i]);
	}
	net_close(listener);
}

/* --- what stays open ------------------------------------------------------------------------- */

static void stays(int fd, const char *state)
{
	endpoint(fd)->alive = 1;
	endpoint(fd)->state = state;
}

static void states(void)
{
	int fds[2], half[2], listener = net_listen("::1", 8);

	net_connection(LOOPBACK, fds);
	put(fds[0], 60000);
	get(fds[1], 60000);
	stays(fds[0], "ESTAB");
	stays(fds[1], "ESTAB");
	net_connection(LOOPBACK, half);
	truth_check(shutdown(half[0], SHUT_WR) == 0, "shutdown");
	get_end(half[1]);
	closed_by(half[0], "local");
	closed_by(half[1], "remote");
	stays(half[0], "FIN-WAIT-2");
	stays(half[1], "CLOSE-WAIT");
	stays(listener, "LISTEN");
}

static size_t fill(int fd)
{
	size_t total = 0;
	long ret;

	while ((ret = SENDS(sendto, fd, buffer, sizeof(buffer), MSG_DONTWAIT, NULL, 0)) > 0)
		total += ret;
	truth_check(errno == EAGAIN, "a full socket");
	return total;
}

/* One sender waits for the peer's window, one for its own send buffer. */
static void limits(void)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	for (int i = 0; i < 3; i++) {
		size_t total = fill(fds[0]);

		pause_a_while();
		get(fds[1], total);
	}
	stays(fds[0], "ESTAB");
	stays(fds[1], "ESTAB");
	net_connection("::1", fds);
	net_set(fds[0], SOL_SOCKET, SO_SNDBUF, 8192);
	for (int i = 0; i < 100; i++)
		get(fds[1], fill(fds[0]));
	stays(fds[0], "ESTAB");
	stays(fds[1], "ESTAB");
}

/* --- those that need something of their own -------------------------------------------------- */

static void send_queue_is_empty(int fd)
{
	int left;

	do
		truth_check(ioctl(fd, TIOCOUTQ, &left) == 0, "TIOCOUTQ");
	while (left);
}

/* In a namespace of its own, whose counts are then those of this listener. */
static void overflows(void)
{
	int listener, fds[8];
	struct net_address to;
	uint64_t before, now;

	net_unshare();
	listener = net_listen(LOOPBACK, 1);
	to = net_address(LOOPBACK, net_port(listener));
	before = net_stat("ListenOverflows");
	for (int i = 0; i < 8; i++) {
		fds[i] = net_socket(LOOPBACK, SOCK_STREAM);
		truth_check(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
		truth_check(!connect(fds[i], (void *)&to.storage, to.len) || errno == EINPROGRESS,
			    "connect");
	}
	for (int i = 0; i < 8; i++) {
		endpoint_named(fds[i], "connect");
		endpoint_remote(endpoint(fds[i]), &to.storage, to.len);
		net_close(fds[i]);
	}
	now = net_stat("ListenOverflows");
	truth_check(now > before, "no overflow");
	endpoint_figure(endpoint(listener), "tcp.backlog_overflows", now - before, now - before);
	net_close(listener);
}

struct life {
	const char *name;
	void (*run)(void);
	bool by_name_only;
};

static const struct life lives[] = {
	{"refused", refused, false},
	{"refused-then-connected", refused_then_connected, false},
	{"waits", waits, false},
	{"connects-in-background", connects_in_background, false},
	{"first-closes", first_closes, false},
	{"second-closes", second_closes, false},
	{"half-closes", half_closes, false},
	{"closes-with-unread-data", closes_with_unread_data, false},
	{"aborts", aborts, false},
	{"sends-to-closed", sends_to_closed, false},
	{"killed", killed, false},
	{"states", states, true},
	{"limits", limits, true},
	{"overflows", overflows, true},
};

/* Of sockets that are quiet by now. */
static void note_tcp_info(void)
{
	for (int fd = 3; fd < 100; fd++) {
		int domain, protocol;
		socklen_t len = sizeof(int);

		if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) ||
		    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) || domain == AF_UNIX ||
		    protocol != IPPROTO_TCP || strcmp(endpoint(fd)->state, "LISTEN") == 0)
			continue;
		send_queue_is_empty(fd);
		endpoint_tcp_info(fd);
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = truth_getopt(argc, argv, "m:k")) != -1) {
		if (option == 'm')
			wait_ms = truth_number(optarg, 1, 10000);
		else
			stays_open = true;
	}
	truth_init("life", 8);
	endpoints_init(128);
	truth_process_begin()->status = stays_open ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = stays_open;
	truth_wait_go(NULL, 0);
	for (size_t i = 0; i < sizeof(lives) / sizeof(*lives); i++)
		if (truth_is_wanted(lives[i].name, argc, argv) &&
		    (argc > optind || !lives[i].by_name_only))
			lives[i].run();
	if (stays_open)
		note_tcp_info();
	truth_print();
	if (stays_open)
		truth_pause("done");
	return 0;
}
