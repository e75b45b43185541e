/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_MODEL_NAMES_H
#define SOCKTRACE_MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of the kernel and their names in reports, in both directions. */

/* Room for any name that the functions below write. */
#define NAME_TEXT_LEN 64

/*
 * The static string for the ABI of system calls called @name ("x86_64", "i386", "x32", "aarch64",
 * "arm"), or NULL. struct syscall holds these strings and no others.
 */
const char *abi_find(const char *name);

/*
 * The name of system call @nr of @abi (with or without the x32 bit), or "syscall_<nr>" where
 * there is none. Returns @buf, which holds @len bytes.
 */
const char *syscall_name(const char *abi, uint32_t nr, char *buf, size_t len);

/* True for the calls of the read and write families, whose result is a number of bytes moved. */
bool syscall_moves_bytes(const char *name);

/* "ENOENT", or "ERRNO_524" for a number without a name. Returns @buf, which holds @len bytes. */
const char *errno_name(int error, char *buf, size_t len);
/* The number (1 .. 4095) for a name as errno_name() gives it, or -EINVAL. */
int errno_number(const char *name);

/* "SIGKILL", or "SIG_34" for a signal without a name. Returns @buf, which holds @len bytes. */
const char *signal_name(int number, char *buf, size_t len);
/* The number (1 .. 64) for a name as signal_name() gives it, or -EINVAL. */
int signal_number(const char *name);

/* What a reason for loss (its name in reports) means and what to do about it; NULL if unknown. */
const char *lost_help(const char *name);

/* The words of which struct socket holds one each; WORDS_STATE are those of ss(8). */
enum word_list { WORDS_PROTOCOL, WORDS_FAMILY, WORDS_ROLE, WORDS_STATE, WORDS_CLOSED_BY };

/* The static string for a word of @list, or NULL. */
const char *word_find(enum word_list list, const char *name);
/* The static string for the kernel's number of a TCP state (1 .. 11), or NULL. */
const char *tcp_state_name(unsigned int state);

#endif
