/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SOCKTRACE_TESTS_FUZZ_H
#define SOCKTRACE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A target is one file fuzz_NAME.c: libFuzzer calls LLVMFuzzerTestOneInput() with an input, again
 * and again in one process. Broken promises are said and abort, which libFuzzer reports and whose
 * input it keeps.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define promise(holds, ...)                                                                 \
	do {                                                                                \
		if (!(holds)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #holds); \
			fprintf(stderr, __VA_ARGS__);                                       \
			fputc('\n', stderr);                                                \
			abort();                                                            \
		}                                                                           \
	} while (0)

/* The input as a string, up to its first NUL; the caller frees it. */
static inline char *input_text(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	promise(text, "out of memory");
	return text;
}

#endif
