// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "base/units.h"

static const char *unknown(char buf[UNITS_TEXT_LEN])
{
	return strcpy(buf, "-");
}

static const char *group_digits(uint64_t n, const char *suffix, char buf[UNITS_TEXT_LEN])
{
	char digits[21];
	int len = snprintf(digits, sizeof(digits), "%ju", (uintmax_t)n);
	char *to = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	strcpy(to, suffix);
	return buf;
}

/*
 * @value in the largest unit that leaves a figure of at least 1, with three significant digits.
 * A figure that rounds up to a fourth digit takes one decimal less, or the next unit, so that
 * 999,999 ns is "1.00 ms" and not "1000 µs".
 */
static const char *scaled(uint64_t value, unsigned int step, const char *const suffixes[],
			  size_t nr_suffixes, char buf[UNITS_TEXT_LEN])
{
	static const unsigned int power[] = {1, 10, 100};
	unsigned __int128 divisor = 1;
	size_t unit = 0;
	int decimals = 2;
	uint64_t figure;

	while (unit + 1 < nr_suffixes && value >= divisor * step) {
		divisor *= step;
		unit++;
	}
	if (!unit)
		return group_digits(value, suffixes[0], buf);
	for (;;) {
		figure = (value * (unsigned __int128)power[decimals] + divisor / 2) / divisor;
		if (figure < 1000 || (!decimals && (figure < step || unit + 1 == nr_suffixes)))
			break;
		if (decimals) {
			decimals--;
		} else {
			divisor *= step;
			unit++;
			decimals = 2;
		}
	}
	if (!decimals)
		return group_digits(figure, suffixes[unit], buf);
	snprintf(buf, UNITS_TEXT_LEN, "%u.%0*u%s", (unsigned int)(figure / power[decimals]),
		 decimals, (unsigned int)(figure % power[decimals]), suffixes[unit]);
	return buf;
}

const char *units_ns(uint64_t ns, char buf[UNITS_TEXT_LEN])
{
	static const char *const suffixes[] = {" ns", " µs", " ms", " s"};

	return ns == UINT64_MAX ? unknown(buf) : scaled(ns, 1000, suffixes, 4, buf);
}

const char *units_bytes(uint64_t bytes, char buf[UNITS_TEXT_LEN])
{
	static const char *const suffixes[] = {" B",   " KiB", " MiB", " GiB",
					       " TiB", " PiB", " EiB"};

	return bytes == UINT64_MAX ? unknown(buf) : scaled(bytes, 1024, suffixes, 7, buf);
}

const char *units_count(uint64_t count, char buf[UNITS_TEXT_LEN])
{
	return count == UINT64_MAX ? unknown(buf) : group_digits(count, "", buf);
}

const char *units_percent(uint64_t part, uint64_t whole, char buf[UNITS_TEXT_LEN])
{
	unsigned __int128 tenths;

	if (part == UINT64_MAX || whole == UINT64_MAX || !whole)
		return unknown(buf);
	tenths = ((unsigned __int128)part * 1000 + whole / 2) / whole;
	if (part && !tenths)
		return strcpy(buf, "<0.1%");
	if (tenths >= 1000000)
		return strcpy(buf, ">99,999%");
	group_digits(tenths / 10, "", buf);
	snprintf(buf + strlen(buf), 4, ".%u%%", (unsigned int)(tenths % 10));
	return buf;
}
