#include "report_fixture.h"

static void check(const char *name, const struct fixture *x)
{
	char *text = FORM_TEXT(report_heap_text(out, &x->s));

	golden_check(name, text);
	free(text);
}

static void one_arena(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	check("heap_one_arena.txt", &x);
}

/* More than sixteen: the largest first, the rest in one row, and the sum is still the total. */
static void many_arenas(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, ARENAS_MAX);
	x.s.lazy_free = 12 * MIB;
	x.s.swap = 5 * MIB;
	check("heap_many_arenas.txt", &x);
}

static void what_does_not_add_up_is_named(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 2);
	x.allocators[0].walk.complete = false;
	x.allocators[0].walk.estimate = true;
	x.allocators[0].walk.settings[0].value = -1; /* mallopt(M_TRIM_THRESHOLD, -1) */
	x.arenas[1].inconsistent_at = 0x7f0004000ab0;
	x.arenas[1].inconsistent = "a size that is no multiple of 16";
	x.missing[0] = "mimalloc: its heap cannot be walked";
	x.s.missing_cnt = 1;
	check("heap_inconsistent.txt", &x);
}

static void a_heap_that_nobody_can_walk(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	x.allocators[0] = x.allocators[1];
	x.allocators[0].serving = true;
	x.allocators[0].held = 512 * MIB;
	x.allocators[0].resident = 433 * MIB;
	x.s.rss = x.s.swap = UNKNOWN; /* it ended before the kernel was asked */
	x.heap.allocator_cnt = 1;
	check("heap_unwalked.txt", &x);
}

/* What a layer keeps is said where it matters, and only there. */
static void a_layer(void **state)
{
	struct fixture x;
	char *text;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_layer(&x);
	check("heap_layer.txt", &x);
	x.allocators[2].retained = x.heap.retained / 11;
	text = FORM_TEXT(report_heap_text(out, &x.s));
	assert_null(strstr(text, "Neither malloc_trim"));
	free(text);
	x.allocators[2].walked = false;
	x.allocators[2].live_heap = UNKNOWN;
	text = FORM_TEXT(report_heap_text(out, &x.s));
	assert_non_null(strstr(text, "pymalloc 3.11 is not in use\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_arena),
		cmocka_unit_test(many_arenas),
		cmocka_unit_test(what_does_not_add_up_is_named),
		cmocka_unit_test(a_heap_that_nobody_can_walk),
		cmocka_unit_test(a_layer),
	};

	return cmocka_run_group_tests_name("report_heap", tests, use_utc, NULL);
}
