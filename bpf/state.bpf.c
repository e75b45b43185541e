// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "state.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile bool detail_full = true;
const volatile bool follow = false;
const volatile bool with_sockets = true;
const volatile __u32 wake_up_after = 1;
const volatile __u8 row_kinds[KEYS] = {};
const volatile __u8 call_ops[KEYS] = {};

__u32 tracing = 0;
__u32 seeding = 0;
const volatile __u32 listed_call = CALL_UNKNOWN;
__u64 nr_snapshots = 0;
#ifdef MUTATE
__u32 mutation_events = 0;
#endif
__u32 nr_ended = 0;
__u32 tracer_pid_level = 0;
__u64 lost[NR_LOST] = {};
__u8 maybe_traced[MAYBE_TRACED] = {};
__u32 recent_tasks[RECENT_TASKS] = {};
__u32 listing_sockets = 0;
__u32 doubtful_states = 0, is_last_look = 0;
__u32 nr_ended_sockets = 0, nr_new_sockets = 0;
const volatile __u32 wake_up_after_sockets = 1;
const volatile bool bytes_by_calls = false;
__u32 drops_when_read[65536] = {};
__u64 each_cpu_map = 0, each_cpu_base = 0;
const volatile __u32 nr_cpus = 1;
const volatile __u32 mib_listen_overflows = 0, mib_listen_drops = 0, mib_cookies_received = 0;
__u32 watches_listeners = 0, misses_listeners = 0;
