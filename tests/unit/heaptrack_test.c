/* Data files for heaptrack, added up as heaptrack's own reader does: its figures are to be ours. */
#include <inttypes.h>
#include <unistd.h>
#include <zlib.h>

#include "report/heaptrack.h"
#include "picture/history.h"
#include "report/stack_steps.h"
#include "report_fixture.h"

#define INDEX_MAX 4096
#define LINE_SIZE 512

/* What heaptrack keeps of a stack, and of all. */
struct cost {
	int64_t calls, temporary, leaked, peak;
};

struct reader {
	gzFile in;
	char *texts[INDEX_MAX];       /* from 1 on, as the next two */
	char *places[INDEX_MAX];      /* the innermost function */
	uint64_t nodes[INDEX_MAX][2]; /* place, caller */
	struct {
		uint64_t size, node;
	} kinds[INDEX_MAX];
	size_t text_cnt, place_cnt, node_cnt, kind_cnt;
	struct cost costs[INDEX_MAX], all; /* by node */
	uint64_t peak_ms, ms, peak_rss;
	uint64_t last; /* the kind that was allocated last */
	char debuggee[LINE_SIZE];
	int64_t most_until; /* the highest sum since the last time stamp */
	struct {
		uint64_t ms;
		int64_t sum;
	} stamps[INDEX_MAX];
	size_t stamp_cnt;
};

static void keep_peak(struct reader *r)
{
	if (r->all.leaked <= r->all.peak)
		return;
	r->all.peak = r->all.leaked;
	r->peak_ms = r->ms;
	for (size_t i = 0; i < INDEX_MAX; i++)
		r->costs[i].peak = r->costs[i].leaked;
}

static void allocated(struct reader *r, uint64_t kind)
{
	struct cost *cost = &r->costs[r->kinds[kind].node];

	assert_true(kind < r->kind_cnt);
	r->all.calls++;
	cost->calls++;
	r->all.leaked += (int64_t)r->kinds[kind].size;
	cost->leaked += (int64_t)r->kinds[kind].size;
	r->last = kind;
	keep_peak(r);
}

static void freed(struct reader *r, uint64_t kind)
{
	struct cost *cost = &r->costs[r->kinds[kind].node];

	assert_true(kind < r->kind_cnt);
	r->all.temporary += r->last == kind;
	cost->temporary += r->last == kind;
	r->all.leaked -= (int64_t)r->kinds[kind].size;
	cost->leaked -= (int64_t)r->kinds[kind].size;
	r->last = 0;
}

static uint64_t next_hex(char **at)
{
	char *end;
	uint64_t value = strtoull(*at, &end, 16);

	assert_true(end > *at);
	*at = end;
	return value;
}

static void read_place(struct reader *r, char *at)
{
	uint64_t function;

	next_hex(&at);
	assert_true(next_hex(&at) <= r->text_cnt);
	function = next_hex(&at);
	assert_true(function >= 1 && function <= r->text_cnt);
	assert_true(next_hex(&at) <= r->text_cnt);
	next_hex(&at);
	r->places[++r->place_cnt] = r->texts[function];
}

static void read_node(struct reader *r, char *at)
{
	uint64_t place = next_hex(&at), caller = next_hex(&at);

	assert_true(place >= 1 && place <= r->place_cnt && caller <= r->node_cnt);
	r->node_cnt++;
	r->nodes[r->node_cnt][0] = place;
	r->nodes[r->node_cnt][1] = caller;
}

static void read_kind(struct reader *r, char *at)
{
	uint64_t size = next_hex(&at), node = next_hex(&at);

	assert_true(node >= 1 && node <= r->node_cnt && r->kind_cnt < INDEX_MAX);
	r->kinds[r->kind_cnt].size = size;
	r->kinds[r->kind_cnt++].node = node;
}

static void read_time(struct reader *r, char *at)
{
	uint64_t ms = next_hex(&at);

	assert_true(ms >= r->ms);
	r->stamps[r->stamp_cnt].ms = ms;
	r->stamps[r->stamp_cnt++].sum = r->all.leaked;
	r->ms = ms;
}

static void read_line(struct reader *r, char *line)
{
	uint64_t rss;
	char *at = line + 2;

	line[strcspn(line, "\n")] = '\0';
	switch (line[0]) {
	case 's':
		assert_true(r->text_cnt + 1 < INDEX_MAX);
		r->texts[++r->text_cnt] = strdup(at);
		break;
	case 'i':
		read_place(r, at);
		break;
	case 't':
		read_node(r, at);
		break;
	case 'a':
		read_kind(r, at);
		break;
	case '+':
		allocated(r, next_hex(&at));
		break;
	case '-':
		freed(r, next_hex(&at));
		break;
	case 'c':
		read_time(r, at);
		break;
	case 'R':
		rss = next_hex(&at) * 4096;
		r->peak_rss = rss > r->peak_rss ? rss : r->peak_rss;
		break;
	case 'X':
		strcpy(r->debuggee, at);
		break;
	default:
		assert_true(line[0] == 'v' || line[0] == 'I');
	}
}

static struct reader *read_report(const struct fixture *x)
{
	struct reader *r = calloc(1, sizeof(*r));
	char line[LINE_SIZE];
	FILE *file = tmpfile();

	assert_true(r && file);
	assert_int_equal(report_heaptrack(file, &x->s), 0);
	rewind(file);
	r->in = gzdopen(dup(fileno(file)), "rb");
	assert_non_null(r->in);
	while (gzgets(r->in, line, sizeof(line)))
		read_line(r, line);
	assert_true(gzeof(r->in));
	gzclose(r->in);
	fclose(file);
	return r;
}

static void release(struct reader *r)
{
	for (size_t i = 0; i < INDEX_MAX; i++)
		free(r->texts[i]);
	free(r);
}

/* The cost of the stack whose innermost frame that is; all of them. */
static const struct cost *cost_of(const struct reader *r, const char *function)
{
	static const struct cost none;

	for (size_t i = 0; i < r->kind_cnt; i++)
		if (!strcmp(r->places[r->nodes[r->kinds[i].node][0]], function))
			return &r->costs[r->kinds[i].node];
	return &none;
}

static void check_cost(const struct reader *r, const char *function, const struct site_view *view)
{
	const struct cost *cost = cost_of(r, function);

	assert_int_equal(cost->calls, view->figures->allocated.cnt);
	assert_int_equal(cost->temporary, view->figures->temporary.cnt);
	assert_int_equal(cost->leaked, view->figures->live.bytes);
	assert_int_equal(cost->peak, view->peak.bytes);
}

/* By their innermost frames. */
static const char *const innermost[SITES_CNT] = {"make_row", "PyMem_RawRealloc", "Znwm",     "[no stack]",
						 "a;b?",     "drop_table",       "vasprintf"};

static void check_figures(const struct reader *r, const struct fixture *x)
{
	const struct ledger_totals *t = &x->allocs.totals;

	assert_int_equal(r->all.calls, t->allocated.cnt);
	assert_int_equal(r->all.temporary, t->temporary.cnt);
	assert_int_equal(r->all.leaked, t->live.bytes);
	assert_int_equal(r->all.peak, t->peak.bytes);
	assert_int_equal(r->peak_ms, (t->peak_ns - x->s.started_ns) / MSEC);
	for (size_t i = 0; i < SITES_CNT; i++)
		check_cost(r, innermost[i], &x->views[i]);
}

static void start(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 1);
	fixture_allocs(x);
	x->allocs.totals.peak.bytes -= 100; /* the one block of that site was there once */
	x->views[4].peak = x->sites[4].live;
}

static void figures_come_out_as_they_are(void **state)
{
	struct fixture x;
	struct reader *r;

	(void)state;
	start(&x);
	r = read_report(&x);
	check_figures(r, &x);
	assert_string_equal(r->debuggee, "python3 (4242)");
	assert_int_equal(r->ms, 60200);
	assert_int_equal(r->peak_rss, x.s.rss / 4096 * 4096);
	assert_int_equal(r->stamps[r->stamp_cnt - 1].ms, 60200);
	release(r);
}

/* Outermost first, and what is cut says so. */
static void stacks_are_whole(void **state)
{
	static const char *const frames[] = {
		"PyMem_RawRealloc",         "list_resize", "list_append", "PyObject_Vectorcall",
		"_PyEval_EvalFrameDefault", "Py_RunMain",  "[truncated]"};
	struct fixture x;
	struct reader *r;
	uint64_t node = 0;

	(void)state;
	start(&x);
	r = read_report(&x);
	for (size_t i = 0; i < r->kind_cnt; i++)
		if (!strcmp(r->places[r->nodes[r->kinds[i].node][0]], frames[0]))
			node = r->kinds[i].node;
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		assert_string_equal(r->places[r->nodes[node][0]], frames[i]);
		node = r->nodes[node][1];
	}
	assert_int_equal(node, 0);
	release(r);
}

/* Of what a site has at the end; a few blocks are there or not. */
static uint64_t part_of(const struct site *site, uint64_t value, unsigned eighths)
{
	if (site->allocated.cnt < 8)
		return eighths < 4 ? 0 : value;
	return value * eighths / 8;
}

/* What sites have at a moment; at_peak: live is what it is at the peak. */
static void show(struct fixture *x, struct history *h, uint64_t time_ns, unsigned eighths, bool at_peak)
{
	struct site figures[SITES_CNT];
	struct snapshot s = x->s;

	memcpy(figures, x->sites, sizeof(figures));
	for (size_t i = 0; i < SITES_CNT; i++) {
		const struct site *all = &figures[i];
		struct site *site = &x->sites[i];

		site->allocated.cnt = part_of(all, all->allocated.cnt, eighths);
		site->allocated.bytes = part_of(all, all->allocated.bytes, eighths);
		site->live.bytes = at_peak ? x->views[i].peak.bytes : part_of(all, all->live.bytes, eighths);
		site->live.cnt = at_peak ? x->views[i].peak.cnt : part_of(all, all->live.cnt, eighths);
		site->freed.bytes = site->allocated.bytes - site->live.bytes;
		site->freed.cnt = site->allocated.cnt - site->live.cnt;
	}
	s.time_ns = time_ns;
	s.rss = time_ns == 60 * SEC ? 3ULL << 30 : s.rss / 2;
	history_add(h, &s);
	memcpy(x->sites, figures, sizeof(figures));
}

static int64_t sum_at(const struct reader *r, uint64_t ms)
{
	for (size_t i = 0; i < r->stamp_cnt; i++)
		if (r->stamps[i].ms > ms)
			return r->stamps[i].sum;
	return r->all.leaked;
}

static int64_t live_eighths(const struct fixture *x, unsigned eighths)
{
	int64_t sum = 0;

	for (size_t i = 0; i < SITES_CNT; i++)
		sum += (int64_t)part_of(&x->sites[i], x->sites[i].live.bytes, eighths);
	return sum;
}

/* Steps at 2/8, 5/8 and the end; the peak lies between the second and the third. */
static void every_step_and_the_peak_are_true(void **state)
{
	struct history *h = history_new();
	struct fixture x;
	struct reader *r;

	(void)state;
	start(&x);
	show(&x, h, 50 * SEC, 2, false);
	show(&x, h, 60 * SEC, 5, false);
	history_add(h, &x.s);
	x.s.history = h;
	r = read_report(&x);
	check_figures(r, &x);
	assert_int_equal(sum_at(r, 10000), live_eighths(&x, 2));
	assert_int_equal(sum_at(r, 20000), live_eighths(&x, 5));
	assert_int_equal(sum_at(r, 37000), x.allocs.totals.peak.bytes);
	assert_int_equal(r->peak_rss, 3ULL << 30);
	release(r);
	history_free(h);
}

/* A history that has missed things: the end is right all the same. */
static void a_history_with_holes_does_no_harm(void **state)
{
	struct history *h = history_new();
	struct fixture x;
	struct reader *r;

	(void)state;
	start(&x);
	show(&x, h, 50 * SEC, 7, true);
	x.s.history = h;
	r = read_report(&x);
	check_figures(r, &x);
	release(r);
	history_free(h);
}

/* More calls than lines: one stands for ten, and bytes stay exact. */
static void a_line_stands_for_many_calls(void **state)
{
	struct fixture x;
	struct reader *r;

	(void)state;
	start(&x);
	x.sites[6].allocated.cnt = x.sites[6].freed.cnt = 40000000;
	x.sites[6].temporary.cnt = 39000000;
	r = read_report(&x);
	assert_string_equal(r->debuggee, "python3 (4242), a call here stands for 10");
	assert_true(r->all.calls <= HEAPTRACK_LINES + SITES_CNT);
	assert_int_equal(r->all.leaked, x.allocs.totals.live.bytes);
	assert_int_equal(r->all.peak, x.allocs.totals.peak.bytes);
	assert_int_equal(cost_of(r, "vasprintf")->calls, 4000000);
	assert_int_equal(cost_of(r, "vasprintf")->temporary, 3900000);
	assert_int_equal(cost_of(r, "make_row")->calls, 90022);
	assert_int_equal(cost_of(r, "[no stack]")->calls, 1);
	assert_int_equal(cost_of(r, "a;b?")->leaked, 100);
	release(r);
}

/* Two of the same frames are one stack there. */
static void equal_stacks_are_one(void **state)
{
	static const char *const rows[] = {"_start (app)",     "main (app)",     "serve (app)",
					   "load_table (app)", "make_row (app)", NULL};
	struct fixture x;
	struct reader *r;

	(void)state;
	start(&x);
	x.views[2].stack = fixture_stack(2, false, rows);
	r = read_report(&x);
	assert_int_equal(r->all.leaked, x.allocs.totals.live.bytes);
	assert_int_equal(cost_of(r, "make_row")->leaked, 200 * MIB + 768 * KIB);
	assert_int_equal(cost_of(r, "make_row")->calls, 900221 + 24600);
	release(r);
}

/* Bytes and calls of a booking, one row alone. */
static void bookings_balance(void **state)
{
	const struct stack_row row = {.allocated = {10, 1000},
				      .live = {1, 40},
				      .all_allocated = {20, 2000},
				      .last_live = {0, 0},
				      .peak = {2, 90},
				      .temporary = {8, 640}};
	struct heaptrack_booked booked = {0};
	struct heaptrack_booking b = heaptrack_book(&row, &booked, 1, false);

	(void)state;
	assert_int_equal(b.lines, 6);
	assert_int_equal(b.temporary, 4); /* half of 8, as half of the calls are made */
	assert_int_equal(b.temporary_bytes, 320);
	assert_int_equal(b.bytes, 680);
	assert_int_equal(b.bytes - b.freed, 40);
	heaptrack_booked_add(&booked, &b);
	b = heaptrack_book(&row, &booked, 1, false);
	assert_true(!b.lines && !b.bytes && !b.freed && !b.temporary);
	b = heaptrack_book(&row, &booked, 1, true);
	assert_true(b.lines == 1 && b.bytes == 50 && !b.freed && b.live == 90);
	heaptrack_booked_add(&booked, &b);
	b = heaptrack_book(&row, &booked, 1, false);
	assert_true(!b.lines && b.freed == 50 && b.live == 40);
}

static void nothing_known_is_nothing_written(void **state)
{
	struct fixture x;
	FILE *file = tmpfile();

	(void)state;
	assert_non_null(file);
	fixture_start(&x);
	assert_int_equal(report_heaptrack(file, &x.s), 0);
	assert_int_equal(ftell(file), 0);
	fclose(file);
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct fixture x;

	(void)state;
	assert_non_null(full);
	start(&x);
	assert_int_equal(report_heaptrack(full, &x.s), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_come_out_as_they_are),
		cmocka_unit_test(stacks_are_whole),
		cmocka_unit_test(every_step_and_the_peak_are_true),
		cmocka_unit_test(a_history_with_holes_does_no_harm),
		cmocka_unit_test(a_line_stands_for_many_calls),
		cmocka_unit_test(equal_stacks_are_one),
		cmocka_unit_test(bookings_balance),
		cmocka_unit_test(nothing_known_is_nothing_written),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("heaptrack", tests, NULL, NULL);
}
