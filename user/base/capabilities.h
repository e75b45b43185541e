/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_BASE_CAPABILITIES_H
#define SOCKTRACE_BASE_CAPABILITIES_H

#include <linux/capability.h>
#include <stdint.h>

#define CAPABILITY(name) (1ULL << (name))

/*
 * Gives up every capability that is not in @keep, for good: nothing that is executed later has one
 * of them either, and set-user-id programs and file capabilities give none (no_new_privs). Those in
 * @keep stay as far as they are held. 0 or -errno.
 */
int capabilities_keep(uint64_t keep);

#endif
