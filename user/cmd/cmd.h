/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_H
#define SOCKTRACE_CMD_H

/* One command of socktrace; main.c has the list. */
struct command {
	const char *name;
	const char *args;
	const char *summary;
	/* @argv[0] is the command's name. Returns the exit status. */
	int (*run)(int argc, char **argv);
};

extern const struct command command_attach, command_run, command_run_workload, command_workload,
	command_report, command_doctor;

/* What these signals did when socktrace started; a command that it runs gets that back. */
extern void (*inherited_sigpipe)(int), (*inherited_sigxfsz)(int);

/*
 * @code, or EXIT_FAILED with a message where what was printed has not reached standard output.
 */
int command_said(int code);

enum exit_code {
	EXIT_COMPLETE = 0,  /* the report is complete and every audit holds */
	EXIT_FAILED = 1,    /* a failure at run time */
	EXIT_USAGE = 2,	    /* wrong usage */
	EXIT_UNTRUSTED = 3, /* cannot be measured, or the measurement cannot be trusted */
	EXIT_RUN_FAILED = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};

#endif
