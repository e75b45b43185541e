/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_KERNEL_NAMES_H
#define SOCKTRACE_KERNEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The running kernel's names for its numbers and addresses. What was read stays in memory. */

enum { KERNEL_NAME_LEN = 128 };

/*
 * The name of a drop reason, "SOCKET_RCVBUFF", from the kernel's type information: numbers differ
 * between kernels. "NOT_TOLD" where the kernel has no reasons, "REASON_77" for one without a name.
 */
const char *kernel_drop_reason(uint32_t reason, char buf[KERNEL_NAME_LEN]);
/*
 * The numbers of @nr of the enumerators of the enum without a name whose first one is @first. False
 * if the kernel does not tell.
 */
bool kernel_enumerators(const char *first, const char *const *names, uint32_t *numbers, size_t nr);
/*
 * The function that @address lies in, by /proc/kallsyms; NULL if that does not tell. Good until the
 * next call. The list is long and read as a whole: announce all addresses before asking.
 */
void kernel_want_symbol(uint64_t address);
const char *kernel_symbol(uint64_t address);
/* Whether there is a symbol of that name; true where the kernel hides them all. */
bool kernel_has_symbol(const char *name);
/* Whether the kernel's struct @type has that member. */
bool kernel_has_member(const char *type, const char *member);

#endif
