// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/msg.h"
#include "base/text.h"
#include "kernel/explain.h"

const struct privilege privileges[] = {
	{"CAP_BPF", CAP_BPF, "loading programs and making maps"},
	{"CAP_PERFMON", CAP_PERFMON, "attaching to tracepoints and reading kernel memory"},
};

const size_t nr_privileges = sizeof(privileges) / sizeof(privileges[0]);

static uint64_t effective_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &header, data))
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

/* Capabilities in another one do not count for loading programs. */
static bool is_in_initial_user_namespace(void)
{
	static const char initial[] = "user:[4026531837]"; /* include/linux/proc_ns.h */
	char link[32] = "";

	/* Without user namespaces there is no such link. */
	return readlink("/proc/self/ns/user", link, sizeof(link) - 1) < 0 || !strcmp(link, initial);
}

bool privilege_held(const struct privilege *p)
{
	return is_in_initial_user_namespace() &&
	       effective_capabilities() & (1ULL << p->number | 1ULL << CAP_SYS_ADMIN);
}

uint64_t privileges_to_go_on(void)
{
	uint64_t held = effective_capabilities();
	uint64_t keep = 1ULL << CAP_SYS_PTRACE | 1ULL << CAP_SYSLOG;

	for (size_t i = 0; i < nr_privileges; i++) {
		uint64_t own = 1ULL << privileges[i].number;

		keep |= held & own ? own : 1ULL << CAP_SYS_ADMIN;
	}
	return keep;
}

static char *missing_privileges(void)
{
	char *text = NULL;

	for (size_t i = 0; i < nr_privileges; i++) {
		if (!privilege_held(&privileges[i]))
			text_append(&text, " and ", xstrdup(privileges[i].name));
	}
	return text;
}

/* The last of its hooks that was tried, and why it was not taken; the caller frees it. */
static char *last_reason(const struct probe_result *result)
{
	for (size_t i = MAX_HOOKS; i-- > 0;) {
		const struct hook *h = &result->probe->hooks[i];

		if (h->name && result->passed_over[i] &&
		    strcmp(result->passed_over[i], NOT_ASKED_FOR))
			return xasprintf("%s: %s", h->where, result->passed_over[i]);
	}
	return xstrdup("no hook");
}

static void explain_probe(const struct probe_result *result)
{
	__cleanup(free) char *reason = last_reason(result);

	msg_error("probe %s cannot be attached: %s", result->probe->name, reason);
}

static void explain_probes(const struct kernel *k)
{
	const struct probe_result *results = kernel_probe_results(k);

	for (size_t i = 0; i < nr_probes; i++) {
		if (results[i].is_missing && results[i].is_needed)
			explain_probe(&results[i]);
	}
	msg_error("this kernel lacks what tracing needs; `socktrace doctor` shows each probe");
}

/*
 * Before Linux 5.11, maps and programs count as locked memory, and only CAP_SYS_RESOURCE may raise
 * its limit; since then a cgroup pays for them. That change has no feature bit of its own; the
 * helper came with it.
 */
static bool is_memlock_too_low(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return false;
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCKET_FILTER, BPF_FUNC_ktime_get_coarse_ns,
				       NULL) == 0;
}

void explain_failure(const struct kernel *k, int err)
{
	char *missing = missing_privileges();

	if (missing && !is_in_initial_user_namespace())
		msg_error("tracing is not permitted in a user namespace (unshare -U, a rootless "
			  "container): capabilities that are held there do not count for loading "
			  "programs; run socktrace outside of it, as root");
	else if (missing)
		msg_error("tracing is not permitted: %s missing; run it with sudo, or give the "
			  "program these capabilities",
			  missing);
	else if (!kernel_has_btf())
		msg_error("this kernel has no BTF (/sys/kernel/btf/vmlinux is missing), which the "
			  "programs need to find their way; use a kernel built with "
			  "CONFIG_DEBUG_INFO_BTF, as distributions' are since about 2020");
	else if (err == -EOPNOTSUPP)
		explain_probes(k);
	else if (err == -EPERM && is_memlock_too_low())
		msg_error(
			"the limit of locked memory is too low for the programs' maps, which this "
			"kernel counts as such; raise it (ulimit -l unlimited), or give the "
			"program "
			"CAP_SYS_RESOURCE too");
	else if (err == -EPERM)
		msg_error(
			"the kernel refused to load programs although CAP_BPF and CAP_PERFMON are "
			"held: a container's seccomp filter, or lockdown in confidentiality mode; "
			"run socktrace on the host");
	else if (err == -EMFILE || err == -ENFILE)
		msg_error("load the programs: %s; tracing needs some 100 descriptors: raise the "
			  "limit (ulimit -n)",
			  strerror(-err));
	else
		msg_error("load the programs: %s; -vv shows what libbpf says", strerror(-err));
	free(missing);
}
