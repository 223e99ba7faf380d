/* The forms of `alloctrace allocators`, made of figures that no machine gives. */
#include "report/allocators.h"

#include "golden.h"

extern const struct allocator allocator_jemalloc, allocator_glibc, allocator_mimalloc, allocator_pymalloc;

static const struct mapping libjemalloc = {.name = "/usr/lib/libjemalloc.so.2", .dev = 1, .inode = 2},
			    libc = {.name = "/usr/lib/\033libc.so.6", .dev = 1, .inode = 3};
static const struct serving found[] = {
	{.kind = &allocator_jemalloc, .object = &libjemalloc, .reached = true},
	{.kind = &allocator_glibc, .object = &libc},
	{.kind = &allocator_pymalloc, .object = &libc},
	{.kind = &allocator_mimalloc, .reached = true}, /* known by its heap alone */
};

static const struct traced_function functions[] = {
	{.symbol = "mallctl", .shape = PROBE_CONTROL, .allocator = &allocator_jemalloc, .dev = 1, .inode = 2,
	 .object = "/usr/lib/libjemalloc.so.2", .file_offset = 0x31730, .return_probe = true, .why = "because"},
	{.symbol = "_Znwm", .shape = PROBE_ALLOC, .allocator = &allocator_jemalloc, .dev = 1, .inode = 2,
	 .object = "/usr/lib/libjemalloc.so.2", .file_offset = 0xade30, .entry = 7, .exit_cnt = 9, .lost_exits = 1,
	 .why = "because"},
	{.symbol = "free", .shape = PROBE_FREE, .allocator = &allocator_jemalloc, .dev = 1, .inode = 2,
	 .object = "/usr/lib/libjemalloc.so.2", .file_offset = 0x27c60, .entry = 48, .stepped = true, .why = "because"},
	{.symbol = "malloc", .shape = PROBE_ALLOC, .allocator = &allocator_glibc, .dev = 1, .inode = 3,
	 .object = "/usr/lib/libc.so.6", .file_offset = 0x98930, .return_probe = true, .why = "because"},
	{.symbol = "munmap", .shape = PROBE_MUNMAP, .dev = 1, .inode = 3, .object = "/usr/lib/libc.so.6",
	 .file_offset = 0x101a00, .return_probe = true, .stepped = true, .why = "because"},
};

#define PROBE_CNT (sizeof(functions) / sizeof(functions[0]))

static void show(bool costs_known, const char *text_golden, const char *json_golden)
{
	static const double ns[PROBE_CNT] = {2480, 10430.7, 9451, 2480, 10950};
	static const struct probe_cost cost = {.entry = 981.6, .call = 2480, .stepped = 8470};
	struct heap_allocator in_heap[] = {
		{.kind = &allocator_jemalloc, .version = "5.3", .serving = true},
		{.kind = &allocator_mimalloc, .version = "2.1", .serving = true},
	};
	const struct heap_state heap = {.taken_ns = 1, .allocators = in_heap, .allocator_cnt = 2};
	const struct process process = {.pid = 4242, .comm = "redis"};
	struct outlook_probe probes[PROBE_CNT];
	struct outlook outlook = {.v = probes, .cnt = PROBE_CNT, .missing = missing_new()};
	struct allocators_report r = {
		.process = &process,
		.heap = &heap,
		.found = found,
		.found_cnt = sizeof(found) / sizeof(found[0]),
		.outlook = &outlook,
		.cost = costs_known ? &cost : NULL,
		.cost_unknown = costs_known ? NULL : "permission denied",
	};
	char *text;

	for (size_t i = 0; i < PROBE_CNT; i++)
		probes[i] = (struct outlook_probe){
			.function = &functions[i],
			.instruction = "push %rbp",
			.cost = costs_known ? ns[i] : -1,
		};
	missing_add(outlook.missing, "something, because");
	text = FORM_TEXT(report_allocators_text(out, &r));
	golden_check(text_golden, text);
	assert_null(strchr(text, '\033'));
	free(text);
	text = FORM_TEXT(report_allocators_json(out, &r));
	golden_check(json_golden, text);
	free(text);
	missing_free(outlook.missing);
}

static void of_a_process(void **state)
{
	(void)state;
	show(true, "allocators.txt", "allocators.json");
}

static void without_privilege(void **state)
{
	(void)state;
	show(false, "allocators_unpriced.txt", "allocators_unpriced.json");
}

/* Rows come and go: what every list must have is held on to, not the list. */
static void what_is_known(void **state)
{
	char *text = FORM_TEXT(report_known_text(out)), *json = FORM_TEXT(report_known_json(out));
	struct row_counts cnt = allocators_count_rows(&allocator_jemalloc);

	(void)state;
	for (const struct allocator *const *kind = allocators; *kind; kind++) {
		assert_non_null(strstr(text, (*kind)->name));
		assert_non_null(strstr(json, (*kind)->name));
	}
	assert_int_equal(cnt.purges, 2);
	assert_true(cnt.allocs > 10 && cnt.frees > 10);
	assert_int_equal(allocators_count_rows(&allocator_pymalloc).allocs, 0);
	free(text);
	free(json);
}

static void every_shape_has_a_role(void **state)
{
	(void)state;
	for (int shape = 0; shape < PROBE_SHAPE_CNT; shape++)
		assert_non_null(allocators_role((enum probe_shape)shape));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_a_process),
		cmocka_unit_test(without_privilege),
		cmocka_unit_test(what_is_known),
		cmocka_unit_test(every_shape_has_a_role),
	};

	return cmocka_run_group_tests_name("report_allocators", tests, NULL, NULL);
}
