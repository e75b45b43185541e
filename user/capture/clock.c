// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "capture/clock.h"

/* Of this process's time namespace; 0 where the kernel has none. */
static int64_t offset_of(const char *clock)
{
	__cleanup(fclose) FILE *f = fopen("/proc/self/timens_offsets", "re");
	char name[32];
	int64_t seconds, ns;

	while (f && fscanf(f, "%31s %" SCNd64 " %" SCNd64, name, &seconds, &ns) == 3) {
		if (!strcmp(name, clock))
			return seconds * 1000000000 + ns;
	}
	return 0;
}

uint64_t kernel_clock_ns(void)
{
	static int64_t offset;
	static bool is_known;
	struct timespec t;

	if (!is_known)
		offset = offset_of("monotonic");
	is_known = true;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec - offset;
}

int64_t boottime_offset_ns(void)
{
	return offset_of("boottime");
}
