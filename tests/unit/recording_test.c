/* Recordings: what comes out is what went in. */
#include "recording_scene.h"

#include "picture/ranking.h"
#include "record/format.h"

/* The next picture as JSON; NULL: there was none. */
static char *next(struct replay *r, struct picture *p)
{
	struct error err;
	int rc = replay_next(r, p, &err);

	if (rc == 0)
		return NULL;
	assert_int_equal(rc, 1);
	assert_int_equal(replay_sites(r, 0), 0);
	return json_of(p);
}

static void check_next(struct replay *r, const char *expected)
{
	struct picture p;
	char *text = next(r, &p);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void what_comes_out_is_what_went_in(void **state)
{
	struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct picture p, back;
	struct recorder *recorder;
	struct replay *r;
	char *first, *second, *third;

	(void)state;
	fill(&x);
	p = picture_of(PICTURE_INTERVAL, v, 1);
	first = json_of(&p);
	recorder = record();
	recorder_picture(recorder, &p);
	x.sites[2].live.bytes -= 4096;
	x.sites[2].freed.bytes += 4096;
	x.sites[1].allocated.cnt += 3;
	x.surveys[0].alone = UNKNOWN;
	x.s.final = true;
	x.s.ended = "interrupted";
	ranking_arrange(x.views, SITES_CNT, x.by_number);
	p = picture_of(PICTURE_FINAL, v, 1);
	second = json_of(&p);
	recorder_picture(recorder, &p);
	assert_int_equal(recorder_close(recorder), 0);

	r = replay();
	assert_null(replay_remark(r));
	check_next(r, first);
	third = next(r, &back);
	assert_string_equal(third, second);
	free(third);
	assert_int_equal(back.kind, PICTURE_FINAL);
	assert_string_equal(back.title, p.title);
	assert_string_equal(back.ended, p.ended);
	assert_true(back.epoch_ns == -17 && back.ever == 1 && back.time_ns == p.time_ns);
	assert_null(next(r, &back));
	assert_true(replay_progress(r) == 1);
	replay_close(r);
	free(first);
	free(second);
}

/* All bounds of what is shown come back; of a picture that goes by the others are open, of the last one all are there. */
static void bounds_come_back(void **state)
{
	struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct picture p;
	struct recorder *recorder = record();
	struct replay *r;
	char *texts[3];

	(void)state;
	fill(&x);
	for (int i = 0; i < 3; i++) {
		if (i == 1) {
			fixture_estimates(&x);
			x.sites[0].live.bytes += 12345; /* bounds are not about their figures' own size */
		}
		if (i == 2) {
			x.sites[1].allocated.bytes += 7;
			x.bounds[1].live.high.bytes = UNKNOWN;
			x.bounds[2].live.low.cnt -= 5;
			x.views[1].bounds = NULL; /* has become exact */
			x.s.final = true;
		}
		ranking_arrange(x.views, SITES_CNT, x.by_number);
		p = picture_of(i == 2 ? PICTURE_FINAL : PICTURE_INTERVAL, v, 1);
		texts[i] = json_of(&p);
		recorder_picture(recorder, &p);
	}
	assert_int_equal(recorder_close(recorder), 0);
	r = replay();
	for (int i = 0; i < 3; i++) {
		check_next(r, texts[i]);
		free(texts[i]);
	}
	replay_close(r);
}

#define MANY (2 * SITE_BOUNDS_SHOWN + 100)

static void an_interval_has_bounds_of_what_it_shows(void **state)
{
	static struct fixture x;
	static struct site sites[MANY];
	static struct site_bounds bounds[MANY];
	static struct site_view views[MANY];
	static const struct site_view *by_number[MANY];
	const struct snapshot *v[] = {&x.s};
	struct picture p;
	struct recorder *recorder = record();
	struct replay *r;

	(void)state;
	fill(&x);
	fixture_estimates(&x);
	for (unsigned i = 0; i < MANY; i++) {
		uint64_t freed = i >= MANY - 10 ? GIB : 0;

		sites[i] = (struct site){.live = {9, 9000 - i}, .allocated = {9, 9000}, .freed_here = {freed != 0, freed}};
		bounds[i] = fixture_site_bounds(&sites[i], 50);
		views[i] = (struct site_view){.number = i, .figures = &sites[i], .bounds = &bounds[i]};
	}
	ranking_arrange(views, MANY, by_number);
	x.allocs.sites = views;
	x.allocs.by_number = by_number;
	x.allocs.site_cnt = x.allocs.number_cnt = MANY;
	x.allocs.survey = NULL;
	p = picture_of(PICTURE_INTERVAL, v, 1);
	recorder_picture(recorder, &p);
	sites[0].live.bytes = 1; /* no longer among the first: what was stored of it is of the picture before */
	bounds[0] = fixture_site_bounds(&sites[0], 50);
	ranking_arrange(views, MANY, by_number);
	recorder_picture(recorder, &p);
	x.s.final = true;
	p = picture_of(PICTURE_FINAL, v, 1);
	recorder_picture(recorder, &p);
	recorder_close(recorder);
	r = replay();
	free(next(r, &p));
	assert_int_equal(p.v[0]->allocs->by_number[0]->bounds->live.high.bytes, 13500);
	for (int final = 0; final < 2; final++) {
		free(next(r, &p));
		assert_int_equal(p.v[0]->allocs->site_cnt, MANY);
		for (unsigned i = 0; i < MANY; i++) {
			const struct site_bounds *b = p.v[0]->allocs->by_number[i]->bounds;
			bool shown = final || (i && i <= SITE_BOUNDS_SHOWN) || i >= MANY - 10;

			assert_non_null(b); /* an estimate in any case */
			assert_int_equal(b->live.high.bytes, shown ? bounds[i].live.high.bytes : UNKNOWN);
			assert_int_equal(b->freed_here.low.bytes, shown ? bounds[i].freed_here.low.bytes : 0);
		}
	}
	replay_close(r);
}

/* Python's objects have sites of their own, with the same numbers as blocks': they come and go, and move. */
static void objects_come_back(void **state)
{
	struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct recorder *recorder = record();
	struct picture p;
	struct replay *r;
	char *texts[4];

	(void)state;
	fill(&x);
	for (int i = 0; i < 4; i++) {
		if (i == 1)
			fixture_objects(&x);
		if (i == 2) {
			x.object_sites[1].live.bytes += 100 * MIB;
			x.object_bounds[0].live.high.bytes += 77;
			x.objects.born.cnt += 5;
			x.objects.probe_share = -1;
			x.objects.live_heap = UNKNOWN;
			ranking_arrange(x.object_views, 2, x.object_numbers);
		}
		x.s.final = i == 3;
		p = picture_of(i == 3 ? PICTURE_FINAL : PICTURE_INTERVAL, v, 1);
		texts[i] = json_of(&p);
		recorder_picture(recorder, &p);
	}
	assert_null(strstr(texts[0], "\"born\""));
	assert_non_null(strstr(texts[3], "\"born\":{\"count\":12005"));
	assert_int_equal(recorder_close(recorder), 0);
	r = replay();
	for (int i = 0; i < 4; i++) {
		check_next(r, texts[i]);
		free(texts[i]);
	}
	replay_close(r);
}

/* A seed of the fuzzer as a recording: behind a byte that says so. */
static void take_seed(const char *seed)
{
	FILE *from = fopen(seed, "r"), *to = fopen(path, "w");
	int c;

	assert_true(from && to);
	fgetc(from);
	while ((c = fgetc(from)) != EOF)
		fputc(c, to);
	fclose(from);
	fclose(to);
}

/* Recordings from before there was a budget are read: why probes had been removed is among what is not seen. */
static void version_1_is_read(void **state)
{
	struct picture p;
	struct replay *r;
	char *text;

	(void)state;
	take_seed("tests/fuzz/record/version1");
	r = replay();
	text = next(r, &p);
	assert_non_null(strstr(text, "\"max_overhead\":null,\"probe_cpu_share\":0.124,\"tracer_cpu_share\":null,"
				     "\"duty\":1,\"duty_now\":1,\"estimated\":false"));
	assert_non_null(strstr(text, "\"missing\":[]"));
	assert_null(strstr(text, "_low"));
	free(text);
	text = next(r, &p);
	assert_non_null(strstr(text, "\"missing\":[\"allocation probes removed: they took 41 %"));
	free(text);
	assert_int_equal(p.kind, PICTURE_FINAL);
	assert_int_equal(p.v[0]->allocs->sites[0].figures->live.bytes, 200 * MIB);
	replay_close(r);
}

/* … and those from before Python's objects were in them. */
static void version_2_is_read(void **state)
{
	struct picture p;
	struct replay *r;
	char *text;
	bool bounds = false;

	(void)state;
	take_seed("tests/fuzz/record/estimates");
	r = replay();
	while ((text = next(r, &p))) {
		assert_non_null(strstr(text, "\"objects\":null"));
		bounds = strstr(text, "\"live_low\"");
		free(text);
	}
	assert_true(bounds);
	assert_int_equal(p.kind, PICTURE_FINAL);
	replay_close(r);
}

/* The largest are the first of all, in the same order: more of them than fit into what is sorted at once. */
static void the_largest_are_the_first(void **state)
{
	static struct fixture x;
	const struct snapshot *v[] = {&x.s};
	uint32_t numbers[SITES_CNT];
	struct recorder *recorder;
	const struct allocation_view *allocs;
	struct picture p;
	struct replay *r;

	(void)state;
	fill(&x);
	for (int i = 0; i < SITES_CNT; i++)
		x.sites[i].live.bytes = 1000 + (uint64_t)i * 5 % 3 * 100;
	p = picture_of(PICTURE_FINAL, v, 1);
	recorder = record();
	recorder_picture(recorder, &p);
	recorder_close(recorder);
	r = replay();
	free(next(r, &p));
	allocs = p.v[0]->allocs;
	assert_int_equal(allocs->site_cnt, SITES_CNT);
	for (int i = 0; i < SITES_CNT; i++)
		numbers[i] = allocs->sites[i].number;
	for (uint32_t most = 1; most <= SITES_CNT; most++) {
		assert_int_equal(replay_largest_sites(r, &(struct site_choice){most, 1100}), 0);
		assert_int_equal(allocs->site_cnt, most < 4 ? most : 4);
		for (uint32_t i = 0; i < allocs->site_cnt; i++)
			assert_int_equal(allocs->sites[i].number, numbers[i]);
	}
	replay_close(r);
}

static void what_does_not_change_takes_no_room(void **state)
{
	struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct picture p;
	struct recorder *recorder;
	uint64_t first;

	(void)state;
	fill(&x);
	x.s.purge_cnt = x.s.window_cnt = x.s.churn_cnt = x.s.gap_cnt = 0;
	p = picture_of(PICTURE_INTERVAL, v, 1);
	recorder = record();
	recorder_picture(recorder, &p);
	first = size_of_file();
	recorder_picture(recorder, &p);
	assert_true(size_of_file() - first < first / 2);
	first = size_of_file() - first;
	for (int i = 0; i < 100; i++)
		recorder_picture(recorder, &p);
	assert_true(size_of_file() < 110 * first);
	recorder_close(recorder);
}

/* The same process, two of them, and a third that takes a PID that was another's. */
static void processes_keep_their_own_sites(void **state)
{
	static struct fixture x[3];
	const struct snapshot *both[] = {&x[0].s, &x[1].s}, *dead[] = {&x[1].s},
			      *later[] = {&x[0].s, &x[2].s};
	struct picture p[3];
	struct recorder *recorder = record();
	struct replay *r;
	char *texts[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		fill(&x[i]);
		x[i].s.pid = i ? 200 : 100;
		x[i].s.started_ns += (uint64_t)i;
		x[i].sites[0].live.bytes += (uint64_t)i << 20;
	}
	x[1].s.gone = x[1].s.killed = true;
	p[0] = picture_of(PICTURE_INTERVAL, both, 2);
	p[1] = picture_of(PICTURE_ENDS, dead, 1);
	p[2] = picture_of(PICTURE_FINAL, later, 2);
	for (int i = 0; i < 3; i++) {
		texts[i] = json_of(&p[i]);
		recorder_picture(recorder, &p[i]);
	}
	recorder_close(recorder);
	r = replay();
	for (int i = 0; i < 3; i++) {
		check_next(r, texts[i]);
		free(texts[i]);
	}
	replay_close(r);
}

static const struct event_row script[] = {
	{.kind = EVENT_ALLOC,
	 .time_ns = 5 * SEC,
	 .pid = 7,
	 .tid = 8,
	 .function = "malloc",
	 .addr = 0x5000,
	 .size = 64},
	{.kind = EVENT_FREE, .time_ns = 5 * SEC - 1, .pid = 7, .tid = 7, .function = "free", .addr = 0x5000},
	{.kind = EVENT_PURGE,
	 .time_ns = 6 * SEC,
	 .pid = 7,
	 .tid = 7,
	 .function = "malloc_trim",
	 .size = UINT64_MAX / 2,
	 .drop = -4096,
	 .duration_ns = 77},
	{.kind = EVENT_DLOPEN,
	 .time_ns = 7 * SEC,
	 .pid = 9,
	 .tid = 9,
	 .addr = UINT64_MAX,
	 .text = "libm.so.6"},
};
#define SCRIPT_CNT (sizeof(script) / sizeof(script[0]))

static unsigned heard;

static void hear(const struct event_row *row, void *arg)
{
	const struct event_row *told = &script[heard % SCRIPT_CNT];

	assert_ptr_equal(arg, &heard);
	assert_true(row->kind == told->kind && row->time_ns == told->time_ns && row->pid == told->pid &&
		    row->tid == told->tid && row->addr == told->addr && row->size == told->size &&
		    row->drop == told->drop && row->duration_ns == told->duration_ns);
	assert_true(!row->function == !told->function && !row->text == !told->text);
	if (told->function)
		assert_string_equal(row->function, told->function);
	if (told->text)
		assert_string_equal(row->text, told->text);
	assert_true(!row->stack == (heard % 2 == 0));
	if (row->stack)
		assert_string_equal(names_of(row->stack->locations[0])->v[0].function, "main");
	heard++;
}

/* Enough of them for several chunks; those of the chunk in the making are lost with it. */
static void events_come_in_their_order(void **state)
{
	static struct fixture x;
	const struct snapshot *v[] = {&x.s};
	const struct stack *stack = fixture_stack_of("main (app)");
	struct picture p;
	struct recorder *recorder = record();
	struct replay *r;
	struct error err;

	(void)state;
	fill(&x);
	p = picture_of(PICTURE_INTERVAL, v, 1);
	for (unsigned i = 0; i < 100000; i++) {
		struct event_row row = script[i % SCRIPT_CNT];

		row.stack = i % 2 ? stack : NULL;
		recorder_event(recorder, &row);
		if (i == 50000)
			recorder_picture(recorder, &p);
	}
	recorder_close(recorder);
	r = replay();
	replay_listen(r, hear, &heard);
	assert_int_equal(replay_next(r, &p, &err), 1);
	assert_int_equal(heard, 50001);
	assert_int_equal(replay_next(r, &p, &err), 1);
	assert_int_equal(p.kind, PICTURE_FINAL);
	assert_true(heard > 80000 && heard < 100000);
	replay_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_out_is_what_went_in),
		cmocka_unit_test(objects_come_back),
		cmocka_unit_test(version_1_is_read),
		cmocka_unit_test(version_2_is_read),
		cmocka_unit_test(bounds_come_back),
		cmocka_unit_test(an_interval_has_bounds_of_what_it_shows),
		cmocka_unit_test(the_largest_are_the_first),
		cmocka_unit_test(what_does_not_change_takes_no_room),
		cmocka_unit_test(processes_keep_their_own_sites),
		cmocka_unit_test(events_come_in_their_order),
	};

	return cmocka_run_group_tests_name("recording", tests, begin, end);
}
