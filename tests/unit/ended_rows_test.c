/* The largest of those that ended stay, and need nothing of the snapshots that they came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "picture/ended_rows.h"

static void keep(struct ended_rows *rows, pid_t pid, uint64_t rss)
{
	char command[16], ended[16];
	struct heap_state heap = {.taken_ns = 1, .live_heap = rss / 2};
	struct allocation_view allocs = {.totals.allocated.cnt = (uint64_t)pid};
	const struct snapshot s = {
		.pid = pid, .command = command, .ended = ended, .rss = rss, .heap = &heap, .allocs = &allocs};

	snprintf(command, sizeof(command), "name %d", pid);
	snprintf(ended, sizeof(ended), "end %d", pid);
	ended_rows_keep(rows, &s);
	memset(command, 'x', sizeof(command));
	memset(ended, 'x', sizeof(ended));
}

static void the_largest_stay(void **state)
{
	struct ended_rows *rows = ended_rows_new();
	const struct snapshot *const *v;

	(void)state;
	assert_non_null(rows);
	assert_int_equal(ended_rows_list(rows, &v), 0);
	for (pid_t pid = 1; pid <= 3 * ENDED_ROWS_MAX; pid++)
		keep(rows, pid, (uint64_t)(pid * 7 % 90 + 1) * MIB); /* each size from 1 to 90 MiB once */
	assert_int_equal(ended_rows_list(rows, &v), ENDED_ROWS_MAX);
	for (size_t i = 0; i < ENDED_ROWS_MAX; i++) {
		char name[16], end[16];

		assert_true(v[i]->rss > 60 * MIB);
		snprintf(name, sizeof(name), "name %d", v[i]->pid);
		snprintf(end, sizeof(end), "end %d", v[i]->pid);
		assert_string_equal(v[i]->command, name);
		assert_string_equal(v[i]->ended, end);
		assert_int_equal(v[i]->heap->live_heap, v[i]->rss / 2);
		assert_int_equal(v[i]->allocs->totals.allocated.cnt, v[i]->pid);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(v[i]->pid, v[k]->pid);
	}
	ended_rows_free(rows);
}

static void without_allocation_events(void **state)
{
	struct ended_rows *rows = ended_rows_new();
	struct heap_state heap = {.taken_ns = 0};
	const struct snapshot s = {.pid = 7, .command = "x", .heap = &heap};
	const struct snapshot *const *v;

	(void)state;
	ended_rows_keep(rows, &s);
	assert_int_equal(ended_rows_list(rows, &v), 1);
	assert_null(v[0]->allocs);
	assert_string_equal(v[0]->ended, "");
	ended_rows_free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_stay),
		cmocka_unit_test(without_allocation_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
