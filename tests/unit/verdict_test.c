/* Each rule on a snapshot that makes it speak, and on one close by that does not: thresholds and thin
 * evidence. */
#include "verdict_scene.h"

static void fine(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	run(&x, 20, NULL);
	assert_non_null(says(&x, VERDICT_FINE));
	assert_int_equal(verdict.cnt, 1);
	assert_int_equal(verdict.lines[0].severity, VERDICT_OK);
	x.s.started_ns = x.s.time_ns - FINE_SPAN_NS + 1; /* too short to tell */
	says(&x, VERDICT_FINE);
	assert_int_equal(verdict.cnt, 0);
	quiet(&x);
	x.heap.retained = UNKNOWN;
	says(&x, VERDICT_FINE);
	assert_int_equal(verdict.cnt, 0);
	quiet(&x);
	x.s.final = false;
	says(&x, VERDICT_FINE);
	assert_int_equal(verdict.cnt, 0);
}

static void before_anything_is_known(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	says(&x, VERDICT_FINE);
	assert_int_equal(verdict.cnt, 0);
}

/* ---- leak ---- */

static void open_window(struct fixture *x)
{
	quiet(x);
	x->s.rss = 2048 * MIB;
	x->heap.retained = x->allocators[0].retained = 1945 * MIB;
	x->heap.purgeable = x->allocators[0].purgeable = 1843 * MIB;
	x->windows[0] = (struct window_finding){.start_ns = 60 * SEC,
						.peak_retained = 1945 * MIB,
						.peak_purgeable = 1843 * MIB,
						.freed = {{5, 1700 * MIB}, {6, 100 * MIB}},
						.freed_cnt = 2};
	x->s.window_cnt = 1;
}

static const struct stack *line_of(const char *file, unsigned line)
{
	static struct {
		struct location location;
		struct frame_list list;
		struct frame_name name;
	} room[8];
	static unsigned used;
	struct stack *stack = calloc(1, sizeof(*stack) + sizeof(stack->locations[0]));
	struct frame_list *list = calloc(1, sizeof(*list) + sizeof(list->v[0]));

	assert_true(stack && list && used < 8);
	list->cnt = 1;
	list->v[0] =
		(struct frame_name){.kind = FRAME_PYTHON, .function = "main", .file = file, .line = line};
	room[used].location = (struct location){.frames = list, .stage = LOCATION_DONE};
	stack->cnt = 1;
	stack->locations[0] = &room[used++].location;
	return stack;
}

/* The sentence that the program is for. */
static void retained_not_leaked(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	open_window(&x);
	x.views[5].stack = line_of("/srv/seeder.py", 88);
	x.purges[0] = x.purges[1] = (struct purge_finding){.time_ns = 90 * SEC,
							   .function = "mi_collect",
							   .allocator = "mimalloc",
							   .stack = line_of("/srv/seeder.py", 31),
							   .predicted = UNKNOWN,
							   .misdirected = true};
	x.s.purge_cnt = x.s.purges_total = 2;
	line = says(&x, VERDICT_RETENTION);
	assert_non_null(line);
	assert_string_equal(line->sentence,
			    "1.90 GiB is retained, not leaked: malloc_trim(0) after seeder.py:88 would "
			    "return 1.80 GiB; the calls at :31 go to the wrong allocator");
	assert_string_equal(line->advice, "call malloc_trim(0) after seeder.py:88, once a unit of work; now, "
					  "once: alloctrace purge 4242");
	assert_int_equal(bytes_of(line, "purgeable"), 1843 * MIB);
	HAS(says(&x, VERDICT_MISDIRECTED)->sentence,
	    "2 calls of mi_collect at seeder.py:31 went to mimalloc");
}

static void whoever_frees_must_be_clear(void **state)
{
	struct fixture x;

	(void)state;
	open_window(&x);
	HAS(says(&x, VERDICT_RETENTION)->sentence, "malloc_trim(0) after drop_table (app) would return");
	x.allocs.free_sample_bytes = 1700 * MIB / 63; /* so few samples */
	HAS(says(&x, VERDICT_RETENTION)->sentence, "malloc_trim(0) would return");
	x.allocs.free_sample_bytes = 4096;
	for (unsigned i = 0; i < 5; i++) /* as much from many places */
		x.windows[0].freed[i] = (struct window_freed){i, 100 * MIB};
	x.windows[0].freed_cnt = 5;
	HAS(says(&x, VERDICT_RETENTION)->sentence, "malloc_trim(0) would return");
}

/* What it freed at the least must be by far the most. */
static void whoever_frees_must_be_sure(void **state)
{
	struct fixture x;

	(void)state;
	open_window(&x);
	x.bounds[5] = fixture_site_bounds(&x.sites[5], 70);
	x.views[5].bounds = &x.bounds[5];
	HAS(says(&x, VERDICT_RETENTION)->sentence, "malloc_trim(0) after drop_table (app) would return");
	x.bounds[5] = fixture_site_bounds(&x.sites[5], 80);
	HAS(says(&x, VERDICT_RETENTION)->sentence, "malloc_trim(0) would return");
}

static void windows_that_are_over(void **state)
{
	struct fixture x;

	(void)state;
	open_window(&x);
	x.windows[0].end_ns = 70 * SEC; /* 10 of 60 seconds */
	assert_int_equal(says(&x, VERDICT_RETENTION)->severity, VERDICT_NOTE);
	HAS(says(&x, VERDICT_RETENTION)->sentence, "for 10.0 s");
	x.windows[0].end_ns = 90 * SEC;
	assert_int_equal(says(&x, VERDICT_RETENTION)->severity, VERDICT_WARNING);
	x.s.final = false; /* in an interval only what is so now */
	assert_null(says(&x, VERDICT_RETENTION));
	x.s.final = true;
	x.windows[0].closed_by_itself = true; /* as the allocator is set to do it */
	assert_null(says(&x, VERDICT_RETENTION));
	x.s.window_cnt = 0;
	assert_null(says(&x, VERDICT_RETENTION));
}

static void a_right_purge_beside_a_wrong_one(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	fixture_findings(&x);
	x.s.window_cnt = 0;
	assert_non_null(says(&x, VERDICT_MISDIRECTED));
	x.purges[1].time_ns = x.purges[0].time_ns + MISDIRECTED_PAIR_NS; /* both are tried */
	assert_null(says(&x, VERDICT_MISDIRECTED));
}

/* ---- cadence ---- */

/* So many purges, so far apart, each returning and taking so much. */
static void purges(struct fixture *x, unsigned cnt, uint64_t apart_ns, uint64_t returned, uint64_t took_ns)
{
	quiet(x);
	x->s.time_ns = 100 * SEC + (cnt + 1) * apart_ns;
	x->heap.taken_ns = x->s.time_ns;
	for (unsigned i = 0; i < cnt; i++)
		x->purges[i] = (struct purge_finding){.time_ns = 100 * SEC + i * apart_ns,
						      .function = "malloc_trim",
						      .allocator = "glibc",
						      .duration_ns = took_ns,
						      .returned = returned,
						      .predicted = returned,
						      .effective = returned >= MIB};
	x->s.purge_cnt = x->s.purges_total = cnt;
}

static void late(struct fixture *x, unsigned windows)
{
	for (unsigned i = 0; i < windows; i++)
		x->windows[i] = (struct window_finding){.start_ns = 100 * SEC + i * 60 * SEC,
							.end_ns = 130 * SEC + i * 60 * SEC,
							.peak_retained = 700 * MIB,
							.peak_purgeable = 650 * MIB,
							.closed_by_purge = true};
	x->s.window_cnt = windows;
}

static void too_rare(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	purges(&x, 4, 60 * SEC, 640 * MIB, 40 * MSEC);
	late(&x, 3);
	line = says(&x, VERDICT_PURGE_RARE);
	assert_non_null(line);
	/* 4 × 640 MiB in 180 s; 60 MiB (a fifth of RSS) come together in 4.2 s */
	assert_true(real_of(line, "suggested_every") > 4.1 && real_of(line, "suggested_every") < 4.3);
	HAS(line->sentence, "one every 1 min 0 s");
	assert_null(says(&x, VERDICT_RETENTION)); /* it is the same memory */
	late(&x, 1);
	assert_null(says(&x, VERDICT_PURGE_RARE));
	assert_non_null(says(&x, VERDICT_RETENTION));
	purges(&x, 4, 60 * SEC, 640 * MIB, 40 * MSEC);
	late(&x, 3);
	x.s.final = false;
	assert_null(says(&x, VERDICT_PURGE_RARE));
	/* dear ones: more often than this would cost more than it saves */
	purges(&x, 4, 60 * SEC, 640 * MIB, 400 * MSEC);
	late(&x, 3);
	assert_null(says(&x, VERDICT_PURGE_RARE));
}

static void too_often(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	/* a tenth of the time, for little */
	purges(&x, 20, SEC / 10, 2 * MIB, 10 * MSEC);
	line = says(&x, VERDICT_PURGE_OFTEN);
	assert_non_null(line);
	assert_true(real_of(line, "cost_share") > 0.099 && real_of(line, "cost_share") < 0.101);
	assert_true(real_of(line, "suggested_every") > 2.8); /* 60 MiB at 21 MiB a second */
	/* half a per cent, for nothing */
	purges(&x, 20, SEC, 4096, 5 * MSEC);
	assert_non_null(says(&x, VERDICT_PURGE_OFTEN));
	HAS(says(&x, VERDICT_PURGE_OFTEN)->advice, "leave them out");
	/* the same, for something */
	purges(&x, 20, SEC, 2 * MIB, 5 * MSEC);
	assert_null(says(&x, VERDICT_PURGE_OFTEN));
	/* for nothing, and for next to no time */
	purges(&x, 20, SEC, 4096, MSEC);
	assert_null(says(&x, VERDICT_PURGE_OFTEN));
	/* too few to have a cadence */
	purges(&x, CADENCE_OFTEN_MIN - 1, SEC / 10, 2 * MIB, 10 * MSEC);
	assert_null(says(&x, VERDICT_PURGE_OFTEN));
	/* those of the wrong allocator are another rule's */
	purges(&x, 20, SEC / 10, 2 * MIB, 10 * MSEC);
	for (unsigned i = 0; i < 20; i++)
		x.purges[i].misdirected = true;
	assert_null(says(&x, VERDICT_PURGE_OFTEN));
}

/* ---- fragmentation, pymalloc ---- */

static void pinned(struct fixture *x, uint64_t bytes)
{
	quiet(x);
	x->heap.retained = x->allocators[0].retained = bytes + 3 * MIB;
	x->heap.pinned = x->allocators[0].pinned = bytes;
	x->allocators[0].live_heap = x->heap.live_heap = 50 * MIB;
	x->surveys[2].pinned = bytes / 2;
}

static void fragmented(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	pinned(&x, 120 * MIB);
	run(&x, 6, NULL);
	line = says(&x, VERDICT_FRAGMENTATION);
	assert_non_null(line);
	assert_int_equal(line->severity, VERDICT_WARNING);
	HAS(line->sentence, "session_new (app) keep 60.0 MiB of it");
	assert_int_equal(bytes_of(line, "site_pinned"), 60 * MIB);
	x.allocators[0].live_heap = x.heap.live_heap = 150 * MIB; /* more is used than lies about */
	assert_int_equal(says(&x, VERDICT_FRAGMENTATION)->severity, VERDICT_NOTE);
	x.surveys[2].pinned = 120 * MIB * PIN_SHARE_MIN - 1;
	assert_null(says(&x, VERDICT_FRAGMENTATION)->stack);
	x.allocators[0].walk.total.pinned.thread_cache = 100 * GIB;
	HAS(says(&x, VERDICT_FRAGMENTATION)->sentence, "in caches of threads");
}

/* What it holds at the least must be much of it. */
static void fragmented_by_an_estimate(void **state)
{
	struct fixture x;

	(void)state;
	pinned(&x, 120 * MIB);
	run(&x, 6, NULL);
	x.views[2].bounds = &x.bounds[2];
	x.bounds[2] = fixture_site_bounds(&x.sites[2], 50); /* 60 of 120 MiB: 30 */
	HAS(says(&x, VERDICT_FRAGMENTATION)->sentence, ": about 768 KiB in 24576 live blocks of session_new (app) keep 60.0 MiB");
	x.bounds[2] = fixture_site_bounds(&x.sites[2], 70);
	assert_null(says(&x, VERDICT_FRAGMENTATION)->stack);
}

static void fragmented_a_little_or_a_moment(void **state)
{
	struct fixture x;

	(void)state;
	pinned(&x, 60 * MIB - 1); /* a fifth of RSS */
	run(&x, 6, NULL);
	assert_null(says(&x, VERDICT_FRAGMENTATION));
	pinned(&x, 60 * MIB);
	x.s.pid++;
	run(&x, 6, NULL);
	assert_non_null(says(&x, VERDICT_FRAGMENTATION));
	x.s.pid++;
	run(&x, 5, NULL); /* 4 seconds */
	assert_null(says(&x, VERDICT_FRAGMENTATION));
}

static void arenas_held_by_few(void **state)
{
	const struct verdict_line *line;
	struct fixture x;

	(void)state;
	quiet(&x);
	x.s.rss = 500 * MIB;
	fixture_layer(&x);
	run(&x, 6, NULL);
	line = says(&x, VERDICT_PYMALLOC);
	assert_non_null(line);
	HAS(line->sentence, "pymalloc 3.11 keeps 358 MiB free in 400 arenas");
	assert_int_equal(bytes_of(line, "sparse_retained"), 336 * MIB);
	x.s.rss = 2000 * MIB; /* a fifth of it is more */
	x.s.pid++;
	run(&x, 6, NULL);
	assert_null(says(&x, VERDICT_PYMALLOC));
}

/* ---- collections ---- */

static void collections_missing(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	fixture_collector(&x);
	HAS(says(&x, VERDICT_NO_COLLECTION)->sentence, "from 120 MiB to 480 MiB over 12 phases");
	assert_int_equal(says(&x, VERDICT_NO_COLLECTION)->severity, VERDICT_WARNING);
	x.gaps[1].collected =
		COLLECTED_MIN - 1; /* the one that ended it found next to nothing: that was not it */
	assert_int_equal(says(&x, VERDICT_NO_COLLECTION)->severity, VERDICT_NOTE); /* the open one */
	x.gaps[3].flagged = false;
	assert_null(says(&x, VERDICT_NO_COLLECTION));
}

/* ---- dlopen ---- */

static void churning(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	fixture_findings(&x);
	x.s.window_cnt = x.s.purge_cnt = 0;
	assert_int_equal(says(&x, VERDICT_CHURN)->severity, VERDICT_WARNING); /* 2 MiB */
	x.churn[1].heap_grown = 0;
	assert_int_equal(says(&x, VERDICT_CHURN)->severity, VERDICT_NOTE);
	HAS(says(&x, VERDICT_CHURN)->sentence, "libc.so.6 was opened 1400 times");
	x.churn[1].ns = 602 * MSEC + 1; /* of a minute */
	assert_int_equal(says(&x, VERDICT_CHURN)->severity, VERDICT_WARNING);
	x.churn[1].flagged = false;
	assert_null(says(&x, VERDICT_CHURN));
}

/* ---- limits ---- */

static void rss_grows(struct fixture *x, unsigned i)
{
	x->s.rss = 300 * MIB + i * MIB;
}

static void the_limit_is_close(void **state)
{
	static struct cgroup_view cgroup;
	struct fixture x;

	(void)state;
	quiet(&x);
	cgroup = (struct cgroup_view){.path = "/system.slice/worker.service",
				      .memory = {.current = 900 * MIB},
				      .limit = GIB,
				      .growing = true,
				      .growth = MIB,
				      .seconds_to_limit = LIMIT_SOON_S};
	x.s.cgroup = &cgroup;
	run(&x, 20, rss_grows);
	assert_int_equal(says(&x, VERDICT_LIMIT)->severity, VERDICT_WARNING);
	HAS(says(&x, VERDICT_LIMIT)->sentence, "reaches its limit of 1.00 GiB in about");
	cgroup.seconds_to_limit = LIMIT_NOW_S;
	assert_int_equal(says(&x, VERDICT_LIMIT)->severity, VERDICT_CRITICAL);
	cgroup.seconds_to_limit = LIMIT_SOON_S + 1;
	assert_null(says(&x, VERDICT_LIMIT));
	cgroup.seconds_to_limit = LIMIT_NOW_S;
	cgroup.growth = 3 * MIB; /* most of it is the page cache's, which gives way */
	assert_null(says(&x, VERDICT_LIMIT));
	cgroup.growing = false;
	x.s.rss = (uint64_t)(LIMIT_NEAR * GIB) + 1;
	assert_non_null(says(&x, VERDICT_LIMIT));
	x.s.rss -= 2;
	assert_null(says(&x, VERDICT_LIMIT));
	cgroup.oom_kills = 1;
	assert_int_equal(says(&x, VERDICT_LIMIT)->severity, VERDICT_CRITICAL);
	cgroup = (struct cgroup_view){.path = "/", .limit = CGROUP_NO_LIMIT, .memory = {.current = 10 * GIB}};
	assert_null(says(&x, VERDICT_LIMIT));
}

/* ---- losses ---- */

static void losses(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	x.s.lost[LOSS_RING_FULL] = x.allocs.totals.events / 999;
	assert_non_null(says(&x, VERDICT_UNCERTAIN));
	x.s.lost[LOSS_RING_FULL] = x.allocs.totals.events / 1002;
	assert_null(says(&x, VERDICT_UNCERTAIN));
	x.s.lost[LOSS_STACK] = x.allocs.totals.events; /* loses who, not how much */
	assert_null(says(&x, VERDICT_UNCERTAIN));
	x.allocs.totals.untracked.cnt = x.allocs.totals.allocated.cnt / 10;
	assert_non_null(says(&x, VERDICT_UNCERTAIN));
}

static void large_errors(void **state)
{
	struct fixture x;

	(void)state;
	quiet(&x);
	estimate(&x, 40);
	HAS(says(&x, VERDICT_UNCERTAIN)->sentence, "sites are known to ±40 %");
	HAS(says(&x, VERDICT_UNCERTAIN)->advice, "--max-overhead 20 or none would tell more");
	x.allocs.budget.max_overhead = 0;
	HAS(says(&x, VERDICT_UNCERTAIN)->advice, "--stack all");
	x.s.started_ns = x.s.time_ns - FINE_SPAN_NS + 1; /* it has hardly begun */
	assert_null(says(&x, VERDICT_UNCERTAIN));
	quiet(&x);
	estimate(&x, 24);
	assert_null(says(&x, VERDICT_UNCERTAIN));
}

/* ---- the whole ---- */

static void the_worst_comes_first(void **state)
{
	struct fixture x;

	(void)state;
	open_window(&x);
	fixture_collector(&x);
	x.s.lost[LOSS_RING_FULL] = x.allocs.totals.events;
	run(&x, 20, site_and_heap_grow);
	verdict_make(&x.s, &verdict);
	assert_true(verdict.cnt >= 3);
	for (size_t i = 1; i < verdict.cnt; i++) {
		const struct verdict_line *a = &verdict.lines[i - 1], *b = &verdict.lines[i];

		assert_true(a->severity < b->severity ||
			    (a->severity == b->severity && a->bytes >= b->bytes));
	}
	for (size_t i = 0; i < verdict.cnt; i++)
		assert_true(verdict.lines[i].name && verdict.lines[i].sentence[0]);
}

static void names_are_only_cut(void **state)
{
	static char name[5000];
	struct fixture x;

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	open_window(&x);
	fixture_findings(&x); /* of its windows the second is open, and knows who freed */
	x.windows[1].freed[0] = (struct window_freed){5, 640 * MIB};
	x.windows[1].freed_cnt = 1;
	x.views[5].stack = line_of(name, 88);
	x.purges[0].stack = line_of(name, 31);
	x.churn[1].library = name;
	verdict_make(&x.s, &verdict);
	assert_true(verdict.cnt >= 3);
}

static void what_is_news(void **state)
{
	struct verdict_news news = {0};
	struct verdict v = {.cnt = 1};

	(void)state;
	v.lines[0] =
		(struct verdict_line){.rule = VERDICT_RETENTION, .severity = VERDICT_WARNING, .bytes = 100};
	assert_true(verdict_news_add(&news, &v));
	assert_false(verdict_news_add(&news, &v));
	v.cnt = 0;
	assert_false(verdict_news_add(&news, &v));
	v.cnt = 1;
	assert_false(verdict_news_add(&news, &v)); /* it is back */
	v.lines[0].bytes = 199;
	assert_false(verdict_news_add(&news, &v));
	v.lines[0].bytes = 202;
	assert_true(verdict_news_add(&news, &v)); /* twice as much */
	v.lines[0].severity = VERDICT_CRITICAL;
	assert_true(verdict_news_add(&news, &v));
	v.lines[0] = (struct verdict_line){.rule = VERDICT_CHURN, .severity = VERDICT_NOTE};
	assert_false(verdict_news_add(&news, &v));
	v.lines[0] = (struct verdict_line){.rule = VERDICT_LEAK, .severity = VERDICT_WARNING};
	assert_true(verdict_news_add(&news, &v));
}


int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fine),
		TEST(before_anything_is_known),
		TEST(retained_not_leaked),
		TEST(whoever_frees_must_be_clear),
		TEST(whoever_frees_must_be_sure),
		TEST(windows_that_are_over),
		TEST(a_right_purge_beside_a_wrong_one),
		TEST(too_rare),
		TEST(too_often),
		TEST(fragmented),
		TEST(fragmented_by_an_estimate),
		TEST(fragmented_a_little_or_a_moment),
		TEST(arenas_held_by_few),
		TEST(collections_missing),
		TEST(churning),
		TEST(the_limit_is_close),
		TEST(losses),
		TEST(large_errors),
		TEST(the_worst_comes_first),
		TEST(names_are_only_cut),
		TEST(what_is_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
