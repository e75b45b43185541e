/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CMD_WORKLOAD_OPTIONS_H
#define SOCKTRACE_CMD_WORKLOAD_OPTIONS_H

#include <argp.h>

#include "workload/workload.h"

/* Keys of the rows below: this plus the index of the option. */
#define KEY_WORKLOAD_OPTION 2048

/* Rows for argp of @w's options for the roles of @roles (bits); freed by the caller. */
struct argp_option *workload_option_rows(const struct workload *w, unsigned int roles, int group);
/*
 * The workload that @argv[1] names, taken out of @argv; NULL with *@code set where the command ends
 * here: wrong usage, or help that names no workload (@help is printed).
 */
const struct workload *workload_argument(int *argc, char **argv, const char *usage, int *code);
/* The same for a role of @w. */
const struct role *workload_role_argument(int *argc, char **argv, const struct workload *w,
					  int *code);
/* Lets `--switch yes` be written for the rows that may stand alone: as `--switch=yes`. */
void workload_join_switches(const struct workload *w, int *argc, char **argv);
/* A word that is no option: wrong usage, the program ends. */
void workload_refuse_argument(struct argp_state *state, const char *arg);
/* One value, or wrong usage (the program ends). */
uint64_t workload_option_value(struct argp_state *state, const struct workload_option *o,
			       const char *text);

#endif
