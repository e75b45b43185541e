// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

#define MAX_SECONDS (10ULL * 366 * 24 * 3600)
#define NS_PER_S    1000000000ULL

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	unsigned long long n;

	if (!text[0] || strspn(text, "0123456789") != strlen(text))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, NULL, 10);
	if (errno || n < min || n > max)
		return -ERANGE;
	*value = n;
	return 0;
}

int parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	static const char suffixes[] = "KMG";
	size_t digits = strspn(text, "0123456789");
	const char *suffix = text[digits] ? strchr(suffixes, text[digits]) : NULL;
	unsigned int shift = suffix ? 10 * (suffix - suffixes + 1) : 0;
	unsigned long long n;

	if (!digits || (text[digits] && !suffix) || (suffix && text[digits + 1]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, NULL, 10);
	if (errno || n > UINT64_MAX >> shift || n << shift < min || n << shift > max)
		return -ERANGE;
	*value = n << shift;
	return 0;
}

int parse_seconds(const char *text, uint64_t *ns)
{
	size_t whole = strspn(text, "0123456789"), digits;
	uint64_t seconds, unit = NS_PER_S, sum;

	if (!whole)
		return -EINVAL;
	seconds = strtoull(text, NULL, 10); /* of too many digits: UINT64_MAX */
	if (seconds > MAX_SECONDS)
		seconds = MAX_SECONDS + 1;
	sum = seconds * NS_PER_S;
	if (text[whole] == '.') {
		const char *fraction = text + whole + 1;

		digits = strspn(fraction, "0123456789");
		if (!digits || fraction[digits])
			return -EINVAL;
		for (size_t i = 0; i < digits && unit > 1; i++)
			sum += (fraction[i] - '0') * (unit /= 10);
	} else if (text[whole]) {
		return -EINVAL;
	}
	if (!sum || sum > MAX_SECONDS * NS_PER_S)
		return -ERANGE;
	*ns = sum;
	return 0;
}
