// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/names.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MAX_ERRNO  4095
#define MAX_SIGNAL 64

/* Set in the numbers of x32 calls (__X32_SYSCALL_BIT), with or without which they are taken. */
#define X32_BIT 0x40000000u

/* --- system calls ------------------------------------------------------------------------- */

struct abi {
	const char *name;
	uint32_t scmp_arch;
	uint32_t bit;
};

static const struct abi abis[] = {
	{"x86_64", SCMP_ARCH_X86_64, 0}, {"i386", SCMP_ARCH_X86, 0},
	{"x32", SCMP_ARCH_X32, X32_BIT}, {"aarch64", SCMP_ARCH_AARCH64, 0},
	{"arm", SCMP_ARCH_ARM, 0},
};

static const struct abi *find_abi(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(abis); i++)
		if (!strcmp(abis[i].name, name))
			return &abis[i];
	return NULL;
}

const char *abi_find(const char *name)
{
	const struct abi *abi = find_abi(name);

	return abi ? abi->name : NULL;
}

/* Young calls: Debian 12's libseccomp knows up to 456. All ABIs share the numbers from 424 on. */
#define FIRST_YOUNG_CALL 451
static const char *const young_calls[] = {
	"cachestat",	     "fchmodat2",	  "map_shadow_stack", "futex_wake",
	"futex_wait",	     "futex_requeue",	  "statmount",	      "listmount",
	"lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules", "mseal",
	"setxattrat",	     "getxattrat",	  "listxattrat",      "removexattrat",
	"open_tree_attr",    "file_getattr",	  "file_setattr",
};

static const char *young_call(uint32_t nr)
{
	if (nr < FIRST_YOUNG_CALL || nr - FIRST_YOUNG_CALL >= ARRAY_SIZE(young_calls))
		return NULL;
	return young_calls[nr - FIRST_YOUNG_CALL];
}

const char *syscall_name(const char *abi_name, uint32_t nr, char *buf, size_t len)
{
	const struct abi *abi = find_abi(abi_name);
	uint32_t plain = abi ? nr & ~abi->bit : nr;
	char *known = NULL;

	if (abi)
		known = seccomp_syscall_resolve_num_arch(abi->scmp_arch, plain | abi->bit);
	if (known)
		snprintf(buf, len, "%s", known);
	else if (abi && young_call(plain))
		snprintf(buf, len, "%s", young_call(plain));
	else
		snprintf(buf, len, "syscall_%u", plain);
	free(known);
	return buf;
}

bool syscall_moves_bytes(const char *name)
{
	/* Not recvmmsg and sendmmsg: they return a number of messages. */
	static const char *const names[] = {
		"read",	    "pread64", "readv",	   "preadv",	      "preadv2",  "recv",
		"recvfrom", "recvmsg", "write",	   "pwrite64",	      "writev",	  "pwritev",
		"pwritev2", "send",    "sendto",   "sendmsg",	      "sendfile", "sendfile64",
		"splice",   "tee",     "vmsplice", "copy_file_range",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* --- errors and signals ------------------------------------------------------------------- */

/* The number behind @prefix, all digits and within 1 .. @max, or -EINVAL. */
static int number_behind(const char *name, const char *prefix, int max)
{
	size_t skip = strlen(prefix);
	int n = 0;

	if (strncmp(name, prefix, skip) || !name[skip])
		return -EINVAL;
	for (const char *p = name + skip; *p; p++) {
		if (*p < '0' || *p > '9' || n > max)
			return -EINVAL;
		n = n * 10 + (*p - '0');
	}
	return n >= 1 && n <= max ? n : -EINVAL;
}

const char *errno_name(int error, char *buf, size_t len)
{
	const char *name = strerrorname_np(error);

	if (name)
		snprintf(buf, len, "%s", name);
	else
		snprintf(buf, len, "ERRNO_%d", error);
	return buf;
}

int errno_number(const char *name)
{
	for (int error = 1; error <= MAX_ERRNO; error++) {
		const char *known = strerrorname_np(error);

		if (known && !strcmp(known, name))
			return error;
	}
	return number_behind(name, "ERRNO_", MAX_ERRNO);
}

const char *signal_name(int number, char *buf, size_t len)
{
	const char *name = sigabbrev_np(number);

	if (name)
		snprintf(buf, len, "SIG%s", name);
	else
		snprintf(buf, len, "SIG_%d", number);
	return buf;
}

int signal_number(const char *name)
{
	char known[NAME_TEXT_LEN];

	for (int number = 1; number <= MAX_SIGNAL; number++)
		if (!strcmp(signal_name(number, known, sizeof(known)), name))
			return number;
	return -EINVAL;
}

/* --- reasons for loss ----------------------------------------------------------------------- */

const char *lost_help(const char *name)
{
	static const struct {
		const char *name, *help;
	} rows[] = {
#define LOST(id, name, help) {name, help},
#include "socktrace/lost.def"
#undef LOST
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!strcmp(rows[i].name, name))
			return rows[i].help;
	}
	return NULL;
}

/* --- sockets ------------------------------------------------------------------------------ */

/* In the order of the kernel's TCP_ESTABLISHED … TCP_CLOSING (net/tcp_states.h), from 1. */
static const char *const tcp_states[] = {
	"ESTAB",  "SYN-SENT",	"SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
	"UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN",	  "CLOSING",
};
static const char *const protocols[] = {
#define SOCK_PROTOCOL(id, name) name,
#include "socktrace/protocols.def"
#undef SOCK_PROTOCOL
};
static const char *const families[] = {"ipv4", "ipv6", "unix", "netlink", "packet"};
static const char *const roles[] = {"listen", "accept", "connect", "bind", "none"};
static const char *const ends[] = {"local", "remote"};

static const struct {
	const char *const *words;
	size_t nr;
} word_lists[] = {
	[WORDS_PROTOCOL] = {protocols, ARRAY_SIZE(protocols)},
	[WORDS_FAMILY] = {families, ARRAY_SIZE(families)},
	[WORDS_ROLE] = {roles, ARRAY_SIZE(roles)},
	[WORDS_STATE] = {tcp_states, ARRAY_SIZE(tcp_states)},
	[WORDS_CLOSED_BY] = {ends, ARRAY_SIZE(ends)},
};

const char *word_find(enum word_list list, const char *name)
{
	for (size_t i = 0; i < word_lists[list].nr; i++)
		if (!strcmp(word_lists[list].words[i], name))
			return word_lists[list].words[i];
	return NULL;
}

const char *tcp_state_name(unsigned int state)
{
	return state && state <= ARRAY_SIZE(tcp_states) ? tcp_states[state - 1] : NULL;
}
