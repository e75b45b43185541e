// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/version.h"
#include "capture/host.h"
#include "capture/interfaces.h"
#include "kernel/kernel.h"

/*
 * The rest of the first line of @path that begins with @prefix, after any of @skip; NULL if there
 * is none or the file cannot be read.
 */
static char *find_line(const char *path, const char *prefix, const char *skip)
{
	__cleanup(fclose) FILE *f = fopen(path, "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		const char *value = line + strlen(prefix);
		size_t len;

		if (strncmp(line, prefix, strlen(prefix)))
			continue;
		value += strspn(value, skip);
		len = strlen(value);
		while (len && strchr("\n\" \t", value[len - 1]))
			len--;
		return utf8_clean(value, len);
	}
	return NULL;
}

/* The name, or, where the kernel does not know it (AArch64), the numbers that stand for it. */
static char *cpu_model(void)
{
	char *name = find_line("/proc/cpuinfo", "model name", "\t :");
	__cleanup(free) char *implementer = NULL, *part = NULL;

	if (name)
		return name;
	implementer = find_line("/proc/cpuinfo", "CPU implementer", "\t :");
	part = find_line("/proc/cpuinfo", "CPU part", "\t :");
	return implementer && part ? xasprintf("implementer %s, part %s", implementer, part) : NULL;
}

/* The hypervisor's name for the machine, "none" on bare metal, NULL if the CPU does not say. */
static char *virtualization(void)
{
	__cleanup(free) char *flags = find_line("/proc/cpuinfo", "flags", "\t :");
	char *vendor;

	if (!flags)
		return NULL;
	if (!strstr(flags, " hypervisor"))
		return xstrdup("none");
	vendor = find_line("/sys/class/dmi/id/sys_vendor", "", "");
	return vendor ? vendor : xstrdup("unknown hypervisor");
}

/* The mode in brackets: "none [integrity] confidentiality". */
static char *lockdown(void)
{
	__cleanup(free) char *modes = find_line("/sys/kernel/security/lockdown", "", "");
	char *from = modes ? strchr(modes, '[') : NULL, *to = from ? strchr(from, ']') : NULL;

	return to ? xstrndup(from + 1, to - from - 1) : NULL;
}

void host_fill(struct report *r)
{
	struct utsname u;

	r->tool.version = xstrdup(socktrace_version);
	r->tool.commit = xstrdup(socktrace_commit);
	r->tool.libbpf = xstrdup(kernel_libbpf_version());
	r->tool.compiler = xstrdup(
#ifdef __clang__
		__VERSION__
#else
		"gcc " __VERSION__
#endif
	);
	uname(&u);
	r->host.kernel = utf8_clean(u.release, strlen(u.release));
	r->host.arch = utf8_clean(u.machine, strlen(u.machine));
	r->host.os = find_line("/etc/os-release", "PRETTY_NAME=", "\"");
	r->host.cpu_model = cpu_model();
	r->host.cpus = sysconf(_SC_NPROCESSORS_ONLN);
	r->host.virtualization = virtualization();
	r->host.lockdown = lockdown();
	r->host.has_btf = kernel_has_btf();
	r->host.netns = interfaces_net_of(0) ?: METRIC_UNKNOWN;
}
