/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_CAPTURE_HOST_H
#define SOCKTRACE_CAPTURE_HOST_H

#include "model/model.h"

/* Fills @r->tool and @r->host: what made the report, and on what. */
void host_fill(struct report *r);

#endif
