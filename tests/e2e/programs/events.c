// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * events [-n TIMES] KIND: so many events of one kind, for builds that leave some of them out
 * (mutations.bats): switches, work (the same with a CPU's time between them), calls, bytes, drops,
 * threads, states (of a TCP socket: two each time).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

static unsigned int times = 10000;
static char buffer[100];

/* --- switches: two threads wake each other ------------------------------------------------------
 */

#define WORK_NS 20000

static int there[2], back[2];
static uint64_t work_ns;

static void work(void)
{
	uint64_t until = net_now_ns() + work_ns;

	while (work_ns && net_now_ns() < until)
		;
}

static void *answer(void *unused)
{
	for (unsigned int i = 0; i < times; i++) {
		net_await(there[0]);
		work();
		net_release(back[1]);
	}
	return unused;
}

static void switches(void)
{
	pthread_t thread;

	net_pipe(there);
	net_pipe(back);
	truth_check(pthread_create(&thread, NULL, answer, NULL) == 0, "pthread_create");
	for (unsigned int i = 0; i < times; i++) {
		net_release(there[1]);
		work();
		net_await(back[0]);
	}
	truth_check(pthread_join(thread, NULL) == 0, "pthread_join");
}

static void switches_and_work(void)
{
	work_ns = WORK_NS;
	switches();
}

static void *nothing(void *unused)
{
	return unused;
}

static void threads(void)
{
	pthread_t thread;

	for (unsigned int i = 0; i < times; i++)
		truth_check(!pthread_create(&thread, NULL, nothing, NULL) &&
				    !pthread_join(thread, NULL),
			    "pthread_create");
}

/* --- calls, bytes, drops ------------------------------------------------------------------------
 */

static void calls(void)
{
	for (unsigned int i = 0; i < times; i++)
		CALL(getppid);
}

static void bytes(void)
{
	int fds[2];

	net_connection("127.0.0.1", fds);
	for (unsigned int i = 0; i < times; i++) {
		truth_check(SENDS(write, fds[0], buffer, sizeof(buffer)) == sizeof(buffer),
			    "write");
		truth_check(RECEIVES(read, fds[1], 0, buffer, sizeof(buffer)) == sizeof(buffer),
			    "read");
	}
	net_close(fds[0]);
	net_close(fds[1]);
}

/* Into a socket that nobody reads. */
static void drops(void)
{
	int from = net_bound("127.0.0.1", SOCK_DGRAM), to = net_bound("127.0.0.1", SOCK_DGRAM);
	struct net_address address = net_address("127.0.0.1", net_port(to));

	net_set(to, SOL_SOCKET, SO_RCVBUF, 2048);
	endpoint_named(from, "bind");
	endpoint_named(to, "bind");
	for (unsigned int i = 0; i < times; i++)
		truth_check(SENDS(sendto, from, buffer, sizeof(buffer), 0, &address.storage,
				  address.len) == sizeof(buffer),
			    "sendto");
	net_close(from);
	net_close(to);
}

/* Connections that are refused, all of one socket. */
static void states(void)
{
	int nobody = net_bound("127.0.0.1", SOCK_STREAM), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct net_address to = net_address("127.0.0.1", net_port(nobody));

	truth_check(fd >= 0, "socket");
	for (unsigned int i = 0; i < times; i++)
		truth_check(connect(fd, (const void *)&to.storage, to.len) == -1 &&
				    errno == ECONNREFUSED,
			    "connect");
	close(fd);
	net_close(nobody);
}

static const struct kind {
	const char *name;
	void (*run)(void);
} kinds[] = {
	{"switches", switches}, {"work", switches_and_work}, {"calls", calls},	{"bytes", bytes},
	{"drops", drops},	{"threads", threads},	     {"states", states}};

int main(int argc, char **argv)
{
	while (truth_getopt(argc, argv, "n:") != -1)
		times = truth_number(optarg, 1, 1000000);
	truth_init("events", 2);
	endpoints_init(8);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (truth_is_wanted(kinds[i].name, argc, argv))
			kinds[i].run();
	truth_print();
	return 0;
}
