// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * owners [-n TIMES] [-k] [CASE...]: sockets that come to a process by other ways than connect and
 * accept, or that several use at once. Each case has a helper process, which is there before
 * "ready" and is named in that line. With -k the sockets stay open and all processes wait once
 * more, after "done".
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "net.h"

#define LOOPBACK    "127.0.0.1"
#define MAX_THREADS 4

struct scene {
	int to_helper[2], to_main[2]; /* pipes to wait for each other */
	int channel[2];		      /* Unix sockets; the helper has the second */
	pid_t helper;
};

struct way {
	const char *name;
	void (*main_part)(struct scene *s);
	void (*helper_part)(struct scene *s);
};

static unsigned int times = 20;
static bool stays_open;
static char buffer[65536];

static void put(int fd, size_t n)
{
	truth_check(SENDS(sendto, fd, buffer, n, MSG_NOSIGNAL, NULL, 0) == (long)n, "sendto");
}

static void get(int fd, size_t n)
{
	while (n) {
		long ret = RECEIVES(recvfrom, fd, 0, buffer, n, 0, NULL, NULL);

		truth_check(ret > 0, "recvfrom");
		n -= ret;
	}
}

/* What has ended has been closed, unless the program waits. */
static void finish(int fd)
{
	if (stays_open)
		endpoint(fd)->alive = 1;
	else
		net_close(fd);
}

/* Closes one that another process still holds. */
static void leave(int fd)
{
	endpoint(fd)->alive = stays_open;
	net_close(fd);
}

/* --- descriptors that travel ----------------------------------------------------------------- */

static void send_fd(int channel, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	truth_check(SENDS(sendmsg, channel, &m, 0) == 1, "sendmsg");
}

static int receive_fd(int channel)
{
	char byte, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	int fd;

	truth_check(RECEIVES(recvmsg, channel, 0, &m, 0) == 1, "recvmsg");
	truth_check(CMSG_FIRSTHDR(&m), "a descriptor");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

/* The giver keeps the other end, and closes the one that it gives away. */
static void gives(struct scene *s)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	put(fds[0], 77);
	send_fd(s->channel[0], fds[0]);
	leave(fds[0]);
	get(fds[1], 77);
	for (unsigned int i = 0; i < times; i++) {
		get(fds[1], 100);
		put(fds[1], 50);
	}
	finish(fds[1]);
}

static void takes(struct scene *s)
{
	int fd = receive_fd(s->channel[1]);

	endpoint_named(fd, NULL);
	for (unsigned int i = 0; i < times; i++) {
		put(fd, 100);
		get(fd, 50);
	}
	finish(fd);
}

/* Both keep it, and say so. */
static void shares(struct scene *s)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	put(fds[0], 30);
	send_fd(s->channel[0], fds[0]);
	get(fds[1], 130);
	net_await(s->to_main[0]);
	if (stays_open)
		endpoint_figure(endpoint(fds[0]), "shared_by", 2, 2);
	finish(fds[0]);
	net_release(s->to_helper[1]);
	finish(fds[1]);
}

static void gets_share(struct scene *s)
{
	int fd = receive_fd(s->channel[1]);

	endpoint_named(fd, NULL);
	put(fd, 100);
	net_release(s->to_main[1]);
	net_await(s->to_helper[0]);
	if (stays_open)
		endpoint_figure(endpoint(fd), "shared_by", 2, 2);
	finish(fd); /* the last */
}

static int steal(pid_t pid, int fd)
{
	int process = syscall(SYS_pidfd_open, pid, 0), copy;

	truth_check(process >= 0, "pidfd_open");
	copy = syscall(SYS_pidfd_getfd, process, fd, 0);
	truth_check(copy >= 0, "pidfd_getfd");
	close(process);
	return copy;
}

/* The number of the descriptor is known: the lowest that is free. */
static void is_stolen_from(struct scene *s)
{
	int fds[2];

	net_connection(LOOPBACK, fds);
	truth_check(dup2(fds[0], 300) == 300, "dup2");
	net_release(s->to_helper[1]);
	net_await(s->to_main[0]);
	net_close(300);
	leave(fds[0]);
	net_release(s->to_helper[1]);
	for (unsigned int i = 0; i < times; i++)
		get(fds[1], 60);
	finish(fds[1]);
}

static void steals(struct scene *s)
{
	int fd;

	net_await(s->to_helper[0]);
	fd = steal(getppid(), 300);
	endpoint_named(fd, NULL);
	net_release(s->to_main[1]);
	net_await(s->to_helper[0]);
	for (unsigned int i = 0; i < times; i++)
		put(fd, 60);
	finish(fd);
}

/* --- a socket that a child inherits ---------------------------------------------------------- */

static void inherited(struct scene *s)
{
	int fds[2], sent[2], read[2];
	pid_t pid;

	(void)s;
	net_connection(LOOPBACK, fds);
	net_pipe(sent);
	net_pipe(read);
	pid = net_fork();
	if (!pid) {
		truth_process_begin()->status = 0;
		endpoint_named(fds[0], NULL);
		endpoint_named(fds[1], NULL);
		for (unsigned int i = 0; i < times; i++)
			put(fds[0], 100);
		net_release(sent[1]);
		net_await(read[0]);
		get(fds[1], 70 * times);
		leave(fds[0]);
		leave(fds[1]);
		net_end_child(true);
	}
	net_await(sent[0]);
	get(fds[1], 100 * times);
	net_release(read[1]);
	for (unsigned int i = 0; i < times; i++)
		put(fds[0], 70);
	truth_reap(pid, NULL);
	finish(fds[0]);
	finish(fds[1]);
}

/* A child with the same table of descriptors, as a thread has, but a process of its own. */
static void shared_table(struct scene *s)
{
	int fds[2];
	pid_t pid;

	(void)s;
	net_connection(LOOPBACK, fds);
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	truth_check(pid >= 0, "clone");
	if (!pid) {
		truth_process_begin()->status = 0;
		endpoint_named(fds[0], NULL);
		for (unsigned int i = 0; i < times; i++)
			put(fds[0], 100);
		endpoint(fds[0])->alive = stays_open;
		net_end_child(true);
	}
	get(fds[1], 100 * times);
	truth_reap(pid, NULL);
	put(fds[0], 10);
	get(fds[1], 10);
	finish(fds[0]);
	finish(fds[1]);
}

/* Children accept from a listener that their parent made. */
static void forked_servers(struct scene *s)
{
	int listener = net_listen(LOOPBACK, 16), fd;
	pid_t pid;

	(void)s;
	for (int child = 0; child < 3; child++) {
		pid = net_fork();
		if (!pid) {
			truth_process_begin()->status = 0;
			endpoint_named(listener, NULL);
			fd = net_accept(listener);
			get(fd, 32);
			put(fd, 64 + child);
			net_close(fd);
			net_end_child(true);
		}
		fd = net_connect(LOOPBACK, listener);
		put(fd, 32);
		get(fd, 64 + child);
		truth_check(RECEIVES(recvfrom, fd, 0, buffer, 1, 0, NULL, NULL) == 0, "end");
		truth_reap(pid, NULL);
		net_close(fd);
	}
	finish(listener);
}

/* --- within one process ---------------------------------------------------------------------- */

static void duplicates(struct scene *s)
{
	int fds[2], copy;

	(void)s;
	net_connection("::1", fds);
	copy = dup(fds[0]);
	truth_check(copy >= 0 && dup2(fds[0], 301) == 301, "dup");
	for (unsigned int i = 0; i < times; i++) {
		put(fds[0], 10);
		put(copy, 20);
		put(301, 30);
		get(fds[1], 60);
	}
	net_close(fds[0]);
	put(copy, 5);
	net_close(copy);
	put(301, 5);
	get(fds[1], 10);
	finish(301);
	finish(fds[1]);
}

static int crowd[2];

static void *sender(void *number)
{
	truth_thread_begin();
	for (unsigned int i = 0; i < 25 * times; i++)
		put(crowd[0], 100 + (long)number);
	return NULL;
}

static void *receiver(void *unused)
{
	truth_thread_begin();
	for (unsigned int i = 0; i < 25 * times; i++)
		get(crowd[1], 100 + 101 + 102 + 103);
	return unused;
}

static void threads(struct scene *s)
{
	pthread_t ids[MAX_THREADS + 1];

	(void)s;
	net_connection(LOOPBACK, crowd);
	truth_check(!pthread_create(&ids[MAX_THREADS], NULL, receiver, NULL), "pthread_create");
	for (long i = 0; i < MAX_THREADS; i++)
		truth_check(!pthread_create(&ids[i], NULL, sender, (void *)i), "pthread_create");
	for (int i = 0; i <= MAX_THREADS; i++)
		truth_check(!pthread_join(ids[i], NULL), "pthread_join");
	finish(crowd[0]);
	finish(crowd[1]);
}

static void does_nothing(struct scene *s)
{
	(void)s;
}

/* --- the program ----------------------------------------------------------------------------- */

static const struct way ways[] = {
	{"passed", gives, takes},
	{"shared", shares, gets_share},
	{"stolen", is_stolen_from, steals},
	{"inherited", inherited, does_nothing},
	{"shared-table", shared_table, does_nothing},
	{"forked-servers", forked_servers, does_nothing},
	{"duplicates", duplicates, does_nothing},
	{"threads", threads, does_nothing},
};

#define NR_WAYS (sizeof(ways) / sizeof(*ways))

static struct scene scenes[NR_WAYS];

static void name_channel(int fd)
{
	endpoints_are_early(true);
	endpoint_named(fd, "none")->alive = stays_open;
	endpoints_are_early(false);
}

/* The helper is there before its part begins: it does not inherit what the part is about. */
static void start_helper(const struct way *w, struct scene *s)
{
	net_pipe(s->to_helper);
	net_pipe(s->to_main);
	truth_check(socketpair(AF_UNIX, SOCK_STREAM, 0, s->channel) == 0, "socketpair");
	s->helper = net_fork();
	if (s->helper) {
		net_close(s->channel[1]);
		return;
	}
	truth_process_begin()->status = stays_open ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = stays_open;
	net_close(s->channel[0]);
	net_await(s->to_helper[0]);
	name_channel(s->channel[1]);
	w->helper_part(s);
	net_release(s->to_main[1]);
	if (stays_open)
		net_await(s->to_helper[0]);
	net_end_child(!stays_open);
}

int main(int argc, char **argv)
{
	pid_t pids[1 + NR_WAYS] = {getpid()};
	unsigned int nr = 1;
	int option;

	while ((option = truth_getopt(argc, argv, "n:k")) != -1) {
		if (option == 'n')
			times = truth_number(optarg, 1, 1000);
		else
			stays_open = true;
	}
	truth_init("owners", 64);
	endpoints_init(256);
	truth_process_begin()->status = stays_open ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = stays_open;
	for (size_t i = 0; i < NR_WAYS; i++) {
		if (!truth_is_wanted(ways[i].name, argc, argv))
			continue;
		start_helper(&ways[i], &scenes[i]);
		pids[nr++] = scenes[i].helper;
	}
	truth_wait_go(pids, nr);
	for (size_t i = 0; i < NR_WAYS; i++) {
		if (!scenes[i].helper)
			continue;
		name_channel(scenes[i].channel[0]);
		net_release(scenes[i].to_helper[1]);
		ways[i].main_part(&scenes[i]);
		net_await(scenes[i].to_main[0]);
	}
	if (stays_open) {
		truth_print();
		truth_pause("done");
	}
	for (size_t i = 0; i < NR_WAYS; i++) {
		if (!scenes[i].helper)
			continue;
		if (stays_open)
			net_release(scenes[i].to_helper[1]);
		truth_reap(scenes[i].helper, NULL);
	}
	if (!stays_open)
		truth_print();
	return 0;
}
