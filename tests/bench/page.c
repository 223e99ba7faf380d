/*
 * The page of a made-up service: so many distinct stacks, twenty minutes of history, purges, windows,
 * marks, churn, and names that want to be more than text. For its size, for the browser's time, and for
 * tests/e2e/test_page.py; what it says is the same in every run.
 *
 *   page [STACKS] > FILE        100000
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/units.h"
#include "picture/history.h"
#include "report/html.h"

#define SEC NSEC_PER_SEC
#define FUNCTIONS 4000
#define DEPTH_MAX 48
#define STEPS 240
#define STEP_NS (5 * SEC)

static const char *const hostile[] = {
	"</script><script>document.title='owned'</script>",
	"<img src=x onerror=\"document.title='owned'\">",
	"a]]>\"'`${document.title='owned'}",
	"\xff\xfe\x1b[31mred\x07",
};

struct scene {
	uint64_t random;
	struct location locations[FUNCTIONS];
	struct stack **stacks;
	struct site *figures;
	struct site_view *views;
	const struct site_view **by_number;
	struct site_survey *surveys;
	size_t cnt;
	struct heap_state heap;
	struct heap_allocator allocator;
	struct allocation_view allocs;
	struct survey_result survey;
	struct state_sample samples[20];
	struct cgroup_view cgroup;
	struct snapshot s;
};

static uint32_t draw(struct scene *x, uint32_t below)
{
	x->random = x->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((x->random >> 33) % below);
}

static char *text(const char *fmt, unsigned a, unsigned b)
{
	char *made = NULL;

	if (asprintf(&made, fmt, a, b) < 0)
		abort();
	return made;
}

/* Every third a Python function, the rest of native modules; names are of no program. */
static void make_functions(struct scene *x)
{
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		struct frame_list *list = calloc(1, sizeof(*list) + sizeof(list->v[0]));
		struct frame_name *f = list ? &list->v[0] : NULL;

		if (!f)
			abort();
		list->cnt = 1;
		if (i % 3)
			*f = (struct frame_name){.kind = FRAME_NATIVE,
						 .module = text("libwork%u.so.%u", i % 37, 1)};
		else
			*f = (struct frame_name){.kind = FRAME_PYTHON};
		f->function = i < 4 ? hostile[i]
				    : text(i % 3 ? "work::step_%u<int, %u>" : "Handler%u.step_%u", i, i % 7);
		f->file = text(i % 3 ? "/src/work/part%u/step%u.cc" : "/srv/app/part%u/step%u.py", i % 53,
			       i % 11);
		f->line = 10 + i % 900;
		x->locations[i] = (struct location){.frames = list, .stage = LOCATION_DONE};
	}
}

/* A function calls the same few others wherever it is called from. */
static unsigned callee_of(unsigned function, unsigned which)
{
	return (unsigned)((function * 2654435761u + which * 40503u + 97u) % FUNCTIONS);
}

static struct stack *make_stack(struct scene *x, uint64_t id)
{
	struct stack *stack = calloc(1, sizeof(*stack) + DEPTH_MAX * sizeof(struct location *));
	unsigned at = draw(x, 3), depth = 10 + draw(x, DEPTH_MAX - 10);

	if (!stack)
		abort();
	stack->id = id;
	stack->cut = id % 997 ? STACK_WHOLE : STACK_CUT_LIMIT;
	for (; stack->cnt < depth; stack->cnt++) {
		stack->locations[stack->cnt] = &x->locations[at];
		/* Mostly one way, so that stacks share their callers. */
		at = callee_of(at, draw(x, 8) ? 0 : draw(x, 9));
	}
	return stack;
}

/* One that is not there yet: ids are of the order, so frames tell. */
static struct stack *make_other(struct scene *x, struct map *known, uint64_t id)
{
	for (;;) {
		struct stack *stack = make_stack(x, id);
		uint64_t hash = 1;

		for (uint32_t i = 0; i < stack->cnt; i++)
			hash = (hash ^ (uintptr_t)stack->locations[i]) * 0x100000001b3ULL;
		if (!map_get(known, hash) && !map_set(known, hash, stack))
			return stack;
		free(stack);
	}
}

static void make_sites(struct scene *x, size_t cnt)
{
	struct map known = {0};

	x->cnt = cnt;
	x->stacks = calloc(cnt, sizeof(*x->stacks));
	x->figures = calloc(cnt, sizeof(*x->figures));
	x->views = calloc(cnt, sizeof(*x->views));
	x->by_number = calloc(cnt, sizeof(*x->by_number));
	x->surveys = calloc(cnt, sizeof(*x->surveys));
	if (!x->stacks || !x->figures || !x->views || !x->by_number || !x->surveys)
		abort();
	for (size_t i = 0; i < cnt; i++) {
		x->stacks[i] = make_other(x, &known, i + 1);
		x->views[i] = (struct site_view){.number = (uint32_t)i,
						 .figures = &x->figures[i],
						 .survey = &x->surveys[i],
						 .stack = x->stacks[i]};
		x->by_number[i] = &x->views[i];
	}
	map_free(&known);
	x->allocs = (struct allocation_view){.sites = x->views,
					     .site_cnt = cnt,
					     .by_number = x->by_number,
					     .number_cnt = (uint32_t)cnt,
					     .survey = &x->survey,
					     .unattributed = 9 * MIB,
					     .budget = {.max_overhead = 0.1, .probe_share = 0.04, .duty = 1, .duty_now = 1}};
	x->survey = (struct survey_result){.sites = x->surveys, .site_cnt = (uint32_t)cnt};
}

/* Few sites do most: of a draw between nought and one, the fourth power. */
static size_t busy_site(struct scene *x)
{
	double u = draw(x, 1u << 30) / (double)(1u << 30);

	return (size_t)(u * u * u * u * (double)x->cnt);
}

static void allocate(struct scene *x, size_t i)
{
	struct site_count more = {1 + draw(x, 40), 0};
	struct site *f = &x->figures[i];

	more.bytes = more.cnt * (16 + draw(x, 4000));
	site_count_add(&f->allocated, more);
	site_count_add(&f->live, more);
	site_count_add(&x->allocs.totals.allocated, more);
	site_count_add(&x->allocs.totals.live, more);
	if (draw(x, 4) == 0)
		site_count_add(&f->temporary, (struct site_count){1, 64});
	x->surveys[i].pinned += draw(x, 5000);
}

static void release(struct scene *x, size_t i)
{
	struct site *f = &x->figures[i];
	struct site_count gone = {f->live.cnt - f->live.cnt / 8, f->live.bytes - f->live.bytes / 8};

	f->live.cnt -= gone.cnt;
	f->live.bytes -= gone.bytes;
	site_count_add(&f->freed, gone);
	site_count_add(&x->figures[i / 2].freed_here, gone);
	x->allocs.totals.live.cnt -= gone.cnt;
	x->allocs.totals.live.bytes -= gone.bytes;
	site_count_add(&x->allocs.totals.freed, gone);
}

/* Work units of eight steps: six that allocate, one that frees, one that is quiet and purges. */
static void work(struct scene *x, unsigned step)
{
	unsigned phase = step % 8;

	for (unsigned i = 0; i < (phase < 6 ? 9000u : 500u); i++)
		allocate(x, busy_site(x));
	for (unsigned i = 0; phase == 6 && i < x->cnt; i++)
		if (x->figures[i].live.bytes && draw(x, 10))
			release(x, i);
}

static void show(struct scene *x, struct history *history, unsigned step)
{
	uint64_t live = x->allocs.totals.live.bytes, retained = step % 8 >= 6 ? live * 2 : live / 5;

	x->s.time_ns = x->s.started_ns + (step + 1) * STEP_NS;
	x->heap.taken_ns = x->s.time_ns - SEC / 10;
	x->heap.live_heap = live;
	x->heap.retained = retained;
	x->heap.purgeable = retained / 10 * 9;
	x->heap.pinned = retained - x->heap.purgeable;
	x->heap.resident = live + retained;
	x->heap.held = x->heap.resident + 3 * MIB;
	x->s.rss = x->heap.resident + 40 * MIB;
	for (unsigned i = 0; i < 20; i++)
		x->samples[i] = (struct state_sample){x->s.time_ns - (19 - i) * SEC / 4 - SEC / 10,
						      x->s.rss + draw(x, MIB),
						      x->heap.held,
						      x->heap.resident,
						      live - draw(x, MIB),
						      retained,
						      x->heap.purgeable,
						      x->heap.pinned,
						      live};
	x->cgroup.memory.current = x->s.rss + 100 * MIB;
	history_add(history, &x->s);
}

static void fill_findings(struct scene *x)
{
	static struct purge_finding purges[STEPS / 8];
	static const struct purge_finding *purge_rows[STEPS / 8];
	static struct window_finding windows[STEPS / 16];
	static struct churn_finding churn = {
		.library = (char *)"/usr/lib/libm.so.6", .opens = 1400, .repeats = 1399, .flagged = true};
	static const struct churn_finding *churn_rows[] = {&churn};
	static struct mark_finding marks[STEPS / 24];
	static const struct mark_finding *mark_rows[STEPS / 24];
	uint64_t start = x->s.started_ns;

	for (unsigned i = 0; i < STEPS / 8; i++) {
		bool wrong = i % 3 == 1;

		purges[i] = (struct purge_finding){.time_ns = start + (8 * i + 7) * STEP_NS,
						   .function = wrong ? "mi_collect" : "malloc_trim",
						   .allocator = wrong ? "mimalloc" : "glibc",
						   .stack = x->stacks[i],
						   .duration_ns = 40 * SEC / 1000,
						   .returned = wrong ? 0 : (200 + i) * MIB,
						   .predicted = 210 * MIB,
						   .effective = !wrong,
						   .misdirected = wrong};
		purge_rows[i] = &purges[i];
	}
	for (unsigned i = 0; i < STEPS / 16; i++)
		windows[i] = (struct window_finding){.start_ns = start + (16 * i + 6) * STEP_NS,
						     .end_ns = start + (16 * i + 8) * STEP_NS,
						     .peak_retained = 300 * MIB,
						     .peak_purgeable = 280 * MIB,
						     .closed_by_purge = true};
	for (unsigned i = 0; i < STEPS / 24; i++) {
		marks[i] = (struct mark_finding){.time_ns = start + 24 * i * STEP_NS + SEC,
						 .kind = "mark",
						 .text = text("unit %u of %u", i + 1, STEPS / 24),
						 .rss = x->s.rss,
						 .live = 1,
						 .live_heap = 1,
						 .retained = 1,
						 .purgeable = 1};
		mark_rows[i] = &marks[i];
	}
	churn.stack = x->stacks[7];
	churn.changed_ns = start + 100 * SEC;
	x->s.purges = purge_rows;
	x->s.purge_cnt = x->s.purges_total = STEPS / 8;
	x->s.windows = windows;
	x->s.window_cnt = STEPS / 16;
	x->s.churn = churn_rows;
	x->s.churn_cnt = 1;
	x->s.marks = mark_rows;
	x->s.mark_cnt = x->s.marks_total = STEPS / 24;
}

int main(int argc, char **argv)
{
	static const struct allocator glibc = {.name = "glibc", .purge_call = "malloc_trim(0)"};
	static const char *const missing[] = {"<b>nothing</b>"};
	static struct scene x = {.random = 42};
	struct history *history = history_new();
	uint64_t began;
	int rc;

	if (!history)
		abort();
	make_functions(&x);
	make_sites(&x, argc > 1 ? strtoull(argv[1], NULL, 10) : 100000);
	x.allocator = (struct heap_allocator){.kind = &glibc,
					      .version = "2.36",
					      .serving = true,
					      .held = 400 * MIB,
					      .resident = 390 * MIB,
					      .live_heap = 90 * MIB,
					      .retained = 300 * MIB,
					      .purgeable = 280 * MIB,
					      .pinned = 20 * MIB};
	x.heap.allocators = &x.allocator;
	x.heap.allocator_cnt = 1;
	x.cgroup = (struct cgroup_view){.path = "/made-up", .limit = 4096 * MIB};
	x.s = (struct snapshot){.started_ns = 1000 * SEC,
				.pid = 4242,
				.command = "</title><b>owned",
				.heap = &x.heap,
				.allocs = &x.allocs,
				.lazy_free = UNKNOWN,
				.interval_ns = STEP_NS,
				.samples = x.samples,
				.sample_cnt = 20,
				.cgroup = &x.cgroup,
				.missing = missing,
				.missing_cnt = 1,
				.ended = "interrupted"};
	for (unsigned step = 0; step < STEPS; step++) {
		work(&x, step);
		x.s.final = step == STEPS - 1;
		show(&x, history, step);
	}
	for (size_t i = 0; i < x.cnt; i++)
		x.views[i].peak = x.figures[i].live;
	fill_findings(&x);
	x.s.history = history;
	began = clock_thread_cpu_ns();
	rc = report_html(stdout, &x.s);
	fprintf(stderr, "page: %zu stacks, written in %.2f s of CPU time\n", x.cnt,
		(double)(clock_thread_cpu_ns() - began) / 1e9);
	if (rc)
		fprintf(stderr, "page: %s\n", rc == -EOPNOTSUPP ? report_html_lacks() : strerror(-rc));
	history_free(history);
	return rc ? 1 : 0;
}
