// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * connects [-n CYCLES] [-l LISTENERS] [-p MICROSECONDS]: a server and its clients, a process each,
 * which connect, ask, get an answer, close and pause, CYCLES times in all, a client for each
 * listener. Both are named by "ready".
 *
 * connects -k -n CONNECTIONS: the same two processes with so many connections established, one
 * byte sent each way on each; nothing moves after "ready".
 */
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

#define ADDRESS	      "127.0.0.1"
#define ASKED	      32
#define ANSWERED      64
#define MAX_LISTENERS 16
#define MAX_SINGLE    64 /* closed connections with rows of their own */

static unsigned int cycles = 50000, nr_listeners = 4, pause_us;
static bool holds;
static int listeners[MAX_LISTENERS];
static int to_client[2], to_server[2];

/* --- connect, ask, answer, close ------------------------------------------------------------- */

static unsigned int cycles_of(long listener)
{
	return cycles / nr_listeners + (listener < cycles % nr_listeners);
}

static void put(int fd, size_t n)
{
	static const char zeros[ANSWERED];

	truth_check(MOVES(sendto, fd, zeros, n, MSG_NOSIGNAL, NULL, 0) == (long)n, "sendto");
}

/* In one call: what came in one segment is read at once. */
static void get(int fd, size_t n)
{
	char got[ANSWERED];
	long ret = MOVES(recvfrom, fd, got, ANSWERED, 0, NULL, NULL);

	truth_check(ret == (long)n, "recvfrom");
}

/* Of each connection one duration, if they are folded. */
static void spread(struct endpoint *e, const char *path, unsigned int nr)
{
	if (nr > MAX_SINGLE)
		endpoint_figure(e, path, nr, nr);
}

/* The account of all connections of one listener, at one of their ends. */
static struct endpoint *many(int listener, const char *role, unsigned int nr)
{
	struct endpoint *e = endpoint_new("tcp", "ipv4", role, nr);
	struct net_address a = net_address(ADDRESS, net_port(listener));

	if (!strcmp(role, "accept"))
		endpoint_local(e, &a.storage, a.len);
	else
		endpoint_remote(e, &a.storage, a.len);
	spread(e, "spreads.rtt.count", nr);
	spread(e, "spreads.first_byte.count", nr);
	spread(e, "spreads.lifetime.count", nr);
	endpoint_figure(e, "tcp.resets_sent", 0, 0);
	endpoint_figure(e, "tcp.resets_received", 0, 0);
	endpoint_figure(e, "tcp.failed_connects", 0, 0);
	return e;
}

static void *serve(void *index)
{
	unsigned int nr = cycles_of((long)index);
	int listener = listeners[(long)index];
	struct endpoint *e = many(listener, "accept", nr);

	truth_thread_begin();
	for (unsigned int i = 0; i < nr; i++) {
		int fd = accept(listener, NULL, NULL);

		truth_check(fd >= 0, "accept");
		get(fd, ASKED);
		put(fd, ANSWERED);
		get(fd, 0);
		net_close(fd);
	}
	endpoint_add_sent(e, nr, (uint64_t)nr * ANSWERED);
	endpoint_add_received(e, 2ULL * nr, (uint64_t)nr * ASKED);
	spread(e, "spreads.accept_wait.count", nr);
	return NULL;
}

static void *ask(void *index)
{
	unsigned int nr = cycles_of((long)index);
	int listener = listeners[(long)index];
	struct net_address to = net_address(ADDRESS, net_port(listener));
	struct endpoint *e = many(listener, "connect", nr);

	truth_thread_begin();
	for (unsigned int i = 0; i < nr; i++) {
		int fd = net_socket(ADDRESS, SOCK_STREAM);

		truth_check(connect(fd, (void *)&to.storage, to.len) == 0, "connect");
		put(fd, ASKED);
		get(fd, ANSWERED);
		net_close(fd);
		if (pause_us)
			usleep(pause_us);
	}
	endpoint_add_sent(e, nr, (uint64_t)nr * ASKED);
	endpoint_add_received(e, nr, (uint64_t)nr * ANSWERED);
	spread(e, "spreads.connect.count", nr);
	return NULL;
}

static void in_threads(void *(*run)(void *))
{
	pthread_t ids[MAX_LISTENERS];

	for (long i = 0; i < nr_listeners; i++)
		truth_check(!pthread_create(&ids[i], NULL, run, (void *)i), "pthread_create");
	for (long i = 0; i < nr_listeners; i++)
		truth_check(!pthread_join(ids[i], NULL), "pthread_join");
}

/* --- connections that stay ------------------------------------------------------------------- */

static struct endpoint *stays(int fd, const char *role)
{
	struct endpoint *e = endpoint_new("tcp", "ipv4", role, 1);
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	truth_check(getsockname(fd, (void *)&a, &len) == 0, "getsockname");
	endpoint_local(e, &a, len);
	truth_check(getpeername(fd, (void *)&a, &len) == 0, "getpeername");
	endpoint_remote(e, &a, len);
	e->state = "ESTAB";
	e->alive = 1;
	return e;
}

static void note(int fd, const char *role)
{
	struct endpoint *e = stays(fd, role);
	struct tcp_info info;
	socklen_t len = sizeof(info);

	truth_check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0, "TCP_INFO");
	endpoint_figure(e, "tcp.rtt_ns", info.tcpi_rtt * 1000ULL, info.tcpi_rtt * 1000ULL + 999);
}

static void exchange(int fd, bool is_server)
{
	char byte = 0;

	truth_check(is_server || send(fd, &byte, 1, 0) == 1, "send");
	truth_check(recv(fd, &byte, 1, 0) == 1, "recv");
	truth_check(!is_server || send(fd, &byte, 1, 0) == 1, "send");
}

static void hold(const char *role, bool is_server)
{
	int *fds = calloc(cycles, sizeof(*fds));
	struct net_address to = net_address(ADDRESS, net_port(listeners[0]));

	truth_check(fds, "calloc");
	for (unsigned int i = 0; i < cycles; i++) {
		fds[i] = is_server ? accept(listeners[0], NULL, NULL)
				   : net_socket(ADDRESS, SOCK_STREAM);
		truth_check(fds[i] >= 0, "a connection");
		truth_check(is_server || !connect(fds[i], (void *)&to.storage, to.len), "connect");
		exchange(fds[i], is_server);
	}
	for (unsigned int i = 0; i < cycles; i++)
		note(fds[i], role);
	free(fds);
}

/* --- the program ----------------------------------------------------------------------------- */

static void client(void)
{
	truth_process_begin()->status = holds ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = holds;
	endpoints_are_early(holds);
	if (holds)
		hold("connect", false);
	net_release(to_server[1]);
	net_await(to_client[0]);
	if (!holds)
		in_threads(ask);
	net_end_child(!holds);
}

static void early_work(void)
{
	endpoints_are_early(true);
	for (unsigned int i = 0; i < nr_listeners; i++) {
		listeners[i] = net_listen(ADDRESS, 4096);
		endpoint(listeners[i])->alive = holds;
	}
	net_pipe(to_client);
	net_pipe(to_server);
}

int main(int argc, char **argv)
{
	pid_t pids[2] = {getpid()};
	int option;

	while ((option = truth_getopt(argc, argv, "n:l:p:k")) != -1) {
		if (option == 'n')
			cycles = truth_number(optarg, 1, 10000000);
		else if (option == 'l')
			nr_listeners = truth_number(optarg, 1, MAX_LISTENERS);
		else if (option == 'p')
			pause_us = truth_number(optarg, 1, 1000000);
		else
			holds = true;
	}
	if (holds) {
		nr_listeners = 1;
		net_raise_files(cycles + 1100);
	}
	truth_init("connects", 2 + 2 * MAX_LISTENERS);
	endpoints_init(MAX_LISTENERS * 3 + (holds ? 2 * cycles : 0));
	truth_process_begin()->status = holds ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = holds;
	early_work();
	pids[1] = net_fork();
	if (!pids[1])
		client();
	if (holds)
		hold("accept", true);
	net_await(to_server[0]);
	truth_wait_go(pids, 2);
	endpoints_are_early(false);
	net_release(to_client[1]);
	if (!holds)
		in_threads(serve);
	truth_reap(pids[1], NULL);
	truth_print();
	return 0;
}
