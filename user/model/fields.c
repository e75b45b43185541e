// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/fields.h"
#include "model/model.h"

#define AT(member) offsetof(struct report, member)

const struct field tool_fields[] = {
	{"version", FIELD_TEXT, AT(tool.version)},
	{"commit", FIELD_TEXT, AT(tool.commit)},
	{"libbpf", FIELD_TEXT, AT(tool.libbpf)},
	{"compiler", FIELD_TEXT, AT(tool.compiler)},
	{0},
};

const struct field host_fields[] = {
	{"os", FIELD_TEXT_OR_NULL, AT(host.os)},
	{"kernel", FIELD_TEXT_OR_NULL, AT(host.kernel)},
	{"arch", FIELD_TEXT_OR_NULL, AT(host.arch)},
	{"cpu_model", FIELD_TEXT_OR_NULL, AT(host.cpu_model)},
	{"cpus", FIELD_COUNT, AT(host.cpus)},
	{"virtualization", FIELD_TEXT_OR_NULL, AT(host.virtualization)},
	{"btf", FIELD_BOOL, AT(host.has_btf)},
	{"lockdown", FIELD_TEXT_OR_NULL, AT(host.lockdown)},
	{0},
};

const struct field capture_fields[] = {
	{"mode", FIELD_TEXT, AT(capture.mode)},
	{"command", FIELD_STRINGS, AT(capture.command)},
	{"started", FIELD_TEXT, AT(capture.started)},
	{"duration_ns", FIELD_COUNT, AT(capture.duration_ns)},
	{"detail", FIELD_TEXT, AT(capture.detail)},
	{"complete", FIELD_BOOL, AT(capture.complete)},
	{0},
};

const struct field self_fields[] = {
	{"cpu_ns", FIELD_METRIC, AT(capture.self_cpu_ns)},
	{"rss_bytes", FIELD_METRIC, AT(capture.self_rss_bytes)},
	{"map_bytes", FIELD_METRIC, AT(capture.map_bytes)},
	{"setup_ns", FIELD_METRIC, AT(capture.setup_ns)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct probe_state, member)

const struct field probe_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"hook", FIELD_TEXT_OR_NULL, AT(hook)},
	{"required", FIELD_BOOL, AT(required)},
	{"attached", FIELD_BOOL, AT(attached)},
	{"reason", FIELD_TEXT_OR_NULL, AT(reason)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct program_cost, member)

const struct field program_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"runs", FIELD_METRIC, AT(runs)},
	{"run_ns", FIELD_METRIC, AT(run_ns)},
	{"recursion_misses", FIELD_METRIC, AT(recursion_misses)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct process, member)

const struct field process_fields[] = {
	{"pid", FIELD_PID, AT(pid)},
	{"comm", FIELD_TEXT, AT(comm)},
	{"exe", FIELD_TEXT_OR_NULL, AT(exe)},
	{"cmdline", FIELD_STRINGS, AT(cmdline)},
	{"started_ns", FIELD_COUNT, AT(started_ns)},
	{"ended", FIELD_BOOL, AT(ended)},
	{"exit_status", FIELD_STATUS, AT(exit_status)},
	{"term_signal", FIELD_SIGNAL, AT(term_signal)},
	{"rss_peak_bytes", FIELD_METRIC, AT(rss_peak_bytes)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct thread, member)

const struct field thread_fields[] = {
	{"tid", FIELD_PID, AT(tid)},
	{"comm", FIELD_TEXT, AT(comm)},
	{"ended", FIELD_BOOL, AT(ended)},
	{"folded", FIELD_COUNT, AT(nr_folded)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct syscall, member)

const struct field call_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"nr", FIELD_U32, AT(nr)},
	{"abi", FIELD_ABI, AT(abi)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct audit, member)

const struct field audit_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"subject", FIELD_TEXT, AT(subject)},
	{"expected", FIELD_METRIC, AT(expected)},
	{"observed", FIELD_METRIC, AT(observed)},
	{"tolerance", FIELD_METRIC, AT(tolerance)},
	{"ok", FIELD_TRISTATE, AT(ok)},
	{"reason", FIELD_TEXT_OR_NULL, AT(reason)},
	{0},
};
