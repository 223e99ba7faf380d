/* speedscope's file, read back as JSON: sums, and that frames are there once. */
#include <cjson/cJSON.h>

#include "report/speedscope.h"
#include "report_fixture.h"

static cJSON *file_of(const struct fixture *x)
{
	char *text = FORM_TEXT(report_speedscope(out, &x->s));
	cJSON *file = cJSON_Parse(text);

	assert_non_null(file);
	free(text);
	return file;
}

static const char *text_in(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return item ? cJSON_GetStringValue(item) : NULL;
}

static const cJSON *in(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	assert_non_null(item);
	return item;
}

static const cJSON *frame_at(const cJSON *file, int number)
{
	const cJSON *frame = cJSON_GetArrayItem(in(in(file, "shared"), "frames"), number);

	assert_non_null(frame);
	return frame;
}

/* NULL: there is none for that weight. */
static const cJSON *profile_of(const cJSON *file, const char *weight)
{
	const cJSON *profile;

	cJSON_ArrayForEach(
		profile, in(file, "profiles")) if (!strcmp(text_in(profile, "name"), weight)) return profile;
	return NULL;
}

/* What all its samples weigh, which its end says too. */
static double sum(const cJSON *file, const char *weight)
{
	const cJSON *profile = profile_of(file, weight), *item;
	int frames = cJSON_GetArraySize(in(in(file, "shared"), "frames"));
	double all = 0;

	assert_non_null(profile);
	assert_string_equal(text_in(profile, "type"), "sampled");
	assert_int_equal(cJSON_GetArraySize(in(profile, "samples")),
			 cJSON_GetArraySize(in(profile, "weights")));
	cJSON_ArrayForEach(item, in(profile, "weights"))
	{
		assert_true(item->valuedouble > 0);
		all += item->valuedouble;
	}
	assert_true(all == in(profile, "endValue")->valuedouble);
	cJSON_ArrayForEach(item, in(profile, "samples"))
	{
		const cJSON *frame;

		assert_true(cJSON_GetArraySize(item) > 0);
		cJSON_ArrayForEach(frame, item) assert_in_range(frame->valueint, 0, frames - 1);
	}
	return all;
}

static void start(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 1);
	fixture_allocs(x);
}

static void sums_are_those_of_the_snapshot(void **state)
{
	const struct ledger_totals *t;
	struct fixture x;
	cJSON *file;

	(void)state;
	start(&x);
	t = &x.allocs.totals;
	file = file_of(&x);
	assert_string_equal(text_in(file, "$schema"), "https://www.speedscope.app/file-format-schema.json");
	assert_string_equal(text_in(file, "name"), "python3 (4242)");
	assert_int_equal(cJSON_GetArraySize(in(file, "profiles")), WEIGHT_CNT - 1); /* without objects */
	assert_true(sum(file, "live") == (double)(t->live.bytes + x.allocs.unattributed));
	assert_true(sum(file, "allocated") == (double)t->allocated.bytes);
	assert_true(sum(file, "freed") == (double)t->freed.bytes);
	assert_true(sum(file, "count") == (double)t->allocated.cnt);
	assert_true(sum(file, "pinned") == (double)x.survey.pinned);
	assert_true(sum(file, "peak") == (double)t->peak.bytes);
	assert_true(sum(file, "temporary") == (double)t->temporary.bytes);
	assert_true(sum(file, "retained") == (double)x.heap.retained);
	assert_string_equal(text_in(profile_of(file, "live"), "unit"), "bytes");
	assert_string_equal(text_in(profile_of(file, "count"), "unit"), "none");
	cJSON_Delete(file);
}

/* In the order of live bytes the first is that of make_row, outermost frame first. */
static void frames_are_there_once(void **state)
{
	static const char *const again[] = {"main (app)", "serve (app)", "main (app)", NULL};
	struct fixture x;
	const cJSON *sample, *frame, *other;
	cJSON *file;

	(void)state;
	start(&x);
	x.views[6].stack = fixture_stack(6, false, again);
	file = file_of(&x);
	sample = cJSON_GetArrayItem(in(profile_of(file, "live"), "samples"), 0);
	assert_int_equal(cJSON_GetArraySize(sample), 5);
	assert_string_equal(text_in(frame_at(file, cJSON_GetArrayItem(sample, 0)->valueint), "name"),
			    "app:_start");
	assert_string_equal(text_in(frame_at(file, cJSON_GetArrayItem(sample, 4)->valueint), "name"),
			    "app:make_row");
	cJSON_ArrayForEach(frame, in(in(file, "shared"), "frames"))
		cJSON_ArrayForEach(other, in(in(file, "shared"), "frames"))
			assert_true(frame == other || strcmp(text_in(frame, "name"), text_in(other, "name")));
	cJSON_Delete(file);
}

/* Names are a target's: quotes, controls, and what is no UTF-8. */
static void names_are_json(void **state)
{
	static struct location odd;
	struct stack *stack = calloc(1, sizeof(*stack) + sizeof(stack->locations[0]));
	struct frame_list *list = calloc(1, sizeof(*list) + 2 * sizeof(list->v[0]));
	const cJSON *sample, *frame;
	struct fixture x;
	cJSON *file;

	(void)state;
	start(&x);
	list->cnt = 2;
	list->v[0] = (struct frame_name){
		.kind = FRAME_PYTHON, .function = "say \"\\\"\n\xff", .file = "C:\\a \"b\".py", .line = 3};
	list->v[1] = (struct frame_name){
		.kind = FRAME_NATIVE, .inlined = true, .module = "libé.so", .offset = 0x12};
	odd.frames = list;
	stack->cnt = 1;
	stack->locations[0] = &odd;
	x.views[0].stack = stack;
	file = file_of(&x);
	sample = cJSON_GetArrayItem(in(profile_of(file, "live"), "samples"), 0);
	assert_int_equal(cJSON_GetArraySize(sample), 2);
	frame = frame_at(file, cJSON_GetArrayItem(sample, 0)->valueint);
	assert_string_equal(text_in(frame, "name"), "say \"\\\"??");
	assert_string_equal(text_in(frame, "file"), "C:\\a \"b\".py");
	assert_int_equal(in(frame, "line")->valueint, 3);
	frame = frame_at(file, cJSON_GetArrayItem(sample, 1)->valueint);
	assert_string_equal(text_in(frame, "name"), "libé.so+0x12");
	assert_null(text_in(frame, "file"));
	cJSON_Delete(file);
	free(stack);
	free(list);
}

static void what_is_unknown_is_left_out(void **state)
{
	struct fixture x;
	cJSON *file;

	(void)state;
	fixture_start(&x);
	fixture_allocs(&x);
	x.allocs.survey = NULL;
	file = file_of(&x);
	assert_null(profile_of(file, "retained"));
	assert_null(profile_of(file, "pinned"));
	assert_int_equal(cJSON_GetArraySize(in(file, "profiles")), WEIGHT_CNT - 3);
	cJSON_Delete(file);
	x.s.allocs = NULL;
	file = file_of(&x);
	assert_int_equal(cJSON_GetArraySize(in(file, "profiles")), 1);
	assert_int_equal(cJSON_GetArraySize(in(profile_of(file, "live"), "samples")), 0);
	cJSON_Delete(file);
}

static void a_full_disk_is_an_error(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct fixture x;

	(void)state;
	assert_non_null(full);
	start(&x);
	assert_int_equal(report_speedscope(full, &x.s), -ENOSPC);
	fclose(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_those_of_the_snapshot),
		cmocka_unit_test(frames_are_there_once),
		cmocka_unit_test(names_are_json),
		cmocka_unit_test(what_is_unknown_is_left_out),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests_name("speedscope", tests, NULL, NULL);
}
