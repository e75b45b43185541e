// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Text from a target, cleaned at the door and escaped for each medium. */
#include <iconv.h>
#include <json-c/json.h>

#include "base/escape.h"
#include "fuzz.h"

/* A second opinion on what is UTF-8: the C library's. Code points, or NULL if it is not. */
static uint32_t *decode(const char *text, size_t len, size_t *nr)
{
	iconv_t cd = iconv_open("UTF-32LE", "UTF-8");
	size_t left = (len + 1) * sizeof(uint32_t);
	uint32_t *points = malloc(left);
	char *in = (char *)text, *out = (char *)points;
	size_t ret;

	promise(cd != (iconv_t)-1 && points, "iconv");
	ret = iconv(cd, &in, &len, &out, &left);
	iconv_close(cd);
	*nr = (uint32_t *)out - points;
	if (ret != (size_t)-1)
		return points;
	free(points);
	return NULL;
}

/* Of what moves a cursor, reorders text or hides, a part that no table is needed for. */
static bool is_dangerous(uint32_t p)
{
	return p < 0x20 || (p >= 0x7f && p < 0xa0) || (p >= 0x200b && p <= 0x200f) ||
	       (p >= 0x2028 && p <= 0x202e) || (p >= 0x2060 && p <= 0x206f) || p == 0xfeff ||
	       (p >= 0xe0000 && p <= 0xe0fff);
}

/* Valid UTF-8 without a dangerous character. */
static void is_harmless(const char *medium, const char *text)
{
	size_t nr;
	uint32_t *points = decode(text, strlen(text), &nr);

	promise(points, "%s: not UTF-8: %s", medium, text);
	for (size_t i = 0; i < nr; i++)
		promise(!is_dangerous(points[i]), "%s: U+%04X in it", medium, points[i]);
	free(points);
}

static void same(const char *medium, const char *expected, const char *got)
{
	promise(!strcmp(expected, got), "%s: '%s' is not '%s'", medium, got, expected);
}

/* --- undoing ------------------------------------------------------------------------------ */

struct entity {
	const char *written, *meant;
};

static const struct entity entities[] = {
	{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&#32;", " "}, {"@<!-- -->", "@"},
};

static const struct entity *entity_at(const char *text)
{
	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
		if (!strncmp(text, entities[i].written, strlen(entities[i].written)))
			return &entities[i];
	return NULL;
}

/* What a reader of the Markdown sees. Markup that is not escaped is a broken promise. */
static char *undo_markdown(const char *text)
{
	char *plain = calloc(1, strlen(text) + 1), *to = plain;

	promise(plain, "out of memory");
	while (*text) {
		const struct entity *e = entity_at(text);

		if (e) {
			*to++ = *e->meant;
			text += strlen(e->written);
		} else if (*text == '\\') {
			promise(text[1] && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", text[1]),
				"a backslash before no punctuation: %s", text);
			*to++ = text[1];
			text += 2;
		} else {
			promise(!strchr("`*[]|~#$<>&@", *text), "markup: %s", text);
			*to++ = *text++;
		}
	}
	return plain;
}

static char *undo_csv(const char *text)
{
	char *plain = calloc(1, strlen(text) + 1), *to = plain;

	promise(plain, "out of memory");
	if (*text != '"') {
		promise(!strpbrk(text, "\",\r\n"), "needs quotes: %s", text);
		return strcpy(plain, text);
	}
	for (text++; *text != '"' || text[1] == '"'; text++) {
		promise(*text, "a quote is open");
		text += *text == '"';
		*to++ = *text;
	}
	promise(!text[1], "after the closing quote: %s", text);
	return plain;
}

/* --- media -------------------------------------------------------------------------------- */

static void try_markdown(const char *text, const char *safe)
{
	char *escaped = escape_markdown(text), *seen = undo_markdown(escaped);
	const char *link = strstr(escaped, "://");

	is_harmless("markdown", escaped);
	same("markdown", safe, seen);
	promise(!strchr(" -+=>", *escaped) || !*escaped, "begins a block: %s", escaped);
	promise(!link || (link > escaped && link[-1] == '\\'), "a link: %s", escaped);
	promise(!strcasestr(escaped, "www."), "a link: %s", escaped);
	free(escaped);
	free(seen);
}

static void try_csv(const char *text, const char *safe)
{
	char *escaped = escape_csv(text), *seen = undo_csv(escaped);

	is_harmless("csv", escaped);
	promise(!strchr("=+-@", *seen) || !*seen, "a formula: %s", escaped);
	same("csv", safe, seen + (*seen == '\'' && *safe != '\''));
	free(escaped);
	free(seen);
}

static void try_json(const char *text, bool is_clean)
{
	char *escaped = escape_json(text);
	struct json_tokener *tok = json_tokener_new();
	struct json_object *value;

	is_harmless("json", escaped);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tok, escaped, strlen(escaped) + 1);
	promise(json_object_is_type(value, json_type_string), "not a string: %s", escaped);
	if (is_clean)
		same("json", text, json_object_get_string(value));
	json_object_put(value);
	json_tokener_free(tok);
	free(escaped);
}

static void try_media(const char *text, bool is_clean)
{
	char *safe = escape_terminal(text), *again = escape_terminal(safe);

	is_harmless("terminal", safe);
	same("terminal, twice", safe, again);
	try_markdown(text, safe);
	try_csv(text, safe);
	try_json(text, is_clean);
	free(safe);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size), *clean = utf8_clean((const char *)data, size);
	char *again = utf8_clean(clean, strlen(clean));
	size_t nr;
	uint32_t *points = decode(clean, strlen(clean), &nr);

	promise(points, "not UTF-8: %s", clean);
	free(points);
	same("clean, twice", clean, again);
	points = decode(text, strlen(text), &nr);
	if (points && strlen(text) == size)
		same("clean", text, clean);
	try_media(clean, true);
	try_media(text, points != NULL);
	free(points);
	free(text);
	free(clean);
	free(again);
	return 0;
}
