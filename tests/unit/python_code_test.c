#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stack/python_code.h"
#include "stack/python_lines.h"

#define TABLE_MAX 8192

static size_t from_hex(const char *hex, uint8_t *table)
{
	size_t len = 0;
	unsigned byte;

	for (; len < TABLE_MAX && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		table[len++] = (uint8_t)byte;
	return len;
}

/* One code object of a golden file; how many instructions were asked for. */
static unsigned check_code(uint32_t version, char *text)
{
	static uint8_t table[TABLE_MAX];
	char *at = strtok(text, " \n");
	uint32_t first = (uint32_t)strtoul(at, NULL, 10), offset, line;
	size_t len = from_hex(strtok(NULL, " \n"), table);
	unsigned cnt = 0;

	for (; (at = strtok(NULL, " \n")); cnt++) {
		assert_int_equal(sscanf(at, "%u:%u", &offset, &line), 2);
		assert_int_equal(python_line(version, table, len, first, offset), line);
	}
	return cnt;
}

/* What CPython itself reads from its tables, written down by tests/golden/python/make.py. */
static void test_lines_are_cpythons(void **state)
{
	(void)state;
	for (unsigned minor = 8; minor <= 14; minor++) {
		char path[64], *line = NULL;
		size_t size = 0;
		unsigned cnt = 0;
		FILE *file;

		snprintf(path, sizeof(path), "tests/golden/python/3.%u.txt", minor);
		file = fopen(path, "r");
		assert_non_null(file);
		while (getline(&line, &size, file) > 0)
			cnt += check_code(0x300 + minor, line);
		free(line);
		fclose(file);
		assert_true(cnt > 700);
	}
}

/* Whatever the bytes are, nothing is read behind them (with the sanitizers), and lines are none or positive.
 */
static void test_tables_that_lie(void **state)
{
	static const uint32_t versions[] = {0x308, 0x309, 0x30a, 0x30b, 0x30e};

	(void)state;
	srand(1);
	for (int i = 0; i < 20000; i++) {
		size_t len = (size_t)rand() % 40;
		uint8_t *table = malloc(len + !len);

		for (size_t j = 0; j < len; j++)
			table[j] = (uint8_t)rand();
		for (size_t j = 0; j < sizeof(versions) / sizeof(versions[0]); j++)
			assert_true(python_line(versions[j], table, len, (uint32_t)rand(),
						(uint32_t)rand() % 200) <= INT32_MAX);
		free(table);
	}
}

static void test_a_cut_table_ends(void **state)
{
	/* 3.11: two entries of one unit each, one line after the other, without columns. */
	static const uint8_t table[] = {0x80 | 13 << 3, 0, 0x80 | 13 << 3, 2};

	(void)state;
	assert_int_equal(python_line(0x30b, table, 4, 7, 0), 7);
	assert_int_equal(python_line(0x30b, table, 4, 7, 2), 8);
	assert_int_equal(python_line(0x30b, table, 4, 7, 4), 0);
	assert_int_equal(python_line(0x30b, table, 2, 7, 2), 0);
	assert_int_equal(python_line(0x30b, table, 0, 7, 0), 0);
}

static struct event_text text_of(uint8_t width, const void *bytes, size_t len)
{
	struct event_text text = {.len = (uint16_t)len, .width = width};

	memcpy(text.bytes, bytes, len);
	return text;
}

static void assert_text(struct event_text text, const char *expected)
{
	char buf[EVENT_TEXT_MAX * 3 + 8];

	assert_string_equal(python_text_decode(&text, buf, sizeof(buf)), expected);
}

static void test_texts(void **state)
{
	static const uint16_t wide[] = {0x540d, 0x524d, 'x'}, alone[] = {'a', 0xd800, 'b'};
	static const uint32_t widest[] = {0x1d52b, 'y', 0x110000, 0xffffffff};
	struct event_text cut = text_of(1, "tail", 4), unread = {.width = 0, .len = 4};

	(void)state;
	assert_text(text_of(1, "Node.method", 11), "Node.method");
	assert_text(text_of(1,
			    "gr\xf6\xdf"
			    "e",
			    5),
		    "größe");
	assert_text(text_of(2, wide, sizeof(wide)), "名前x");
	assert_text(text_of(2, alone, sizeof(alone)), "a?b");
	assert_text(text_of(4, widest, sizeof(widest)), "𝔫y??");
	assert_text(text_of(1, "a\nb\x1b[31m\0c", 10), "a?b?[31m?c");
	assert_text(text_of(1, "", 0), "");
	assert_text(unread, "?");
	cut.cut = 1;
	assert_text(cut, "…tail");
}

/* The longest that a record holds, in each width: it ends within the buffer that is asked for. */
static void test_long_texts(void **state)
{
	(void)state;
	for (uint8_t width = 1; width <= 4; width *= 2) {
		char buf[EVENT_TEXT_MAX * 3 + 8];
		struct event_text text = {.len = EVENT_TEXT_MAX, .width = width};

		memset(text.bytes, 0x4e, sizeof(text.bytes));
		if (width == 4)
			for (size_t i = 0; i < sizeof(text.bytes); i += 4)
				memcpy(text.bytes + i, &(uint32_t){0x1d52b}, 4);
		python_text_decode(&text, buf, sizeof(buf));
		assert_int_equal(strlen(buf), width == 1 ? 252 : width == 2 ? 378 : 252);
	}
}

static void test_code(void **state)
{
	struct event_code ev = {.first_line = 7, .version = 0x309, .lines_len = 2, .lines = {4, 3}};
	struct python_code *code;

	(void)state;
	ev.name = text_of(1, "f", 1);
	ev.file = text_of(1, "/a.py", 5);
	code = python_code_new(&ev);
	assert_string_equal(code->name, "f");
	assert_string_equal(code->file, "/a.py");
	assert_int_equal(python_code_line(code, -1), 7);
	assert_int_equal(python_code_line(code, 2), 7);
	assert_int_equal(python_code_line(code, 4), 10);
	python_code_free(code);
	python_code_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_cpythons), cmocka_unit_test(test_tables_that_lie),
		cmocka_unit_test(test_a_cut_table_ends),   cmocka_unit_test(test_texts),
		cmocka_unit_test(test_long_texts),         cmocka_unit_test(test_code),
	};

	return cmocka_run_group_tests_name("python_code", tests, NULL, NULL);
}
