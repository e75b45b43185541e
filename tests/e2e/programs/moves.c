// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * moves [-n TIMES] [-d DIR] [-e] [KIND...]: every way to move bytes through a socket, with known
 * totals, over a pair of sockets of every kind (or of those named). With -e the sockets are open
 * before "ready". Paths of Unix sockets are made in DIR. A thread of its own makes the calls, so
 * that its account is free of the C library's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "net.h"
#include "pairs.h"

#define BIG (1 << 20)

static unsigned int times = 3;
static char buffer[BIG], other[BIG];

static void moved(long ret, long want)
{
	truth_check(ret == want, "bytes moved");
}

static void fails(long ret, int error)
{
	int got = errno;

	truth_check(ret == -1, "a call that must fail");
	errno = got;
	truth_check(got == error, "errno");
}

/* --- steps: each leaves nothing in the queues ------------------------------------------------ */

static long put(struct pair *p, const void *from, size_t n, int flags)
{
	return SENDS(sendto, p->a, from, n, flags, p->to_len ? &p->to : NULL, p->to_len);
}

static long get(struct pair *p, size_t n, int flags)
{
	return RECEIVES(recvfrom, p->b, flags, other, n, flags, NULL, NULL);
}

static void get_all(struct pair *p, size_t n)
{
	while (n) {
		long ret = get(p, sizeof(other), 0);

		truth_check(ret > 0 && (size_t)ret <= n, "recvfrom");
		n -= ret;
	}
}

static void send_and_recv(struct pair *p)
{
	moved(put(p, buffer, 700, 0), 700);
	moved(get(p, 4096, 0), 700);
	moved(put(p, buffer, 300, MSG_NOSIGNAL), 300);
	moved(get(p, 300, MSG_WAITALL), 300);
}

static struct iovec *vector(size_t a, size_t b)
{
	static struct iovec v[2];

	v[0] = (struct iovec){buffer, a};
	v[1] = (struct iovec){buffer + a, b};
	return v;
}

static void messages(struct pair *p)
{
	struct msghdr out = {.msg_name = p->to_len ? &p->to : NULL,
			     .msg_namelen = p->to_len,
			     .msg_iov = vector(400, 100),
			     .msg_iovlen = 2};
	struct sockaddr_storage from;
	struct msghdr in = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iovlen = 2};

	moved(SENDS(sendmsg, p->a, &out, 0), 500);
	in.msg_iov = vector(400, 200);
	moved(RECEIVES(recvmsg, p->b, 0, &in, 0), 500);
}

static void fill_messages(struct mmsghdr *m, struct iovec *v, int nr, void *to, socklen_t to_len)
{
	memset(m, 0, nr * sizeof(*m));
	for (int i = 0; i < nr; i++) {
		v[i] = (struct iovec){buffer + 1000 * i, 40 + i};
		m[i].msg_hdr = (struct msghdr){.msg_name = to_len ? to : NULL,
					       .msg_namelen = to_len,
					       .msg_iov = &v[i],
					       .msg_iovlen = 1};
	}
}

static void many_messages(struct pair *p)
{
	struct mmsghdr m[5];
	struct iovec v[5];

	fill_messages(m, v, 5, &p->to, p->to_len);
	truth_check(endpoint_sent_many(p->a, m, CALL(sendmmsg, p->a, m, 5, 0)) == 5, "sendmmsg");
	if (!(p->kind->is & MESSAGES)) { /* as many as fit, in one */
		get_all(p, 40 + 41 + 42 + 43 + 44);
		return;
	}
	fill_messages(m, v, 5, NULL, 0);
	truth_check(endpoint_received_many(p->b, 0, m, CALL(recvmmsg, p->b, m, 3, 0, NULL)) == 3,
		    "recvmmsg");
	/* Two are there, three are asked for: the third attempt fails, the call does not. */
	truth_check(endpoint_received_many(p->b, 0, m,
					   CALL(recvmmsg, p->b, m, 3, MSG_DONTWAIT, NULL)) == 2,
		    "recvmmsg");
	fails(endpoint_received_many(p->b, 0, m, CALL(recvmmsg, p->b, m, 3, MSG_DONTWAIT, NULL)),
	      EAGAIN);
}

/*
 * Older kernels refuse this of a socket before the socket hears of it. One who looks at the call
 * alone sees an error of the socket.
 */
static void read_at_once(struct pair *p)
{
	long ret = MOVES(preadv2, p->b, vector(10, 50), 2, -1L, -1L, RWF_NOWAIT);

	if (ret == -1 && errno == EOPNOTSUPP)
		endpoint(p->b)->counts.maybe_receive_errors++;
	else
		fails(endpoint_received(p->b, 0, ret), EAGAIN);
}

static void writes_and_reads(struct pair *p)
{
	moved(SENDS(write, p->a, buffer, 100), 100);
	moved(RECEIVES(read, p->b, 0, other, 4096), 100);
	moved(SENDS(writev, p->a, vector(30, 70), 2), 100);
	moved(RECEIVES(readv, p->b, 0, vector(60, 60), 2), 100);
	/* At offset -1 these are writev and readv. */
	moved(SENDS(pwritev2, p->a, vector(10, 20), 2, -1L, -1L, 0), 30);
	moved(RECEIVES(preadv2, p->b, 0, vector(10, 50), 2, -1L, -1L, 0), 30);
	read_at_once(p);
}

static void short_reads(struct pair *p)
{
	moved(put(p, buffer, 100, 0), 100);
	moved(get(p, 30, 0), 30); /* of a message, the rest is gone */
	if (!(p->kind->is & MESSAGES))
		moved(get(p, 4096, 0), 70);
	fails(get(p, 4096, MSG_DONTWAIT), EAGAIN);
}

static void peeks(struct pair *p)
{
	moved(put(p, buffer, 200, 0), 200);
	moved(get(p, 50, MSG_PEEK), 50);
	moved(get(p, 4096, MSG_PEEK), 200);
	moved(get(p, 4096, 0), 200);
	fails(get(p, 4096, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
}

/* TCP throws away, messages tell their full length, other streams take no notice. */
static void truncations(struct pair *p)
{
	moved(put(p, buffer, 200, 0), 200);
	moved(get(p, 50, MSG_TRUNC), p->kind->is & MESSAGES ? 200 : 50);
	if (!(p->kind->is & MESSAGES))
		moved(get(p, 4096, MSG_TRUNC), 150);
}

static void empty_messages(struct pair *p)
{
	moved(put(p, buffer, 0, 0), 0);
	moved(get(p, 100, 0), 0);
	moved(put(p, buffer, 0, 0), 0);
	moved(put(p, buffer, 10, 0), 10);
	moved(get(p, 100, MSG_PEEK), 0);
	moved(get(p, 100, 0), 0);
	moved(get(p, 100, 0), 10);
}

static void sendfiles(struct pair *p)
{
	loff_t at = 0;

	moved(endpoint_sent(p->a, MOVES(sendfile, p->a, p->file, &at, 60000L)), 60000);
	get_all(p, 60000);
	moved(endpoint_sent(p->a, MOVES(sendfile, p->a, p->file, &at, 10L)), 10);
	get_all(p, 10);
}

static void splice_in(struct pair *p)
{
	loff_t at = 0;

	moved(MOVES(splice, p->file, &at, p->pipe[1], NULL, 10000L, 0), 10000);
	moved(endpoint_sent(p->a, MOVES(splice, p->pipe[0], NULL, p->a, NULL, 10000L, 0)), 10000);
	get_all(p, 10000);
	moved(MOVES(vmsplice, p->pipe[1], vector(3000, 1000), 2, 0), 4000);
	moved(endpoint_sent(p->a, MOVES(splice, p->pipe[0], NULL, p->a, NULL, 10000L, 0)), 4000);
	get_all(p, 4000);
}

static void splice_out(struct pair *p)
{
	size_t left = 8000;

	moved(put(p, buffer, left, 0), left);
	while (left) {
		long ret = endpoint_received(
			p->b, 0, MOVES(splice, p->b, NULL, p->pipe[1], NULL, (long)left, 0));

		truth_check(ret > 0, "splice");
		moved(MOVES(read, p->pipe[0], other, ret), ret);
		left -= ret;
	}
	/* SPLICE_F_NONBLOCK is for the pipe. */
	truth_check(fcntl(p->b, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	fails(endpoint_received(p->b, 0, MOVES(splice, p->b, NULL, p->pipe[1], NULL, 100L, 0)),
	      EAGAIN);
	truth_check(fcntl(p->b, F_SETFL, 0) == 0, "O_NONBLOCK");
}

/* Reads notifications until sends 0 to @last of the socket are confirmed. */
static void confirmed(struct pair *p, uint32_t last)
{
	struct pollfd ready = {.fd = p->a};
	char control[128];

	for (uint32_t high = UINT32_MAX; high != last;) {
		struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};
		struct sock_extended_err *e;

		truth_check(poll(&ready, 1, 10000) == 1, "poll for a notification");
		moved(RECEIVES(recvmsg, p->a, MSG_ERRQUEUE, &m, MSG_ERRQUEUE), 0);
		truth_check(CMSG_FIRSTHDR(&m), "notification");
		e = (void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
		truth_check(e->ee_origin == SO_EE_ORIGIN_ZEROCOPY, "notification");
		high = e->ee_data;
	}
}

static void zero_copies(struct pair *p)
{
	static uint32_t sent[1024];

	net_set(p->a, SOL_SOCKET, SO_ZEROCOPY, 1);
	for (int i = 0; i < 3; i++) {
		moved(put(p, buffer, 20000, MSG_ZEROCOPY), 20000);
		get_all(p, 20000);
	}
	if (p->kind->is & TCP) { /* what comes back confirms; alone it would come late */
		moved(SENDS(write, p->b, buffer, 1), 1);
		moved(RECEIVES(read, p->a, 0, other, 1), 1);
	}
	sent[p->a] += 3;
	confirmed(p, sent[p->a] - 1);
}

static void corks(struct pair *p)
{
	moved(put(p, buffer, 100, MSG_MORE), 100);
	moved(put(p, buffer, 200, MSG_MORE), 200);
	moved(put(p, buffer, 300, 0), 300);
	p->has_odd_sends = true;
	get_all(p, 600);
}

/* What setsockopt(2) lets go is one datagram, which no send shows. */
static void corks_by_option(struct pair *p)
{
	net_set(p->a, IPPROTO_UDP, UDP_CORK, 1);
	moved(put(p, buffer, 100, 0), 100);
	moved(put(p, buffer, 200, 0), 200);
	net_set(p->a, IPPROTO_UDP, UDP_CORK, 0);
	p->has_odd_sends = true;
	moved(get(p, 4096, 0), 300);
}

static void segments(struct pair *p)
{
	net_set(p->a, IPPROTO_UDP, UDP_SEGMENT, 100);
	moved(put(p, buffer, 950, 0), 950);
	net_set(p->a, IPPROTO_UDP, UDP_SEGMENT, 0);
	for (int i = 0; i < 9; i++)
		moved(get(p, 4096, 0), 100);
	moved(get(p, 4096, 0), 50);
}

static void segments_by_message(struct pair *p)
{
	char control[CMSG_SPACE(sizeof(uint16_t))] __attribute__((aligned(8))) = {0};
	struct iovec v = {buffer, 3000};
	struct msghdr m = {.msg_name = p->to_len ? &p->to : NULL,
			   .msg_namelen = p->to_len,
			   .msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	*(uint16_t *)CMSG_DATA(c) = 1000;
	p->has_odd_sends = true;
	moved(SENDS(sendmsg, p->a, &m, 0), 3000);
	get_all(p, 3000);
}

static void too_long(struct pair *p)
{
	fails(put(p, buffer, 70000, 0), EMSGSIZE);
}

static void bad_memory(struct pair *p)
{
	fails(put(p, (void *)8, 100, 0), EFAULT);
	moved(put(p, buffer, 100, 0), 100);
	get_all(p, 100);
}

#if defined(__i386__)
/* The second try of recvmmsg(2) finds nothing, which is no result; then the first one does. */
static void failed_by_socketcall(struct pair *p)
{
	enum { RECVFROM = 12, RECVMMSG = 19 };
	struct iovec v[2] = {{other, 100}, {other, 100}};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}}};
	unsigned long many[] = {p->b, (long)m, 2, MSG_DONTWAIT, 0};
	unsigned long one[] = {p->b, (long)other, 100, MSG_DONTWAIT, 0, 0};

	moved(put(p, buffer, 100, 0), 100);
	truth_check(syscall(SYS_socketcall, RECVMMSG, many) == 1, "recvmmsg");
	endpoint_received(p->b, 0, m[0].msg_len);
	fails(endpoint_received(p->b, 0, syscall(SYS_socketcall, RECVMMSG, many)), EAGAIN);
	fails(endpoint_received(p->b, 0, syscall(SYS_socketcall, RECVFROM, one)), EAGAIN);
}

/* Not in the account of calls: the C library makes such calls too. */
static void socketcall(struct pair *p)
{
	enum { SENDTO = 11, RECVFROM = 12, SENDMSG = 16, RECVMSG = 17, RECVMMSG = 19 };
	unsigned long to[] = {p->a, (long)buffer, 123, 0, p->to_len ? (long)&p->to : 0, p->to_len};
	unsigned long from[] = {p->b, (long)other, 1000, 0, 0, 0};
	unsigned long peek[] = {p->b, (long)other, 1000, MSG_PEEK, 0, 0};
	struct msghdr m = {.msg_name = p->to_len ? &p->to : NULL,
			   .msg_namelen = p->to_len,
			   .msg_iov = vector(400, 100),
			   .msg_iovlen = 2};
	unsigned long message[] = {p->a, (long)&m, 0};

	moved(endpoint_sent(p->a, syscall(SYS_socketcall, SENDTO, to)), 123);
	moved(endpoint_received(p->b, MSG_PEEK, syscall(SYS_socketcall, RECVFROM, peek)), 123);
	moved(endpoint_received(p->b, 0, syscall(SYS_socketcall, RECVFROM, from)), 123);
	moved(endpoint_sent(p->a, syscall(SYS_socketcall, SENDMSG, message)), 500);
	message[0] = p->b;
	m.msg_name = NULL;
	moved(endpoint_received(p->b, 0, syscall(SYS_socketcall, RECVMSG, message)), 500);
	failed_by_socketcall(p);
}
#endif

/* --- steps made once, at the end ------------------------------------------------------------- */

/* The last write before the socket is full mostly is a partial one; now and then it just fits. */
static uint64_t fill_by(struct pair *p, long (*send)(struct pair *p))
{
	uint64_t total = 0;
	long ret;

	while ((ret = send(p)) > 0)
		total += ret;
	fails(ret, EAGAIN);
	return total;
}

static long fill_by_send(struct pair *p)
{
	return put(p, buffer, BIG, MSG_DONTWAIT);
}

static long fill_by_write(struct pair *p)
{
	return SENDS(write, p->a, buffer, BIG);
}

static long fill_by_sendfile(struct pair *p)
{
	loff_t at = 0;

	return endpoint_sent(p->a, MOVES(sendfile, p->a, p->file, &at, (long)BIG));
}

static void partial_writes(struct pair *p)
{
	net_set(p->a, SOL_SOCKET, SO_SNDBUF, 100000);
	get_all(p, fill_by(p, fill_by_send));
	truth_check(fcntl(p->a, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	get_all(p, fill_by(p, fill_by_write));
	get_all(p, fill_by(p, fill_by_sendfile));
	truth_check(fcntl(p->a, F_SETFL, 0) == 0, "O_NONBLOCK");
}

static void shut_down(struct pair *p)
{
	truth_check(shutdown(p->a, SHUT_WR) == 0, "shutdown");
	moved(get(p, 100, 0), 0);
	moved(RECEIVES(read, p->b, 0, other, 100), 0);
	fails(put(p, buffer, 100, MSG_NOSIGNAL), EPIPE);
	moved(SENDS(write, p->b, buffer, 10), 10);
	truth_check(shutdown(p->b, SHUT_WR) == 0, "shutdown");
	moved(RECEIVES(read, p->a, 0, other, 100), 10);
	moved(RECEIVES(read, p->a, 0, other, 100), 0);
}

struct step {
	unsigned int needs;
	void (*run)(struct pair *p);
};

static const struct step steps[] = {
	{0, send_and_recv},   {0, messages},
	{0, many_messages},   {CONNECTED, writes_and_reads},
	{0, short_reads},     {0, peeks},
	{0, truncations},     {MESSAGES, empty_messages},
	{STREAM, sendfiles},  {STREAM, splice_in},
	{STREAM, splice_out}, {TCP, zero_copies},
	{TCP, corks},	      {UDP, zero_copies},
	{UDP, corks},	      {UDP, corks_by_option},
	{UDP, segments},      {UDP, segments_by_message},
	{UDP, too_long},      {0, bad_memory},
#if defined(__i386__)
	{0, socketcall},
#endif
};

static const struct step last_steps[] = {
	{STREAM, partial_writes},
	{STREAM, shut_down},
};

static void run_steps(struct pair *p, const struct step *step, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if ((p->kind->is & step[i].needs) == step[i].needs)
			step[i].run(p);
}

/* --- the program ----------------------------------------------------------------------------- */

static struct pair pairs[NR_KINDS];

static void open_kind(struct pair *p, const struct kind *k)
{
	p->kind = k;
	k->open(p);
	truth_check(pipe(p->pipe) == 0, "pipe");
	p->file = memfd_create("moves", 0);
	truth_check(p->file >= 0 && ftruncate(p->file, BIG) == 0, "memfd_create");
}

/* Of how many datagrams odd sends make, the report must say that it does not know. */
static void datagrams(struct endpoint *e, bool has_odd_sends)
{
	uint64_t sent = e->counts.send_calls;
	uint64_t received = e->counts.receive_calls + e->counts.trunc_calls;

	endpoint_figure(e, "udp.datagrams_sent", has_odd_sends ? 1 : sent,
			has_odd_sends ? 0 : sent);
	endpoint_figure(e, "udp.datagrams_received", received, received);
}

static void close_kind(struct pair *p)
{
	if (p->kind->is & UDP) {
		datagrams(endpoint(p->a), p->has_odd_sends);
		datagrams(endpoint(p->b), false);
	}
	truth_check(!close(p->a) && !close(p->b), "close");
	truth_check(!close(p->file) && !close(p->pipe[0]) && !close(p->pipe[1]), "close");
}

static void unconnected(void)
{
	int fd = net_socket("127.0.0.1", SOCK_STREAM);

	endpoint(fd)->role = "none";
	fails(SENDS(sendto, fd, buffer, 10, MSG_NOSIGNAL, NULL, 0), EPIPE);
	fails(RECEIVES(recvfrom, fd, 0, buffer, 10, 0, NULL, NULL), ENOTCONN);
	net_close(fd);
}

static void *thread(void *unused)
{
	truth_thread_begin();
	unconnected();
	for (size_t i = 0; i < NR_KINDS; i++) {
		if (!pairs[i].kind)
			continue;
		for (unsigned int n = 0; n < times; n++)
			run_steps(&pairs[i], steps, sizeof(steps) / sizeof(*steps));
		run_steps(&pairs[i], last_steps, sizeof(last_steps) / sizeof(*last_steps));
		close_kind(&pairs[i]);
	}
	return unused;
}

static void open_all(int argc, char **argv)
{
	for (size_t i = 0; i < NR_KINDS; i++)
		if (truth_is_wanted(kinds[i].name, argc, argv))
			open_kind(&pairs[i], &kinds[i]);
}

int main(int argc, char **argv)
{
	bool is_early = false;
	pthread_t id;
	int option;

	while ((option = truth_getopt(argc, argv, "n:d:e")) != -1) {
		if (option == 'n')
			times = truth_number(optarg, 1, 100000);
		else if (option == 'd')
			pair_dir = optarg;
		else
			is_early = true;
	}
	truth_init("moves", 2);
	endpoints_init(4 * NR_KINDS);
	truth_process_begin()->status = 0;
	endpoints_are_early(is_early);
	if (is_early)
		open_all(argc, argv);
	truth_wait_go(NULL, 0);
	endpoints_are_early(false);
	if (!is_early)
		open_all(argc, argv);
	truth_check(!pthread_create(&id, NULL, thread, NULL), "pthread_create");
	truth_check(!pthread_join(id, NULL), "pthread_join");
	for (uint32_t i = 0; i < truth_thread_at(1)->nr_calls; i++)
		truth_thread_at(1)->calls[i].thread_only = 1;
	truth_print();
	return 0;
}
