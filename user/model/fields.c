// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "model/fields.h"
#include "model/model.h"
#include "model/workload.h"

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
	{"netns", FIELD_METRIC, AT(host.netns)},
	{0},
};

const struct field capture_fields[] = {
	{"mode", FIELD_TEXT, AT(capture.mode)},
	{"command", FIELD_STRINGS, AT(capture.command)},
	{"started", FIELD_TEXT, AT(capture.started)},
	{"duration_ns", FIELD_COUNT, AT(capture.duration_ns)},
	{"detail", FIELD_TEXT, AT(capture.detail)},
	{"complete", FIELD_BOOL, AT(capture.complete)},
	{"untraced_descendants", FIELD_METRIC, AT(capture.untraced_descendants)},
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
	{"trial", FIELD_ORDINAL, AT(trial)},
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
#define AT(member) offsetof(struct socket, member)

const struct field socket_fields[] = {
	{"protocol", FIELD_PROTOCOL, AT(protocol)},
	{"family", FIELD_FAMILY, AT(family)},
	{"local", FIELD_TEXT_OR_NULL, AT(local)},
	{"remote", FIELD_TEXT_OR_NULL, AT(remote)},
	{"role", FIELD_ROLE, AT(role)},
	{"netns", FIELD_METRIC, AT(netns)},
	{"opened_ns", FIELD_METRIC, AT(opened_ns)},
	{"closed_ns", FIELD_METRIC, AT(closed_ns)},
	{"connections", FIELD_COUNT, AT(connections)},
	{"connections_elsewhere", FIELD_METRIC, AT(connections_elsewhere)},
	{"shared_by", FIELD_METRIC, AT(shared_by)},
	{"dual_stack", FIELD_BOOL, AT(dual_stack)},
	{"agrees", FIELD_TRISTATE, AT(agrees)},
	{0},
};

const struct field tcp_fields[] = {
	{"state", FIELD_STATE, AT(state)},
	{"closed_by", FIELD_CLOSED_BY, AT(closed_by)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct spread, member)

const struct field spread_fields[] = {
	{"count", FIELD_COUNT, AT(count)},
	{"min_ns", FIELD_METRIC, AT(min_ns)},
	{"p50_ns", FIELD_METRIC, AT(p50_ns)},
	{"p90_ns", FIELD_METRIC, AT(p90_ns)},
	{"p99_ns", FIELD_METRIC, AT(p99_ns)},
	{"max_ns", FIELD_METRIC, AT(max_ns)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct drop, member)

const struct field place_fields[] = {
	{"reason", FIELD_TEXT, AT(reason)},
	{"where", FIELD_TEXT_OR_NULL, AT(where)},
	{0},
};

const struct field drop_fields[] = {
	{"packets", FIELD_COUNT, AT(packets)},
	{"bytes", FIELD_METRIC, AT(bytes)},
	{"first_ns", FIELD_METRIC, AT(first_ns)},
	{"last_ns", FIELD_METRIC, AT(last_ns)},
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

#undef AT
#define AT(member) offsetof(struct workload_run, member)

const struct field workload_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct workload_parameter, member)

const struct field parameter_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"values", FIELD_STRINGS, AT(values)},
	{"is_swept", FIELD_BOOL, AT(is_swept)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct workload_setting, member)

const struct field setting_fields[] = {
	{"name", FIELD_TEXT, AT(name)},
	{"value", FIELD_TEXT_OR_NULL, AT(value)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct workload_trial, member)

const struct field trial_fields[] = {
	{"number", FIELD_COUNT, AT(number)},
	{"cell", FIELD_STRINGS, AT(cell)},
	{"traced", FIELD_BOOL, AT(traced)},
	{"exact", FIELD_TRISTATE, AT(exact)},
	{0},
};

#undef AT
#define AT(member) offsetof(struct workload_part, member)

const struct field part_fields[] = {
	{"role", FIELD_TEXT, AT(role)},
	{"pid", FIELD_PID, AT(pid)},
	{"started_ns", FIELD_COUNT, AT(started_ns)},
	{"is_subject", FIELD_BOOL, AT(is_subject)},
	{0},
};
