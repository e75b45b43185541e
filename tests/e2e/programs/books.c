// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * books [-k] CASE...: TCP connections whose books are easily read wrong: calls that wait on others,
 * sequence numbers that mean something else. With -k what is still open stays so while the program
 * waits, after "done".
 *
 * served        a thread for each connection, and each sleeps in a receive
 * cut           reset by the peer before the trace, with bytes unread, which are read then
 * disconnected  the same, and then connected to none
 * repaired      TCP_REPAIR sets the sequence numbers by hand
 * mapped        a sockmap takes what comes in on one connection out on another
 */
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

#define ADDRESS "127.0.0.1"
#define SERVED	8
#define TIMES	20
#define UNREAD	10

#ifndef TCP_REPAIR
#define TCP_REPAIR 19
#endif

static char buffer[65536];
static bool stays_open;

static void put(int fd, size_t n)
{
	truth_check(SENDS(sendto, fd, buffer, n, MSG_NOSIGNAL, NULL, 0) == (long)n, "sendto");
}

static void get(int fd, size_t n)
{
	long ret = RECEIVES(recvfrom, fd, 0, buffer, n, MSG_WAITALL, NULL, NULL);

	truth_check(ret == (long)n, "recvfrom");
}

static void end(int fd)
{
	if (stays_open)
		endpoint(fd)->alive = 1;
	else
		net_close(fd);
}

/* A connection of before the trace, whose listener is gone: how its ends came about cannot be told.
 */
static void early_connection(int fds[2])
{
	int listener = net_bound(ADDRESS, SOCK_STREAM);
	struct net_address to;

	truth_check(!listen(listener, 1), "listen");
	to = net_address(ADDRESS, net_port(listener));
	fds[0] = net_socket(ADDRESS, SOCK_STREAM);
	truth_check(!connect(fds[0], (void *)&to.storage, to.len), "connect");
	fds[1] = accept(listener, NULL, NULL);
	truth_check(fds[1] >= 0, "accept");
	close(listener);
}

/* --- served ---------------------------------------------------------------------------------- */

static int served[SERVED][2];
static pthread_t servers[SERVED];

static void *serve(void *fds)
{
	int fd = ((int *)fds)[1];
	char request[100];
	long n;

	truth_thread_begin();
	while ((n = RECEIVES(recvfrom, fd, 0, request, sizeof(request), 0, NULL, NULL)) > 0)
		truth_check(SENDS(sendto, fd, request, n, MSG_NOSIGNAL, NULL, 0) == n, "sendto");
	return NULL;
}

static void prepare_served(void)
{
	for (int i = 0; i < SERVED; i++) {
		early_connection(served[i]);
		for (int k = 0; k < 2; k++) {
			endpoint_named(served[i][k], "none");
			endpoint(served[i][k])->alive = stays_open;
		}
	}
}

/* With -k every thread sleeps in a receive when the report is made. */
static void run_served(void)
{
	for (int i = 0; i < SERVED; i++)
		truth_check(!pthread_create(&servers[i], NULL, serve, served[i]), "pthread_create");
	for (int n = 0; n < TIMES; n++) {
		for (int i = 0; i < SERVED; i++) {
			put(served[i][0], 100);
			get(served[i][0], 100);
		}
	}
	if (stays_open)
		return;
	for (int i = 0; i < SERVED; i++) {
		truth_check(!shutdown(served[i][0], SHUT_WR), "shutdown");
		truth_check(!pthread_join(servers[i], NULL), "pthread_join");
		net_close(served[i][1]);
		net_close(served[i][0]);
	}
}

/* --- cut, disconnected ----------------------------------------------------------------------- */

static int cut = -1;

static void prepare_cut(void)
{
	struct linger now = {.l_onoff = 1};
	int fds[2];

	early_connection(fds);
	truth_check(send(fds[0], buffer, UNREAD, 0) == UNREAD, "send");
	truth_check(!setsockopt(fds[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now)), "SO_LINGER");
	close(fds[0]);
	cut = fds[1];
	net_wait(cut, POLLHUP);
	endpoint(cut)->role = "none";
}

static void run_cut(void)
{
	get(cut, UNREAD);
	truth_check(RECEIVES(recvfrom, cut, 0, buffer, 1, 0, NULL, NULL) == -1 &&
			    errno == ECONNRESET,
		    "a receive that must fail");
	end(cut);
}

static void run_disconnected(void)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	get(cut, UNREAD);
	truth_check(!connect(cut, &nobody, sizeof(nobody)), "connect to none");
	end(cut);
}

/* --- repaired -------------------------------------------------------------------------------- */

/* What repair mode sends is put into the queue as if it had been acknowledged long ago. */
static void run_repaired(void)
{
	int fds[2];

	net_connection(ADDRESS, fds);
	put(fds[0], 500);
	get(fds[1], 500);
	net_set(fds[0], IPPROTO_TCP, TCP_REPAIR, 1);
	net_set(fds[0], IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	put(fds[0], 300);
	net_set(fds[0], IPPROTO_TCP, TCP_REPAIR, 0);
	get(fds[0], 300);
	end(fds[0]);
	end(fds[1]);
}

/* --- mapped ---------------------------------------------------------------------------------- */

static int sys_bpf(int command, union bpf_attr *attr)
{
	int ret = syscall(SYS_bpf, command, attr, sizeof(*attr));

	truth_check(ret >= 0, "bpf(2)");
	return ret;
}

/* Sends what comes to a socket of the map out on the one at index 1 (bpf_sk_redirect_map()). */
static int redirecting(int map)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 1},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_SK_SKB,
			       .insns = (uintptr_t)insns,
			       .insn_cnt = sizeof(insns) / sizeof(*insns),
			       .license = (uintptr_t) "GPL"};

	return sys_bpf(BPF_PROG_LOAD, &load);
}

static void set_socket(int map, uint32_t index, int fd)
{
	union bpf_attr set = {.map_fd = map, .key = (uintptr_t)&index, .value = (uintptr_t)&fd};

	sys_bpf(BPF_MAP_UPDATE_ELEM, &set);
}

/* The proxy in the middle never receives or sends: the kernel does, for it. */
static void run_mapped(void)
{
	union bpf_attr create = {.map_type = BPF_MAP_TYPE_SOCKMAP,
				 .key_size = sizeof(uint32_t),
				 .value_size = sizeof(int),
				 .max_entries = 2};
	union bpf_attr attach = {.attach_type = BPF_SK_SKB_STREAM_VERDICT};
	int map = sys_bpf(BPF_MAP_CREATE, &create), in[2], out[2];

	net_connection(ADDRESS, in);
	net_connection(ADDRESS, out);
	attach.target_fd = map;
	attach.attach_bpf_fd = redirecting(map);
	sys_bpf(BPF_PROG_ATTACH, &attach);
	set_socket(map, 0, in[1]);
	set_socket(map, 1, out[0]);
	for (int i = 0; i < TIMES; i++) {
		put(in[0], 1000);
		get(out[1], 1000);
	}
	for (int i = 0; i < 2; i++) {
		end(in[i]);
		end(out[i]);
	}
}

/* --- the program ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*prepare)(void); /* before the trace */
	void (*run)(void);
} cases[] = {
	{"served", prepare_served, run_served},
	{"cut", prepare_cut, run_cut},
	{"disconnected", prepare_cut, run_disconnected},
	{"repaired", NULL, run_repaired},
	{"mapped", NULL, run_mapped},
};

#define NR_CASES (sizeof(cases) / sizeof(*cases))

int main(int argc, char **argv)
{
	while (truth_getopt(argc, argv, "k") != -1)
		stays_open = true;
	truth_check(optind < argc, "which case");
	truth_init("books", 2 + SERVED);
	endpoints_init(64);
	truth_process_begin()->status = 0;
	endpoints_are_early(true);
	for (size_t i = 0; i < NR_CASES; i++)
		if (truth_is_wanted(cases[i].name, argc, argv) && cases[i].prepare)
			cases[i].prepare();
	truth_wait_go(NULL, 0);
	endpoints_are_early(false);
	for (size_t i = 0; i < NR_CASES; i++)
		if (truth_is_wanted(cases[i].name, argc, argv))
			cases[i].run();
	if (stays_open)
		truth_pause("done");
	truth_print();
	return 0;
}
