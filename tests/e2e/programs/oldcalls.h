/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_OLDCALLS_H
#define SOCKTRACE_TESTS_OLDCALLS_H

#include <sys/syscall.h>

/*
 * Calls that AArch64 and other young architectures do not have: there, the one that the C library
 * makes in their place. To be made with the arguments of that one; the old call takes the first
 * of them, or none, and does not look at the rest.
 */

/* (SIGCHLD, 0, 0, 0, 0) */
#ifdef SYS_fork
#define FORK_NR	  SYS_fork
#define FORK_NAME "fork"
#else
#define FORK_NR	  SYS_clone
#define FORK_NAME "clone"
#endif

/* What vfork(3) makes; where it is clone, posix_spawn(3) may make that too. */
#ifdef SYS_vfork
#define VFORK_NAME "vfork"
#else
#define VFORK_NAME "clone"
#endif

/* (NULL, 0, NULL, NULL, 8) */
#ifdef SYS_pause
#define PAUSE_NR   SYS_pause
#define PAUSE_NAME "pause"
#else
#define PAUSE_NR   SYS_ppoll
#define PAUSE_NAME "ppoll"
#endif

/* (epoll, events, maximum, timeout, NULL, 8) */
#ifdef SYS_epoll_wait
#define EPOLL_WAIT_NR	SYS_epoll_wait
#define EPOLL_WAIT_NAME "epoll_wait"
#else
#define EPOLL_WAIT_NR	SYS_epoll_pwait
#define EPOLL_WAIT_NAME "epoll_pwait"
#endif

#endif
