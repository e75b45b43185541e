// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/escape.h"

/* --- UTF-8 -------------------------------------------------------------------------------- */

/*
 * The length of the well-formed UTF-8 sequence at @s (Unicode table 3-7), or 0; *@point is its
 * code point. NUL is refused: it cannot be part of a C string.
 */
static size_t utf8_decode(const unsigned char *s, size_t len, uint32_t *point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t need;
	uint32_t p;

	if (!len || !s[0])
		return 0;
	if (s[0] < 0x80) {
		*point = s[0];
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	need = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (len < need)
		return 0;
	p = s[0] & (0xff >> (need + 1));
	for (size_t i = 1; i < need; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		p = p << 6 | (s[i] & 0x3f);
	}
	if (p < least[need] || p > 0x10ffff || (p >= 0xd800 && p <= 0xdfff))
		return 0;
	*point = p;
	return need;
}

struct range {
	uint32_t first, last;
};

/*
 * Control characters, separators of lines, and the Unicode property Default_Ignorable_Code_Point
 * (which holds the bidirectional controls, the zero-width characters, the fillers, the variation
 * selectors and the tags): all that can move a cursor, reorder text, or be there unseen.
 */
static const struct range unsafe_ranges[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f},	{0x00ad, 0x00ad},   {0x034f, 0x034f},
	{0x061c, 0x061c},   {0x115f, 0x1160},	{0x17b4, 0x17b5},   {0x180b, 0x180f},
	{0x200b, 0x200f},   {0x2028, 0x202e},	{0x2060, 0x206f},   {0x3164, 0x3164},
	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},	{0xffa0, 0xffa0},   {0xfff0, 0xfffb},
	{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_unsafe(uint32_t point)
{
	for (size_t i = 0; i < sizeof(unsafe_ranges) / sizeof(unsafe_ranges[0]); i++)
		if (point <= unsafe_ranges[i].last)
			return point >= unsafe_ranges[i].first;
	return false;
}

/* --- writing ------------------------------------------------------------------------------ */

/* No byte grows beyond this: '@' takes 9 in Markdown. */
#define MOST_PER_BYTE 9

struct text {
	char *start, *end;
};

static struct text text_new(size_t len)
{
	char *start = xcalloc(len + 1, MOST_PER_BYTE);

	return (struct text){start, start};
}

static void put(struct text *t, const char *s, size_t len)
{
	memcpy(t->end, s, len);
	t->end += len;
}

static void put_string(struct text *t, const char *s)
{
	put(t, s, strlen(s));
}

static char *text_done(struct text *t)
{
	*t->end = '\0';
	return xrealloc(t->start, t->end - t->start + 1);
}

static void put_visible(struct text *t, uint32_t point)
{
	if (point == '\n')
		put_string(t, "\\n");
	else if (point == '\t')
		put_string(t, "\\t");
	else if (point < 0x80)
		t->end += sprintf(t->end, "\\x%02x", point);
	else
		t->end += sprintf(t->end, "\\u{%x}", point);
}

/*
 * Takes one character from *@s: its length in bytes, its code point in *@point. A byte that is
 * not UTF-8 counts as a character by itself, with *@point UINT32_MAX.
 */
static size_t next_char(const char *s, uint32_t *point)
{
	size_t len = utf8_decode((const unsigned char *)s, strnlen(s, 4), point);

	if (len)
		return len;
	*point = UINT32_MAX;
	return 1;
}

char *utf8_clean(const char *bytes, size_t len)
{
	struct text t = text_new(len);
	uint32_t point;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_decode((const unsigned char *)bytes + i, len - i, &point);
		if (n) {
			put(&t, bytes + i, n);
		} else {
			t.end += sprintf(t.end, "\\x%02x", (unsigned char)bytes[i]);
			n = 1;
		}
	}
	return text_done(&t);
}

/* --- media -------------------------------------------------------------------------------- */

/* Puts what is at @utf8, escaped for a terminal if it must be; its length. */
static size_t put_terminal(struct text *t, const char *utf8)
{
	uint32_t point;
	size_t n = next_char(utf8, &point);

	if (point == UINT32_MAX)
		put_string(t, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
	else if (is_unsafe(point))
		put_visible(t, point);
	else
		put(t, utf8, n);
	return n;
}

char *escape_terminal(const char *utf8)
{
	struct text t = text_new(strlen(utf8));

	while (*utf8)
		utf8 += put_terminal(&t, utf8);
	return text_done(&t);
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "1. " and "1) " start a list. */
static bool is_list_number(const char *start, const char *at)
{
	return at > start && (size_t)(at - start) == strspn(start, "0123456789") &&
	       (at[1] == ' ' || !at[1]);
}

/*
 * Markup by position: GitHub makes links of "scheme://" and "www.", a list of "- " at the start
 * of a line, and emphasis of an underscore unless letters stand on both sides of it.
 */
static bool is_markup_here(const char *start, const char *at)
{
	switch (*at) {
	case '_':
		return at == start || !is_word(at[-1]) || !is_word(at[1]);
	case ':':
		return at[1] == '/';
	case '.':
		return is_list_number(start, at) ||
		       (at - start >= 3 && !strncasecmp(at - 3, "www", 3));
	case ')':
		return is_list_number(start, at);
	case '-':
	case '+':
	case '=':
		return at == start;
	default:
		return strchr("\\`*[]|~#$", *at);
	}
}

/* Puts the byte @at escaped for Markdown; @start is where the whole text begins. */
static void put_markdown(struct text *t, const char *start, const char *at)
{
	if (*at == '<')
		put_string(t, "&lt;");
	else if (*at == '>')
		put_string(t, "&gt;");
	else if (*at == '&')
		put_string(t, "&amp;");
	else if (*at == '@') /* nothing less keeps GitHub from mentions and mail links */
		put_string(t, "@<!-- -->");
	else if (*at == ' ' && at == start)
		put_string(t, "&#32;");
	else if (is_markup_here(start, at))
		put(t, (char[]){'\\', *at}, 2);
	else
		put(t, at, 1);
}

char *escape_markdown(const char *utf8)
{
	char *safe = escape_terminal(utf8);
	struct text t = text_new(strlen(safe));

	for (const char *at = safe; *at; at++)
		put_markdown(&t, safe, at);
	free(safe);
	return text_done(&t);
}

char *escape_csv(const char *utf8)
{
	char *safe = escape_terminal(utf8);
	struct text t = text_new(strlen(safe) + 3);
	bool is_formula = *safe && strchr("=+-@", *safe);
	bool needs_quotes = strpbrk(safe, ",\"") || *safe == ' ' || is_formula;

	if (needs_quotes)
		put_string(&t, "\"");
	if (is_formula)
		put_string(&t, "'");
	for (const char *at = safe; *at; at++)
		put(&t, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
	if (needs_quotes)
		put_string(&t, "\"");
	free(safe);
	return text_done(&t);
}

static void put_json_unit(struct text *t, uint32_t unit)
{
	t->end += sprintf(t->end, "\\u%04x", unit);
}

static void put_json_escaped(struct text *t, uint32_t point)
{
	if (point < 0x10000) {
		put_json_unit(t, point);
	} else { /* a pair of UTF-16 surrogates */
		put_json_unit(t, 0xd7c0 + (point >> 10));
		put_json_unit(t, 0xdc00 + (point & 0x3ff));
	}
}

/* Puts what is at @utf8, as it stands inside a JSON string; its length. */
static size_t put_json(struct text *t, const char *utf8)
{
	uint32_t point;
	size_t n = next_char(utf8, &point);

	if (point == '"' || point == '\\')
		put(t, (char[]){'\\', *utf8}, 2);
	else if (point == '\n')
		put_string(t, "\\n");
	else if (point == '\t')
		put_string(t, "\\t");
	else if (point == UINT32_MAX)
		put_json_escaped(t, 0xfffd);
	else if (is_unsafe(point))
		put_json_escaped(t, point);
	else
		put(t, utf8, n);
	return n;
}

char *escape_json(const char *utf8)
{
	struct text t = text_new(strlen(utf8) + 2);

	put_string(&t, "\"");
	while (*utf8)
		utf8 += put_json(&t, utf8);
	put_string(&t, "\"");
	return text_done(&t);
}
