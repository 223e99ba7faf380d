#include "report_fixture.h"

#include "report/diff.h"

/* Two snapshots of made-up sites. */
struct scene {
	struct fixture x;
	struct site figures[16];
	struct site_survey surveys[16];
	struct site_view views[16];
	size_t cnt;
};

static struct scene a, b;
static struct diff d;

static void start(struct scene *s, uint64_t seconds)
{
	memset(s, 0, sizeof(*s));
	fixture_start(&s->x);
	s->x.s.time_ns = s->x.s.started_ns + seconds * SEC;
	s->x.s.allocs = &s->x.allocs;
	s->x.s.lazy_free = 0;
	s->x.allocs.sites = s->views;
	s->x.allocs.unattributed = UNKNOWN;
	s->x.allocs.survey = &s->x.survey;
}

static struct location *line_of(const char *function, const char *file, unsigned line)
{
	struct location *at = calloc(1, sizeof(*at));
	struct frame_list *list = calloc(1, sizeof(*list) + sizeof(list->v[0]));

	assert_true(at && list);
	list->cnt = 1;
	list->v[0] = (struct frame_name){
		.kind = FRAME_NATIVE, .module = "app", .function = function, .file = file, .line = line};
	at->frames = list;
	at->stage = LOCATION_DONE;
	return at;
}

/* main, then this function at that line. Never two equal pointers. */
static struct stack *stack_of(const char *function, const char *file, unsigned line)
{
	struct stack *stack = calloc(1, sizeof(*stack) + 2 * sizeof(stack->locations[0]));

	assert_non_null(stack);
	stack->cnt = 2;
	stack->locations[0] = line_of(strdup("main"), "main.c", 7);
	stack->locations[1] = line_of(strdup(function), file, line);
	return stack;
}

static void add(struct scene *s, const struct stack *stack, uint64_t live, uint64_t allocated)
{
	size_t i = s->cnt++;

	s->figures[i] = (struct site){.live = {live ? 1 : 0, live}, .allocated = {10, allocated}};
	s->surveys[i] = (struct site_survey){.pinned = live / 2};
	s->views[i] = (struct site_view){
		.number = (uint32_t)i, .figures = &s->figures[i], .survey = &s->surveys[i], .stack = stack};
	s->x.allocs.site_cnt = s->cnt;
	s->x.allocs.totals.live.bytes += live;
	s->x.allocs.totals.allocated.bytes += allocated;
	s->x.allocs.totals.allocated.cnt += 10;
}

static int try(enum diff_by by, enum site_weight weight, struct error *err)
{
	const struct diff_options options = {.by = by, .weight = weight};

	return diff_make(&d, &(struct diff_side){"mon.rec", 0, &a.x.s},
			 &(struct diff_side){"tue.rec", 0, &b.x.s}, &options, err);
}

static void make(enum diff_by by, enum site_weight weight)
{
	struct error err;

	assert_int_equal(try(by, weight, &err), 0);
}

static void row_is(size_t i, enum diff_match match, uint64_t left, uint64_t right)
{
	assert_true(i < d.cnt);
	assert_int_equal(d.rows[i].match, match);
	assert_int_equal(diff_figure(&d, &d.rows[i], 0, d.options.weight), left);
	assert_int_equal(diff_figure(&d, &d.rows[i], 1, d.options.weight), right);
}

static void sites_are_matched_by_what_their_frames_say(void **state)
{
	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&a, stack_of("grow", "/build/1/grow.c", 10), 100, 100);
	add(&a, stack_of("shrink", "grow.c", 20), 5000, 5000);
	add(&a, NULL, 7, 7);
	add(&b, NULL, 9, 9);
	add(&b, stack_of("shrink", "grow.c", 20), 50, 5000);
	add(&b, stack_of("grow", "/build/2/grow.c", 10), 1100, 1100);
	add(&b, stack_of("grow", "/build/2/grow.c", 10), 1, 1); /* another call on that line */
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_int_equal(d.cnt, 3);
	row_is(0, DIFF_SAME, 5000, 50);
	row_is(1, DIFF_SAME, 100, 1101);
	row_is(2, DIFF_SAME, 7, 9);
	assert_null(d.rows[2].stack);
	assert_int_equal(d.rows[0].change, -4950);
	assert_int_equal(diff_figure(&d, &d.rows[1], 1, WEIGHT_PINNED), 550);
	diff_free(&d);
	diff_free(&d);
}

static void what_is_only_in_one_is_new_or_gone(void **state)
{
	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&a, stack_of("old", "a.c", 1), 10, 10);
	add(&b, stack_of("new", "a.c", 1), 20, 20);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_int_equal(d.cnt, 2);
	row_is(0, DIFF_NEW, 0, 20);
	row_is(1, DIFF_GONE, 10, 0);
	diff_free(&d);
}

/* Modules, files, offsets and the end of a truncated stack tell stacks apart, lines or not. */
static void what_differs_in_more_than_lines_is_another(void **state)
{
	struct stack *stack;

	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&a, stack_of("f", "a.c", 1), 1, 1);
	add(&b, stack_of("f", "b.c", 1), 2, 2);
	stack = stack_of("f", "a.c", 1);
	stack->locations[1]->frames->v[0].module = "libother.so";
	add(&b, stack, 3, 3);
	stack = stack_of("f", "a.c", 1);
	stack->cut = STACK_CUT_NO_TABLE;
	add(&b, stack, 4, 4);
	stack = stack_of("f", "a.c", 1);
	stack->cnt = 1;
	add(&b, stack, 5, 5);
	for (unsigned offset = 16; offset <= 32; offset += 16) {
		stack = stack_of("f", NULL, 0);
		stack->locations[1]->frames->v[0].function = NULL;
		stack->locations[1]->frames->v[0].offset = offset;
		add(offset == 16 ? &a : &b, stack, 6, 6);
	}
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_int_equal(d.cnt, 7);
	for (size_t i = 0; i < d.cnt; i++)
		assert_true(d.rows[i].match == DIFF_NEW || d.rows[i].match == DIFF_GONE);
	diff_free(&d);
}

static void moved_lines_are_matched_without_them(void **state)
{
	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&a, stack_of("edited", "a.c", 10), 100, 100);
	add(&a, stack_of("edited", "a.c", 20), 200, 200);
	add(&a, stack_of("edited", "a.c", 30), 400, 400); /* this one stays */
	add(&b, stack_of("edited", "a.c", 30), 900, 900);
	add(&b, stack_of("edited", "a.c", 11), 110, 110);
	add(&b, stack_of("edited", "a.c", 21), 220, 220);
	add(&b, stack_of("edited", "a.c", 22), 1, 1);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_int_equal(d.cnt, 2);
	row_is(0, DIFF_SAME, 400, 900);
	row_is(1, DIFF_OTHER_LINES, 300, 331);
	diff_free(&d);
}

/* Several lines of one function stay apart where the other side has none of it. */
static void lines_of_what_is_new_stay_apart(void **state)
{
	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&b, stack_of("f", "a.c", 10), 100, 100);
	add(&b, stack_of("f", "a.c", 20), 200, 200);
	add(&a, stack_of("g", "a.c", 10), 1, 1);
	add(&a, stack_of("g", "a.c", 20), 2, 2);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_int_equal(d.cnt, 4);
	row_is(0, DIFF_NEW, 0, 200);
	row_is(1, DIFF_NEW, 0, 100);
	row_is(2, DIFF_GONE, 2, 0);
	row_is(3, DIFF_GONE, 1, 0);
	diff_free(&d);
}

/* ---- estimates ---- */

static struct site_bounds estimated_bounds[2][16];

/* The sites of s are known to so many percent. */
static void estimate(struct scene *s, unsigned percent)
{
	struct site_bounds *bounds = estimated_bounds[s == &b];
	struct ledger_totals *t = &s->x.allocs.totals;
	struct site all = {.live = t->live, .allocated = t->allocated, .freed = t->freed};

	s->x.allocs.budget = (struct budget_view){.estimated = true, .duty = 0.1, .probe_share = -1, .tracer_share = -1,
						  .totals = fixture_site_bounds(&all, percent)};
	for (size_t i = 0; i < s->cnt; i++) {
		bounds[i] = fixture_site_bounds(&s->figures[i], percent);
		s->views[i].bounds = &bounds[i];
	}
}

static void a_change_within_the_error_is_none(void **state)
{
	struct diff_range range;
	char *text;

	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&a, stack_of("sure", "a.c", 1), 1000 * KIB, 1000 * KIB);
	add(&a, stack_of("unsure", "a.c", 2), 100000 * KIB, 100000 * KIB);
	add(&b, stack_of("sure", "a.c", 1), 1200 * KIB, 1200 * KIB);
	add(&b, stack_of("unsure", "a.c", 2), 113000 * KIB, 113000 * KIB);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	row_is(0, DIFF_SAME, 100000 * KIB, 113000 * KIB); /* both exact: the larger change first */
	assert_false(diff_range(&d, &d.rows[0], WEIGHT_LIVE, &range));
	diff_free(&d);

	estimate(&a, 9);
	estimate(&b, 9); /* 90 and 108 of 200; 9,000 and 10,170 of 13,000 */
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	row_is(0, DIFF_SAME, 1000 * KIB, 1200 * KIB);
	assert_false(d.rows[0].within_error);
	assert_true(diff_range(&d, &d.rows[0], WEIGHT_LIVE, &range));
	assert_true(range.low > 59 * (int64_t)KIB && range.low < 60 * (int64_t)KIB); /* 200 − √(90² + 108²) */
	assert_true(range.high > 340 * (int64_t)KIB && range.high < 341 * (int64_t)KIB);
	assert_true(d.rows[1].within_error);
	text = FORM_TEXT(diff_text(out, &d));
	assert_non_null(strstr(text, "+200 KiB ±141 KiB"));
	assert_null(strstr(text, "unsure"));
	assert_non_null(strstr(text, "1 site has changed by no more than the error of the estimates"));
	assert_non_null(strstr(text, "within the error"));
	assert_non_null(strstr(text, "figures of its sites are estimates: allocation probes on 10 % of the time"));
	free(text);
	diff_free(&d);

	/* Not known at all how far off (of a recording that was cut): no change is shown as one. */
	estimated_bounds[1][0].live = (struct bounds){{0, 0}, {UNKNOWN, UNKNOWN}};
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_true(d.rows[0].within_error && d.rows[1].within_error);
	diff_free(&d);
}

/* Under an estimate a site that is not there was not seen: it is not zero, has not shrunk by 100 %, and is not new. */
static void what_is_not_seen_is_not_zero(void **state)
{
	struct diff_range range;
	char *text;

	(void)state;
	start(&a, 10);
	start(&b, 10);
	add(&a, stack_of("left", "a.c", 1), 4 * MIB, 4 * MIB);
	add(&b, stack_of("came", "b.c", 1), 5 * MIB, 5 * MIB);
	estimate(&b, 10);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	row_is(0, DIFF_NEW, 0, 5 * MIB); /* A is exact */
	row_is(1, DIFF_UNSEEN_B, 4 * MIB, 0);
	assert_true(diff_range(&d, &d.rows[1], WEIGHT_LIVE, &range));
	assert_true(range.low == -4 * (int64_t)MIB && range.high == INT64_MAX);
	assert_false(d.rows[1].within_error);
	text = FORM_TEXT(diff_text(out, &d));
	assert_non_null(strstr(text, "≥ -4.00 MiB"));
	assert_non_null(strstr(text, "not seen in B"));
	free(text);
	text = FORM_TEXT(diff_json(out, &d));
	assert_non_null(strstr(text, "\"match\":\"unseen_in_b\",\"within_error\":false,\"live\":{\"a\":4194304,\"b\":null,"
				     "\"change\":null,\"change_low\":-4194304,\"change_high\":null}"));
	free(text);
	text = FORM_TEXT(diff_html(out, &d));
	assert_non_null(strstr(text, "not seen in B"));
	free(text);
	diff_free(&d);
	estimate(&a, 10);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	row_is(0, DIFF_UNSEEN_A, 0, 5 * MIB);
	assert_true(diff_range(&d, &d.rows[0], WEIGHT_LIVE, &range));
	assert_true(range.low == INT64_MIN && range.high == (int64_t)(5 * MIB + 5 * MIB / 10));
	diff_free(&d);
}

static uint64_t total(const char *key, unsigned side)
{
	struct diff_total totals[DIFF_TOTALS_MAX];
	size_t cnt = diff_totals(&d, totals);

	for (size_t i = 0; i < cnt; i++)
		if (!strcmp(totals[i].key, key))
			return side ? totals[i].b : totals[i].a;
	fail_msg("no total %s", key);
	return 0;
}

static void a_is_scaled_to_b(void **state)
{
	(void)state;
	start(&a, 10);
	start(&b, 40);
	add(&a, stack_of("f", "a.c", 10), 100, 1000);
	add(&b, stack_of("f", "a.c", 10), 400, 4100);
	a.x.s.marks_total = 2;
	b.x.s.marks_total = 3;
	a.x.s.rss = 1 * MIB;
	b.x.s.rss = 2 * MIB;
	make(DIFF_BY_TIME, WEIGHT_LIVE);
	row_is(0, DIFF_SAME, 400, 400);
	assert_int_equal(diff_figure(&d, &d.rows[0], 0, WEIGHT_ALLOCATED), 4000);
	assert_int_equal(total("allocated", 0), 4000);
	assert_int_equal(total("allocated", 1), 4100);
	assert_int_equal(total("rss", 0), 1 * MIB); /* is what it is */
	assert_int_equal(total("retained", 0), UNKNOWN);
	diff_free(&d);
	make(DIFF_BY_MARKS, WEIGHT_LIVE);
	row_is(0, DIFF_SAME, 150, 400);
	diff_free(&d);
	a.x.allocs.totals.allocated.cnt = 20;
	b.x.allocs.totals.allocated.cnt = 10;
	make(DIFF_BY_ALLOCATIONS, WEIGHT_ALLOCATED);
	row_is(0, DIFF_SAME, 500, 4100);
	diff_free(&d);
}

static void what_cannot_be_scaled_is_said(void **state)
{
	struct error err;

	(void)state;
	start(&a, 10);
	start(&b, 10);
	b.x.s.marks_total = 1;
	assert_int_equal(try(DIFF_BY_MARKS, WEIGHT_LIVE, &err), -EINVAL);
	assert_string_equal(err.text, "cannot compare by marks: there is no mark in mon.rec");
	b.x.s.allocs = NULL;
	a.x.allocs.totals.allocated.cnt = 1;
	assert_int_equal(try(DIFF_BY_ALLOCATIONS, WEIGHT_LIVE, &err), -EINVAL);
	assert_string_equal(err.text, "cannot compare by allocations: there is no allocation in tue.rec");
	b.x.s.time_ns = b.x.s.started_ns;
	assert_int_equal(try(DIFF_BY_TIME, WEIGHT_LIVE, &err), -EINVAL);
}

static void figures_as_large_as_they_come(void **state)
{
	(void)state;
	start(&a, 1);
	start(&b, 1000);
	add(&a, stack_of("f", "a.c", 10), 1ULL << 62, 1);
	add(&b, stack_of("f", "a.c", 10), 0, 1);
	make(DIFF_BY_TIME, WEIGHT_LIVE);
	assert_int_equal(diff_figure(&d, &d.rows[0], 0, WEIGHT_LIVE), UNKNOWN - 1);
	assert_int_equal(d.rows[0].change, -INT64_MAX);
	assert_int_equal(diff_change(0, UINT64_MAX), INT64_MAX);
	assert_int_equal(diff_change(5, 3), -2);
	diff_free(&d);
}

/* Both are of a moment; retained is charged to who freed (weight.h). */
static void pinned_and_retained_are_not_scaled(void **state)
{
	char *text;

	(void)state;
	start(&a, 10);
	start(&b, 40);
	add(&a, stack_of("f", "a.c", 10), 100, 1000);
	add(&b, stack_of("f", "a.c", 10), 300, 1000);
	a.figures[0].freed_here.bytes = b.figures[0].freed_here.bytes = 900;
	a.x.heap.taken_ns = b.x.heap.taken_ns = 1;
	a.x.heap.retained = 500;
	b.x.heap.retained = 700;
	make(DIFF_BY_TIME, WEIGHT_RETAINED);
	row_is(0, DIFF_SAME, 500, 700);
	assert_int_equal(diff_figure(&d, &d.rows[0], 0, WEIGHT_PINNED), 50);
	assert_int_equal(diff_figure(&d, &d.rows[0], 0, WEIGHT_FREED), 3600);
	diff_free(&d);
	b.x.heap.retained = UNKNOWN;
	make(DIFF_BY_TIME, WEIGHT_RETAINED);
	assert_true(diff_knows(&d, 0, WEIGHT_RETAINED) && !diff_knows(&d, 1, WEIGHT_RETAINED));
	text = FORM_TEXT(diff_text(out, &d));
	assert_non_null(strstr(text, "choose another --weight"));
	free(text);
	text = FORM_TEXT(diff_json(out, &d));
	assert_non_null(strstr(text, "\"retained\":{\"a\":500,\"b\":null,\"change\":null}"));
	free(text);
	diff_free(&d);
}

static void without_events_there_are_totals(void **state)
{
	char *text;

	(void)state;
	start(&a, 1);
	start(&b, 1);
	a.x.s.allocs = NULL;
	b.x.s.allocs = NULL;
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	assert_int_equal(d.cnt, 0);
	text = FORM_TEXT(diff_text(out, &d));
	assert_non_null(strstr(text, "there are no sites to compare"));
	assert_null(strstr(text, "since the attach"));
	free(text);
	text = FORM_TEXT(diff_folded(out, &d));
	assert_string_equal(text, "");
	free(text);
	diff_free(&d);
}

/* A scene with everything that text shows. */
static void make_all(enum diff_by by)
{
	start(&a, 60);
	start(&b, 138);
	fixture_heap(&a.x, 1);
	fixture_heap(&b.x, 1);
	b.x.s.pid = 4711;
	b.x.s.rss += 300 * MIB;
	b.x.heap.retained += 290 * MIB;
	b.x.heap.purgeable = UNKNOWN;
	b.x.s.ended = "interrupted";
	add(&a, stack_of("parse", "parse.c", 31), 20 * MIB, 500 * MIB);
	add(&b, stack_of("parse", "parse.c", 31), 320 * MIB, 1400 * MIB);
	add(&a, stack_of("cache_fill", "cache.c", 8), 90 * MIB, 90 * MIB);
	add(&b, stack_of("cache_fill", "cache.c", 9), 40 * MIB, 90 * MIB);
	add(&a, stack_of("log_line", "log.c", 4), 4096, 80 * MIB);
	add(&b, stack_of("session_new", "session.c", 77), 2 * MIB, 2 * MIB);
	add(&a, stack_of("quiet", "quiet.c", 1), 512, 512);
	add(&b, stack_of("quiet", "quiet.c", 1), 512, 512);
	a.x.allocs.unattributed = 10 * MIB;
	b.x.allocs.unattributed = 11 * MIB;
	make(by, WEIGHT_LIVE);
}

static void as_text(void **state)
{
	char *text;

	(void)state;
	make_all(DIFF_BY_NOTHING);
	text = FORM_TEXT(diff_text(out, &d));
	golden_check("diff.txt", text);
	free(text);
	d.options.top = 1;
	text = FORM_TEXT(diff_text(out, &d));
	assert_non_null(strstr(text, "in 3 more sites that have changed"));
	free(text);
	diff_free(&d);
	make_all(DIFF_BY_TIME);
	text = FORM_TEXT(diff_text(out, &d));
	golden_check("diff_by_time.txt", text);
	free(text);
	diff_free(&d);
}

static void as_json(void **state)
{
	char *text;

	(void)state;
	make_all(DIFF_BY_TIME);
	text = FORM_TEXT(diff_json(out, &d));
	golden_check("diff.json", text);
	free(text);
	diff_free(&d);
}

static void as_folded(void **state)
{
	char *text;

	(void)state;
	make_all(DIFF_BY_NOTHING);
	text = FORM_TEXT(diff_folded(out, &d));
	assert_string_equal(text, "app:main (main.c:7);app:parse (parse.c:31) 20971520 335544320\n"
				  "app:main (main.c:7);app:cache_fill (cache.c:9) 94371840 41943040\n"
				  "app:main (main.c:7);app:session_new (session.c:77) 0 2097152\n"
				  "app:main (main.c:7);app:log_line (log.c:4) 4096 0\n"
				  "app:main (main.c:7);app:quiet (quiet.c:1) 512 512\n"
				  "[from before the attach] 10485760 11534336\n");
	free(text);
	diff_free(&d);
}

static void as_html(void **state)
{
	struct stack *stack = stack_of("<script>\"&", "a.c", 1);
	char *text;

	(void)state;
	make_all(DIFF_BY_TIME);
	text = FORM_TEXT(diff_html(out, &d));
	assert_non_null(strstr(text, "<h2>live by site</h2>"));
	assert_non_null(strstr(text, "<b>+274 MiB</b>"));
	assert_non_null(strstr(text, "width: 50.0%"));
	assert_non_null(strstr(text, "<li>app:parse (parse.c:31)</li><li>app:main (main.c:7)</li>"));
	free(text);
	diff_free(&d);
	start(&a, 1);
	start(&b, 1);
	a.x.s.command = "<b>";
	add(&b, stack, 5, 5);
	add(&b, stack_of("f", "a.c", 1), 6, 6);
	add(&b, stack_of("g", "a.c", 1), 7, 7);
	make(DIFF_BY_NOTHING, WEIGHT_LIVE);
	d.options.top = 2;
	text = FORM_TEXT(diff_html(out, &d));
	assert_non_null(strstr(text, "&lt;b&gt; (4242)"));
	assert_null(strstr(text, "<script"));
	assert_null(strstr(text, "&lt;script")); /* the third of two */
	free(text);
	d.options.top = 0;
	text = FORM_TEXT(diff_html(out, &d));
	assert_non_null(strstr(text, "<li>app:&lt;script&gt;&quot;&amp; (a.c:1)</li>"));
	free(text);
	diff_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sites_are_matched_by_what_their_frames_say),
		cmocka_unit_test(what_is_only_in_one_is_new_or_gone),
		cmocka_unit_test(what_differs_in_more_than_lines_is_another),
		cmocka_unit_test(moved_lines_are_matched_without_them),
		cmocka_unit_test(lines_of_what_is_new_stay_apart),
		cmocka_unit_test(a_change_within_the_error_is_none),
		cmocka_unit_test(what_is_not_seen_is_not_zero),
		cmocka_unit_test(a_is_scaled_to_b),
		cmocka_unit_test(what_cannot_be_scaled_is_said),
		cmocka_unit_test(figures_as_large_as_they_come),
		cmocka_unit_test(pinned_and_retained_are_not_scaled),
		cmocka_unit_test(without_events_there_are_totals),
		cmocka_unit_test(as_text),
		cmocka_unit_test(as_json),
		cmocka_unit_test(as_folded),
		cmocka_unit_test(as_html),
	};

	return cmocka_run_group_tests(tests, use_utc, NULL);
}
