/*
 * Comparison with golden files. GOLDEN_UPDATE=1 in the environment writes them instead; then look
 * at the diff.
 */
#ifndef ALLOCTRACE_TESTS_GOLDEN_H
#define ALLOCTRACE_TESTS_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The golden file's text, or "". */
static inline char *golden_read(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(text);
	if (f) {
		text[fread(text, 1, (1 << 20) - 1, f)] = '\0';
		fclose(f);
	}
	return text;
}

/* Compares with tests/golden/NAME (tests run at the top of the tree). */
static inline void golden_check(const char *name, const char *text)
{
	char path[128], *golden;
	FILE *f;

	snprintf(path, sizeof(path), "tests/golden/%s", name);
	if (getenv("GOLDEN_UPDATE")) {
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(text, f);
		fclose(f);
	}
	golden = golden_read(path);
	if (strcmp(golden, text) != 0)
		fail_msg("%s differs; now it is:\n%s", path, text);
	free(golden);
}

/* Runs a report form into memory; the caller frees. */
#define FORM_TEXT(call)                                                                                      \
	({                                                                                                   \
		char *form_text = NULL;                                                                      \
		size_t form_len = 0;                                                                         \
		FILE *out = open_memstream(&form_text, &form_len);                                           \
		assert_non_null(out);                                                                        \
		assert_int_equal(call, 0);                                                                   \
		fclose(out);                                                                                 \
		form_text;                                                                                   \
	})

#endif
