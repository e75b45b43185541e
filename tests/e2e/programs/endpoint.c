// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "endpoint.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct endpoints {
	uint32_t max;
	uint32_t nr;
	struct endpoint items[];
};

static struct endpoints *endpoints;
static bool are_early;

static void print_endpoints(FILE *f);

void endpoints_init(unsigned int max)
{
	endpoints = mmap(NULL, sizeof(*endpoints) + max * sizeof(struct endpoint),
			 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	truth_check(endpoints != MAP_FAILED, "mmap");
	endpoints->max = max;
	truth_print_more = print_endpoints;
}

void endpoints_are_early(bool early)
{
	are_early = early;
}

bool endpoints_early_now(void)
{
	return are_early && truth_waits();
}

/* --- accounts -------------------------------------------------------------------------------- */

static int option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value;

	truth_check(getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0, "getsockopt");
	return value;
}

static const char *protocol_of(int fd)
{
	int domain = option(fd, SO_DOMAIN), type = option(fd, SO_TYPE);

	if (domain == AF_UNIX)
		return type == SOCK_STREAM  ? "unix-stream"
		       : type == SOCK_DGRAM ? "unix-dgram"
					    : "unix-seqpacket";
	if (domain == AF_NETLINK || domain == AF_PACKET)
		return domain == AF_NETLINK ? "netlink" : "packet";
	if (type == SOCK_RAW)
		return "raw";
	switch (option(fd, SO_PROTOCOL)) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_UDPLITE:
		return "udplite";
	case IPPROTO_MPTCP:
		return "mptcp";
	}
	return "ping";
}

static const char *family_of(int fd)
{
	int domain = option(fd, SO_DOMAIN);

	return domain == AF_UNIX      ? "unix"
	       : domain == AF_INET    ? "ipv4"
	       : domain == AF_INET6   ? "ipv6"
	       : domain == AF_NETLINK ? "netlink"
				      : "packet";
}

struct endpoint *endpoint_new(const char *protocol, const char *family, const char *role,
			      uint64_t connections)
{
	uint32_t index = __atomic_fetch_add(&endpoints->nr, 1, __ATOMIC_SEQ_CST);
	struct endpoint *e = &endpoints->items[index];

	truth_check(index < endpoints->max, "too many sockets");
	e->pid = syscall(SYS_getpid);
	e->protocol = protocol;
	e->family = family;
	e->role = role;
	e->connections = connections;
	e->early = endpoints_early_now();
	return e;
}

static struct endpoint *find(pid_t pid, uint64_t inode)
{
	uint32_t nr = __atomic_load_n(&endpoints->nr, __ATOMIC_SEQ_CST);

	for (uint32_t i = nr; i-- > 0;)
		if (endpoints->items[i].inode == inode && endpoints->items[i].pid == pid &&
		    !endpoints->items[i].is_past)
			return &endpoints->items[i];
	return NULL;
}

struct endpoint *endpoint(int fd)
{
	struct endpoint *e;
	struct stat st;

	truth_check(fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode), "not a socket");
	e = find(syscall(SYS_getpid), st.st_ino);
	if (e)
		return e;
	e = endpoint_new(protocol_of(fd), family_of(fd), NULL, 1);
	e->inode = st.st_ino;
	return e;
}

void endpoint_used_anew(int fd)
{
	endpoint(fd)->is_past = 1;
}

static void set_name(struct endpoint_name *name, const void *address, socklen_t len)
{
	truth_check(len <= sizeof(name->address), "length of an address");
	memcpy(&name->address, address, len);
	name->len = len;
}

void endpoint_local(struct endpoint *e, const void *address, socklen_t len)
{
	set_name(&e->local, address, len);
}

void endpoint_remote(struct endpoint *e, const void *address, socklen_t len)
{
	set_name(&e->remote, address, len);
}

/* A socket without a peer has the peer "*", which is written as an address without a family. */
struct endpoint *endpoint_named(int fd, const char *role)
{
	static const sa_family_t nobody = AF_UNSPEC;
	struct endpoint *e = endpoint(fd);
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	e->role = role;
	truth_check(getsockname(fd, (struct sockaddr *)&address, &len) == 0, "getsockname");
	endpoint_local(e, &address, len);
	len = sizeof(address);
	if (getpeername(fd, (struct sockaddr *)&address, &len) == 0) {
		endpoint_remote(e, &address, len);
	} else {
		truth_check(errno == ENOTCONN, "getpeername");
		endpoint_remote(e, &nobody, sizeof(nobody));
	}
	return e;
}

static struct endpoint_figure *figure(struct endpoint *e, const char *path)
{
	for (uint32_t i = 0; i < e->nr_figures; i++)
		if (!strcmp(e->figures[i].path, path))
			return &e->figures[i];
	truth_check(e->nr_figures < ENDPOINT_FIGURES, "too many figures");
	e->figures[e->nr_figures].path = path;
	return &e->figures[e->nr_figures++];
}

void endpoint_figure(struct endpoint *e, const char *path, uint64_t min, uint64_t max)
{
	struct endpoint_figure *f = figure(e, path);

	f->min = min;
	f->max = max;
}

void endpoint_figure_add(struct endpoint *e, const char *path, uint64_t n)
{
	struct endpoint_figure *f = figure(e, path);

	f->min += n;
	f->max += n;
}

void endpoint_drop(struct endpoint *e, const char *reason, uint64_t packets, uint64_t bytes)
{
	truth_check(e->nr_drops < ENDPOINT_DROPS, "too many reasons");
	e->drops[e->nr_drops++] = (struct endpoint_drop){reason, packets, bytes};
}

void endpoint_tcp_info(int fd)
{
	struct endpoint *e = endpoint(fd);
	struct tcp_info info;
	socklen_t len = sizeof(info);

	truth_check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0, "TCP_INFO");
	/* The kernel counts microseconds; a report may have the parts of them that it keeps. */
	endpoint_figure(e, "tcp.rtt_ns", info.tcpi_rtt * 1000ULL, info.tcpi_rtt * 1000ULL + 999);
	endpoint_figure(e, "tcp.rtt_var_ns", info.tcpi_rttvar * 1000ULL,
			info.tcpi_rttvar * 1000ULL + 999);
	endpoint_figure(e, "tcp.cwnd", info.tcpi_snd_cwnd, info.tcpi_snd_cwnd);
	/* 0: it has not measured any */
	endpoint_figure(e, "tcp.delivery_rate",
			info.tcpi_delivery_rate ? info.tcpi_delivery_rate : UINT64_MAX,
			info.tcpi_delivery_rate);
	endpoint_figure(e, "tcp.rwnd_limited_ns", info.tcpi_rwnd_limited * 1000,
			info.tcpi_rwnd_limited * 1000 + 999);
	endpoint_figure(e, "tcp.sndbuf_limited_ns", info.tcpi_sndbuf_limited * 1000,
			info.tcpi_sndbuf_limited * 1000 + 999);
	/* What it counts are attempts. */
	endpoint_figure(e, "tcp.retransmits + tcp.retransmits_failed", info.tcpi_total_retrans,
			info.tcpi_total_retrans);
}

/* --- what calls returned --------------------------------------------------------------------- */

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add(counter, n);
}

void endpoint_add_sent(struct endpoint *e, uint64_t calls, uint64_t bytes)
{
	add(&e->counts.send_calls, calls);
	add(&e->counts.send_bytes, bytes);
	truth_bound_add(truth_me, "socket.sent_calls", calls);
	truth_bound_add(truth_me, "socket.sent_bytes", bytes);
}

static void add_to_thread(uint64_t calls, uint64_t bytes)
{
	truth_bound_add(truth_me, "socket.received_calls", calls);
	truth_bound_add(truth_me, "socket.received_bytes", bytes);
}

void endpoint_add_received(struct endpoint *e, uint64_t calls, uint64_t bytes)
{
	add(&e->counts.receive_calls, calls);
	add(&e->counts.receive_bytes, bytes);
	add_to_thread(calls, bytes);
}

static void add_flagged(struct endpoint *e, int flags, uint64_t calls, uint64_t bytes)
{
	if (flags & MSG_PEEK) {
		add(&e->counts.peek_calls, calls);
		add(&e->counts.peek_bytes, bytes);
	} else if (flags & MSG_TRUNC) {
		add(&e->counts.trunc_calls, calls);
		add(&e->counts.trunc_bytes, bytes);
		add_to_thread(calls, 0);
	} else if (!(flags & MSG_ERRQUEUE)) { /* notifications are no data */
		endpoint_add_received(e, calls, bytes);
	}
}

long endpoint_sent(int fd, long ret)
{
	int saved = errno;
	struct endpoint *e = endpoint(fd);

	if (ret < 0)
		add(&e->counts.send_errors, 1);
	else
		endpoint_add_sent(e, 1, ret);
	errno = saved;
	return ret;
}

long endpoint_received(int fd, int flags, long ret)
{
	int saved = errno;
	struct endpoint *e = endpoint(fd);

	if (ret < 0)
		add(&e->counts.receive_errors, 1);
	else
		add_flagged(e, flags, 1, ret);
	errno = saved;
	return ret;
}

static uint64_t length(const struct mmsghdr *messages, long nr)
{
	uint64_t bytes = 0;

	for (long i = 0; i < nr; i++)
		bytes += messages[i].msg_len;
	return bytes;
}

long endpoint_sent_many(int fd, const struct mmsghdr *messages, long ret)
{
	if (ret < 0)
		return endpoint_sent(fd, ret);
	endpoint_add_sent(endpoint(fd), ret, length(messages, ret));
	return ret;
}

long endpoint_received_many(int fd, int flags, const struct mmsghdr *messages, long ret)
{
	if (ret < 0)
		return endpoint_received(fd, flags, ret);
	add_flagged(endpoint(fd), flags, ret, length(messages, ret));
	return ret;
}

/* --- printing -------------------------------------------------------------------------------- */

/* Bytes as the code points U+0000 to U+00FF, whatever they are. */
static void print_bytes(FILE *f, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(f, "\\u%04x", (unsigned char)bytes[i]);
}

static void print_unix_name(FILE *f, const struct sockaddr_un *u, uint32_t len)
{
	size_t room = len - offsetof(struct sockaddr_un, sun_path);

	if (!room)
		fputs("*", f);
	else if (u->sun_path[0])
		print_bytes(f, u->sun_path, strnlen(u->sun_path, room));
	else {
		fputs("@", f);
		print_bytes(f, u->sun_path + 1, room - 1);
	}
}

static void print_inet_name(FILE *f, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;
	char text[INET6_ADDRSTRLEN];

	if (a->ss_family == AF_INET)
		fprintf(f, "%s:%d", inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)),
			ntohs(v4->sin_port));
	else
		fprintf(f, "[%s]:%d", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)),
			ntohs(v6->sin6_port));
}

static void print_name(FILE *f, const char *key, const struct endpoint_name *name)
{
	fprintf(f, ", \"%s\": ", key);
	if (!name->len) {
		fputs("null", f);
		return;
	}
	fputc('"', f);
	if (name->address.ss_family == AF_UNIX)
		print_unix_name(f, (const void *)&name->address, name->len);
	else if (name->address.ss_family == AF_UNSPEC)
		fputs("*", f);
	else
		print_inet_name(f, &name->address);
	fputc('"', f);
}

static void print_text(FILE *f, const char *key, const char *text)
{
	if (text)
		fprintf(f, ", \"%s\": \"%s\"", key, text);
	else
		fprintf(f, ", \"%s\": null", key);
}

static void print_number(FILE *f, const char *key, uint64_t number)
{
	fprintf(f, ", \"%s\": %llu", key, (unsigned long long)number);
}

static void print_counts(FILE *f, const struct endpoint_counts *c)
{
	fprintf(f, ",\n  \"send\": {\"calls\": %llu", (unsigned long long)c->send_calls);
	print_number(f, "bytes", c->send_bytes);
	print_number(f, "errors", c->send_errors);
	print_number(f, "maybe_errors", c->maybe_send_errors);
	fprintf(f, "},\n  \"receive\": {\"calls\": %llu", (unsigned long long)c->receive_calls);
	print_number(f, "bytes", c->receive_bytes);
	print_number(f, "errors", c->receive_errors);
	print_number(f, "maybe_errors", c->maybe_receive_errors);
	print_number(f, "peek_calls", c->peek_calls);
	print_number(f, "peek_bytes", c->peek_bytes);
	print_number(f, "trunc_calls", c->trunc_calls);
	print_number(f, "trunc_bytes", c->trunc_bytes);
	fputs("}", f);
}

static void print_endpoint(FILE *f, const struct endpoint *e)
{
	fprintf(f, "{\"pid\": %d", e->pid);
	print_number(f, "inode", e->inode);
	print_text(f, "protocol", e->protocol);
	print_text(f, "family", e->family);
	print_text(f, "role", e->role);
	print_text(f, "state", e->state);
	print_text(f, "closed_by", e->closed_by);
	print_name(f, "local", &e->local);
	print_name(f, "remote", &e->remote);
	print_number(f, "connections", e->connections);
	fprintf(f, ", \"early\": %s, \"alive\": %s", e->early ? "true" : "false",
		e->alive ? "true" : "false");
	print_counts(f, &e->counts);
	fputs(",\n  \"figures\": [", f);
	for (uint32_t i = 0; i < e->nr_figures; i++)
		fprintf(f, "%s{\"path\": \"%s\", \"min\": %llu, \"max\": %llu}", i ? ", " : "",
			e->figures[i].path, (unsigned long long)e->figures[i].min,
			(unsigned long long)e->figures[i].max);
	fputs("], \"drops\": {", f);
	for (uint32_t i = 0; i < e->nr_drops; i++)
		fprintf(f, "%s\"%s\": {\"packets\": %llu, \"bytes\": %llu}", i ? ", " : "",
			e->drops[i].reason, (unsigned long long)e->drops[i].packets,
			(unsigned long long)e->drops[i].bytes);
	fputs("}}", f);
}

static void print_endpoints(FILE *f)
{
	fputs(",\n\"sockets\": [", f);
	for (uint32_t i = 0; i < endpoints->nr; i++) {
		fputs(i ? ",\n " : "\n ", f);
		print_endpoint(f, &endpoints->items[i]);
	}
	fputs("]", f);
}
