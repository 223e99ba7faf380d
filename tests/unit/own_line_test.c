/* Which frame of a stack is its reader's own. */
#include "report_fixture.h"
#include "verdict/own_line.h"

struct shape {
	enum frame_kind kind;
	const char *module, *function, *file;
	unsigned line;
};

/* Outermost first. */
static const struct stack *stack_of(const struct shape *shapes, size_t cnt)
{
	struct stack *stack = calloc(1, sizeof(*stack) + cnt * sizeof(stack->locations[0]));

	assert_non_null(stack);
	for (size_t i = 0; i < cnt; i++) {
		struct frame_list *list = calloc(1, sizeof(*list) + sizeof(list->v[0]));
		struct location *at = calloc(1, sizeof(*at));

		assert_true(list && at);
		list->cnt = 1;
		list->v[0] = (struct frame_name){.kind = shapes[i].kind,
						 .module = shapes[i].module,
						 .function = shapes[i].function,
						 .file = shapes[i].file,
						 .line = shapes[i].line,
						 .offset = 0x1234};
		at->frames = list;
		at->stage = LOCATION_DONE;
		stack->locations[stack->cnt++] = at;
	}
	return stack;
}

#define STACK(...)                                                                                           \
	stack_of((const struct shape[]){__VA_ARGS__},                                                        \
		 sizeof((const struct shape[]){__VA_ARGS__}) / sizeof(struct shape))

static void is(const struct stack *stack, const char *text)
{
	char buf[OWN_LINE_MAX];

	assert_string_equal(own_line_text(buf, stack), text);
}

static void python(void **state)
{
	(void)state;
	/* the program's own line, not what it calls */
	is(STACK({FRAME_NATIVE, "python3.11", "main", "main.c", 15},
		 {FRAME_PYTHON, NULL, "main", "/srv/app.py", 10},
		 {FRAME_PYTHON, NULL, "load", "/srv/rows.py", 88},
		 {FRAME_PYTHON, NULL, "loads", "/usr/lib/python3.11/json/__init__.py", 346},
		 {FRAME_NATIVE, "_json.cpython-311-x86_64-linux-gnu.so", "scan_once", NULL, 0}),
	   "rows.py:88");
	is(STACK({FRAME_PYTHON, NULL, "run", "/srv/venv/lib/python3.11/site-packages/gunicorn/base.py", 7},
		 {FRAME_PYTHON, NULL, "<module>", "<frozen importlib._bootstrap>", 241}),
	   "<frozen importlib._bootstrap>:241"); /* nothing of it is its own */
}

static void native(void **state)
{
	(void)state;
	is(STACK({FRAME_NATIVE, "app", "main", "/src/main.c", 5},
		 {FRAME_NATIVE, "app", "make_row", "/src/rows.c", 12},
		 {FRAME_NATIVE, "app", "std::string::string", "/usr/include/c++/12/bits/basic_string.h", 99},
		 {FRAME_NATIVE, "libstdc++.so.6", "operator new", "new_op.cc", 50}),
	   "rows.c:12");
	is(STACK({FRAME_NATIVE, "app", "make_row", NULL, 0},
		 {FRAME_NATIVE, "libglib-2.0.so.0", "g_malloc", NULL, 0}),
	   "make_row (app)");
	is(STACK({FRAME_NATIVE, "libglib-2.0.so.0", "g_main_loop_run", NULL, 0},
		 {FRAME_NATIVE, "libglib-2.0.so.0", "g_malloc", NULL, 0}),
	   "g_malloc (libglib-2.0.so.0)");
	is(STACK({FRAME_NATIVE, "app", NULL, NULL, 0}), "app+0x1234");
}

static void nothing(void **state)
{
	(void)state;
	is(NULL, "");
	is(STACK({FRAME_UNKNOWN, NULL, "[unknown]", NULL, 0}), "");
}

static void beside(void **state)
{
	const struct stack *stack = STACK({FRAME_PYTHON, NULL, "main", "/srv/seeder.py", 31});
	char buf[OWN_LINE_MAX];

	(void)state;
	assert_string_equal(own_line_beside(buf, stack, "seeder.py:88"), ":31");
	assert_string_equal(own_line_beside(buf, stack, "other.py:88"), "seeder.py:31");
	assert_string_equal(own_line_beside(buf, stack, ""), "seeder.py:31");
	assert_string_equal(own_line_beside(buf, NULL, "seeder.py:88"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(python),
		cmocka_unit_test(native),
		cmocka_unit_test(nothing),
		cmocka_unit_test(beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
