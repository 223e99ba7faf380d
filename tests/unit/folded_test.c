/* The folded form against what its readers expect: a stack, a blank, a number. */
#include "report_fixture.h"

#include "picture/with_objects.h"

static char *folded(const struct fixture *x, enum site_weight weight)
{
	return FORM_TEXT(report_folded(out, &x->s, weight));
}

static void check(const struct fixture *x, enum site_weight weight, const char *expected)
{
	char *text = folded(x, weight);

	assert_string_equal(text, expected);
	free(text);
}

static void start(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 1);
	fixture_allocs(x);
}

#define ROWS "app:_start;app:main;app:serve;app:load_table;app:make_row"
#define PYTHON                                                                                               \
	"[truncated];libpython3.11.so.1.0:Py_RunMain;libpython3.11.so.1.0:_PyEval_EvalFrameDefault;"         \
	"libpython3.11.so.1.0:PyObject_Vectorcall;libpython3.11.so.1.0:list_append;"                         \
	"libpython3.11.so.1.0:list_resize;libpython3.11.so.1.0:PyMem_RawRealloc"
#define SESSIONS "libc.so.6:start_thread;app:worker;app:handle;app:session_new;libstdc++.so.6.0.30:Znwm"
#define ODD "[unknown];app+0x1234;app:a:b?"
#define CLEAR "libc.so.6:start_thread;app:worker;app:drop_table"
#define LOG "app:main;app:log_line;libc.so.6:vasprintf"

static void the_heaviest_first(void **state)
{
	struct fixture x;

	(void)state;
	start(&x);
	check(&x, WEIGHT_LIVE,
	      ROWS " 209715200\n" PYTHON " 94371840\n" SESSIONS " 786432\n"
		   "[no stack] 12345\n" ODD " 100\n"
		   "[from before the attach] 59768832\n");
	check(&x, WEIGHT_PINNED,
	      SESSIONS " 100663296\n" ROWS " 8388608\n"
		       "[no stack] 70000\n"
		       "[from before the attach] 12582912\n");
}

/* Sites of Python's objects are among those of blocks, with one weight, which these have not. */
static void objects_are_a_weight(void **state)
{
	struct with_objects with;
	struct fixture x;
	const struct snapshot *s = &x.s;
	char *text, *live;

	(void)state;
	start(&x);
	check(&x, WEIGHT_PYTHON, "");
	live = folded(&x, WEIGHT_LIVE);
	fixture_objects(&x);
	assert_int_equal(with_objects_make(&with, &s), 0);
	text = FORM_TEXT(report_folded(out, s, WEIGHT_PYTHON));
	assert_string_equal(text, "app.py:9:<module>;app.py:3:parse 25165824\n"
				  "app.py:9:<module>;app.py:6:note 128000\n"
				  "[from before the attach, or not seen] 16649216\n");
	free(text);
	text = FORM_TEXT(report_folded(out, s, WEIGHT_LIVE));
	assert_string_equal(text, live);
	free(text);
	free(live);
	with_objects_free(&with);
}

static void every_weight_is_its_own(void **state)
{
	struct fixture x;

	(void)state;
	start(&x);
	check(&x, WEIGHT_ALLOCATED,
	      ROWS " 943718400\n" PYTHON " 97517568\n" LOG " 52428800\n" SESSIONS " 787200\n"
		   "[no stack] 12345\n" ODD " 100\n");
	check(&x, WEIGHT_FREED, CLEAR " 738197504\n" LOG " 52428800\n" PYTHON " 3145728\n");
	check(&x, WEIGHT_COUNT,
	      ROWS " 900221\n" LOG " 500000\n" PYTHON " 31000\n" SESSIONS " 24600\n[no stack] 9\n" ODD
		   " 1\n");
	check(&x, WEIGHT_PEAK,
	      ROWS " 419430400\n" PYTHON " 188743680\n" SESSIONS " 1572864\n[no stack] 24690\n" ODD " 200\n");
	check(&x, WEIGHT_TEMPORARY, LOG " 51380224\n" ROWS " 64000\n");
}

/* In proportion, never more than was freed, and together exactly what is retained. */
static void retained_is_charged_to_those_that_freed(void **state)
{
	struct fixture x;

	(void)state;
	start(&x);
	x.heap.retained = 75 * MIB + 1;
	check(&x, WEIGHT_RETAINED, CLEAR " 73137139\n" LOG " 5194399\n" PYTHON " 311663\n");
	x.heap.retained = 1000 * MIB;
	check(&x, WEIGHT_RETAINED,
	      CLEAR " 738197504\n" LOG " 52428800\n" PYTHON " 3145728\n[freed by nobody seen] 254803968\n");
	fixture_layer(&x); /* retains 358 MiB more, whoever freed them */
	check(&x, WEIGHT_RETAINED,
	      CLEAR " 738197504\n" LOG " 52428800\n" PYTHON " 3145728\n"
		    "[freed by nobody seen] 254803968\n[pymalloc's arenas] 375390208\n");
	x.heap.retained = UNKNOWN;
	check(&x, WEIGHT_RETAINED, "");
	fixture_start(&x);
	fixture_allocs(&x); /* no walk yet */
	check(&x, WEIGHT_RETAINED, "");
}

/* Two calls in one function are two ids and one line; so are all that have no stack. */
static void what_reads_the_same_is_one_line(void **state)
{
	static const char *const rows[] = {"_start (app)",     "main (app)",     "serve (app)",
					   "load_table (app)", "make_row (app)", NULL};
	static const char *const none[] = {NULL};
	struct fixture x;

	(void)state;
	start(&x);
	x.views[2].stack = fixture_stack(2, false, rows);
	x.views[4].stack = fixture_stack(4, false, none);
	x.allocs.unattributed = UNKNOWN;
	check(&x, WEIGHT_LIVE, ROWS " 210501632\n" PYTHON " 94371840\n[no stack] 12445\n");
	x.views[2].stack = fixture_stack(2, true, rows); /* … which goes on: another one */
	check(&x, WEIGHT_LIVE,
	      ROWS " 209715200\n" PYTHON " 94371840\n[truncated];" ROWS " 786432\n[no stack] 12445\n");
}

static void nothing_known_is_nothing_said(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	check(&x, WEIGHT_LIVE, "");
	start(&x);
	x.allocs.site_cnt = 0;
	x.allocs.unattributed = UNKNOWN;
	x.allocs.survey = NULL;
	check(&x, WEIGHT_LIVE, "");
	check(&x, WEIGHT_PINNED, "");
	x.allocs.site_cnt = SITES_CNT;
	for (unsigned i = 0; i < SITES_CNT; i++)
		x.views[i].survey = NULL;
	check(&x, WEIGHT_PINNED, "");
}

static void every_weight_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WEIGHT_CNT; i++)
		assert_non_null(site_weight_names[i]);
	assert_string_equal(site_weight_names[WEIGHT_TEMPORARY], "temporary");
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct fixture x;

	(void)state;
	assert_non_null(full);
	start(&x);
	assert_int_equal(report_folded(full, &x.s, WEIGHT_LIVE), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_heaviest_first),
		cmocka_unit_test(every_weight_is_its_own),
		cmocka_unit_test(objects_are_a_weight),
		cmocka_unit_test(retained_is_charged_to_those_that_freed),
		cmocka_unit_test(what_reads_the_same_is_one_line),
		cmocka_unit_test(nothing_known_is_nothing_said),
		cmocka_unit_test(every_weight_has_a_name),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("folded", tests, NULL, NULL);
}
