// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * ring [-n TIMES]: sends and receives that io_uring does, without a system call of their own.
 * Ends with 77 if there is no io_uring here.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "net.h"

struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static unsigned int times = 100;
static char buffer[4096];

static void *map(int fd, size_t size, off_t at)
{
	void *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);

	truth_check(m != MAP_FAILED, "mmap");
	return m;
}

static void ring_open(struct ring *r)
{
	struct io_uring_params p = {0};
	char *sq, *cq;

	r->fd = syscall(SYS_io_uring_setup, 8, &p);
	if (r->fd < 0 && (errno == ENOSYS || errno == EPERM))
		exit(77);
	truth_check(r->fd >= 0, "io_uring_setup");
	sq = map(r->fd, p.sq_off.array + p.sq_entries * sizeof(int), IORING_OFF_SQ_RING);
	cq = map(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(*r->cqes), IORING_OFF_CQ_RING);
	r->sqes = map(r->fd, p.sq_entries * sizeof(*r->sqes), IORING_OFF_SQES);
	r->sq_tail = (void *)(sq + p.sq_off.tail);
	r->sq_mask = (void *)(sq + p.sq_off.ring_mask);
	r->sq_array = (void *)(sq + p.sq_off.array);
	r->cq_head = (void *)(cq + p.cq_off.head);
	r->cq_tail = (void *)(cq + p.cq_off.tail);
	r->cq_mask = (void *)(cq + p.cq_off.ring_mask);
	r->cqes = (void *)(cq + p.cq_off.cqes);
}

/* One operation, waited for; what it returned, -1 with errno. */
static long ring_do(struct ring *r, int op, int fd, const void *address, size_t n, int flags)
{
	unsigned int tail = *r->sq_tail, index = tail & *r->sq_mask;
	struct io_uring_sqe *sqe = &r->sqes[index];
	int result;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (unsigned long)address;
	sqe->len = n;
	sqe->msg_flags = flags;
	r->sq_array[index] = index;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	truth_check(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1,
		    "io_uring_enter");
	truth_check(*r->cq_head != __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE), "completion");
	result = r->cqes[*r->cq_head & *r->cq_mask].res;
	__atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static void sent(struct ring *r, int op, int fd, const void *address, size_t n, long want)
{
	truth_check(endpoint_sent(fd, ring_do(r, op, fd, address, n, 0)) == want, "a send");
}

static void received(struct ring *r, int op, int fd, void *address, size_t n, int flags, long want)
{
	long ret = endpoint_received(fd, flags, ring_do(r, op, fd, address, n, flags));

	truth_check(ret == want, "a receive");
}

static void exchange(struct ring *r, int a, int b)
{
	struct iovec v = {buffer, 300};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	sent(r, IORING_OP_SEND, a, buffer, 100, 100);
	received(r, IORING_OP_RECV, b, buffer, 4096, MSG_PEEK, 100);
	received(r, IORING_OP_RECV, b, buffer, 4096, 0, 100);
	sent(r, IORING_OP_SENDMSG, a, &m, 1, 300);
	received(r, IORING_OP_RECVMSG, b, &m, 1, 0, 300);
	sent(r, IORING_OP_WRITE, a, buffer, 50, 50);
	received(r, IORING_OP_READ, b, buffer, 4096, 0, 50);
	/* Whether the ring tries again cannot be seen: by definition no error of the socket. */
	truth_check(ring_do(r, IORING_OP_RECV, b, buffer, 4096, MSG_DONTWAIT) == -1 &&
			    errno == EAGAIN,
		    "a receive");
}

int main(int argc, char **argv)
{
	struct ring r;
	int tcp[2], udp;
	struct net_address to;

	while (truth_getopt(argc, argv, "n:") != -1)
		times = truth_number(optarg, 1, 1000000);
	truth_init("ring", 2);
	endpoints_init(8);
	truth_process_begin()->status = 0;
	ring_open(&r);
	truth_wait_go(NULL, 0);
	net_connection("127.0.0.1", tcp);
	udp = net_bound("::1", SOCK_DGRAM);
	to = net_address("::1", net_port(udp));
	truth_check(connect(udp, (void *)&to.storage, to.len) == 0, "connect");
	endpoint_named(udp, "connect");
	for (unsigned int i = 0; i < times; i++) {
		exchange(&r, tcp[0], tcp[1]);
		exchange(&r, udp, udp);
	}
	net_close(tcp[0]);
	net_close(tcp[1]);
	net_close(udp);
	truth_print();
	return 0;
}
