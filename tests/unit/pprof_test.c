/* Profiles for pprof, read back by the code that is generated from the messages' definition. */
#include <zlib.h>

#include "pprof.pb-c.h"
#include "report/pprof.h"
#include "report_fixture.h"

/* What a reader of the gzip format makes of it. */
static uint8_t *gunzip(const char *bytes, size_t len, size_t *out_len)
{
	size_t cap = 16 * MIB;
	uint8_t *out = malloc(cap);
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)bytes,
		      .avail_in = (unsigned)len,
		      .next_out = out,
		      .avail_out = (unsigned)cap};

	assert_non_null(out);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	*out_len = z.total_out;
	inflateEnd(&z);
	return out;
}

static Pprof__Profile *profile_of(const struct fixture *x)
{
	char *bytes = NULL;
	size_t len = 0, raw_len;
	FILE *out = open_memstream(&bytes, &len);
	Pprof__Profile *profile;
	uint8_t *raw;

	assert_int_equal(report_pprof(out, &x->s), 0);
	fclose(out);
	raw = gunzip(bytes, len, &raw_len);
	profile = pprof__profile__unpack(NULL, raw_len, raw);
	assert_non_null(profile);
	free(raw);
	free(bytes);
	return profile;
}

static void release(Pprof__Profile *p)
{
	pprof__profile__free_unpacked(p, NULL);
}

static const char *text(const Pprof__Profile *p, int64_t index)
{
	assert_true(index >= 0 && (size_t)index < p->n_string_table);
	return p->string_table[index];
}

/* The place of a type among the values; −1: it is not there. */
static int type_at(const Pprof__Profile *p, const char *name)
{
	for (size_t i = 0; i < p->n_sample_type; i++)
		if (!strcmp(text(p, p->sample_type[i]->type), name))
			return (int)i;
	return -1;
}

static uint64_t sum(const Pprof__Profile *p, const char *name)
{
	int at = type_at(p, name);
	uint64_t all = 0;

	assert_true(at >= 0);
	for (size_t i = 0; i < p->n_sample; i++)
		all += (uint64_t)p->sample[i]->value[at];
	return all;
}

/* Numbers from 1 without gaps, and nothing that is referred to is missing. */
static void check_tables(const Pprof__Profile *p)
{
	assert_string_equal(p->string_table[0], "");
	for (size_t i = 0; i < p->n_mapping; i++) {
		assert_int_equal(p->mapping[i]->id, i + 1);
		text(p, p->mapping[i]->filename);
		text(p, p->mapping[i]->build_id);
	}
	for (size_t i = 0; i < p->n_function; i++) {
		assert_int_equal(p->function[i]->id, i + 1);
		assert_true(*text(p, p->function[i]->name));
		text(p, p->function[i]->filename);
	}
	for (size_t i = 0; i < p->n_location; i++) {
		const Pprof__Location *at = p->location[i];

		assert_int_equal(at->id, i + 1);
		assert_true(at->mapping_id <= p->n_mapping);
		if (at->mapping_id)
			assert_true(at->address <= p->mapping[at->mapping_id - 1]->memory_limit);
		for (size_t k = 0; k < at->n_line; k++)
			assert_in_range(at->line[k]->function_id, 1, p->n_function);
	}
	for (size_t i = 0; i < p->n_sample; i++) {
		assert_int_equal(p->sample[i]->n_value, p->n_sample_type);
		assert_true(p->sample[i]->n_location_id > 0);
		for (size_t k = 0; k < p->sample[i]->n_location_id; k++)
			assert_in_range(p->sample[i]->location_id[k], 1, p->n_location);
	}
}

static const Pprof__Location *location(const Pprof__Profile *p, size_t sample, size_t frame)
{
	assert_true(frame < p->sample[sample]->n_location_id);
	return p->location[p->sample[sample]->location_id[frame] - 1];
}

static const char *function(const Pprof__Profile *p, const Pprof__Location *at, size_t line)
{
	assert_true(line < at->n_line);
	return text(p, p->function[at->line[line]->function_id - 1]->name);
}

static void start(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 1);
	fixture_allocs(x);
}

static void sums_are_those_of_the_snapshot(void **state)
{
	struct fixture x;
	Pprof__Profile *p;
	const struct ledger_totals *t = &x.allocs.totals;

	(void)state;
	start(&x);
	fixture_layer(&x);
	p = profile_of(&x);
	check_tables(p);
	assert_int_equal(p->n_sample_type, 12);
	assert_int_equal(sum(p, "live"), t->live.bytes + x.allocs.unattributed);
	assert_int_equal(sum(p, "live_objects"), t->live.cnt);
	assert_int_equal(sum(p, "allocated"), t->allocated.bytes);
	assert_int_equal(sum(p, "count"), t->allocated.cnt);
	assert_int_equal(sum(p, "freed"), t->freed.bytes);
	assert_int_equal(sum(p, "freed_objects"), t->freed.cnt);
	assert_int_equal(sum(p, "temporary"), t->temporary.bytes);
	assert_int_equal(sum(p, "temporary_objects"), t->temporary.cnt);
	assert_int_equal(sum(p, "peak"), t->peak.bytes);
	assert_int_equal(sum(p, "peak_objects"), t->peak.cnt);
	assert_int_equal(sum(p, "pinned"), x.survey.pinned);
	assert_int_equal(sum(p, "retained"), x.heap.retained);
	assert_string_equal(text(p, p->sample_type[type_at(p, "live")]->unit), "bytes");
	assert_string_equal(text(p, p->sample_type[type_at(p, "peak_objects")]->unit), "count");
	release(p);
}

/* Python's objects: types of their own, first in the list; what blocks have is as it was. */
static void objects_have_types(void **state)
{
	struct fixture x;
	Pprof__Profile *p;

	(void)state;
	start(&x);
	fixture_objects(&x);
	p = profile_of(&x);
	check_tables(p);
	assert_int_equal(p->n_sample_type, 14);
	assert_int_equal(sum(p, "python"), x.objects.live_heap);
	assert_int_equal(sum(p, "python_objects"), x.objects.sites.totals.live.cnt);
	assert_int_equal(sum(p, "live"), x.allocs.totals.live.bytes + x.allocs.unattributed);
	assert_int_equal(sum(p, "live_objects"), x.allocs.totals.live.cnt);
	assert_int_equal(sum(p, "count"), x.allocs.totals.allocated.cnt);
	release(p);
}

static void it_says_of_what_and_when_it_is(void **state)
{
	struct fixture x;
	Pprof__Profile *p;

	(void)state;
	start(&x);
	fixture_blind_spots(&x);
	x.allocs.sample_bytes = 64 * KIB;
	x.allocs.budget.estimated = true;
	p = profile_of(&x);
	assert_string_equal(text(p, p->default_sample_type), "live");
	assert_int_equal(p->time_nanos, 1700000100200000000);
	assert_int_equal(p->duration_nanos, 60200 * (int64_t)MSEC);
	assert_string_equal(text(p, p->period_type->type), "space");
	assert_int_equal(p->period, 64 * KIB);
	assert_int_equal(p->n_comment, 5);
	assert_string_equal(text(p, p->comment[0]), "alloctrace " ALLOCTRACE_VERSION);
	assert_string_equal(text(p, p->comment[1]), "process 4242 (python3)");
	assert_string_equal(text(p, p->comment[2]), "estimates: allocation probes on all the time, one stack in 64.0 KiB, budget 25 %; sites are estimates");
	assert_string_equal(text(p, p->comment[4]), "13 events were lost");
	release(p);
}

/* Sites come by live bytes: make_row first, then the truncated one of Python. */
static void stacks_are_innermost_first(void **state)
{
	struct fixture x;
	Pprof__Profile *p;

	(void)state;
	start(&x);
	p = profile_of(&x);
	assert_int_equal(p->sample[0]->n_location_id, 5);
	assert_string_equal(function(p, location(p, 0, 0), 0), "make_row");
	assert_string_equal(function(p, location(p, 0, 4), 0), "_start");
	assert_int_equal(p->sample[1]->n_location_id, 7);
	assert_string_equal(function(p, location(p, 1, 0), 0), "PyMem_RawRealloc");
	assert_string_equal(function(p, location(p, 1, 6), 0), "[truncated]");
	assert_int_equal(p->sample[3]->n_location_id, 1);
	assert_string_equal(function(p, location(p, 3, 0), 0), "[no stack]");
	/* Controls and what is no UTF-8 would be refused by readers. */
	assert_string_equal(function(p, location(p, 4, 0), 0), "a;b?");
	assert_string_equal(function(p, location(p, p->n_sample - 1, 0), 0), "[from before the attach]");
	release(p);
}

static struct location *place(struct module *module, uint64_t addr, uint32_t cnt,
			      const struct frame_name *names)
{
	struct location *at = calloc(1, sizeof(*at));

	at->module = module;
	at->addr = addr;
	at->frames = calloc(1, sizeof(*at->frames) + cnt * sizeof(*names));
	at->frames->cnt = cnt;
	memcpy(at->frames->v, names, cnt * sizeof(*names));
	return at;
}

/* A library's frame with what was inlined into it, one without a symbol, one of Python. */
static struct stack *mixed_stack(struct module *library, struct module *program)
{
	const struct frame_name inlined[] = {
		{.kind = FRAME_NATIVE,
		 .function = "resize",
		 .module = "libx.so",
		 .file = "/src/x.c",
		 .line = 7},
		{.kind = FRAME_NATIVE,
		 .inlined = true,
		 .function = "grow",
		 .module = "libx.so",
		 .file = "/src/x.h",
		 .line = 90},
	};
	const struct frame_name bare[] = {{.kind = FRAME_NATIVE, .module = "python3.11", .offset = 0x401000}};
	const struct frame_name python[] = {
		{.kind = FRAME_PYTHON, .function = "<module>", .file = "/srv/app.py", .line = 12}};
	struct stack *stack = calloc(1, sizeof(*stack) + 3 * sizeof(stack->locations[0]));

	stack->cnt = 3;
	stack->locations[0] = place(NULL, 0, 1, python);
	stack->locations[1] = place(program, 0x401000, 1, bare);
	stack->locations[2] = place(library, 0x2345, 2, inlined);
	return stack;
}

static void free_stack(struct stack *stack)
{
	for (uint32_t i = 0; i < stack->cnt; i++) {
		free(stack->locations[i]->frames);
		free(stack->locations[i]);
	}
	free(stack);
}

static void frames_keep_their_places(void **state)
{
	struct module library = {.name = "libx.so", .build_id = {0xab, 0x01}, .build_id_sz = 2},
		      program = {.name = "python3.11"};
	const Pprof__Location *at;
	struct fixture x;
	Pprof__Profile *p;
	struct stack *stack;

	(void)state;
	start(&x);
	stack = mixed_stack(&library, &program);
	x.views[0].stack = stack;
	p = profile_of(&x);
	check_tables(p);
	/* Inlined frames are lines of one location, whose address lies in the call. */
	at = location(p, 0, 0);
	assert_int_equal(at->n_line, 2);
	assert_string_equal(function(p, at, 0), "grow");
	assert_string_equal(function(p, at, 1), "resize");
	assert_int_equal(at->line[0]->line, 90);
	assert_int_equal(at->address, 0x2344);
	assert_string_equal(text(p, p->mapping[at->mapping_id - 1]->filename), "libx.so");
	assert_string_equal(text(p, p->mapping[at->mapping_id - 1]->build_id), "ab01");
	assert_true(p->mapping[at->mapping_id - 1]->has_inline_frames);
	/* What has no name has its address, and its object comes first, being the program's. */
	at = location(p, 0, 1);
	assert_int_equal(at->n_line, 0);
	assert_int_equal(at->address, 0x400fff);
	assert_int_equal(at->mapping_id, 1);
	assert_string_equal(text(p, p->mapping[0]->filename), "python3.11");
	assert_false(p->mapping[0]->has_functions);
	at = location(p, 0, 2);
	assert_int_equal(at->mapping_id, 0);
	assert_string_equal(function(p, at, 0), "<module>");
	assert_string_equal(text(p, p->function[at->line[0]->function_id - 1]->filename), "/srv/app.py");
	assert_int_equal(at->line[0]->line, 12);
	release(p);
	free_stack(stack);
}

/* No figure is no type, not a type of zeros. */
static void what_is_unknown_is_left_out(void **state)
{
	struct fixture x;
	Pprof__Profile *p;

	(void)state;
	fixture_start(&x);
	fixture_allocs(&x);
	x.allocs.survey = NULL;
	x.allocs.unattributed = UNKNOWN;
	p = profile_of(&x);
	check_tables(p);
	assert_int_equal(type_at(p, "retained"), -1);
	assert_int_equal(type_at(p, "pinned"), -1);
	assert_int_equal(sum(p, "live"), x.allocs.totals.live.bytes);
	release(p);
	x.s.allocs = NULL;
	p = profile_of(&x);
	check_tables(p);
	assert_int_equal(p->n_sample, 0);
	release(p);
}

/* Of every weight those with most of it, the others together. */
static void only_the_heaviest_keep_their_stacks(void **state)
{
	char *bytes = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&bytes, &len);
	struct fixture x;
	Pprof__Profile *p;
	bool others = false;

	(void)state;
	start(&x);
	assert_int_equal(pprof_put(out, &x.s, &(struct pprof_choice){.stacks_max = 4}), 0);
	fclose(out);
	p = pprof__profile__unpack(NULL, len, (uint8_t *)bytes);
	assert_non_null(p);
	check_tables(p);
	assert_int_equal(sum(p, "live"), x.allocs.totals.live.bytes + x.allocs.unattributed);
	assert_int_equal(sum(p, "pinned"), x.survey.pinned);
	assert_int_equal(sum(p, "freed"), x.allocs.totals.freed.bytes);
	for (size_t i = 0; i < 4; i++) /* by live bytes: the third is the one that pins, the others free */
		assert_string_equal(function(p, location(p, i, 0), 0),
				    ((const char *[]){"make_row", "Znwm", "drop_table", "vasprintf"})[i]);
	for (size_t i = 4; i < p->n_sample; i++)
		others |= !strcmp(function(p, location(p, i, 0), 0), "[smaller stacks]");
	assert_true(others);
	release(p);
	free(bytes);
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct fixture x;

	(void)state;
	assert_non_null(full);
	start(&x);
	assert_int_equal(report_pprof(full, &x.s), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_those_of_the_snapshot),
		cmocka_unit_test(objects_have_types),
		cmocka_unit_test(it_says_of_what_and_when_it_is),
		cmocka_unit_test(stacks_are_innermost_first),
		cmocka_unit_test(frames_keep_their_places),
		cmocka_unit_test(only_the_heaviest_keep_their_stacks),
		cmocka_unit_test(what_is_unknown_is_left_out),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("pprof", tests, NULL, NULL);
}
