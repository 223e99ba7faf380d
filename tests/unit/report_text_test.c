#include "report_fixture.h"

static void check(const char *name, const struct fixture *x, bool colour)
{
	char *text = FORM_TEXT(report_text(out, &x->s, colour));

	golden_check(name, text);
	free(text);
}

static void an_interval_with_everything(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 3);
	fixture_findings(&x);
	fixture_blind_spots(&x);
	x.s.lazy_free = 12 * MIB;
	x.s.swap = 4 * MIB;
	check("attach_interval.txt", &x, false);
	check("attach_interval_colour.txt", &x, true);
}

static void a_quiet_interval_is_short(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	x.heap.taken_ns = x.s.time_ns - SEC / 2;
	x.heap.purgeable = 300 * KIB;
	x.allocators[0].purgeable = 300 * KIB;
	x.heap.allocator_cnt = 1;
	check("attach_quiet.txt", &x, false);
}

/* Many rows are folded; the final report also says why it ended. */
static void a_final_report(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 3);
	fixture_findings(&x);
	for (unsigned i = 2; i < 30; i++) {
		x.purges[i] = x.purges[1];
		x.purges[i].time_ns += i * SEC;
		x.purges[i].returned = i * 100 * KIB;
		x.purges[i].effective = i >= 11;
	}
	for (unsigned i = 2; i < 12; i++)
		x.churn[i] = x.churn[0];
	x.s.purge_cnt = 30;
	x.s.purges_total = 10030;
	x.s.churn_cnt = 12;
	x.s.final = true;
	x.s.ended = "the target exited with status 0";
	check("attach_final.txt", &x, false);
	x.s.final = false; /* the same rows in an interval */
	check("attach_folded.txt", &x, false);
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
	x.heap.allocator_cnt = 1;
	x.heap.live_heap = x.heap.retained = x.heap.purgeable = x.heap.pinned = UNKNOWN;
	check("attach_unwalked.txt", &x, false);
}

static void before_the_first_walk(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	check("attach_first.txt", &x, false);
}

static void hostile_names_are_harmless(void **state)
{
	struct fixture x;
	char *text;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_findings(&x);
	x.s.command = "a\033]0;owned\007\n";
	x.churn[0].library = (char *)"/tmp/\033[2J\xff.so";
	x.purges[0].caller = (char *)"x\r\ny";
	x.missing[0] = "line\nbreak";
	x.s.missing_cnt = 1;
	text = FORM_TEXT(report_text(out, &x.s, false));
	assert_null(strchr(text, '\033'));
	assert_null(strchr(text, '\007'));
	assert_null(strchr(text, '\r'));
	assert_non_null(strstr(text, "a?]0;owned?? (4242)"));
	assert_non_null(strstr(text, "/tmp/?[2J?.so"));
	assert_non_null(strstr(text, "x??y"));
	assert_non_null(strstr(text, "not seen: line?break\n"));
	free(text);
}

/* A program imports hundreds of libraries: one line. One that failed is a row. */
static void imports_are_one_line(void **state)
{
	struct fixture x;
	char *text;

	(void)state;
	fixture_start(&x);
	for (unsigned i = 0; i < 5; i++) {
		x.churn[i] = (struct churn_finding){
			.library = (char *)"import.so", .caller = (char *)"main", .opens = 1, .new_mappings = 1,
			.maps_grown = MIB,
		};
		x.churn_view[i] = &x.churn[i];
	}
	x.churn[4].library = (char *)"absent.so";
	x.churn[4].failures = 1;
	x.s.churn = x.churn_view;
	x.s.churn_cnt = 5;
	text = FORM_TEXT(report_text(out, &x.s, false));
	assert_null(strstr(text, "import.so"));
	assert_non_null(strstr(text, "absent.so"));
	assert_non_null(strstr(text, "  4 libraries opened once each, which mapped 4.00 MiB\n"));
	assert_null(strstr(text, "more"));
	free(text);
}

static void a_full_disk_is_an_error(void **state)
{
	struct fixture x;
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	fixture_start(&x);
	assert_int_equal(report_text(full, &x.s, false), -ENOSPC);
	assert_int_equal(report_json(full, &x.s), -ENOSPC);
	assert_int_equal(report_heap_text(full, &x.s), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interval_with_everything),
		cmocka_unit_test(a_quiet_interval_is_short),
		cmocka_unit_test(a_final_report),
		cmocka_unit_test(a_heap_that_nobody_can_walk),
		cmocka_unit_test(before_the_first_walk),
		cmocka_unit_test(hostile_names_are_harmless),
		cmocka_unit_test(imports_are_one_line),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("report_text", tests, use_utc, NULL);
}
