// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * bytes [-n TIMES]: calls of the read and write families with known totals: whole and short
 * ones, ends of file, calls that would block. A thread of its own makes them, so that its account
 * is free of the C library's calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "truth.h"

static unsigned int times = 10;
static char buffer[8192];

static void moved(long ret, long want)
{
	truth_check(ret == want, "bytes moved");
}

static void would_block(long ret)
{
	truth_check(ret == -1 && errno == EAGAIN, "EAGAIN");
}

static struct iovec *vector(size_t a, size_t b)
{
	static struct iovec v[2];

	v[0] = (struct iovec){buffer, a};
	v[1] = (struct iovec){buffer + a, b};
	return v;
}

static void pipes(int in, int out)
{
	moved(MOVES(write, out, buffer, 100), 100);
	moved(MOVES(read, in, buffer, 4096), 100); /* short */
	would_block(MOVES(read, in, buffer, 4096));
	moved(MOVES(writev, out, vector(30, 70), 2), 100);
	moved(MOVES(readv, in, vector(10, 20), 2), 30);
	moved(MOVES(readv, in, vector(100, 100), 2), 70);
	moved(MOVES(write, out, buffer, 0), 0);
}

static void files(int file)
{
	moved(MOVES(pwrite64, file, buffer, 5000, 0), 5000);
	moved(MOVES(pread64, file, buffer, 4096, 0), 4096);
	moved(MOVES(pread64, file, buffer, 4096, 4096), 904);
	moved(MOVES(pread64, file, buffer, 4096, 5000), 0); /* end of file */
	moved(MOVES(pwritev, file, vector(100, 200), 2, 0L, 0L), 300);
	moved(MOVES(preadv, file, vector(50, 60), 2, 0L, 0L), 110);
	moved(MOVES(pwritev2, file, vector(10, 20), 2, 0L, 0L, 0), 30);
	moved(MOVES(preadv2, file, vector(5, 6), 2, 0L, 0L, 0), 11);
	truth_check(MOVES(pread64, -1, buffer, 10, 0) == -1 && errno == EBADF, "EBADF");
}

static void copies(int file, int in, int out, int socket, int peer)
{
	loff_t at = 0;

	moved(MOVES(sendfile, out, file, &at, 1000), 1000);
	moved(MOVES(splice, in, NULL, socket, NULL, 1000, 0), 1000);
	moved(MOVES(recvfrom, peer, buffer, sizeof(buffer), 0, NULL, NULL), 1000);
	moved(MOVES(vmsplice, out, vector(300, 0), 1, 0), 300);
	moved(MOVES(read, in, buffer, sizeof(buffer)), 300);
}

static void sockets(int a, int b)
{
	struct msghdr m = {.msg_iov = vector(400, 100), .msg_iovlen = 2};

	moved(MOVES(sendto, a, buffer, 700, 0, NULL, 0), 700);
	moved(MOVES(recvfrom, b, buffer, 200, 0, NULL, NULL), 200);
	moved(MOVES(recvfrom, b, buffer, 4096, 0, NULL, NULL), 500);
	would_block(MOVES(recvfrom, b, buffer, 4096, MSG_DONTWAIT, NULL, NULL));
	moved(MOVES(sendmsg, a, &m, 0), 500);
	moved(MOVES(recvmsg, b, &m, 0), 500);
	would_block(MOVES(recvmsg, b, &m, MSG_DONTWAIT));
	moved(MOVES(write, a, buffer, 50), 50);
	moved(MOVES(read, b, buffer, 50), 50);
}

/* These return how many messages, not how many bytes. */
static void many_messages(int a, int b)
{
	struct iovec v[2] = {{buffer, 40}, {buffer, 60}};
	struct mmsghdr m[2] = {
		{.msg_hdr = {.msg_iov = &v[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &v[1], .msg_iovlen = 1}},
	};

	truth_check(CALL(sendmmsg, a, m, 2, 0) == 2, "sendmmsg");
	truth_check(CALL(recvmmsg, b, m, 2, 0, NULL) == 2, "recvmmsg");
}

static void *thread(void *unused)
{
	int p[2], stream[2], datagram[2];
	int file = memfd_create("bytes", 0);

	truth_check(file >= 0 && !pipe2(p, O_NONBLOCK), "set up");
	truth_check(!socketpair(AF_UNIX, SOCK_STREAM, 0, stream), "socketpair");
	truth_check(!socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram), "socketpair");
	truth_thread_begin();
	for (unsigned int i = 0; i < times; i++) {
		pipes(p[0], p[1]);
		files(file);
		copies(file, p[0], p[1], stream[0], stream[1]);
		sockets(stream[0], stream[1]);
		many_messages(datagram[0], datagram[1]);
	}
	/* A call without bytes has none in the report. */
	CALL(getppid);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t id;

	while (truth_getopt(argc, argv, "n:") != -1)
		times = truth_number(optarg, 1, 1000000);
	truth_init("bytes", 2);
	truth_process_begin()->status = 0;
	truth_wait_go(NULL, 0);
	truth_check(!pthread_create(&id, NULL, thread, NULL), "pthread_create");
	truth_check(!pthread_join(id, NULL), "pthread_join");
	for (uint32_t i = 0; i < truth_thread_at(1)->nr_calls; i++)
		truth_thread_at(1)->calls[i].thread_only = 1;
	truth_print();
	return 0;
}
