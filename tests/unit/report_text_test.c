#include "report/budget_text.h"
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
	x.s.shmem = x.s.rss / 2;
	check("attach_interval.txt", &x, false);
	check("attach_interval_colour.txt", &x, true);
}

/* The verdict is shown in the midst of a watch only when it says something new, and then without notes. */
static void an_interval_with_news(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_findings(&x);
	fixture_blind_spots(&x);
	x.s.verdict_is_news = true;
	check("verdict_news.txt", &x, false);
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
	x.purges[29].function = "mallctl";
	x.purges[29].control = CONTROL_PURGE;
	x.purges[29].arena = 4096;
	x.windows[0].closed_by_purge = false;
	x.windows[0].closed_by_itself = true;
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

static void a_layer(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_layer(&x);
	check("attach_layer.txt", &x, false);
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
	x.purges[0].stack = fixture_stack_of("x\r\ny");
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

static void allocations(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_findings(&x);
	fixture_allocs(&x);
	x.s.purge_cnt = x.s.churn_cnt = 0;
	check("allocs_interval.txt", &x, false);
	check("allocs_interval_colour.txt", &x, true);
	x.s.final = true;
	check("allocs_final.txt", &x, false);
	x.s.final = false;
	x.allocs.top = 2;
	check("allocs_top.txt", &x, false);
	x.allocs.top = 0;
	x.allocs.older_ns = 30 * SEC;
	check("allocs_older.txt", &x, false);
}

/* Under a budget not all is seen: how much, how far off that is, and what it comes to beside what the heap
 * says. */
static void estimates(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_allocs(&x);
	fixture_estimates(&x);
	x.s.final = true;
	check("estimates.txt", &x, false);
	x.s.final = false;
	x.views[0].bounds = x.views[1].bounds = NULL;
	x.bounds[2].live.high = (struct site_count){UNKNOWN, UNKNOWN};
	x.allocs.budget.totals.allocated.low = x.allocs.budget.totals.allocated.high =
		x.allocs.totals.allocated;
	x.allocs.budget.duty = 1; /* only stacks are sampled, as was asked for */
	x.allocs.budget.max_overhead = x.allocs.budget.error = 0;
	x.allocs.sample_bytes = 64 * KIB;
	x.allocs.budget.probe_share = -1;
	x.heap.taken_ns = 0;
	check("estimates_sampled.txt", &x, false);
}

/* Python's small objects have a table of their own: estimates in cells, else exact. */
static void small_objects(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_allocs(&x);
	fixture_objects(&x);
	x.s.final = true;
	check("objects.txt", &x, false);
	x.objects.sites.budget.estimated = x.objects.in_cells = false;
	x.objects.sites.sample_bytes = 0;
	x.objects.duty = 1;
	check("objects_all.txt", &x, false);
}

/* A process that is mostly idle: probes may take a part of a core. */
static void a_share_above_the_budget_is_explained(void **state)
{
	struct allocation_view allocs = {
		.budget = {.max_overhead = 0.1, .probe_share = 0.17, .tracer_share = -1, .duty = 1}};
	char text[BUDGET_TEXT_MAX];

	(void)state;
	assert_string_equal(budget_cost_text(text, &allocs),
			    "probes take 17 % of its CPU, budget 10 % or 0.5 % of a core");
	allocs.budget.estimated = true;
	allocs.budget.duty = 0.12;
	assert_string_equal(
		budget_seen_text(text, &allocs),
		"allocation probes on 12 % of the time, budget 10 % or 0.5 % of a core; sites are estimates");
	allocs.budget.probe_share = 0.09;
	assert_string_equal(budget_seen_text(text, &allocs),
			    "allocation probes on 12 % of the time, budget 10 %; sites are estimates");
}

/* What cannot be relied on is said where it matters. */
static void allocations_in_doubt(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_allocs(&x);
	x.allocs.totals.untracked = (struct site_count){1234567, 300 * MIB};
	x.allocs.totals.ghosts = (struct site_count){3, 4096};
	x.allocs.totals.live_rounded = x.allocs.unattributed = UNKNOWN;
	x.allocs.survey = NULL;
	for (unsigned i = 0; i < SITES_CNT; i++)
		x.views[i].survey = NULL;
	x.allocs.budget.max_overhead = 0;
	x.allocs.budget.probe_share = 0.41;
	check("allocs_unsurveyed.txt", &x, false);
	x.heap.taken_ns = 0;
	x.heap.allocator_cnt = 0;
	x.allocs.older_ns = 90 * SEC;
	check("allocs_unwalked.txt", &x, true);
}

static void before_the_first_allocation(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	x.allocs = (struct allocation_view){
		.unattributed = UNKNOWN,
		.budget = {.probe_share = -1, .tracer_share = -1, .duty = 1, .duty_now = 1}};
	x.s.allocs = &x.allocs;
	check("allocs_none.txt", &x, false);
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
			.library = (char *)"import.so",
			.stack = fixture_stack_of("main"),
			.opens = 1,
			.new_mappings = 1,
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

static void python_collects(void **state)
{
	struct fixture x;
	char *text;

	(void)state;
	fixture_start(&x);
	fixture_collector(&x);
	check("collector.txt", &x, false);
	for (unsigned i = 0; i < 12; i++) {
		x.gaps[i] = x.gaps[1];
		x.gaps[i].purges = i;
	}
	x.s.gap_cnt = 12;
	x.s.final = true;
	check("collector_folded.txt", &x, true);
	x.s.gap_cnt = 0;
	x.collector = (struct collector_view){.runs = {{1, 1, 90000, 90000}}};
	text = FORM_TEXT(report_text(out, &x.s, false));
	assert_non_null(strstr(
		text, "1 run in 90.0 µs, the longest 90.0 µs, none of them full; 1 object collected\n"));
	free(text);
	x.collector.runs[0].cnt = 0;
	text = FORM_TEXT(report_text(out, &x.s, false));
	assert_null(strstr(text, "collect"));
	free(text);
}

static void marks(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_marks(&x);
	check("marks.txt", &x, false);
	x.s.final = true;
	check("marks_final.txt", &x, true);
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
		cmocka_unit_test(an_interval_with_news),
		cmocka_unit_test(a_quiet_interval_is_short),
		cmocka_unit_test(a_final_report),
		cmocka_unit_test(a_heap_that_nobody_can_walk),
		cmocka_unit_test(a_layer),
		cmocka_unit_test(before_the_first_walk),
		cmocka_unit_test(hostile_names_are_harmless),
		cmocka_unit_test(allocations),
		cmocka_unit_test(estimates),
		cmocka_unit_test(small_objects),
		cmocka_unit_test(a_share_above_the_budget_is_explained),
		cmocka_unit_test(allocations_in_doubt),
		cmocka_unit_test(before_the_first_allocation),
		cmocka_unit_test(imports_are_one_line),
		cmocka_unit_test(python_collects),
		cmocka_unit_test(marks),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("report_text", tests, use_utc, NULL);
}
