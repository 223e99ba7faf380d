/*
 * Scripted snapshots, for the tests of report/ (golden.h compares what is made of them). One
 * including file a program: the clock is defined here, in place of base/clock.c, so that
 * monotonic nanosecond n is 2023-11-14 22:13:20 UTC + n.
 */
#ifndef ALLOCTRACE_TESTS_REPORT_FIXTURE_H
#define ALLOCTRACE_TESTS_REPORT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "golden.h"
#include "picture/ranking.h"
#include "picture/snapshot.h"
#include "report/report.h"

#define SEC NSEC_PER_SEC
#define MSEC (NSEC_PER_SEC / 1000)

uint64_t clock_monotonic_ns(void)
{
	return 0;
}

uint64_t clock_thread_cpu_ns(void)
{
	return 0;
}

int64_t clock_lead(void)
{
	return 0;
}

void clock_set_lead(int64_t lead_ns)
{
	(void)lead_ns;
}

double clock_epoch(uint64_t monotonic_ns)
{
	return 1700000000.0 + (double)monotonic_ns / 1e9;
}

/* The walk's own words have their own test; here they are fixed. */
void heap_walk_sentence(const struct heap_walk *walk, const char *purge_call, char *buf, size_t len)
{
	(void)walk;
	snprintf(buf, len, "%s would return 1.44 GiB of 2.00 GiB resident; 96.0 MiB stay pinned", purge_call);
}

static const struct allocator fixture_glibc = {.name = "glibc", .purge_call = "malloc_trim(0)"};
static const struct heap_words fixture_words = {
	.bins = {"bins", "free in bins", "coalesced with free neighbours"},
	.fast = {"fastbins", "free in fastbins", "a purge coalesces them first"},
	.thread_cache = {"tcache", "free in tcache", "kept for one thread each"},
	.top = {"top", "free in tops", "the ends of the arenas"},
	.pinned =
		{
			.partial = {NULL, "pinned by neighbours",
				    "free, on pages that also carry live blocks"},
			.top = {NULL, "pinned in tops", "no purge trims them"},
			.thread_cache = {NULL, "pinned in thread caches", "never coalesced, never trimmed"},
			.overhead = {NULL, "pinned as overhead", "the allocator's own headers"},
		},
};
static const struct heap_words fixture_layer_words = {
	.bins = {"blocks", "free blocks", "in pools that also have blocks in use"},
	.fast = {"pools", "free pools", "for the next objects of any size"},
	.top = {"unused", "never used", "the ends of arenas"},
	.pinned =
		{
			.partial = {NULL, "pinned by neighbours", "free, in pools that also have live blocks"},
			.policy = {NULL, "pinned by their arenas", "free pools: an arena goes back as a whole"},
			.overhead = {NULL, "pinned as overhead", "pools' headers, and what no block fits into"},
		},
};
extern const struct allocator allocator_pymalloc;
static const struct allocator fixture_mimalloc = {.name = "mimalloc", .purge_call = "mi_collect(true)"};

#define ARENAS_MAX 24
#define SITES_CNT 7
#define FRAMES_MAX 8

struct fixture {
	struct heap_arena arenas[ARENAS_MAX];
	struct heap_arena layer_arena;
	struct heap_allocator allocators[3];
	struct heap_state heap;
	struct purge_finding purges[40];
	struct own_return own_returns[2];
	const struct purge_finding *purge_view[40];
	struct mark_finding marks[12];
	const struct mark_finding *mark_view[12];
	struct mark_tally tallies[3];
	struct window_finding windows[3];
	struct churn_finding churn[12];
	const struct churn_finding *churn_view[12];
	const char *missing[2];
	struct site sites[SITES_CNT];
	struct site_survey surveys[SITES_CNT];
	struct site_view views[SITES_CNT];
	const struct site_view *by_number[SITES_CNT + 1]; /* the last has no view */
	struct site_bounds bounds[SITES_CNT];
	struct survey_result survey;
	struct allocation_view allocs;
	struct site object_sites[2];
	struct site_view object_views[2];
	const struct site_view *object_numbers[2];
	struct site_bounds object_bounds[2];
	struct objects_view objects;
	struct collector_view collector;
	struct collector_gap gaps[12];
	struct snapshot s;
};

/* An arena that adds up, with size MiB held, a sixth of them live. */
static inline struct heap_arena fixture_arena(unsigned i, uint64_t size)
{
	uint64_t held = size * MIB, live = held / 6 / 16 * 16;
	struct heap_figures f = {
		.held = held,
		.resident = held,
		.live = {1000 + i, live},
		.bins = {300 + i, held - live - 200 * KIB},
		.fast = {64, 4 * KIB},
		.thread_cache = {28, 2 * KIB},
		.top = 200 * KIB - 6 * KIB - 2200,
		.overhead = 2200,
		.largest_free = held / 3,
		.retained = held - live,
		.pinned = {.partial = held / 16,
			   .top = i ? 100 * KIB : 0,
			   .thread_cache = 2 * KIB,
			   .overhead = 2200},
	};

	f.purgeable =
		f.retained - f.pinned.partial - f.pinned.top - f.pinned.thread_cache - f.pinned.overhead;
	struct heap_arena arena = {
		.addr = i ? 0x7f0000000020 + i * 64 * MIB : 0x7f2b1c3a5c60,
		.main = !i,
		.heap_cnt = 1 + i % 3,
		.f = f,
		.walked = held,
	};

	if (i)
		snprintf(arena.name, sizeof(arena.name), "arena %#llx", (unsigned long long)arena.addr);
	else
		snprintf(arena.name, sizeof(arena.name), "main arena");
	return arena;
}

static inline void fixture_walk(struct fixture *x, struct heap_walk *w, unsigned arena_cnt)
{
	*w = (struct heap_walk){
		.allocator = "glibc",
		.words = &fixture_words,
		.version = "2.36",
		.complete = true,
		.arenas = x->arenas,
		.arena_cnt = arena_cnt,
		.mmapped = {3, 12 * MIB},
		.mmapped_resident = 9 * MIB,
		.settings = {{"trim_threshold", "trim at free", HEAP_BYTES, 256 * KIB},
			     {"mmap_threshold", "mmap", HEAP_BYTES, 128 * KIB},
			     {"top_pad", "top_pad", HEAP_BYTES, 128 * KIB}},
		.setting_cnt = 3,
		.retries = 2,
		.duration_ns = 26 * MSEC,
	};
	for (unsigned i = 0; i < arena_cnt; i++) {
		x->arenas[i] = fixture_arena(i, i ? 64 - 2 * i : 1900);
		heap_figures_add(&w->total, &x->arenas[i].f);
	}
	w->total.held += w->mmapped.bytes;
	w->total.resident += w->mmapped_resident;
	w->total.live.bytes += w->mmapped.bytes;
	w->total.live.cnt += w->mmapped.cnt;
	w->total.swapped = 5 * MIB;
	w->total.shared = 7 * MIB;
	w->live_step[size_step(32)] = (struct heap_blocks){120000, 4800000};
	w->live_step[size_step(512)] = (struct heap_blocks){4100, 2500000};
	w->free_class[9] = (struct heap_blocks){90, 60000};
	w->free_class[24] = (struct heap_blocks){12, 300 * MIB};
}

/* A walked, serving glibc and an idle mimalloc. */
static inline void fixture_heap(struct fixture *x, unsigned arena_cnt)
{
	struct heap_allocator *a = &x->allocators[0];
	const struct heap_figures *f = &a->walk.total;

	*a = (struct heap_allocator){
		.kind = &fixture_glibc, .version = "2.36", .serving = true, .walked = true};
	fixture_walk(x, &a->walk, arena_cnt);
	a->held = f->held;
	a->resident = f->resident;
	a->live_heap = f->live.bytes;
	a->retained = f->retained;
	a->purgeable = f->purgeable;
	a->pinned = f->retained - f->purgeable;
	x->allocators[1] = (struct heap_allocator){
		.kind = &fixture_mimalloc,
		.version = "2.0",
		.held = UNKNOWN,
		.resident = UNKNOWN,
		.live_heap = UNKNOWN,
		.retained = UNKNOWN,
		.purgeable = UNKNOWN,
		.pinned = UNKNOWN,
	};
	x->heap = (struct heap_state){
		.taken_ns = 97 * SEC,
		.allocators = x->allocators,
		.allocator_cnt = 2,
		.held = a->held,
		.resident = a->resident,
		.live_heap = a->live_heap,
		.retained = a->retained,
		.purgeable = a->purgeable,
		.pinned = a->pinned,
	};
}

/* A third allocator, above the first: pymalloc with 400 arenas, few live blocks in most of them. */
static inline void fixture_layer(struct fixture *x)
{
	struct heap_allocator *a = &x->allocators[2];
	struct heap_figures *f = &x->layer_arena.f;

	x->layer_arena = (struct heap_arena){
		.name = "all interpreters",
		.addr = 0x55d0a0b0c0d0,
		.main = true,
		.heap_cnt = 400,
		.f = {.held = 400 * MIB, .resident = 398 * MIB, .live = {900000, 40 * MIB},
		      .bins = {6000000, 300 * MIB}, .fast = {3584, 56 * MIB}, .top = 2 * MIB,
		      .overhead = 2 * MIB, .largest_free = 768 * KIB},
		.walked = 400 * MIB,
	};
	f->pinned = (struct heap_pinned){.partial = 300 * MIB, .policy = 56 * MIB, .overhead = 2 * MIB};
	f->retained = heap_pinned_sum(&f->pinned);
	*a = (struct heap_allocator){
		.kind = &allocator_pymalloc,
		.version = "3.11",
		.walked = true,
		.walk = {.allocator = "pymalloc", .words = &fixture_layer_words, .version = "3.11",
			 .complete = true, .total = *f, .arenas = &x->layer_arena, .arena_cnt = 1,
			 .ranges = {"arenas", 400, MIB, 1, 350, 12 * MIB, 336 * MIB}, .duration_ns = 28 * MSEC},
		.ranges = {"arenas", 400, MIB, 1, 350, 12 * MIB, 336 * MIB},
		.held = f->held,
		.resident = f->resident,
		.live_heap = f->live.bytes,
		.retained = f->retained,
		.purgeable = 0,
		.pinned = f->retained,
	};
	a->walk.live_step[size_step(32)] = (struct heap_blocks){900000, 40 * MIB};
	a->walk.free_class[5] = (struct heap_blocks){6000000, 300 * MIB};
	x->heap.allocator_cnt = 3;
	x->heap.held += a->held;
	x->heap.resident += a->resident;
	x->heap.live_heap += a->live_heap;
	x->heap.retained += a->retained;
	x->heap.pinned += a->pinned;
}

/* A process of which nothing is known but its RSS. */
static inline void fixture_start(struct fixture *x)
{
	memset(x, 0, sizeof(*x));
	x->s = (struct snapshot){
		.time_ns = 100 * SEC + 200 * MSEC,
		.started_ns = 40 * SEC,
		.interval_ns = 5 * SEC,
		.pid = 4242,
		.command = "python3",
		.rss = 2061584302,
		.lazy_free = UNKNOWN,
		.heap = &x->heap,
		.purges = x->purge_view,
		.windows = x->windows,
		.churn = x->churn_view,
		.missing = x->missing,
	};
	for (size_t i = 0; i < sizeof(x->purges) / sizeof(x->purges[0]); i++)
		x->purge_view[i] = &x->purges[i];
	for (size_t i = 0; i < sizeof(x->churn) / sizeof(x->churn[0]); i++)
		x->churn_view[i] = &x->churn[i];
}

/*
 * A location by its text, without lines: "function (object)", else as a whole; one and the same
 * for each. Lives as long as the program.
 */
static inline struct location *fixture_location(const char *text)
{
	static struct fixture_name {
		struct fixture_name *next;
		struct location location;
		char text[512];
	} *all;
	struct fixture_name *name = all;
	struct frame_list *list;
	char *object;

	while (name && strcmp(name->text, text) != 0)
		name = name->next;
	if (name)
		return &name->location;
	name = calloc(1, sizeof(*name));
	list = calloc(1, sizeof(*list) + sizeof(list->v[0]));
	assert_true(name && list && strlen(text) < sizeof(name->text));
	strcpy(name->text, text);
	list->cnt = 1;
	list->v[0] = (struct frame_name){.function = strdup(text)};
	object = strstr(list->v[0].function, " (");
	if (object && object > list->v[0].function && text[strlen(text) - 1] == ')') {
		object[strlen(object) - 1] = '\0';
		*object = '\0';
		list->v[0].kind = FRAME_NATIVE;
		list->v[0].module = object + 2;
	}
	name->location.frames = list;
	name->location.stage = LOCATION_DONE;
	name->next = all;
	all = name;
	return &name->location;
}

/* A stack of that one frame; a new one for each call, which lives as long as the program. */
static inline const struct stack *fixture_stack_of(const char *text)
{
	static struct stack *kept[4096];
	static size_t cnt;
	struct stack *stack = calloc(1, sizeof(*stack) + sizeof(stack->locations[0]));

	assert_true(stack && cnt < sizeof(kept) / sizeof(kept[0]));
	kept[cnt++] = stack;
	stack->cnt = 1;
	stack->locations[0] = fixture_location(text);
	return stack;
}

static inline void fixture_findings(struct fixture *x)
{
	x->purges[0] = (struct purge_finding){
		.time_ns = 96 * SEC,
		.function = "mi_collect",
		.allocator = "mimalloc",
		.stack = fixture_stack_of("ffi_call (libffi.so.8.1.2)"),
		.duration_ns = 190000,
		.predicted = UNKNOWN,
		.misdirected = true,
	};
	x->purges[1] = (struct purge_finding){
		.time_ns = 98 * SEC,
		.function = "malloc_trim",
		.allocator = "glibc",
		.stack = fixture_stack_of("ffi_call (libffi.so.8.1.2)"),
		.duration_ns = 26 * MSEC,
		.has_result = true,
		.result = 1,
		.returned = 1444450304,
		.predicted = 1444450304,
		.prediction_age_ns = SEC + 30 * MSEC,
		.effective = true,
	};
	x->s.purge_cnt = x->s.purges_total = 2;
	x->windows[0] = (struct window_finding){
		.start_ns = 50 * SEC,
		.end_ns = 80 * SEC,
		.seen_ns = 80 * SEC,
		.peak_retained = 700 * MIB,
		.peak_purgeable = 650 * MIB,
		.byte_seconds = 1.5e10,
		.closed_by_purge = true,
	};
	x->windows[1] = (struct window_finding){
		.start_ns = 85 * SEC,
		.seen_ns = 99 * SEC,
		.peak_retained = 1583 * MIB,
		.peak_purgeable = 1464 * MIB,
		.byte_seconds = 2.25e10,
		.ineffective_purges = 2,
	};
	x->s.window_cnt = 2;
	x->churn[0] = (struct churn_finding){
		.library = (char *)"/usr/lib/x86_64-linux-gnu/libm.so.6",
		.stack = fixture_stack_of("py_dl_open (_ctypes.cpython-311-x86_64-linux-gnu.so)"),
		.opens = 12,
		.repeats = 11,
		.new_mappings = 1,
		.ns = 600000,
		.maps_grown = 921600,
	};
	x->churn[1] = (struct churn_finding){
		.library = (char *)"libc.so.6",
		.stack = fixture_stack_of("py_dl_open (_ctypes.cpython-311-x86_64-linux-gnu.so)"),
		.opens = 1400,
		.closes = 3,
		.repeats = 1399,
		.failures = 1,
		.ns = 17 * MSEC,
		.heap_grown = 2 * (int64_t)MIB,
		.maps_grown = -4096,
		.flagged = true,
	};
	x->s.churn_cnt = 2;
	x->s.returned = (struct returned){
		.purge = 1444450304,
		.trim = 2 * MIB,
		.munmap = 96 * MIB,
		.taken_brk = 1900 * MIB,
		.taken_mmap = 300 * MIB,
	};
	x->own_returns[0] = (struct own_return){&fixture_glibc, 2 * MIB, 0, 4, 1, 0, 0, 0};
	x->own_returns[1] = (struct own_return){&fixture_mimalloc, 96 * MIB, 12 * MIB, 3, 1, 0, 0, 0};
	x->s.own_returns = x->own_returns;
	x->s.own_return_cnt = 2;
}

/* Units of work that grow, and two functions: one is called too often, one never. */
static inline void fixture_marks(struct fixture *x)
{
	static const char *const texts[] = {"unit 1", "unit 2 \033[31mred", "unit 3", "unit 4", "unit 5"};

	for (uint64_t i = 0; i < 12; i++) {
		bool unit = i < 5;

		x->mark_view[i] = &x->marks[i];
		x->marks[i] = (struct mark_finding){
			.time_ns = 95 * SEC + i * 250 * MSEC,
			.kind = unit ? "mark" : "chunk_done",
			.text = unit ? texts[i] : "",
			.rss = (1900 + 5 * i) * MIB,
			.live = unit ? (100 + 4 * i) * MIB : UNKNOWN,
			.live_heap = i < 11 ? (310 + 5 * i) * MIB : UNKNOWN,
			.retained = i < 11 ? 1500 * MIB + i * KIB : UNKNOWN,
			.purgeable = i < 11 ? 1400 * MIB : UNKNOWN,
			.state_ns = i == 3 ? -(int64_t)(4 * SEC) : i == 4 ? (int64_t)(3 * SEC) : (int64_t)(20 * MSEC),
		};
	}
	x->tallies[0] = (struct mark_tally){"never_called", 0, 0};
	x->tallies[1] = (struct mark_tally){"chunk_done", 7, 123456};
	x->tallies[2] = (struct mark_tally){"mark", 5, 0};
	x->s.marks = x->mark_view;
	x->s.mark_cnt = x->s.marks_total = 12;
	x->s.mark_tallies = x->tallies;
	x->s.mark_tally_cnt = 3;
}

/* A stack of the names up to NULL, outermost first. Lives as long as the program. */
static inline const struct stack *fixture_stack(unsigned which, bool truncated, const char *const *names)
{
	static char room[SITES_CNT + 2][sizeof(struct stack) + FRAMES_MAX * sizeof(char *)]
		__attribute__((aligned(_Alignof(struct stack))));
	struct stack *stack = (struct stack *)room[which];

	stack->id = 0xabc0 + which;
	stack->cut = truncated ? STACK_CUT_NO_TABLE : STACK_WHOLE;
	stack->cnt = 0;
	for (; *names; names++)
		stack->locations[stack->cnt++] = fixture_location(*names);
	return stack;
}

static inline void fixture_site(struct fixture *x, unsigned i, const struct site *figures,
				const struct site_survey *survey, const struct stack *stack)
{
	struct ledger_totals *t = &x->allocs.totals;

	x->sites[i] = *figures;
	x->sites[i].stack = stack ? stack->id : 0;
	x->surveys[i] = *survey;
	x->views[i] = (struct site_view){
		.number = i,
		.figures = &x->sites[i],
		.survey = &x->surveys[i],
		.peak = {2 * figures->live.cnt, 2 * figures->live.bytes},
		.stack = stack,
	};
	x->by_number[i] = &x->views[i];
	x->allocs.site_cnt = i + 1;
	t->live.cnt += figures->live.cnt;
	t->live.bytes += figures->live.bytes;
	t->allocated.cnt += figures->allocated.cnt;
	t->allocated.bytes += figures->allocated.bytes;
	t->temporary.cnt += figures->temporary.cnt;
	t->temporary.bytes += figures->temporary.bytes;
	t->freed.cnt += figures->freed_here.cnt;
	t->freed.bytes += figures->freed_here.bytes;
	x->survey.pinned += survey->pinned;
}

/* Sites of a program that caches rows and keeps a small session among them; they add up. */
static inline void fixture_sites(struct fixture *x)
{
	static const char *const rows[] = {"_start (app)", "main (app)", "serve (app)", "load_table (app)",
					   "make_row (app)", NULL};
	static const char *const sessions[] = {"start_thread (libc.so.6)", "worker (app)", "handle (app)",
					       "session_new (app)", "Znwm (libstdc++.so.6.0.30)", NULL};
	static const char *const clear[] = {"start_thread (libc.so.6)", "worker (app)", "drop_table (app)",
					    NULL};
	static const char *const python[] = {
		"Py_RunMain (libpython3.11.so.1.0)", "_PyEval_EvalFrameDefault (libpython3.11.so.1.0)",
		"PyObject_Vectorcall (libpython3.11.so.1.0)", "list_append (libpython3.11.so.1.0)",
		"list_resize (libpython3.11.so.1.0)", "PyMem_RawRealloc (libpython3.11.so.1.0)", NULL};
	static const char *const odd[] = {"[unknown]", "app+0x1234", "a;b\n (app)", NULL};
	static const char *const log[] = {"main (app)", "log_line (app)", "vasprintf (libc.so.6)", NULL};

	fixture_site(x, 0, &(struct site){.live = {80221, 200 * MIB}, .allocated = {900221, 900 * MIB},
					  .freed = {820000, 700 * MIB}, .temporary = {1000, 64000}},
		     &(struct site_survey){{60000, 150 * MIB}, 8 * MIB, 2 * MIB},
		     fixture_stack(0, false, rows));
	fixture_site(x, 1, &(struct site){.live = {30000, 90 * MIB}, .allocated = {31000, 93 * MIB},
					  .freed = {1000, 3 * MIB}, .freed_here = {1000, 3 * MIB}},
		     &(struct site_survey){{30000, 90 * MIB}, 0, 0}, fixture_stack(1, true, python));
	fixture_site(x, 2, &(struct site){.live = {24576, 768 * KIB}, .allocated = {24600, 787200},
					  .freed = {24, 768}},
		     &(struct site_survey){{24000, 750 * KIB}, 96 * MIB, 80 * MIB},
		     fixture_stack(2, false, sessions));
	fixture_site(x, 3, &(struct site){.live = {9, 12345}, .allocated = {9, 12345}},
		     &(struct site_survey){{0, 0}, 70000, 0}, NULL);
	fixture_site(x, 4, &(struct site){.live = {1, 100}, .allocated = {1, 100}},
		     &(struct site_survey){{1, 100}, 0, 0}, fixture_stack(4, false, odd));
	fixture_site(x, 5, &(struct site){.freed_here = {820024, 704 * MIB}}, &(struct site_survey){{0, 0}, 0, 0},
		     fixture_stack(5, false, clear));
	fixture_site(x, 6, &(struct site){.allocated = {500000, 50 * MIB}, .freed = {500000, 50 * MIB},
					  .freed_here = {500000, 50 * MIB}, .temporary = {499000, 49 * MIB}},
		     &(struct site_survey){{0, 0}, 0, 0}, fixture_stack(6, false, log));
}

/* What allocation events tell, with a survey; one window knows who freed in it. */
static inline void fixture_allocs(struct fixture *x)
{
	struct ledger_totals *t = &x->allocs.totals;

	x->allocs = (struct allocation_view){
		.sites = x->views,
		.by_number = x->by_number,
		.number_cnt = SITES_CNT + 1,
		.survey = &x->survey,
		.truncated = {[STACK_WHOLE] = {31000, 93 * MIB}, [STACK_CUT_LIMIT] = {1000, MIB},
			      [STACK_CUT_NO_TABLE] = {30000, 92 * MIB}},
		.unattributed = 57 * MIB,
		.budget = {.max_overhead = 0.25, .probe_share = 0.124, .tracer_share = 0.021, .duty = 1, .duty_now = 1},
	};
	fixture_sites(x);
	t->live_rounded = t->live.bytes + 2 * MIB;
	t->freed_before = (struct site_count){24, 1 * MIB};
	t->peak = (struct site_count){2 * t->live.cnt, 2 * t->live.bytes};
	t->peak_ns = 77 * SEC;
	t->failed = 3;
	t->events = t->allocated.cnt + t->freed.cnt + t->failed;
	x->allocs.before = *t;
	x->allocs.before.allocated.cnt -= 206000;
	x->allocs.before.allocated.bytes -= 100 * MIB;
	x->allocs.before.freed.cnt -= 4250;
	x->allocs.before.freed.bytes -= 10 * MIB;
	x->survey.sites = x->surveys;
	x->survey.site_cnt = SITES_CNT;
	x->survey.walked_ns = 97 * SEC;
	x->survey.rest = (struct site_survey){.pinned = 12 * MIB};
	x->survey.rest_class[6] = (struct heap_blocks){4000, 8 * MIB};
	x->survey.rest_class[5] = (struct heap_blocks){1000, 3 * MIB};
	x->survey.rest_class[9] = (struct heap_blocks){10, 1000 * KIB};
	x->survey.rest_class[12] = (struct heap_blocks){1, 24 * KIB};
	x->survey.pinned += x->survey.rest.pinned;
	x->windows[1].freed[0] = (struct window_freed){5, 640 * MIB};
	x->windows[1].freed[1] = (struct window_freed){6, 2 * MIB};
	x->windows[1].freed[2] = (struct window_freed){SITES_CNT, 4096};
	x->windows[1].freed[3] = (struct window_freed){SITES_CNT + 1, 512};
	x->windows[1].freed_cnt = 4;
	x->s.allocs = &x->allocs;
}

static inline struct bounds fixture_bounds(const struct site_count *figure, unsigned percent)
{
	uint64_t bytes = figure->bytes * percent / 100, cnt = figure->cnt * percent / 100;

	return (struct bounds){{figure->cnt - cnt, figure->bytes - bytes}, {figure->cnt + cnt, figure->bytes + bytes}};
}

static inline struct site_bounds fixture_site_bounds(const struct site *f, unsigned percent)
{
	return (struct site_bounds){fixture_bounds(&f->live, percent), fixture_bounds(&f->allocated, percent),
				    fixture_bounds(&f->freed, percent), fixture_bounds(&f->freed_here, percent)};
}

/* Of that process an eighth of the time was seen: the more of a site, the better it is known. The last one is exact. */
static inline void fixture_estimates(struct fixture *x)
{
	static const unsigned percents[SITES_CNT] = {3, 7, 40, 95, 100, 4, 0};
	const struct ledger_totals *t = &x->allocs.totals;
	struct site all = {.live = t->live, .allocated = t->allocated, .freed = t->freed, .freed_here = t->freed};

	for (size_t i = 0; i < SITES_CNT; i++) {
		struct site_view *view = &x->views[i];

		x->bounds[view->number] = fixture_site_bounds(view->figures, percents[view->number]);
		view->bounds = percents[view->number] ? &x->bounds[view->number] : NULL;
	}
	x->allocs.budget = (struct budget_view){
		.max_overhead = 0.1,
		.probe_share = 0.0934,
		.tracer_share = 0.012,
		.duty = 0.1234,
		.duty_now = 0.05,
		.estimated = true,
		.error = 0.043,
		.totals = fixture_site_bounds(&all, 2),
	};
}

/* Of its small objects too some of the time was seen; one site's figures are estimates. */
static inline void fixture_objects(struct fixture *x)
{
	static const char *const parse[] = {"<module> (app.py:9)", "parse (app.py:3)", NULL};
	static const char *const note[] = {"<module> (app.py:9)", "note (app.py:6)", NULL};
	static const struct site sites[2] = {
		{.live = {150000, 24 * MIB}, .allocated = {600000, 96 * MIB}, .freed = {450000, 72 * MIB}},
		{.live = {2000, 128000}, .allocated = {2000, 128000}},
	};

	memcpy(x->object_sites, sites, sizeof(sites));
	for (unsigned i = 0; i < 2; i++) {
		x->object_bounds[i] = fixture_site_bounds(&sites[i], 10);
		x->object_views[i] = (struct site_view){
			.number = i,
			.figures = &x->object_sites[i],
			.peak = sites[i].live,
			.stack = fixture_stack(SITES_CNT + i, false, i ? note : parse),
			.bounds = i ? NULL : &x->object_bounds[i],
		};
	}
	ranking_arrange(x->object_views, 2, x->object_numbers);
	x->objects = (struct objects_view){
		.sites = {.sites = x->object_views, .site_cnt = 2, .by_number = x->object_numbers, .number_cnt = 2,
			  .totals = {.live = {152000, 24 * MIB + 128000}, .allocated = {602000, 96 * MIB + 128000},
				     .freed = {450000, 72 * MIB}, .events = 1052000},
			  .unattributed = UNKNOWN, .sample_bytes = 4096,
			  .budget = {.probe_share = -1, .tracer_share = -1, .duty = 0.02, .duty_now = 0.02, .estimated = true}},
		.born = {12000, 2 * MIB},
		.died = {9000, 3 * MIB / 2},
		.live_heap = 40 * MIB,
		.on = true,
		.in_cells = true,
		.duty = 0.02,
		.probe_share = 0.043,
	};
	x->objects.sites.budget.totals = fixture_site_bounds(&(struct site){.live = {152000, 24 * MIB + 128000},
									    .allocated = {602000, 96 * MIB + 128000},
									    .freed = {450000, 72 * MIB}}, 9);
	x->allocs.objects = &x->objects;
}

/* A CPython that collects seldom: one gap of each kind. */
static inline void fixture_collector(struct fixture *x)
{
	x->collector = (struct collector_view){
		.runs = {{1204, 3100, 85 * MSEC, 900000}, {90, 45, 40 * MSEC, 2 * MSEC}, {2, 1, SEC, 384 * MSEC}},
		.last_full_ns = 80 * SEC,
		.purges = 5,
		.purges_without = 4,
	};
	x->gaps[0] = (struct collector_gap){.start_ns = 41 * SEC, .end_ns = 44 * SEC, .phases = 3,
					    .live_first = 50 * MIB, .live_last = 51 * MIB, .collected = 7,
					    .by_collection = true};
	x->gaps[1] = (struct collector_gap){.start_ns = 50 * SEC, .end_ns = 80 * SEC, .phases = 12,
					    .purges = 4, .live_first = 120 * MIB, .live_last = 480 * MIB,
					    .collected = 3140, .by_collection = true, .flagged = true};
	x->gaps[2] = (struct collector_gap){.start_ns = 81 * SEC, .end_ns = 82 * SEC, .phases = 2,
					    .live_first = 120 * MIB, .live_last = 300 * MIB, .flagged = true};
	x->gaps[3] = (struct collector_gap){.start_ns = 90 * SEC, .phases = 2, .live_first = 200 * MIB,
					    .live_last = 500 * MIB, .flagged = true};
	x->s.gap_cnt = 4;
	x->s.gaps = x->gaps;
	x->s.collector = &x->collector;
}

static inline void fixture_blind_spots(struct fixture *x)
{
	x->s.lost[LOSS_RING_FULL] = 12;
	x->s.lost[SOURCE_LOSS_MALFORMED] = 1;
	x->missing[0] = "purge results: this kernel kills a process under seccomp at a return probe";
	x->s.missing_cnt = 1;
}

static inline int use_utc(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}

#endif
