// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * datagrams [-n NUMBER] [-s SIZE] [-b BYTES] [-q LEFT] [-S] [-k] CASE...: datagrams that are read,
 * left or thrown away. A sender (the first process) and a receiver, both named by "ready". Each
 * receiving socket's own counter says how many were thrown away, and with what was read and what
 * was left that must be all that were sent. BYTES: receive buffer asked for; the kernel grants
 * twice as much. LEFT: how many to leave in the queue. -S: the receiver is stopped by SIGSTOP, not
 * just asleep, while they are sent. With -k sockets stay open while the program waits, after
 * "done".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "net.h"

#define ADDRESS	  "127.0.0.1"
#define GROUP	  "239.1.2.3"
#define MAX_FDS	  4
#define PAYLOADS  2 /* first bytes of datagrams, in turn */
#define MAX_BYTES 65507

struct scene {
	const char *address;
	int fds[MAX_FDS]; /* of the receiver */
	unsigned int nr_fds;
	unsigned int port;
};

struct way {
	const char *name;
	const char *address;
	void (*open)(struct scene *s); /* in the receiver */
	void (*send)(struct scene *s);
	const char *reasons[PAYLOADS]; /* why datagrams of each payload may be thrown away */
	unsigned int copies;	       /* of each datagram */
};

static unsigned int number = 1000, size = 100, buffer_bytes, left;
static bool stops, stays_open;
static char buffer[MAX_BYTES + 1];
static int to_receiver[2], to_sender[2], ports[2];

/* --- sending --------------------------------------------------------------------------------- */

/* In one go, entered at the end: what is measured is the receiver's socket, at full rate. */
static void send_from(int fd, const struct net_address *to, unsigned int nr)
{
	struct endpoint *e = endpoint(fd);

	for (unsigned int i = 0; i < nr; i++) {
		buffer[0] = i % PAYLOADS;
		truth_check(MOVES(sendto, fd, buffer, size, 0, &to->storage, to->len) == (long)size,
			    "sendto");
	}
	endpoint_add_sent(e, nr, (uint64_t)nr * size);
	endpoint_figure_add(e, "udp.datagrams_sent", nr);
}

static void end(int fd)
{
	if (stays_open)
		endpoint(fd)->alive = 1;
	else
		net_close(fd);
}

static void send_all(struct scene *s)
{
	struct net_address to = net_address(s->address, s->port);
	int fd = net_bound(s->address, SOCK_DGRAM);

	endpoint_named(fd, "bind");
	send_from(fd, &to, number);
	end(fd);
}

/* Enough different senders that each of a group is chosen. */
static void send_from_many(struct scene *s)
{
	struct net_address to = net_address(s->address, s->port);

	for (int i = 0; i < 40; i++) {
		int fd = net_bound(s->address, SOCK_DGRAM);

		endpoint_named(fd, "bind");
		send_from(fd, &to, number / 40);
		end(fd);
	}
}

static void send_to_group(struct scene *s)
{
	struct net_address to = net_address(s->address, s->port);
	struct in_addr lo = {htonl(INADDR_LOOPBACK)};
	int fd = net_bound(ADDRESS, SOCK_DGRAM);

	truth_check(!setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)), "interface");
	endpoint_named(fd, "bind");
	send_from(fd, &to, number);
	end(fd);
}

/* --- receiving ------------------------------------------------------------------------------- */

static void opened(struct scene *s, int fd)
{
	if (buffer_bytes)
		net_set(fd, SOL_SOCKET, SO_RCVBUF, buffer_bytes);
	endpoint_named(fd, "bind");
	s->fds[s->nr_fds++] = fd;
	s->port = net_port(fd);
}

static void open_one(struct scene *s)
{
	opened(s, net_bound(s->address, SOCK_DGRAM));
}

static void open_filtered(struct scene *s)
{
	struct sock_filter code[] = {
		/* the first byte after the UDP header */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, sizeof(struct udphdr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	open_one(s);
	truth_check(!setsockopt(s->fds[0], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)),
		    "SO_ATTACH_FILTER");
}

static void open_group(struct scene *s)
{
	unsigned int port = 0;

	for (int i = 0; i < MAX_FDS; i++) {
		struct net_address own = net_address(s->address, port);
		int fd = net_socket(s->address, SOCK_DGRAM);

		net_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		truth_check(bind(fd, (void *)&own.storage, own.len) == 0, "bind");
		port = net_port(fd);
		opened(s, fd);
	}
}

static void open_members(struct scene *s)
{
	struct ip_mreq member = {.imr_interface = {htonl(INADDR_LOOPBACK)}};
	unsigned int port = 0;

	truth_check(inet_pton(AF_INET, GROUP, &member.imr_multiaddr) == 1, GROUP);
	for (int i = 0; i < 2; i++) {
		struct net_address own = net_address(GROUP, port);
		int fd = net_socket(GROUP, SOCK_DGRAM);

		net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		truth_check(bind(fd, (void *)&own.storage, own.len) == 0, "bind");
		truth_check(!setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof(member)),
			    "IP_ADD_MEMBERSHIP");
		port = net_port(fd);
		opened(s, fd);
	}
}

static void memory(int fd, uint32_t info[SK_MEMINFO_VARS])
{
	socklen_t len = sizeof(*info) * SK_MEMINFO_VARS;

	memset(info, 0, len);
	truth_check(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) == 0, "SO_MEMINFO");
}

/* Reads at most @most, or until there are no more; counts them by payload too. */
static unsigned int drain(int fd, unsigned int most, unsigned int payloads[PAYLOADS])
{
	unsigned int nr;

	for (nr = 0; nr < most; nr++) {
		long ret = RECEIVES(recvfrom, fd, MSG_DONTWAIT, buffer, sizeof(buffer),
				    MSG_DONTWAIT, NULL, NULL);

		if (ret == -1 && errno == EAGAIN)
			break;
		truth_check(ret == (long)size, "recvfrom");
		payloads[size ? (unsigned char)buffer[0] : 0]++;
	}
	return nr;
}

/*
 * What was sent to the socket is what was read, left and thrown away. The reason of those thrown
 * away is told by their payload, if payloads have different ones.
 */
static unsigned int settle(const struct way *w, int fd)
{
	unsigned int payloads[PAYLOADS] = {0}, nr, drops;
	struct endpoint *e = endpoint(fd);
	uint32_t info[SK_MEMINFO_VARS];

	memory(fd, info);
	drops = info[SK_MEMINFO_DROPS];
	endpoint_figure(e, "udp.receive_buffer_bytes", info[SK_MEMINFO_RCVBUF],
			info[SK_MEMINFO_RCVBUF]);
	/* The program cannot see the moment of the highest fill. */
	endpoint_figure(e, "udp.receive_queue_peak_bytes", info[SK_MEMINFO_RMEM_ALLOC],
			2 * info[SK_MEMINFO_RCVBUF]);
	nr = drain(fd, left ? number - drops - left : UINT32_MAX, payloads);
	endpoint_figure(e, "udp.datagrams_received", nr, nr);
	if (stays_open)
		endpoint_figure(e, "udp.datagrams_queued", left, left);
	if (drops && w->reasons[1]) {
		/* All of the second payload, and of the first those for which there was no room. */
		unsigned int second = number / PAYLOADS;

		truth_check(payloads[1] == 0, "the filter");
		endpoint_drop(e, w->reasons[1], second, (uint64_t)second * size);
		drops -= second;
	}
	if (drops)
		endpoint_drop(e, w->reasons[0], drops, (uint64_t)drops * size);
	return nr + left + info[SK_MEMINFO_DROPS];
}

static void receiver(const struct way *w, struct scene *s)
{
	unsigned int all = 0;

	truth_process_begin()->status = stays_open ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = stays_open;
	endpoints_are_early(true);
	w->open(s);
	endpoints_are_early(false);
	truth_check(write(ports[1], &s->port, sizeof(s->port)) == sizeof(s->port), "write");
	net_await(to_receiver[0]);
	for (unsigned int i = 0; i < s->nr_fds; i++) {
		all += settle(w, s->fds[i]);
		end(s->fds[i]);
	}
	truth_check(all == number * w->copies, "read, left and thrown away are not what was sent");
	net_release(to_sender[1]);
	net_await(to_receiver[0]);
	net_end_child(!stays_open);
}

/* --- the program ----------------------------------------------------------------------------- */

static const struct way ways[] = {
	{"burst", ADDRESS, open_one, send_all, {"SOCKET_RCVBUFF"}, 1},
	{"burst6", "::1", open_one, send_all, {"SOCKET_RCVBUFF"}, 1},
	{"filter", ADDRESS, open_filtered, send_all, {"SOCKET_RCVBUFF", "SOCKET_FILTER"}, 1},
	{"group", ADDRESS, open_group, send_from_many, {"SOCKET_RCVBUFF"}, 1},
	{"multicast", GROUP, open_members, send_to_group, {"SOCKET_RCVBUFF"}, 2},
};

static const struct way *find(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	errno = EINVAL;
	truth_fail(name);
}

static void send_while_receiver_sleeps(const struct way *w, struct scene *s, pid_t pid)
{
	int status;

	if (stops) {
		truth_check(kill(pid, SIGSTOP) == 0, "SIGSTOP");
		truth_check(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status), "stop");
	}
	w->send(s);
	if (stops)
		truth_check(kill(pid, SIGCONT) == 0, "SIGCONT");
}

int main(int argc, char **argv)
{
	struct scene s = {0};
	const struct way *w;
	pid_t pids[2] = {getpid()};
	int option;

	while ((option = truth_getopt(argc, argv, "n:s:b:q:Sk")) != -1) {
		if (option == 'n')
			number = truth_number(optarg, 1, 10000000);
		else if (option == 's')
			size = truth_number(optarg, 0, MAX_BYTES);
		else if (option == 'b')
			buffer_bytes = truth_number(optarg, 1, 1 << 30);
		else if (option == 'q')
			left = truth_number(optarg, 1, 1000000);
		else if (option == 'S')
			stops = true;
		else
			stays_open = true;
	}
	w = find(argv[optind] ? argv[optind] : "burst");
	truth_init("datagrams", 8);
	endpoints_init(128);
	truth_process_begin()->status = stays_open ? -1 : 0;
	truth_process_of(truth_me)->alive = truth_me->alive = stays_open;
	s.address = w->address;
	net_pipe(to_receiver);
	net_pipe(to_sender);
	net_pipe(ports);
	pids[1] = net_fork();
	if (!pids[1])
		receiver(w, &s);
	truth_check(read(ports[0], &s.port, sizeof(s.port)) == sizeof(s.port), "read");
	truth_wait_go(pids, 2);
	send_while_receiver_sleeps(w, &s, pids[1]);
	net_release(to_receiver[1]);
	net_await(to_sender[0]);
	if (!stays_open) {
		net_release(to_receiver[1]);
		truth_reap(pids[1], NULL);
		truth_print();
		return 0;
	}
	truth_print();
	truth_pause("done");
	net_release(to_receiver[1]);
	truth_reap(pids[1], NULL);
	return 0;
}
