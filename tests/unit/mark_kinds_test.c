/* Kinds of marks made of snapshots: which there are, what belongs to them, and the words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/units.h"
#include "report/mark_kinds.h"

#define FINDINGS_MAX 64

static struct mark_finding findings[FINDINGS_MAX];
static const struct mark_finding *view[FINDINGS_MAX];
static struct purge_finding purges[FINDINGS_MAX];
static const struct purge_finding *purge_view[FINDINGS_MAX];
static pid_t pids[FINDINGS_MAX];
static struct snapshot s;
static struct mark_kind *kinds;
static size_t cnt;

static int start(void **state)
{
	(void)state;
	for (size_t i = 0; i < FINDINGS_MAX; i++) {
		view[i] = &findings[i];
		purge_view[i] = &purges[i];
	}
	memset(purges, 0, sizeof(purges));
	s = (struct snapshot){.final = true, .marks = view, .purges = purge_view};
	kinds = NULL;
	cnt = 0;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(kinds);
	return 0;
}

static struct mark_finding mark(const char *kind, uint64_t rss, uint64_t live, uint64_t retained)
{
	return (struct mark_finding){
		.kind = kind, .text = "", .rss = rss, .live = UNKNOWN, .live_heap = live, .retained = retained};
}

static void add(const char *kind, uint64_t rss, uint64_t live, uint64_t retained)
{
	findings[s.mark_cnt++] = mark(kind, rss * MIB, live * MIB, retained * MIB);
}

static void make(void)
{
	free(kinds);
	assert_int_equal(mark_kinds_make(&s, &kinds, &cnt), 0);
}

static void test_none(void **state)
{
	(void)state;
	make();
	assert_int_equal(cnt, 0);
}

static void test_grows(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 6; i++)
		add("mark", 200 + 40 * i, 100 + 39 * i, 30);
	make();
	assert_int_equal(cnt, 1);
	assert_int_equal(kinds[0].cnt, 6);
	assert_string_equal(kinds[0].words,
			    "RSS grows 40.0 MiB a unit, live grows 39.0 MiB, retained stays at 30.0 MiB");
}

static void test_plateau(void **state)
{
	static const uint64_t rss[] = {4000, 9000, 12000, 13312, 13312, 13313, 13312, 13312};

	(void)state;
	for (size_t i = 0; i < 8; i++)
		add("unit_done", rss[i], 10, rss[i] - 20);
	make();
	assert_string_equal(kinds[0].words, "RSS plateau at 13.0 GiB after 4 marks, live stays at 10.0 MiB, "
					    "retained plateau at 13.0 GiB after 4 marks");
}

/* Where nothing moves, few words. */
static void test_steady(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		add("mark", 200, 100, 30);
	make();
	assert_string_equal(kinds[0].words, "RSS stays at 200 MiB");
}

/* What is not known of some marks is compared at the others; and without readings live is what events say. */
static void test_unknown(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 6; i++) {
		findings[s.mark_cnt] = mark("mark", (100 + 10 * i) * MIB, UNKNOWN, UNKNOWN);
		findings[s.mark_cnt++].live = (50 + 10 * i) * MIB;
	}
	findings[2].rss = UNKNOWN;
	make();
	assert_int_equal(kinds[0].series[MARK_RSS].cnt, 5);
	assert_int_equal(kinds[0].series[MARK_RETAINED].cnt, 0);
	assert_int_equal(kinds[0].series[MARK_RETAINED].last, UNKNOWN);
	assert_ptr_equal(mark_kind_live(&kinds[0]), &kinds[0].series[MARK_LIVE]);
	assert_non_null(strstr(kinds[0].words, "live grows 10.0 MiB"));
}

/* Purges are a kind a function, behind the marks; also one that has the name of a mark's. */
static void test_purges(void **state)
{
	(void)state;
	add("malloc_trim", 1, 1, 1);
	for (uint64_t i = 0; i < 5; i++)
		purges[s.purge_cnt++].after = mark("malloc_trim", (60 + 2 * i) * MIB, UNKNOWN, UNKNOWN);
	s.purge_cnt++; /* one out of which nothing was made */
	make();
	assert_int_equal(cnt, 2);
	assert_false(kinds[0].is_purge);
	assert_int_equal(kinds[0].cnt, 1);
	assert_true(kinds[1].is_purge);
	assert_int_equal(kinds[1].cnt, 5);
	assert_string_equal(kinds[1].words, "RSS grows 2.00 MiB a purge");
}

/* A mark in the sum of many is beside those of the same process only. */
static void test_many(void **state)
{
	struct mark_tally tallies[] = {{.kind = "mark", .cnt = 90, .skipped = 7}};
	const struct snapshot part = {.pid = 43, .mark_tallies = tallies, .mark_tally_cnt = 1};
	const struct snapshot *parts[] = {&part};
	const struct process_rows rows = {.v = parts, .cnt = 1};

	(void)state;
	for (uint64_t i = 0; i < 10; i++) {
		pids[i] = i % 2 ? 42 : 43;
		add("mark", i % 2 ? 500 : 100 + 5 * i, 10, 10);
	}
	s.mark_pids = pids;
	s.processes = &rows;
	make();
	assert_int_equal(cnt, 2);
	assert_int_equal(kinds[0].pid, 43);
	assert_int_equal(kinds[0].cnt, 90);
	assert_int_equal(kinds[0].skipped, 7);
	assert_int_equal(kinds[0].series[MARK_RSS].trend, MARK_GROWS);
	assert_int_equal(kinds[1].pid, 42);
	assert_int_equal(kinds[1].cnt, 5);
	assert_int_equal(kinds[1].series[MARK_RSS].trend, MARK_STEADY);
}

/* A function that nobody calls is shown; of one that is called too often it is not said what a call costs. */
static void test_tallies(void **state)
{
	struct mark_tally tallies[] = {{.kind = "never"}, {.kind = "often", .cnt = 100, .skipped = 5000}};

	(void)state;
	for (uint64_t i = 0; i < 6; i++)
		add("often", 200 + 40 * i, 10, 10);
	s.mark_tallies = tallies;
	s.mark_tally_cnt = 2;
	make();
	assert_int_equal(cnt, 2);
	assert_string_equal(kinds[0].kind, "often");
	assert_int_equal(kinds[0].cnt, 100);
	assert_string_equal(kinds[0].words, "RSS grows, live stays at 10.0 MiB, retained stays at 10.0 MiB");
	assert_string_equal(kinds[1].kind, "never");
	assert_int_equal(kinds[1].cnt, 0);
	assert_string_equal(kinds[1].words, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_none),    TEST(test_grows),  TEST(test_plateau), TEST(test_steady),
		TEST(test_unknown), TEST(test_purges), TEST(test_many),    TEST(test_tallies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
