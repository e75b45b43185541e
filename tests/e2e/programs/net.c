// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "net.h"

uint64_t net_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int domain_of(const char *address)
{
	return strchr(address, ':') ? AF_INET6 : AF_INET;
}

struct net_address net_address(const char *text, unsigned int port)
{
	struct net_address a = {.storage.ss_family = domain_of(text)};
	struct sockaddr_in *v4 = (void *)&a.storage;
	struct sockaddr_in6 *v6 = (void *)&a.storage;
	bool is_v4 = a.storage.ss_family == AF_INET;
	void *where = is_v4 ? (void *)&v4->sin_addr : &v6->sin6_addr;

	truth_check(inet_pton(a.storage.ss_family, text, where) == 1, text);
	v4->sin_port = htons(port); /* the same place in both */
	a.len = is_v4 ? sizeof(*v4) : sizeof(*v6);
	return a;
}

unsigned int net_port(int fd)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	truth_check(getsockname(fd, (void *)&own, &len) == 0, "getsockname");
	return ntohs(((struct sockaddr_in *)&own)->sin_port);
}

int net_socket(const char *address, int type)
{
	int fd = socket(domain_of(address), type, 0);

	truth_check(fd >= 0, "socket");
	return fd;
}

int net_bound(const char *address, int type)
{
	struct net_address own = net_address(address, 0);
	int fd = net_socket(address, type);

	truth_check(bind(fd, (void *)&own.storage, own.len) == 0, "bind");
	return fd;
}

int net_listen(const char *address, int backlog)
{
	int fd = net_bound(address, SOCK_STREAM);

	truth_check(listen(fd, backlog) == 0, "listen");
	endpoint_named(fd, "listen");
	return fd;
}

int net_connect(const char *address, int listener)
{
	struct net_address to = net_address(address, net_port(listener));
	int fd = net_socket(address, SOCK_STREAM);

	truth_check(connect(fd, (void *)&to.storage, to.len) == 0, "connect");
	endpoint_named(fd, "connect");
	return fd;
}

int net_accept(int listener)
{
	int fd = accept(listener, NULL, NULL);

	truth_check(fd >= 0, "accept");
	endpoint_named(fd, "accept");
	return fd;
}

void net_connection(const char *address, int fds[2])
{
	int listener = net_listen(address, 8);

	fds[0] = net_connect(address, listener);
	fds[1] = net_accept(listener);
	net_close(listener);
}

void net_set(int fd, int level, int name, int value)
{
	truth_check(setsockopt(fd, level, name, &value, sizeof(value)) == 0, "setsockopt");
}

void net_wait(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	truth_check(poll(&p, 1, 20000) == 1, "poll");
}

void net_close(int fd)
{
	truth_check(close(fd) == 0, "close");
}

void net_unshare(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
	int fd;

	truth_check(unshare(CLONE_NEWNET) == 0, "unshare");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	truth_check(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0, "loopback");
	/* In a report it is an idle socket like any other. */
	endpoint_named(fd, NULL);
	net_close(fd);
}

/* Pairs of lines: names, values. */
uint64_t net_stat(const char *name)
{
	char names[8192], values[8192];
	FILE *f = fopen("/proc/self/net/netstat", "re");
	bool found = false;
	uint64_t value = 0;

	truth_check(f, "netstat");
	while (!found && fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		char *n, *v, *save_n, *save_v;

		n = strtok_r(names, " \n", &save_n);
		v = strtok_r(values, " \n", &save_v);
		while (n && v && strcmp(n, name)) {
			n = strtok_r(NULL, " \n", &save_n);
			v = strtok_r(NULL, " \n", &save_v);
		}
		found = n && v;
		value = found ? strtoull(v, NULL, 10) : 0;
	}
	truth_check(found, name);
	fclose(f);
	return value;
}

void net_raise_files(unsigned long nr)
{
	struct rlimit files;

	truth_check(getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max >= nr, "hard limit");
	files.rlim_cur = nr;
	truth_check(setrlimit(RLIMIT_NOFILE, &files) == 0, "RLIMIT_NOFILE");
}

pid_t net_fork(void)
{
	pid_t parent = getpid(), pid;
	sigset_t child;

	/* Under strace it would interrupt calls. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	truth_check(sigprocmask(SIG_BLOCK, &child, NULL) == 0, "sigprocmask");
	pid = fork();
	truth_check(pid >= 0, "fork");
	if (pid)
		return pid;
	truth_check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "PR_SET_PDEATHSIG");
	truth_check(getppid() == parent, "parent");
	return 0;
}

void net_end_child(bool is_seen)
{
	if (is_seen)
		truth_of(truth_me, "exit_group")->no_return++;
	syscall(SYS_exit_group, 0);
	__builtin_unreachable();
}

void net_pipe(int fds[2])
{
	truth_check(pipe(fds) == 0, "pipe");
}

void net_await(int fd)
{
	char byte;

	truth_check(read(fd, &byte, 1) == 1, "a process that is waited for");
}

void net_release(int fd)
{
	truth_check(write(fd, "", 1) == 1, "write");
}
