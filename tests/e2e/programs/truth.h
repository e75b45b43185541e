/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_TRUTH_H
#define SOCKTRACE_TESTS_TRUTH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * What a test program knows about itself. Every thread keeps an account of those of its system
 * calls that it makes on purpose; tests/e2e/lib/compare.py holds a report against it. Calls that
 * are not in the account (the C library's own) are not compared, so an account names only calls
 * that the library does not make behind the program's back in that thread.
 *
 * The accounts lie in memory that is shared by all processes of the program and survives exec.
 */

#define TRUTH_CALLS  28
#define TRUTH_ERRORS 6
#define TRUTH_BOUNDS 10

struct truth_error {
	int32_t error;
	uint32_t count;
};

struct truth_call {
	char name[20]; /* as in reports; "#9999" for a number without a name */
	char abi[8];
	uint64_t calls __attribute__((aligned(8))); /* that returned */
	uint64_t restarts; /* of these, returned to the kernel's restart logic */
	uint64_t denied;   /* skipped by seccomp; not in calls */
	uint64_t no_return;
	uint64_t in_flight_start, in_flight;
	uint64_t bytes;
	struct truth_error errors[TRUTH_ERRORS];
	uint8_t moves_bytes;
	uint8_t thread_only; /* the library makes such calls too in other threads */
	uint8_t pad[6];
};

struct truth_bound {
	char field[32]; /* path in the thread's JSON, "cpu.user_ns" or "syscalls.read.bytes" */
	uint64_t min __attribute__((aligned(8)));
	uint64_t max;
};

struct truth_thread {
	uint32_t process;
	int32_t tid; /* 0: compared as part of the process only */
	uint32_t nr_calls, nr_bounds;
	uint8_t alive; /* has not ended when the report is made */
	uint8_t early; /* may have begun, or even ended, before the trace */
	uint8_t pad[6];
	struct truth_call calls[TRUTH_CALLS];
	struct truth_bound bounds[TRUTH_BOUNDS];
};

struct truth_process {
	int32_t pid;
	int32_t status; /* as from wait(2); -1: not compared */
	uint8_t alive;
	uint8_t early;
	uint8_t pad[6];
};

/*
 * Reads the options every program has, -o FILE (where the account goes; default: standard output)
 * and -g (say "ready" and wait for a byte on standard input before the work), and passes the
 * rest, named in @optstring, on as getopt(3) does.
 */
int truth_getopt(int argc, char **argv, const char *optstring);
/* Whether @name is among the arguments after the options, or there are none. */
bool truth_is_wanted(const char *name, int argc, char **argv);
/* A number, the whole of @text and within the range; ends the program otherwise. */
unsigned long truth_number(const char *text, unsigned long min, unsigned long max);
/* Ends the whole program: a broken test must never look like a passed one. */
void truth_fail(const char *what) __attribute__((noreturn));
/* As above, if @ok is false. */
void truth_check(bool ok, const char *what);

/* Makes room for @threads accounts, or finds those of the program that made exec. */
void truth_init(const char *program, unsigned int threads);
/* An account for a process and for its first thread; called again in a forked child. */
struct truth_process *truth_process_begin(void);
struct truth_thread *truth_thread_begin(void);
/* Accounts that another will own: a process, a thread of it. */
struct truth_process *truth_process_new(pid_t pid);
struct truth_thread *truth_thread_new(struct truth_process *p, pid_t tid);
uint32_t truth_thread_index(const struct truth_thread *t);
struct truth_thread *truth_thread_at(uint32_t index);
struct truth_process *truth_process_of(const struct truth_thread *t);

/* The account of the calling thread. */
extern __thread struct truth_thread *truth_me;

/* The line for @name, made if missing (so that no calls at all can be promised too). */
struct truth_call *truth_of(struct truth_thread *t, const char *name);
struct truth_call *truth_of_abi(struct truth_thread *t, const char *name, const char *abi);
/* Enters what a call returned; -1 is an error with errno. Returns @ret, keeps errno. */
long truth_returned(const char *name, long ret);
/* The same for a call that moves bytes. */
long truth_moved(const char *name, long ret);
void truth_error(struct truth_call *c, int error, unsigned int count);
void truth_bound(struct truth_thread *t, const char *field, uint64_t min, uint64_t max);
/* Raises both ends of a field's bounds, made with 0 if missing. */
void truth_bound_add(struct truth_thread *t, const char *field, uint64_t n);

#define CALL(name, ...)	 truth_returned(#name, syscall(SYS_##name, ##__VA_ARGS__))
#define MOVES(name, ...) truth_moved(#name, syscall(SYS_##name, ##__VA_ARGS__))

/* Under -g: prints "ready" and @pids, waits for a byte or end of file on standard input. */
void truth_wait_go(const pid_t *pids, unsigned int nr);
/* Whether -g was given. */
bool truth_waits(void);
/* Prints @word and waits, whether or not -g was given. */
void truth_pause(const char *word);
/* Prints the accounts. They must not change any more. */
void truth_print(void);
/* Prints further members of the JSON object, each after a comma; NULL: there are none. */
extern void (*truth_print_more)(FILE *f);

/* A file of /proc/PID/task/TID; the state there, 'S' for asleep, 'Z' for a zombie. */
void truth_task_file(pid_t pid, pid_t tid, const char *name, char *text, size_t size);
char truth_task_state(pid_t pid, pid_t tid);
/* Waits until a thread sleeps inside call @nr. */
void truth_wait_blocked(pid_t pid, pid_t tid, long nr);
/* waitpid() that must succeed; keeps the status in the account if there is one. */
int truth_reap(pid_t pid, struct truth_process *p);

#endif
