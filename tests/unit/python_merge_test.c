#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stack/python_merge.h"

/*
 * A stack in letters, innermost first. Native: lower case, 'e' is the evaluating function.
 * Python: upper case code; '!' behind it: is_entry; "|3": a shim in native frame 3, "|-" in none.
 */
#define FRAMES_MAX 32
#define EVAL_START 0x1000
#define EVAL_END 0x2000

struct scene {
	uint64_t pcs[FRAMES_MAX];
	struct python_frame frames[FRAMES_MAX];
	struct python_stack stack;
};

static void set(struct scene *s, enum python_rule rule, const char *native, const char *python)
{
	*s = (struct scene){.stack = {.rule = rule, .pcs_whole = true, .frames_whole = true}};
	for (; *native; native++)
		s->pcs[s->stack.pc_cnt++] = *native == 'e' ? EVAL_END : 0x5000 + (uint64_t)*native;
	for (; *python; python++) {
		struct python_frame *f = &s->frames[s->stack.frame_cnt];

		if (*python == '!') {
			f[-1].kind = PYTHON_ENTRY;
			continue;
		}
		f->kind = *python == '|' ? PYTHON_SHIM : *python == '?' ? PYTHON_HIDDEN : PYTHON_CODE;
		f->code = (uint64_t)*python;
		if (*python == '|') {
			python++;
			f->native = *python == '-' ? PYTHON_NOWHERE : (uint16_t)(*python - '0');
		}
		s->stack.frame_cnt++;
	}
	s->stack.pcs = s->pcs;
	s->stack.frames = s->frames;
}

static void assert_merged(struct scene *s, const char *expected)
{
	static const struct python_evals evals = {{{0x9000, 0x9010}, {EVAL_START, EVAL_END}}, 2};
	struct python_merged out[2 * FRAMES_MAX];
	char text[2 * FRAMES_MAX + 1] = "";
	size_t cnt = python_merge(&evals, &s->stack, out);

	for (size_t i = 0; i < cnt; i++)
		text[i] = out[i].python           ? (char)out[i].python->code
			  : out[i].pc == EVAL_END ? 'e'
						  : (char)(out[i].pc - 0x5000);
	text[cnt] = '\0';
	assert_string_equal(text, expected);
}

static void assert_case(enum python_rule rule, const char *native, const char *python, const char *expected)
{
	struct scene s;

	set(&s, rule, native, python);
	assert_merged(&s, expected);
}

static void test_by_count(void **state)
{
	(void)state;
	assert_case(PYTHON_BY_COUNT, "maexebz", "AB", "maAxBbz");
	assert_case(PYTHON_BY_COUNT, "maz", "", "maz");
	assert_case(PYTHON_BY_COUNT, "meez", "AB", "mABz");
}

static void test_by_entry(void **state)
{
	(void)state;
	assert_case(PYTHON_BY_ENTRY, "maexebz", "ABC!DE!", "maABCxDEbz");
	assert_case(PYTHON_BY_ENTRY, "mez", "A!", "mAz");
}

static void test_by_address(void **state)
{
	(void)state;
	assert_case(PYTHON_BY_ADDRESS, "maxybz", "AB|2C|4|-", "maAByCz");
	/* Glue that Python does not show, and a thread's bottommost frame, which is in no native one. */
	assert_case(PYTHON_BY_ADDRESS, "mabz", "A?B|2|-", "maABz");
	assert_case(PYTHON_BY_ADDRESS, "mabz", "|1A|2", "mAz");
}

/* What the native walk has not reached lies outside of all that it has. */
static void test_native_cut(void **state)
{
	struct scene s;

	(void)state;
	assert_case(PYTHON_BY_ADDRESS, "max", "A|1B|-C|-", "mAxBC");
	set(&s, PYTHON_BY_COUNT, "mex", "ABC");
	s.stack.pcs_whole = false;
	assert_merged(&s, "mAxBC");
	set(&s, PYTHON_BY_ENTRY, "mex", "AB!C!");
	s.stack.pcs_whole = false;
	assert_merged(&s, "mABxC");
}

static void test_python_cut(void **state)
{
	struct scene s;

	(void)state;
	set(&s, PYTHON_BY_COUNT, "mexeyez", "AB");
	s.stack.frames_whole = false;
	assert_merged(&s, "mAxByez");
	set(&s, PYTHON_BY_ADDRESS, "mexeyez", "A|1BC");
	s.stack.frames_whole = false;
	assert_merged(&s, "mAxeyezBC");
}

/* The thread keeps one interpreter's state; what runs inside is another's (up to 3.11). */
static void test_more_calls_than_frames(void **state)
{
	(void)state;
	assert_case(PYTHON_BY_COUNT, "mexeyez", "AB", "mexAyBz");
	assert_case(PYTHON_BY_ENTRY, "mexeyez", "A!BC!", "mexAyBCz");
}

/* A piece of the function that has no symbol is not known for what it is: nothing is lost. */
static void test_more_frames_than_calls(void **state)
{
	(void)state;
	assert_case(PYTHON_BY_COUNT, "mxeyez", "ABC", "AmxByCz");
}

static void test_records_that_lie(void **state)
{
	(void)state;
	assert_case(PYTHON_BY_ADDRESS, "mab", "A|2B|1C|9", "maABC");
	assert_case(PYTHON_BY_ADDRESS, "mab", "A|1B|1", "mAbB");
	assert_case(PYTHON_BY_ADDRESS, "", "A|0", "A");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_count),
		cmocka_unit_test(test_by_entry),
		cmocka_unit_test(test_by_address),
		cmocka_unit_test(test_native_cut),
		cmocka_unit_test(test_python_cut),
		cmocka_unit_test(test_more_calls_than_frames),
		cmocka_unit_test(test_more_frames_than_calls),
		cmocka_unit_test(test_records_that_lie),
	};

	return cmocka_run_group_tests_name("python_merge", tests, NULL, NULL);
}
