/* Traces for Perfetto, read back by the code that is generated from the messages' definition, and by what
 * trace_processor makes of them: counters, slices by track, and heap profiles as sums of differences. */
#include "picture/history.h"
#include "report/perfetto.h"
#include "report_fixture.h"

#define STACKS_MAX 64

struct trace {
	uint8_t *bytes;
	size_t len;
	Perfetto__Trace *t;
	Perfetto__TracePacket **v; /* its packets */
	size_t cnt;
};

static struct trace trace_of(const struct fixture *x)
{
	char *bytes = NULL;
	struct trace trace = {.len = 0};
	FILE *out = open_memstream(&bytes, &trace.len);

	assert_int_equal(report_perfetto(out, &x->s), 0);
	fclose(out);
	trace.bytes = (uint8_t *)bytes;
	trace.t = perfetto__trace__unpack(NULL, trace.len, trace.bytes);
	assert_non_null(trace.t);
	trace.v = trace.t->packet;
	trace.cnt = trace.t->n_packet;
	return trace;
}

static void release(struct trace *trace)
{
	perfetto__trace__free_unpacked(trace->t, NULL);
	free(trace->bytes);
}

static void start(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 1);
	fixture_findings(x);
	fixture_allocs(x);
}

/* The n-th track of that name, from 0 on; 0: there is none. */
static uint64_t track_of(const struct trace *trace, const char *name, unsigned n)
{
	for (size_t i = 0; i < trace->cnt; i++) {
		const Perfetto__TracePacket *p = trace->v[i];

		if (p->track_descriptor && !strcmp(p->track_descriptor->name, name) && !n--)
			return p->track_descriptor->uuid;
	}
	return 0;
}

/* The event of that type and name on a track, the n-th from 0 on; NULL: there is none. */
static const Perfetto__TracePacket *event_of(const struct trace *trace, uint64_t track, int type, unsigned n)
{
	for (size_t i = 0; i < trace->cnt; i++) {
		const Perfetto__TracePacket *p = trace->v[i];

		if (p->track_event && p->track_event->track_uuid == track &&
		    (int)p->track_event->type == type && !n--)
			return p;
	}
	return NULL;
}

#define BEGIN PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN
#define END PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END
#define INSTANT PERFETTO__TRACK_EVENT__TYPE__TYPE_INSTANT
#define COUNTER PERFETTO__TRACK_EVENT__TYPE__TYPE_COUNTER

static const Perfetto__DebugAnnotation *note_of(const Perfetto__TracePacket *p, const char *name)
{
	const Perfetto__TrackEvent *e = p->track_event;

	for (size_t i = 0; i < e->n_debug_annotations; i++)
		if (!strcmp(e->debug_annotations[i]->name, name))
			return e->debug_annotations[i];
	return NULL;
}

static void check_slice(const struct trace *trace, uint64_t track, unsigned n, const char *name,
			uint64_t from, uint64_t to)
{
	const Perfetto__TracePacket *begin = event_of(trace, track, BEGIN, n);
	const Perfetto__TracePacket *end = event_of(trace, track, END, n);

	assert_true(begin && end);
	assert_string_equal(begin->track_event->name, name);
	assert_int_equal(begin->timestamp, from);
	assert_int_equal(end->timestamp, to);
}

static void times_are_those_of_the_snapshot(void **state)
{
	const Perfetto__TracePacket *p;
	struct fixture x;
	struct trace trace;

	(void)state;
	start(&x);
	trace = trace_of(&x);
	p = trace.v[0];
	assert_non_null(p->clock_snapshot);
	assert_int_equal(p->clock_snapshot->n_clocks, 3);
	assert_int_equal(p->clock_snapshot->clocks[0]->timestamp, x.s.time_ns);
	assert_int_equal(p->clock_snapshot->clocks[2]->timestamp / 1000000,
			 (1700000000000 + x.s.time_ns / 1000000));
	assert_int_equal(p->clock_snapshot->primary_trace_clock, 3);
	assert_int_equal(p->sequence_flags, 1);
	for (size_t i = 0; i < trace.cnt; i++) {
		p = trace.v[i];
		assert_int_equal(p->trusted_packet_sequence_id, 1);
		assert_true(!p->timestamp || p->timestamp_clock_id == 3);
		assert_true(!i || p->sequence_flags == 2);
	}
	release(&trace);
}

static void purges_and_windows_are_slices(void **state)
{
	const Perfetto__TracePacket *p;
	struct fixture x;
	struct trace trace;
	uint64_t purges, windows;

	(void)state;
	start(&x);
	trace = trace_of(&x);
	purges = track_of(&trace, "purges", 0);
	check_slice(&trace, purges, 0, "mi_collect (misdirected)", 96 * SEC, 96 * SEC + 190000);
	check_slice(&trace, purges, 1, "malloc_trim", 98 * SEC, 98 * SEC + 26 * MSEC);
	p = event_of(&trace, purges, BEGIN, 1);
	assert_int_equal(note_of(p, "returned")->uint_value, 1444450304);
	assert_int_equal(note_of(p, "predicted")->uint_value, 1444450304);
	assert_true(note_of(p, "effective")->bool_value);
	assert_string_equal(note_of(p, "by")->string_value, "ffi_call (libffi.so.8.1.2)");
	assert_true(p->track_event->callstack_iid);
	p = event_of(&trace, purges, BEGIN, 0);
	assert_null(note_of(p, "predicted"));
	assert_true(note_of(p, "misdirected")->bool_value);
	windows = track_of(&trace, "purge missing", 0);
	check_slice(&trace, windows, 0, "purge missing", 50 * SEC, 80 * SEC);
	check_slice(&trace, windows, 1, "purge missing", 85 * SEC, x.s.time_ns);
	assert_string_equal(note_of(event_of(&trace, windows, BEGIN, 1), "end")->string_value, "still open");
	p = event_of(&trace, track_of(&trace, "dlopen", 0), INSTANT, 1);
	assert_string_equal(p->track_event->name, "libc.so.6");
	assert_int_equal(note_of(p, "repeats")->uint_value, 1399);
	assert_int_equal(note_of(p, "maps_grown")->int_value, -4096);
	release(&trace);
}

/* Slices of one track nest; what overlaps lies on another one of that name. */
static void what_overlaps_lies_beside(void **state)
{
	struct fixture x;
	struct trace trace;

	(void)state;
	start(&x);
	x.purges[0].duration_ns = 10 * SEC;
	trace = trace_of(&x);
	check_slice(&trace, track_of(&trace, "purges", 0), 0, "mi_collect (misdirected)", 96 * SEC,
		    106 * SEC);
	check_slice(&trace, track_of(&trace, "purges", 1), 0, "malloc_trim", 98 * SEC, 98 * SEC + 26 * MSEC);
	assert_int_equal(track_of(&trace, "purges", 2), 0);
	release(&trace);
}

static void marks_are_instants(void **state)
{
	struct mark_finding marks[] = {
		{.time_ns = 60 * SEC,
		 .kind = "mark",
		 .text = "unit\n1",
		 .rss = GIB,
		 .live = 5,
		 .live_heap = UNKNOWN,
		 .retained = UNKNOWN,
		 .purgeable = UNKNOWN},
		{.time_ns = 70 * SEC,
		 .kind = "unit_done",
		 .text = "",
		 .rss = GIB,
		 .live = UNKNOWN,
		 .live_heap = UNKNOWN,
		 .retained = MIB,
		 .purgeable = UNKNOWN},
	};
	const struct mark_finding *view[] = {&marks[0], &marks[1]};
	const Perfetto__TracePacket *p;
	struct fixture x;
	struct trace trace;
	uint64_t track;

	(void)state;
	start(&x);
	x.s.marks = view;
	x.s.mark_cnt = 2;
	trace = trace_of(&x);
	track = track_of(&trace, "marks", 0);
	p = event_of(&trace, track, INSTANT, 0);
	assert_string_equal(p->track_event->name, "unit?1");
	assert_int_equal(p->timestamp, 60 * SEC);
	assert_int_equal(note_of(p, "live")->uint_value, 5);
	assert_null(note_of(p, "retained"));
	assert_string_equal(event_of(&trace, track, INSTANT, 1)->track_event->name, "unit_done");
	release(&trace);
}

/* The figures at a moment before the end: half of all, with the history that they are shown to. */
static void show_half(struct fixture *x, struct history *h, uint64_t time_ns)
{
	struct site figures[SITES_CNT];
	struct snapshot s = x->s;

	memcpy(figures, x->sites, sizeof(figures));
	for (size_t i = 0; i < SITES_CNT; i++) {
		struct site *site = &x->sites[i];

		site->allocated = (struct site_count){site->allocated.cnt / 2, site->allocated.bytes / 2};
		site->live = (struct site_count){site->live.cnt / 2, site->live.bytes / 2};
	}
	s.time_ns = time_ns;
	s.rss = GIB;
	history_add(h, &s);
	memcpy(x->sites, figures, sizeof(figures));
}

static void time_lines_are_counters(void **state)
{
	struct history *h = history_new();
	struct history_view view;
	struct fixture x;
	struct trace trace;
	uint64_t track;
	unsigned last;

	(void)state;
	start(&x);
	show_half(&x, h, 60 * SEC);
	history_add(h, &x.s);
	x.s.history = h;
	history_view(h, &view);
	last = (unsigned)view.point_cnt - 1;
	trace = trace_of(&x);
	track = track_of(&trace, "RSS", 0);
	assert_true(track && last >= 1);
	assert_int_equal(event_of(&trace, track, COUNTER, 0)->track_event->counter_value, GIB);
	assert_int_equal(event_of(&trace, track, COUNTER, 0)->timestamp, view.points[0].time_ns);
	assert_int_equal(event_of(&trace, track, COUNTER, last)->track_event->counter_value, x.s.rss);
	assert_int_equal(event_of(&trace, track, COUNTER, last)->timestamp, x.s.time_ns);
	assert_null(event_of(&trace, track, COUNTER, last + 1));
	assert_true(track_of(&trace, "retained", 0));
	assert_int_equal(track_of(&trace, "cgroup current", 0), 0); /* never known */
	release(&trace);
	history_free(h);
}

/* What is defined of stacks, by iid. */
struct interned {
	char *functions[STACKS_MAX], *paths[STACKS_MAX];
	const Perfetto__Mapping *mappings[STACKS_MAX];
	const Perfetto__Frame *frames[STACKS_MAX];
	const Perfetto__Callstack *callstacks[STACKS_MAX];
};

static char *text_of(const Perfetto__InternedString *s)
{
	return strndup((const char *)s->str.data, s->str.len);
}

static uint64_t new_iid(uint64_t iid)
{
	assert_true(iid >= 1 && iid < STACKS_MAX);
	return iid;
}

static void keep_data(struct interned *x, const Perfetto__InternedData *d)
{
	for (size_t i = 0; i < d->n_function_names; i++)
		x->functions[new_iid(d->function_names[i]->iid)] = text_of(d->function_names[i]);
	for (size_t i = 0; i < d->n_mapping_paths; i++)
		x->paths[new_iid(d->mapping_paths[i]->iid)] = text_of(d->mapping_paths[i]);
	for (size_t i = 0; i < d->n_mappings; i++) {
		x->mappings[new_iid(d->mappings[i]->iid)] = d->mappings[i];
		assert_non_null(x->paths[d->mappings[i]->path_string_ids[0]]);
	}
	for (size_t i = 0; i < d->n_frames; i++) {
		x->frames[new_iid(d->frames[i]->iid)] = d->frames[i];
		assert_non_null(x->mappings[d->frames[i]->mapping_id]);
		assert_non_null(x->functions[d->frames[i]->function_name_id]);
	}
	for (size_t i = 0; i < d->n_callstacks; i++) {
		x->callstacks[new_iid(d->callstacks[i]->iid)] = d->callstacks[i];
		for (size_t f = 0; f < d->callstacks[i]->n_frame_ids; f++)
			assert_non_null(x->frames[d->callstacks[i]->frame_ids[f]]);
	}
}

static void forget(struct interned *x)
{
	for (size_t i = 0; i < STACKS_MAX; i++) {
		free(x->functions[i]);
		free(x->paths[i]);
	}
}

/* As trace_processor adds up a heap profile: differences to the last sample of a stack. */
struct heap {
	Perfetto__ProfilePacket__HeapSample last[STACKS_MAX];
	int64_t live[STACKS_MAX], blocks[STACKS_MAX], peak[STACKS_MAX];
	uint64_t until_ns; /* dumps beyond are left out; 0: none */
	uint64_t packets;
};

static void keep_sample(struct heap *h, const Perfetto__ProfilePacket__HeapSample *s)
{
	Perfetto__ProfilePacket__HeapSample *last = &h->last[new_iid(s->callstack_id)];

	if (s->self_max) {
		h->peak[s->callstack_id] += (int64_t)s->self_max;
		return;
	}
	assert_true(s->self_allocated >= last->self_allocated && s->self_freed >= last->self_freed);
	assert_true(s->alloc_count >= last->alloc_count && s->free_count >= last->free_count);
	h->live[s->callstack_id] += (int64_t)(s->self_allocated - last->self_allocated);
	h->live[s->callstack_id] -= (int64_t)(s->self_freed - last->self_freed);
	h->blocks[s->callstack_id] += (int64_t)(s->alloc_count - last->alloc_count);
	h->blocks[s->callstack_id] -= (int64_t)(s->free_count - last->free_count);
	*last = *s;
}

static void keep_profile(struct heap *h, const struct interned *x, const Perfetto__ProfilePacket *profile)
{
	const Perfetto__ProfilePacket__ProcessHeapSamples *dump = profile->process_dumps[0];

	assert_int_equal(profile->index, h->packets++);
	assert_int_equal(profile->n_process_dumps, 1);
	assert_int_equal(dump->pid, 4242);
	assert_true(dump->start_timestamp < dump->timestamp);
	assert_string_equal(dump->heap_name, dump->n_samples && dump->samples[0]->self_max
						     ? PERFETTO_PEAK_HEAP
						     : PERFETTO_HEAP);
	for (size_t i = 0; i < dump->n_samples; i++) {
		assert_non_null(x->callstacks[dump->samples[i]->callstack_id]);
		if (!h->until_ns || dump->timestamp <= h->until_ns)
			keep_sample(h, dump->samples[i]);
	}
}

static void read_heap(const struct trace *trace, struct interned *interned, struct heap *heap)
{
	for (size_t i = 0; i < trace->cnt; i++) {
		const Perfetto__TracePacket *p = trace->v[i];

		if (p->interned_data)
			keep_data(interned, p->interned_data);
		if (p->profile_packet)
			keep_profile(heap, interned, p->profile_packet);
	}
}

/* The stack whose innermost frame that is. */
static uint64_t stack_of(const struct interned *x, const char *function)
{
	for (uint64_t i = 1; i < STACKS_MAX && x->callstacks[i]; i++) {
		const Perfetto__Callstack *stack = x->callstacks[i];
		const Perfetto__Frame *frame = x->frames[stack->frame_ids[stack->n_frame_ids - 1]];

		if (!strcmp(x->functions[frame->function_name_id], function))
			return i;
	}
	fail_msg("there is no stack of %s", function);
	return 0;
}

static const char *const innermost[SITES_CNT] = {"make_row", "PyMem_RawRealloc", "Znwm",     "[no stack]",
						 "a;b?",     "drop_table",       "vasprintf"};

static void the_heap_is_ours(void **state)
{
	struct interned interned = {0};
	struct heap heap = {0};
	const Perfetto__Callstack *stack;
	struct fixture x;
	struct trace trace;

	(void)state;
	start(&x);
	trace = trace_of(&x);
	read_heap(&trace, &interned, &heap);
	for (size_t i = 0; i < SITES_CNT; i++) {
		uint64_t at;

		if (!x.sites[i].allocated.cnt) /* it only freed */
			continue;
		at = stack_of(&interned, innermost[i]);
		assert_int_equal(heap.live[at], x.sites[i].live.bytes);
		assert_int_equal(heap.blocks[at], x.sites[i].live.cnt);
		assert_int_equal(heap.peak[at], x.views[i].peak.bytes);
		assert_int_equal(heap.last[at].self_allocated, x.sites[i].allocated.bytes);
		assert_int_equal(heap.last[at].alloc_count, x.sites[i].allocated.cnt);
	}
	stack = interned.callstacks[stack_of(&interned, "PyMem_RawRealloc")];
	assert_string_equal(interned.functions[interned.frames[stack->frame_ids[0]]->function_name_id],
			    "[truncated]");
	assert_string_equal(interned.functions[interned.frames[stack->frame_ids[1]]->function_name_id],
			    "Py_RunMain");
	forget(&interned);
	release(&trace);
}

/* A dump a step; those up to a moment are what it was then. */
static void every_step_is_a_dump(void **state)
{
	struct history *h = history_new();
	struct interned interned = {0};
	struct heap half = {.until_ns = 60 * SEC}, all = {0};
	struct fixture x;
	struct trace trace;
	uint64_t at;

	(void)state;
	start(&x);
	show_half(&x, h, 60 * SEC);
	history_add(h, &x.s);
	x.s.history = h;
	trace = trace_of(&x);
	read_heap(&trace, &interned, &half);
	forget(&interned);
	read_heap(&trace, &interned, &all);
	at = stack_of(&interned, "make_row");
	assert_int_equal(half.live[at], 100 * MIB);
	assert_int_equal(half.last[at].alloc_count, 450110);
	assert_int_equal(all.live[at], 200 * MIB);
	assert_int_equal(all.packets, 3); /* two steps and the peak */
	forget(&interned);
	release(&trace);
	history_free(h);
}

/* A process that has ended leaves the sum, and what it held comes back in the last one: sums never fall. */
static void what_was_gone_may_come_back(void **state)
{
	struct history *h = history_new();
	struct interned interned = {0};
	struct heap heap = {0};
	struct site_count live;
	struct snapshot before;
	struct fixture x;
	struct trace trace;

	(void)state;
	start(&x);
	live = x.sites[0].live;
	x.sites[0].live = (struct site_count){0};
	before = x.s;
	before.time_ns = 70 * SEC;
	history_add(h, &before);
	x.sites[0].live = live;
	history_add(h, &x.s);
	x.s.history = h;
	trace = trace_of(&x);
	read_heap(&trace, &interned, &heap);
	assert_int_equal(heap.live[stack_of(&interned, "make_row")], live.bytes);
	assert_int_equal(heap.blocks[stack_of(&interned, "make_row")], live.cnt);
	forget(&interned);
	release(&trace);
	history_free(h);
}

/* Readers take frames of one name and address for one: stacks of such frames are one, with all figures. */
static void stacks_that_read_the_same_are_one(void **state)
{
	static const char *const rows[] = {"_start (app)",     "main (app)",     "serve (app)",
					   "load_table (app)", "make_row (app)", NULL};
	struct interned interned = {0};
	struct heap heap = {0};
	struct location twin;
	struct fixture x;
	struct trace trace;

	(void)state;
	start(&x);
	x.views[2].stack = fixture_stack(2, false, rows);
	twin = *x.views[2].stack->locations[1];
	((struct stack *)x.views[2].stack)->locations[1] = &twin;
	trace = trace_of(&x);
	read_heap(&trace, &interned, &heap);
	assert_int_equal(heap.live[stack_of(&interned, "make_row")], 200 * MIB + 768 * KIB);
	forget(&interned);
	release(&trace);
}

/* "Field 2, a number", as their readers want it, not "field 2, so many bytes". */
static void arrays_are_not_packed(void **state)
{
	uint64_t ids[] = {5, 6};
	Perfetto__Callstack stack = PERFETTO__CALLSTACK__INIT;
	Perfetto__Mapping mapping = PERFETTO__MAPPING__INIT;
	const uint8_t expected[] = {2 << 3, 5, 2 << 3, 6}, paths[] = {7 << 3, 5, 7 << 3, 6};
	uint8_t bytes[16];

	(void)state;
	stack.n_frame_ids = mapping.n_path_string_ids = 2;
	stack.frame_ids = mapping.path_string_ids = ids;
	assert_int_equal(perfetto__callstack__pack(&stack, bytes), 4);
	assert_memory_equal(bytes, expected, 4);
	assert_int_equal(perfetto__mapping__pack(&mapping, bytes), 4);
	assert_memory_equal(bytes, paths, 4);
}

/* Time lines and events are there without allocation events too. */
static void without_allocation_events(void **state)
{
	struct fixture x;
	struct trace trace;

	(void)state;
	fixture_start(&x);
	fixture_findings(&x);
	x.s.pid = 0; /* of many */
	trace = trace_of(&x);
	assert_true(track_of(&trace, "purges", 0));
	assert_int_equal(trace.v[1]->track_descriptor->process->pid, PERFETTO_PID_OF_MANY);
	for (size_t i = 0; i < trace.cnt; i++)
		assert_null(trace.v[i]->profile_packet);
	release(&trace);
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct fixture x;

	(void)state;
	assert_non_null(full);
	start(&x);
	assert_int_equal(report_perfetto(full, &x.s), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_those_of_the_snapshot),
		cmocka_unit_test(purges_and_windows_are_slices),
		cmocka_unit_test(what_overlaps_lies_beside),
		cmocka_unit_test(marks_are_instants),
		cmocka_unit_test(time_lines_are_counters),
		cmocka_unit_test(the_heap_is_ours),
		cmocka_unit_test(every_step_is_a_dump),
		cmocka_unit_test(what_was_gone_may_come_back),
		cmocka_unit_test(stacks_that_read_the_same_are_one),
		cmocka_unit_test(arrays_are_not_packed),
		cmocka_unit_test(without_allocation_events),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("perfetto", tests, NULL, NULL);
}
