#include "report/speedscope.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "report/budget_text.h"
#include "report/frame_numbers.h"
#include "picture/weight.h"

struct numbered_stack {
	const struct site_view *site;
	size_t at; /* in the pool */
	uint32_t cnt;
};

struct scope {
	const struct snapshot *s;
	struct weights weights;
	struct frame_numbers *numbers;
	struct numbered_stack *stacks;
	size_t stack_cnt;
	uint32_t *pool; /* frames of all stacks, outermost first */
	size_t pool_cnt, pool_cap;
};

static int push(struct scope *sc, uint32_t number)
{
	if (sc->pool_cnt == sc->pool_cap) {
		size_t cap = sc->pool_cap ? 2 * sc->pool_cap : 1024;
		uint32_t *pool = realloc(sc->pool, cap * sizeof(*pool));

		if (!pool)
			return -ENOMEM;
		sc->pool = pool;
		sc->pool_cap = cap;
	}
	sc->pool[sc->pool_cnt++] = number;
	return 0;
}

static int push_named(struct scope *sc, const char *name)
{
	uint32_t number;

	return frame_numbers_named(sc->numbers, name, &number) ?: push(sc, number);
}

static int push_stack(struct scope *sc, const struct stack *stack)
{
	int rc = 0;

	if (!stack || !stack->cnt)
		return push_named(sc, "[no stack]");
	if (stack->cut)
		rc = push_named(sc, "[truncated]");
	for (uint32_t i = 0; i < stack->cnt && !rc; i++) {
		const struct frame_number_list *list = frame_numbers_at(sc->numbers, stack->locations[i]);

		if (!list)
			return -ENOMEM;
		for (uint32_t k = 0; k < list->cnt && !rc; k++)
			rc = push(sc, list->v[k]);
	}
	return rc;
}

/* Stacks with the same beginning side by side: in the order of the file they are a flame graph too. */
static int by_frames(const void *x, const void *y, void *pool)
{
	const struct numbered_stack *a = x, *b = y;
	const uint32_t *left = (uint32_t *)pool + a->at, *right = (uint32_t *)pool + b->at;

	for (uint32_t i = 0; i < a->cnt && i < b->cnt; i++)
		if (left[i] != right[i])
			return left[i] < right[i] ? -1 : 1;
	if (a->cnt != b->cnt)
		return a->cnt < b->cnt ? -1 : 1;
	return a->site->number < b->site->number ? -1 : 1;
}

static int number_stacks(struct scope *sc)
{
	const struct allocation_view *a = sc->s->allocs;

	sc->stacks = calloc(a->site_cnt + 1, sizeof(*sc->stacks));
	if (!sc->stacks)
		return -ENOMEM;
	for (size_t i = 0; i < a->site_cnt; i++) {
		struct numbered_stack *stack = &sc->stacks[sc->stack_cnt++];

		stack->site = &a->sites[i];
		stack->at = sc->pool_cnt;
		if (push_stack(sc, a->sites[i].stack))
			return -ENOMEM;
		stack->cnt = (uint32_t)(sc->pool_cnt - stack->at);
	}
	qsort_r(sc->stacks, sc->stack_cnt, sizeof(*sc->stacks), by_frames, sc->pool);
	return 0;
}

/* What no site accounts for is a frame too, and frames come before the profiles. */
static int number_rests(struct scope *sc)
{
	struct weight_rest rests[WEIGHT_RESTS_MAX];
	uint32_t number;
	int rc = 0;

	for (int weight = 0; weight < WEIGHT_CNT; weight++) {
		size_t cnt = weight_rests(&sc->weights, weight, rests);

		for (size_t i = 0; i < cnt && !rc; i++)
			rc = frame_numbers_named(sc->numbers, rests[i].name, &number);
	}
	return rc;
}

static void put_string(FILE *out, const char *text)
{
	char shown[FRAME_TEXT_MAX];

	putc('"', out);
	for (const char *c = printable(shown, sizeof(shown), text); *c; c++) {
		if (*c == '"' || *c == '\\')
			putc('\\', out);
		putc(*c, out);
	}
	putc('"', out);
}

static void put_frame(FILE *out, const struct frame_name *frame)
{
	static const struct frame_form form = {.module = true};
	char name[FRAME_TEXT_MAX];

	fputs("{\"name\":", out);
	put_string(out, frame_text(name, sizeof(name), frame, &form));
	if (frame->file) {
		fputs(",\"file\":", out);
		put_string(out, frame->file);
	}
	if (frame->file && frame->line)
		fprintf(out, ",\"line\":%u", frame->line);
	putc('}', out);
}

static void put_frames(FILE *out, const struct scope *sc)
{
	for (size_t i = 0; i < frame_numbers_cnt(sc->numbers); i++) {
		fputs(i ? ",\n" : "", out);
		put_frame(out, frame_numbers_get(sc->numbers, i));
	}
}

#define DIGITS_MAX 11 /* of a number, with what stands before it */

/* Most of the file is this: formatted by hand it takes a fifth of the time. */
static void put_stack(FILE *out, const uint32_t *frames, uint32_t cnt)
{
	char text[512 * DIGITS_MAX], digits[DIGITS_MAX];
	size_t used = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		uint32_t number = frames[i];
		int len = 0;

		do
			digits[len++] = (char)('0' + number % 10);
		while (number /= 10);
		text[used++] = i ? ',' : '[';
		while (len)
			text[used++] = digits[--len];
		if (used > sizeof(text) - DIGITS_MAX) {
			fwrite(text, 1, used, out);
			used = 0;
		}
	}
	text[used++] = ']';
	fwrite(text, 1, used, out);
}

/* Samples and weights are two lists: each is gone over by itself. Those that weigh nothing are left out. */
static void put_samples(FILE *out, struct scope *sc, enum site_weight weight, const struct weight_rest *rests,
			size_t rest_cnt)
{
	const char *between = "";
	uint32_t number;

	for (size_t i = 0; i < sc->stack_cnt; i++) {
		if (!weight_of(&sc->weights, sc->stacks[i].site, weight))
			continue;
		fputs(between, out);
		put_stack(out, sc->pool + sc->stacks[i].at, sc->stacks[i].cnt);
		between = ",\n";
	}
	for (size_t i = 0; i < rest_cnt; i++) {
		/* It has its number already. */
		if (frame_numbers_named(sc->numbers, rests[i].name, &number))
			number = 0;
		fputs(between, out);
		put_stack(out, &number, 1);
		between = ",\n";
	}
}

static void put_weights(FILE *out, const struct scope *sc, enum site_weight weight,
			const struct weight_rest *rests, size_t rest_cnt)
{
	const char *between = "";

	for (size_t i = 0; i < sc->stack_cnt; i++) {
		uint64_t weighs = weight_of(&sc->weights, sc->stacks[i].site, weight);

		if (!weighs)
			continue;
		fprintf(out, "%s%" PRIu64, between, weighs);
		between = ",";
	}
	for (size_t i = 0; i < rest_cnt; i++) {
		fprintf(out, "%s%" PRIu64, between, rests[i].weight);
		between = ",";
	}
}

static void put_profile(FILE *out, struct scope *sc, enum site_weight weight)
{
	struct weight_rest rests[WEIGHT_RESTS_MAX];
	size_t rest_cnt = weight_rests(&sc->weights, weight, rests);
	uint64_t total = 0;

	for (size_t i = 0; i < sc->stack_cnt; i++)
		total += weight_of(&sc->weights, sc->stacks[i].site, weight);
	for (size_t i = 0; i < rest_cnt; i++)
		total += rests[i].weight;
	fprintf(out,
		"{\"type\":\"sampled\",\"name\":\"%s\",\"unit\":\"%s\",\"startValue\":0,\"endValue\":"
		"%" PRIu64,
		site_weight_names[weight], weight == WEIGHT_COUNT ? "none" : "bytes", total);
	fputs(",\"samples\":[", out);
	put_samples(out, sc, weight, rests, rest_cnt);
	fputs("],\n\"weights\":[", out);
	put_weights(out, sc, weight, rests, rest_cnt);
	fputs("]}", out);
}

static void put_name(FILE *out, const struct snapshot *s)
{
	char name[128 + BUDGET_TEXT_MAX], seen[BUDGET_TEXT_MAX];
	size_t used;

	if (s->pid)
		snprintf(name, 128, "%s (%d)", s->command ? s->command : "process", s->pid);
	else
		snprintf(name, 128, "%s", s->command ? s->command : "processes");
	used = strlen(name);
	if (s->allocs && s->allocs->budget.estimated)
		snprintf(name + used, sizeof(name) - used, ", estimates: %s", budget_seen_text(seen, s->allocs));
	put_string(out, name);
}

static void put_file(FILE *out, struct scope *sc)
{
	const char *between = "";

	fputs("{\"$schema\":\"https://www.speedscope.app/"
	      "file-format-schema.json\",\"exporter\":\"alloctrace@" ALLOCTRACE_VERSION "\",\"name\":",
	      out);
	put_name(out, sc->s);
	fputs(",\"activeProfileIndex\":0,\"shared\":{\"frames\":[", out);
	put_frames(out, sc);
	fputs("]},\"profiles\":[", out);
	for (int weight = 0; weight < WEIGHT_CNT; weight++) {
		/* A file without profiles would not be opened: live is there in any case. */
		if (!weight_is_known(&sc->weights, weight) && weight != WEIGHT_LIVE)
			continue;
		fputs(between, out);
		put_profile(out, sc, weight);
		between = ",\n";
	}
	fputs("]}\n", out);
}

int report_speedscope(FILE *out, const struct snapshot *s)
{
	struct scope sc = {.s = s, .numbers = frame_numbers_new()};
	int rc = sc.numbers ? 0 : -ENOMEM;

	weights_init(&sc.weights, s);
	for (size_t i = 0; s->allocs && i < s->allocs->site_cnt; i++)
		stack_want(s->names, s->allocs->sites[i].stack);
	names_wait(s->names);
	if (s->allocs && !rc)
		rc = number_stacks(&sc) ?: number_rests(&sc);
	if (!rc)
		put_file(out, &sc);
	frame_numbers_free(sc.numbers);
	free(sc.stacks);
	free(sc.pool);
	return rc ? rc : fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
