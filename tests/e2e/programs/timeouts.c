// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * timeouts [-n ATTEMPTS]: connects to a peer that does not answer, until the kernel gives up, in a
 * network namespace with loopback alone. That happens in timers, and on the same CPU a process that
 * is not traced makes a socket listen and closes it again without a pause, so that some of them
 * interrupt it where it changes the socket's state.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "net.h"

#define LOOPBACK  "127.0.0.1"
#define SPREAD_NS 1000000000L /* over which the attempts begin */

static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	truth_check(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

/* Until it is killed. */
static void change_states(void)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	truth_check(fd >= 0, "socket");
	for (;;)
		truth_check(!listen(fd, 1) && !connect(fd, &nobody, sizeof(nobody)), "listen");
}

static int attempt(const struct net_address *to)
{
	int fd = net_socket(LOOPBACK, SOCK_STREAM);

	net_set(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	truth_check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	truth_check(connect(fd, (const void *)&to->storage, to->len) == -1 && errno == EINPROGRESS,
		    "connect");
	return fd;
}

static int option(int fd, int level, int name, void *value, socklen_t len)
{
	truth_check(getsockopt(fd, level, name, value, &len) == 0, "getsockopt");
	return 0;
}

static void end_of(int fd, const struct net_address *to)
{
	struct endpoint *e = endpoint(fd);
	struct tcp_info info = {};
	int error = 0;

	net_wait(fd, POLLOUT);
	option(fd, IPPROTO_TCP, TCP_INFO, &info, sizeof(info));
	option(fd, SOL_SOCKET, SO_ERROR, &error, sizeof(error));
	truth_check(error == ETIMEDOUT && info.tcpi_total_retrans, "timeout");
	e->role = "connect";
	endpoint_remote(e, &to->storage, to->len);
	endpoint_figure(e, "tcp.failed_connects", 1, 1);
	endpoint_figure(e, "tcp.connect_ns", 1, 0);
	endpoint_figure(e, "tcp.retransmits", info.tcpi_total_retrans, info.tcpi_total_retrans);
	net_close(fd);
}

static void attempts(int nr)
{
	const struct timespec pause = {.tv_nsec = SPREAD_NS / nr};
	int listener = net_listen(LOOPBACK, 0), first = net_connect(LOOPBACK, listener), accepted;
	struct net_address to = net_address(LOOPBACK, net_port(listener));
	int *fds = calloc(nr, sizeof(*fds));

	for (int i = 0; i < nr; i++) {
		fds[i] = attempt(&to); /* the listener's queue is full */
		nanosleep(&pause, NULL);
	}
	for (int i = 0; i < nr; i++)
		end_of(fds[i], &to);
	free(fds);
	accepted = net_accept(listener);
	net_close(first);
	net_close(accepted);
	net_close(listener);
}

int main(int argc, char **argv)
{
	int c, nr = 500;
	pid_t other;

	while ((c = truth_getopt(argc, argv, "n:")) != -1)
		if (c == 'n')
			nr = atoi(optarg);
	truth_init("timeouts", 4);
	endpoints_init(nr + 8);
	truth_process_begin();
	stay_on_this_cpu();
	truth_wait_go(NULL, 0);
	net_unshare();
	other = net_fork();
	if (!other)
		change_states();
	attempts(nr);
	truth_check(!kill(other, SIGKILL) && waitpid(other, NULL, 0) == other, "waitpid");
	truth_print();
	return 0;
}
