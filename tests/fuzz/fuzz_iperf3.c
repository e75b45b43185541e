// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What iperf3 prints, as the forwarder workload reads it. */
#include <errno.h>

#include "fuzz.h"
#include "fuzz_json.h"
#include "workload/forwarder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	struct iperf3_result result;
	int err = iperf3_parse(text, &result);

	promise(!err || err == -EINVAL, "%d", err);
	promise(memchr(result.error, 0, sizeof(result.error)), "an error without an end");
	promise(err || result.error[0] || result.duration_ns <= 1000000000000000ULL, "%ju",
		(uintmax_t)result.duration_ns);
	free(text);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return json_mutate(data, size, max_size, seed);
}
