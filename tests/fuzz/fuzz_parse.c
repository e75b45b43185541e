// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What is typed: numbers, sizes, seconds, options of workloads, addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "fuzz.h"
#include "workload/part.h"
#include "workload/workload.h"

#define UNTOUCHED    0x5aa5c33c0ff0a55aULL
#define NS_PER_S     1000000000ULL
#define TEN_YEARS_NS (316224000 * NS_PER_S)

/*
 * A second opinion: the decimal digits at @text as a number, UINT64_MAX + 1 for all above; *@end
 * is what follows them.
 */
static unsigned __int128 digits(const char *text, const char **end)
{
	const unsigned __int128 most = (unsigned __int128)UINT64_MAX + 1;
	unsigned __int128 n = 0;

	for (; *text >= '0' && *text <= '9'; text++) {
		n = n * 10 + (*text - '0');
		if (n > most)
			n = most;
	}
	*end = text;
	return n;
}

static void expect(const char *text, int expected, uint64_t number, int got, uint64_t value)
{
	promise(got == expected, "'%s': %d, not %d", text, got, expected);
	promise(value == (expected ? UNTOUCHED : number), "'%s': %" PRIu64, text, value);
}

static int range(unsigned __int128 n, uint64_t min, uint64_t max)
{
	return n < min || n > max ? -ERANGE : 0;
}

static void try_u64(const char *text, uint64_t min, uint64_t max)
{
	uint64_t value = UNTOUCHED;
	int got = parse_u64(text, min, max, &value);
	const char *end;
	unsigned __int128 n = digits(text, &end);

	expect(text, end == text || *end ? -EINVAL : range(n, min, max), n, got, value);
}

static void try_size(const char *text, uint64_t min, uint64_t max)
{
	uint64_t value = UNTOUCHED;
	int got = parse_size(text, min, max, &value);
	const char *end;
	unsigned __int128 n = digits(text, &end);
	unsigned int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
	bool is_size = end > text && !end[shift > 0];

	expect(text, is_size ? range(n << shift, min, max) : -EINVAL, n << shift, got, value);
}

static void try_seconds(const char *text)
{
	uint64_t value = UNTOUCHED, unit = NS_PER_S, fraction = 0;
	int got = parse_seconds(text, &value);
	const char *end, *point;
	unsigned __int128 ns = digits(text, &end) * NS_PER_S;
	bool is_number = end > text;

	if (*end == '.') {
		for (point = end++; *end >= '0' && *end <= '9'; end++)
			fraction += (unit /= 10) * (*end - '0');
		is_number &= end > point + 1;
	}
	ns += fraction;
	expect(text, is_number && !*end ? range(ns, 1, TEN_YEARS_NS) : -EINVAL, ns, got, value);
}

static void try_option(const struct workload_option *o, const char *text)
{
	uint64_t value = UNTOUCHED;
	int err = workload_option_parse(o, text, &value);
	char *takes = workload_option_takes(o);

	promise(*takes, "--%s says nothing", o->name);
	free(takes);
	promise(err == 0 || err == -EINVAL || err == -ERANGE, "--%s: %d", o->name, err);
	if (err)
		promise(value == UNTOUCHED, "--%s '%s'", o->name, text);
	else if (o->kind == OPTION_NUMBER || o->kind == OPTION_SIZE)
		promise(value >= o->min && value <= o->max, "--%s '%s'", o->name, text);
	else if (o->kind == OPTION_SECONDS)
		promise(value && (!o->max || value <= o->max), "--%s '%s'", o->name, text);
	else
		promise(strstr(o->kind == OPTION_SWITCH ? "no|yes" : o->choices, text),
			"--%s takes '%s'", o->name, text);
}

static void try_address(const char *text)
{
	char host[INET_ADDRSTRLEN], again[64];
	struct sockaddr_in address;

	if (address_parse(text, &address))
		return;
	promise(inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host)), "'%s'", text);
	snprintf(again, sizeof(again), "%s:%u", host, ntohs(address.sin_port));
	promise(!strncmp(text, again, strlen(host) + 1), "'%s' is taken for %s", text, again);
	promise((unsigned long)ntohs(address.sin_port) == strtoul(strchr(text, ':') + 1, NULL, 10),
		"'%s' is taken for %s", text, again);
}

/* Values that each are in range, together: what the workload says of them. */
static void try_combination(const struct workload *w, const uint8_t *data, size_t size)
{
	uint64_t values[MAX_OPTIONS] = {0};

	for (size_t i = 0; i < w->nr_options; i++) {
		const struct workload_option *o = &w->options[i];
		uint64_t seed = 0;

		if (size >= sizeof(seed) * (i + 1))
			memcpy(&seed, data + sizeof(seed) * i, sizeof(seed));
		if (!seed || workload_option_parse(o, o->fallback, &values[i]))
			promise(!workload_option_parse(o, o->fallback, &values[i]), "--%s: %s",
				o->name, o->fallback);
		else if (o->kind == OPTION_NUMBER || o->kind == OPTION_SIZE)
			values[i] = o->min + seed % (o->max - o->min + 1 ?: UINT64_MAX);
	}
	if (w->check && w->check(values))
		return;
	if (w->nr_sockets)
		w->nr_sockets(values);
	if (w->nr_threads)
		w->nr_threads(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);

	try_u64(text, 0, UINT64_MAX);
	try_u64(text, 1, 65535);
	try_size(text, 0, UINT64_MAX);
	try_size(text, 512, 1 << 30);
	try_seconds(text);
	try_address(text);
	for (size_t i = 0; i < nr_workloads; i++) {
		for (size_t o = 0; o < workloads[i]->nr_options; o++)
			try_option(&workloads[i]->options[o], text);
		try_combination(workloads[i], data, size);
	}
	free(text);
	return 0;
}
