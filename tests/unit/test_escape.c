// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <iconv.h>
#include <json-c/json.h>

#include "helpers.h"

#include "base/escape.h"

struct sample {
	const char *from, *to;
};

static void check(char *(*escape)(const char *), const struct sample *samples, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		char *to = escape(samples[i].from);

		assert_string_equal(to, samples[i].to);
		free(to);
	}
}

/* --- an independent judge of UTF-8 --------------------------------------------------------- */

/* The code points of @text, or SIZE_MAX if the C library finds it is not UTF-8. */
static size_t decode(const char *text, size_t len, uint32_t *points, size_t cap)
{
	iconv_t cd = iconv_open("UTF-32LE", "UTF-8");
	char *in = (char *)text, *out = (char *)points;
	size_t out_left = cap * sizeof(*points), failed;

	assert_true(cd != (iconv_t)-1);
	failed = iconv(cd, &in, &len, &out, &out_left);
	iconv_close(cd);
	return failed == (size_t)-1 ? SIZE_MAX : cap - out_left / sizeof(*points);
}

static size_t encode(uint32_t point, char buf[8])
{
	iconv_t cd = iconv_open("UTF-8", "UTF-32LE");
	char *in = (char *)&point, *out = buf;
	size_t in_left = sizeof(point), out_left = 7, failed;

	failed = iconv(cd, &in, &in_left, &out, &out_left);
	iconv_close(cd);
	*out = '\0';
	return failed == (size_t)-1 ? 0 : 7 - out_left;
}

/* --- utf8_clean ---------------------------------------------------------------------------- */

static void test_valid_text_is_kept(void **state)
{
	static const char text[] = "plain, µs, 漢字, 😀, \x1b[31m, \\xff, \n";
	char *clean = utf8_clean(text, strlen(text));

	(void)state;
	assert_string_equal(clean, text);
	free(clean);
}

static void test_bytes_that_are_not_utf8_become_visible(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *clean;
	} samples[] = {
		{"", 0, ""},
		{"a\0b", 3, "a\\x00b"},
		{"\xff\xfe", 2, "\\xff\\xfe"},
		{"\xc3", 1, "\\xc3"},				 /* cut short */
		{"\xe6\xbc", 2, "\\xe6\\xbc"},			 /* cut short */
		{"\xc0\xaf", 2, "\\xc0\\xaf"},			 /* overlong '/' */
		{"\xe0\x80\xaf", 3, "\\xe0\\x80\\xaf"},		 /* overlong */
		{"\xf0\x80\x80\xaf", 4, "\\xf0\\x80\\x80\\xaf"}, /* overlong */
		{"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},		 /* surrogate */
		{"\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
		{"\x80 ok", 4, "\\x80 ok"},			 /* continuation alone */
		{"\xf0\x9f\x98\x80\xf0", 5, "\xf0\x9f\x98\x80\\xf0"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		char *clean = utf8_clean(samples[i].bytes, samples[i].len);

		assert_string_equal(clean, samples[i].clean);
		free(clean);
	}
}

static void test_cleaned_random_bytes_are_utf8(void **state)
{
	static const char likely[] = "\xc2\xe2\xed\xf0\xf4\x80\x9f\xbf\xa0\x41\xff";
	uint32_t points[128];
	uint64_t seed = 11;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char bytes[16], *clean;
		size_t len = next_random(&seed) % sizeof(bytes);

		for (size_t i = 0; i < len; i++)
			bytes[i] = likely[next_random(&seed) % (sizeof(likely) - 1)];
		clean = utf8_clean(bytes, len);
		assert_int_not_equal(decode(clean, strlen(clean), points, 128), SIZE_MAX);
		if (decode(bytes, len, points, 128) != SIZE_MAX) {
			assert_int_equal(strlen(clean), len);
			assert_memory_equal(clean, bytes, len);
		} else {
			assert_non_null(strstr(clean, "\\x"));
		}
		free(clean);
	}
}

/* --- the terminal -------------------------------------------------------------------------- */

static void test_terminal_shows_what_would_move_or_hide(void **state)
{
	static const struct sample samples[] = {
		{"gateway", "gateway"},
		{"漢字 µs é", "漢字 µs é"},
		{"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"},
		{"a\nb\tc\rd\x7f", "a\\nb\\tc\\x0dd\\x7f"},
		{"\xc2\x9b"
		 "31m",
		 "\\u{9b}31m"}, /* C1 CSI */
		{"\xe2\x80\xae"
		 "gnp.exe",
		 "\\u{202e}gnp.exe"},				      /* right-to-left override */
		{"\xe2\x81\xa6x\xe2\x81\xa9", "\\u{2066}x\\u{2069}"}, /* isolates */
		{"a\xe2\x80\x8b"
		 "b",
		 "a\\u{200b}b"}, /* zero width space */
		{"a\xe2\x80\xa8"
		 "b\xe2\x80\xa9",
		 "a\\u{2028}b\\u{2029}"},
		{"\xef\xbb\xbf"
		 "bom",
		 "\\u{feff}bom"},
		{"\xf3\xa0\x81\x81", "\\u{e0041}"}, /* tag */
		{"not utf-8: \xff", "not utf-8: \xef\xbf\xbd"},
	};

	(void)state;
	check(escape_terminal, samples, ARRAY_SIZE(samples));
}

/* By category: what a terminal may get raw is neither control nor format nor separator. */
static bool is_known_danger(uint32_t p)
{
	return p < 0x20 || (p >= 0x7f && p < 0xa0) || p == 0xad || p == 0x61c ||
	       (p >= 0x200b && p <= 0x200f) || (p >= 0x2028 && p <= 0x202e) ||
	       (p >= 0x2060 && p <= 0x206f) || p == 0xfeff || (p >= 0xfff9 && p <= 0xfffb) ||
	       (p >= 0xe0000 && p <= 0xe0fff);
}

static void test_no_dangerous_character_reaches_a_terminal(void **state)
{
	(void)state;
	for (uint32_t p = 1; p <= 0x10ffff; p++) {
		char text[8], *safe;

		if (p == 0xd800)
			p = 0xe000;
		if (p >= 0x3000 && p < 0xa000) /* letters only */
			p = 0xa000;
		if (p >= 0x20000 && p < 0xe0000)
			p = 0xe0000;
		assert_true(encode(p, text));
		safe = escape_terminal(text);
		if (is_known_danger(p))
			assert_int_equal(safe[0], '\\');
		if (p < 0x7f && p >= 0x20)
			assert_string_equal(safe, text);
		free(safe);
	}
}

/* --- Markdown ------------------------------------------------------------------------------ */

static void test_markdown_has_no_markup_left(void **state)
{
	static const struct sample samples[] = {
		{"gateway", "gateway"},
		{"a|b", "a\\|b"},
		{"`code`", "\\`code\\`"},
		{"**bold** _it_ ~~no~~", "\\*\\*bold\\*\\* \\_it\\_ \\~\\~no\\~\\~"},
		{"snake_case_name", "snake_case_name"},
		{"[x](http://e)", "\\[x\\](http\\://e)"},
		{"![i](x)", "!\\[i\\](x)"},
		{"<script>&amp;", "&lt;script&gt;&amp;amp;"},
		{"www.evil.example", "www\\.evil.example"},
		{"WWW.evil.example", "WWW\\.evil.example"},
		{"@admin a@b.c", "@<!-- -->admin a@<!-- -->b.c"},
		{"# heading", "\\# heading"},
		{"- item", "\\- item"},
		{"+ item", "\\+ item"},
		{"1. item", "1\\. item"},
		{"12) item", "12\\) item"},
		{"1.23 s", "1.23 s"},
		{"=====", "\\====="},
		{"    code", "&#32;   code"},
		{"$x$", "\\$x\\$"},
		{"back\\slash", "back\\\\slash"},
		{"line\nbreak", "line\\\\nbreak"},
		{"\x1b[31m", "\\\\x1b\\[31m"},
	};

	(void)state;
	check(escape_markdown, samples, ARRAY_SIZE(samples));
}

/* --- CSV ----------------------------------------------------------------------------------- */

static void test_csv_is_quoted_where_needed(void **state)
{
	static const struct sample samples[] = {
		{"", ""},
		{"gateway", "gateway"},
		{"a,b", "\"a,b\""},
		{"say \"x\"", "\"say \"\"x\"\"\""},
		{"two\nlines", "two\\nlines"},
		{"a\r\nb", "a\\x0d\\nb"},
	};

	(void)state;
	check(escape_csv, samples, ARRAY_SIZE(samples));
}

static void test_csv_fields_are_no_formulas(void **state)
{
	static const struct sample samples[] = {
		{"=1+1", "\"'=1+1\""},
		{"+1", "\"'+1\""},
		{"-1", "\"'-1\""},
		{"@SUM(A1)", "\"'@SUM(A1)\""},
		{"=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""},
		{"\t=1+1", "\\t=1+1"},
		{"\r=1+1", "\\x0d=1+1"},
		{"a=1", "a=1"},
	};

	(void)state;
	check(escape_csv, samples, ARRAY_SIZE(samples));
}

/* --- JSON ---------------------------------------------------------------------------------- */

static void check_json(const char *text)
{
	char *escaped = escape_json(text);
	struct json_object *o = json_tokener_parse(escaped);

	assert_non_null(o);
	assert_string_equal(json_object_get_string(o), text);
	json_object_put(o);
	free(escaped);
}

static void test_json_means_the_same_string(void **state)
{
	(void)state;
	check_json("");
	check_json("plain \"quoted\" \\ / 漢字");
	check_json("\x01\x1b[0m\n\t\r\b\f\x7f\xc2\x9b");
	check_json("\xe2\x80\xae\xe2\x80\xa8\xef\xbb\xbf\xf0\x9f\x98\x80\xf3\xa0\x81\x81");
}

static void test_json_is_harmless_on_a_terminal(void **state)
{
	static const struct sample samples[] = {
		{"\x1b\xc2\x9b\x7f", "\"\\u001b\\u009b\\u007f\""},
		{"\xe2\x80\xae", "\"\\u202e\""},
		{"\xf3\xa0\x81\x81", "\"\\udb40\\udc41\""},
		{"\xff", "\"\\ufffd\""},
	};

	(void)state;
	check(escape_json, samples, ARRAY_SIZE(samples));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_text_is_kept),
		cmocka_unit_test(test_bytes_that_are_not_utf8_become_visible),
		cmocka_unit_test(test_cleaned_random_bytes_are_utf8),
		cmocka_unit_test(test_terminal_shows_what_would_move_or_hide),
		cmocka_unit_test(test_no_dangerous_character_reaches_a_terminal),
		cmocka_unit_test(test_markdown_has_no_markup_left),
		cmocka_unit_test(test_csv_is_quoted_where_needed),
		cmocka_unit_test(test_csv_fields_are_no_formulas),
		cmocka_unit_test(test_json_means_the_same_string),
		cmocka_unit_test(test_json_is_harmless_on_a_terminal),
	};

	return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}
