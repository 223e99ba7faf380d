/* Recordings: what comes out is what went in, however the file ends and whatever is done to it. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "report_fixture.h"

#include "record/chunks.h"
#include "record/format.h"
#include "record/recorder.h"
#include "record/replay.h"
#include "picture/ranking.h"
#include "report/report.h"

#define FILE_MAX (4u << 20)

static char path[64];
static FILE *said; /* what the recorder says */
static struct log quiet;

static void fill(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 2);
	fixture_findings(x);
	fixture_allocs(x);
	fixture_collector(x);
	fixture_blind_spots(x);
	fixture_marks(x);
	x->purges[1].after = x->marks[1];
	x->s.heap = &x->heap;
}

static struct picture picture_of(enum picture_kind kind, const struct snapshot *const *v, size_t cnt)
{
	return (struct picture){
		.kind = kind,
		.v = v,
		.cnt = cnt,
		.time_ns = v[0]->time_ns,
		.started_ns = v[0]->started_ns,
		.epoch_ns = -17,
		.title = "all together",
		.ended = kind == PICTURE_FINAL ? "interrupted" : NULL,
		.first = cnt,
		.ever = cnt,
		.living = cnt,
	};
}

static char *json_of(const struct picture *p)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < p->cnt; i++)
		assert_int_equal(report_json(out, p->v[i]), 0);
	fclose(out);
	return text;
}

static struct recorder *record(void)
{
	struct recorder *r = recorder_open(path, NULL, &quiet);

	assert_non_null(r);
	return r;
}

static struct replay *replay(void)
{
	struct replay *r;
	struct error err;

	assert_int_equal(replay_open(path, REPLAY_MEMORY, &r, &err), 0);
	return r;
}

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

static uint64_t size_of_file(void)
{
	FILE *f = fopen(path, "r");
	long size;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fclose(f);
	return (uint64_t)size;
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

static size_t read_file(uint8_t *bytes)
{
	FILE *f = fopen(path, "r");
	size_t got;

	assert_non_null(f);
	got = fread(bytes, 1, FILE_MAX, f);
	fclose(f);
	return got;
}

static void write_file(const uint8_t *bytes, size_t cnt)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, cnt, f), cnt);
	fclose(f);
}

/* Records two intervals and the final picture; returns what of each is expected, and the file's bytes. */
static size_t make_three(char *texts[3], uint8_t *bytes)
{
	static struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct recorder *recorder = record();

	fill(&x);
	for (int i = 0; i < 3; i++) {
		struct picture p = picture_of(i == 2 ? PICTURE_FINAL : PICTURE_INTERVAL, v, 1);

		x.s.final = i == 2;
		x.sites[0].live.cnt += 1000;
		texts[i] = json_of(&p);
		recorder_picture(recorder, &p);
	}
	recorder_close(recorder);
	return read_file(bytes);
}

/* How many pictures of intervals come before the end, all as they were; the last is made up if need be. */
static int count_whole(char *texts[3])
{
	struct replay *r;
	struct error err;
	struct picture p;
	int cnt = 0, rc;

	rc = replay_open(path, REPLAY_MEMORY, &r, &err);
	if (rc)
		return -1;
	while ((rc = replay_next(r, &p, &err)) > 0) {
		char *text;

		assert_int_equal(replay_sites(r, 0), 0);
		if (p.kind == PICTURE_FINAL && replay_remark(r)) {
			assert_true(p.v[0]->final);
			assert_int_equal(p.v[0]->purge_cnt, 2 * cnt);
			assert_int_equal(p.v[0]->allocs->site_cnt, SITES_CNT);
			continue;
		}
		text = json_of(&p);
		assert_string_equal(text, texts[cnt]);
		cnt++;
		free(text);
	}
	assert_true(rc == 0 || (rc == -ENODATA && !cnt));
	replay_close(r);
	return cnt;
}

static void free_three(char *texts[3], uint8_t *bytes)
{
	for (int i = 0; i < 3; i++)
		free(texts[i]);
	free(bytes);
}

static void it_is_read_as_far_as_it_is_whole(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX);
	char *texts[3];
	size_t size = make_three(texts, bytes);
	int before = -1, seen[4] = {0};

	(void)state;
	for (size_t cut = 0; cut <= size; cut++) {
		int cnt;

		if (cut > 200 && cut < size - 200 && cut % 37)
			continue;
		write_file(bytes, cut);
		cnt = count_whole(texts);
		assert_true(cnt >= before && cnt <= 3);
		before = cnt;
		if (cnt >= 0)
			seen[cnt]++;
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
	free_three(texts, bytes);
}

static void a_bit_that_fell_over_is_seen(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX);
	char *texts[3];
	size_t size = make_three(texts, bytes);

	(void)state;
	for (size_t at = 0; at < size; at += 61) {
		bytes[at] ^= 0x10;
		write_file(bytes, size);
		/* In the head's unused word and its clock nothing is lost. */
		assert_true(count_whole(texts) < 3 || (at >= 12 && at < 24));
		bytes[at] ^= 0x10;
	}
	free_three(texts, bytes);
}

static void newer_ones_are_refused(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX);
	char *texts[3];
	size_t size = make_three(texts, bytes);
	struct replay *r;
	struct error err;

	(void)state;
	bytes[8]++;
	write_file(bytes, size);
	assert_int_equal(replay_open(path, REPLAY_MEMORY, &r, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "a newer one"));
	bytes[0] = 'A';
	write_file(bytes, size);
	assert_int_equal(replay_open(path, REPLAY_MEMORY, &r, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "no recording of alloctrace"));
	free_three(texts, bytes);
}

/* All chunks' raw bytes. */
static size_t raw_of(uint8_t *raw)
{
	FILE *f = fopen(path, "r");
	struct chunk_reader in;
	struct error err;
	size_t cnt = 0;

	assert_non_null(f);
	assert_int_equal(chunk_reader_open(&in, fileno(f), &err), 0);
	while (!chunk_at_end(&in)) {
		assert_true(cnt < FILE_MAX);
		chunk_read(&in, raw + cnt++, 1);
	}
	chunk_reader_close(&in);
	fclose(f);
	return cnt;
}

static void write_raw(const uint8_t *raw, size_t cnt)
{
	FILE *f = fopen(path, "w");
	struct chunk_writer *out;

	assert_non_null(f);
	assert_int_equal(chunk_writer_new(fileno(f), 0, &out), 0);
	chunk_write(out, raw, cnt);
	assert_int_equal(chunk_end(out, true), 0);
	chunk_writer_free(out);
	fclose(f);
}

/* Somebody who knows the format: every byte made up, the checksums right. */
static void made_up_recordings_do_no_harm(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX), *raw = malloc(FILE_MAX);
	char *texts[3];
	unsigned seed = 1, refused = 0;
	size_t cnt;

	(void)state;
	make_three(texts, bytes);
	cnt = raw_of(raw);
	for (int i = 0; i < 3000; i++) {
		size_t at = (size_t)rand_r(&seed) % cnt;
		uint8_t was = raw[at];
		struct replay *r;
		struct error err;
		struct picture p;
		int rc;

		raw[at] = (uint8_t)rand_r(&seed);
		write_raw(raw, cnt);
		assert_int_equal(replay_open(path, 64 << 20, &r, &err), 0);
		while ((rc = replay_next(r, &p, &err)) > 0 && !replay_sites(r, 0))
			free(json_of(&p));
		refused += rc < 0;
		replay_close(r);
		raw[at] = was;
	}
	assert_true(refused > 100);
	free_three(texts, bytes);
	free(raw);
}

static void a_full_disk_is_said_and_the_rest_is_whole(void **state)
{
	static struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct picture p;
	struct rlimit limit, small;
	struct recorder *recorder;
	struct replay *r;
	struct error err;
	char line[256] = "";

	(void)state;
	fill(&x);
	p = picture_of(PICTURE_INTERVAL, v, 1);
	signal(SIGXFSZ, SIG_IGN);
	recorder = record();
	recorder_picture(recorder, &p);
	getrlimit(RLIMIT_FSIZE, &limit);
	small = limit;
	small.rlim_cur = size_of_file() + 100;
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 5; i++)
		recorder_picture(recorder, &p);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(recorder_close(recorder), -EFBIG);
	rewind(said);
	assert_non_null(fgets(line, sizeof(line), said));
	assert_non_null(strstr(line, "the watch goes on without"));
	assert_null(fgets(line, sizeof(line), said)); /* once */
	assert_int_equal(ftruncate(fileno(said), 0), 0);
	rewind(said);

	r = replay();
	assert_int_equal(replay_next(r, &p, &err), 1);
	assert_int_equal(replay_next(r, &p, &err), 1);
	assert_int_equal(p.kind, PICTURE_FINAL);
	assert_non_null(replay_remark(r));
	replay_close(r);
}

static void what_is_no_file_is_refused(void **state)
{
	char line[256] = "";
	struct replay *r;
	struct error err;

	(void)state;
	assert_null(recorder_open("/dev/full", NULL, &quiet));
	assert_null(recorder_open("/nowhere/x", NULL, &quiet));
	rewind(said);
	assert_non_null(fgets(line, sizeof(line), said));
	assert_non_null(strstr(line, "/dev/full: it is no regular file"));
	assert_non_null(fgets(line, sizeof(line), said));
	assert_non_null(strstr(line, "No such file"));
	assert_int_equal(replay_open("/dev/null", 0, &r, &err), -EINVAL);
}

static int begin(void **state)
{
	int fd;

	use_utc(state);
	strcpy(path, "/tmp/alloctrace-recording-XXXXXX");
	fd = mkstemp(path);
	close(fd);
	said = tmpfile();
	quiet.out = said;
	return said ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	fclose(said);
	return unlink(path);
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
		cmocka_unit_test(it_is_read_as_far_as_it_is_whole),
		cmocka_unit_test(a_bit_that_fell_over_is_seen),
		cmocka_unit_test(newer_ones_are_refused),
		cmocka_unit_test(made_up_recordings_do_no_harm),
		cmocka_unit_test(a_full_disk_is_said_and_the_rest_is_whole),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests_name("recording", tests, begin, end);
}
