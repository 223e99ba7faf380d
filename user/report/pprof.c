#include "report/pprof.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/gzip.h"
#include "base/units.h"
#include "heap/state.h"
#include "report/budget_text.h"
#include "report/heaviest.h"
#include "report/pprof_tables.h"
#include "picture/weight.h"
#include "picture/with_objects.h"

#define GZIP_LEVEL 1 /* a third of the time of the usual 6, for a tenth more bytes */
#define COMMENTS_MAX 8

/* Live objects are no sum. */
_Static_assert(WEIGHT_CNT - 1 <= SINCE_SUMS_MAX,
	       "more types may be sums than since.h has room for");

/* Readers that know no default take the last. */
const struct pprof_type pprof_types[] = {
	{"python_objects", "count", WEIGHT_PYTHON, true, false},
	{"python", "bytes", WEIGHT_PYTHON, false, false},
	{"retained", "bytes", WEIGHT_RETAINED, false, false},
	{"pinned", "bytes", WEIGHT_PINNED, false, false},
	{"peak_objects", "count", WEIGHT_PEAK, true, false},
	{"peak", "bytes", WEIGHT_PEAK, false, false},
	{"temporary_objects", "count", WEIGHT_TEMPORARY, true, true},
	{"temporary", "bytes", WEIGHT_TEMPORARY, false, true},
	{"freed_objects", "count", WEIGHT_FREED, true, true},
	{"freed", "bytes", WEIGHT_FREED, false, true},
	{"count", "count", WEIGHT_COUNT, false, true},
	{"allocated", "bytes", WEIGHT_ALLOCATED, false, true},
	{"live_objects", "count", WEIGHT_LIVE, true, false},
	{"live", "bytes", WEIGHT_LIVE, false, false},
	{.name = NULL},
};

struct profile {
	FILE *out;
	const struct snapshot *s;
	struct weights weights;
	struct since *since; /* NULL: all since the attach */
	struct pprof_tables *tables;
	const struct pprof_type *types[PPROF_TYPES_MAX];
	size_t type_cnt;
	uint64_t *ids; /* of one stack */
	size_t id_cap;
	uint8_t *packed;
	size_t packed_cap;
	bool failed; /* no memory */
};

static bool reserve(struct profile *p, void **v, size_t *cap, size_t wanted, size_t size)
{
	void *grown;

	if (wanted <= *cap)
		return true;
	grown = realloc(*v, 2 * wanted * size);
	if (!grown) {
		p->failed = true;
		return false;
	}
	*v = grown;
	*cap = 2 * wanted;
	return true;
}

/* Messages of one kind that follow each other are one: what is repeated adds up. */
static void put_piece(const Pprof__Profile *piece, void *arg)
{
	struct profile *p = arg;
	size_t len = pprof__profile__get_packed_size(piece);

	if (!reserve(p, (void **)&p->packed, &p->packed_cap, len, 1))
		return;
	pprof__profile__pack(piece, p->packed);
	fwrite(p->packed, 1, len, p->out);
}

static int64_t value_of(uint64_t figure)
{
	return figure > INT64_MAX ? INT64_MAX : (int64_t)figure;
}

static void put_sample(struct profile *p, size_t id_cnt, int64_t *values)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__Sample sample = PPROF__SAMPLE__INIT, *list = &sample;

	sample.n_location_id = id_cnt;
	sample.location_id = p->ids;
	sample.n_value = p->type_cnt;
	sample.value = values;
	piece.n_sample = 1;
	piece.sample = &list;
	put_piece(&piece, p);
}

static size_t list_locations(struct profile *p, const struct stack *stack)
{
	size_t cnt = 0;

	if (!reserve(p, (void **)&p->ids, &p->id_cap, stack ? stack->cnt + 1 : 1, sizeof(*p->ids)))
		return 0;
	for (uint32_t i = stack ? stack->cnt : 0; i--;)
		p->ids[cnt++] = pprof_location(p->tables, stack->locations[i]);
	if (!cnt)
		p->ids[cnt++] = pprof_named(p->tables, "[no stack]");
	else if (stack->cut)
		p->ids[cnt++] = pprof_named(p->tables, "[truncated]");
	return cnt;
}

/* The sums among the values, and back. */
static void count_since(struct profile *p, const struct site_view *site, int64_t *values)
{
	uint64_t sums[SINCE_SUMS_MAX];
	unsigned cnt = 0;

	for (size_t i = 0; i < p->type_cnt; i++)
		if (p->types[i]->is_sum)
			sums[cnt++] = (uint64_t)values[i];
	p->failed |= since_take(p->since, site, sums, cnt) != 0;
	cnt = 0;
	for (size_t i = 0; i < p->type_cnt; i++)
		if (p->types[i]->is_sum)
			values[i] = (int64_t)sums[cnt++];
}

/* Whether there is anything. */
static bool weigh(struct profile *p, const struct site_view *site, int64_t values[PPROF_TYPES_MAX])
{
	bool any = false;

	for (size_t i = 0; i < p->type_cnt; i++) {
		const struct pprof_type *type = p->types[i];

		values[i] = value_of(type->blocks ? weight_blocks(site, type->weight)
						  : weight_of(&p->weights, site, type->weight));
	}
	if (p->since && !site->of_objects)
		count_since(p, site, values);
	for (size_t i = 0; i < p->type_cnt; i++)
		any |= values[i] != 0;
	return any;
}

static void put_named(struct profile *p, const char *name, int64_t *values)
{
	if (!reserve(p, (void **)&p->ids, &p->id_cap, 1, sizeof(*p->ids)))
		return;
	p->ids[0] = pprof_named(p->tables, name);
	put_sample(p, 1, values);
}

static void put_sites(struct profile *p, const struct heaviest *heaviest)
{
	const struct allocation_view *a = p->s->allocs;
	int64_t values[PPROF_TYPES_MAX], others[PPROF_TYPES_MAX] = {0};
	bool any_others = false;

	for (size_t i = 0; a && i < a->site_cnt; i++) {
		if (!weigh(p, &a->sites[i], values))
			continue;
		if (heaviest_has(heaviest, i)) {
			put_sample(p, list_locations(p, a->sites[i].stack), values);
			continue;
		}
		any_others = true;
		for (size_t k = 0; k < p->type_cnt; k++)
			others[k] += values[k];
	}
	if (any_others)
		put_named(p, "[smaller stacks]", others);
}

/* What no site accounts for, so that sums are those of the report. */
static void put_rests(struct profile *p)
{
	struct weight_rest rests[WEIGHT_RESTS_MAX];

	for (size_t i = 0; i < p->type_cnt; i++) {
		size_t cnt = p->types[i]->blocks ? 0 : weight_rests(&p->weights, p->types[i]->weight, rests);

		for (size_t k = 0; k < cnt; k++) {
			int64_t values[PPROF_TYPES_MAX] = {0};

			values[i] = value_of(rests[k].weight);
			put_named(p, rests[k].name, values);
		}
	}
}

static void put_type(struct profile *p, const struct pprof_type *type)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;
	Pprof__ValueType value = PPROF__VALUE_TYPE__INIT, *list = &value;

	value.type = pprof_text(p->tables, type->name);
	value.unit = pprof_text(p->tables, type->unit);
	piece.n_sample_type = 1;
	piece.sample_type = &list;
	put_piece(&piece, p);
}

static void choose_types(struct profile *p)
{
	for (const struct pprof_type *type = pprof_types; type->name; type++) {
		if (!weight_is_known(&p->weights, type->weight))
			continue;
		p->types[p->type_cnt++] = type;
		put_type(p, type);
	}
}

/* What a reader of the figures has to know, as `pprof -comments` shows it. */
static size_t comment(struct profile *p, int64_t comments[COMMENTS_MAX])
{
	const struct snapshot *s = p->s;
	char text[BUDGET_TEXT_MAX + 16], seen[BUDGET_TEXT_MAX];
	uint64_t lost = 0;
	size_t cnt = 0;

	for (int i = 0; i < SOURCE_LOSS_CNT; i++)
		lost += s->lost[i];
	comments[cnt++] = pprof_text(p->tables, "alloctrace " ALLOCTRACE_VERSION);
	if (s->pid)
		snprintf(text, sizeof(text), "process %d (%s)", s->pid, s->command ? s->command : "");
	else
		snprintf(text, sizeof(text), "%s", s->command ? s->command : "");
	comments[cnt++] = pprof_text(p->tables, text);
	if (s->allocs && s->allocs->budget.estimated) {
		snprintf(text, sizeof(text), "estimates: %s", budget_seen_text(seen, s->allocs));
		comments[cnt++] = pprof_text(p->tables, text);
	}
	if (weight_is_known(&p->weights, WEIGHT_RETAINED))
		comments[cnt++] = pprof_text(
			p->tables, "retained: an estimate, charged in proportion to what each stack freed");
	if (lost) {
		snprintf(text, sizeof(text), "%llu events were lost", (unsigned long long)lost);
		comments[cnt++] = pprof_text(p->tables, text);
	}
	return cnt;
}

static void put_head(struct profile *p)
{
	Pprof__Profile head = PPROF__PROFILE__INIT;
	Pprof__ValueType period = PPROF__VALUE_TYPE__INIT;
	int64_t comments[COMMENTS_MAX];
	const struct snapshot *s = p->s;
	uint64_t from_ns = p->since ? since_from_ns(p->since) : 0;

	period.type = pprof_text(p->tables, "space");
	period.unit = pprof_text(p->tables, "bytes");
	head.period_type = &period;
	head.period = s->allocs && s->allocs->sample_bytes ? (int64_t)s->allocs->sample_bytes : 1;
	head.default_sample_type = pprof_text(p->tables, site_weight_names[WEIGHT_LIVE]);
	head.time_nanos = (int64_t)(clock_epoch(s->time_ns) * 1e9);
	head.duration_nanos = (int64_t)(s->time_ns - (from_ns ? from_ns : s->started_ns));
	head.n_comment = comment(p, comments);
	head.comment = comments;
	put_piece(&head, p);
}

static void want_names(const struct snapshot *s, const struct heaviest *heaviest)
{
	for (size_t i = 0; s->allocs && i < s->allocs->site_cnt; i++)
		if (heaviest_has(heaviest, i))
			stack_want(s->names, s->allocs->sites[i].stack);
	names_wait(s->names);
}

static int put_all(struct profile *p, size_t stacks_max)
{
	struct heaviest heaviest;
	int rc = heaviest_choose(&heaviest, &p->weights, stacks_max ? stacks_max : SIZE_MAX);

	if (!rc) {
		want_names(p->s, &heaviest);
		if (p->since)
			since_begin(p->since, p->s->time_ns);
		choose_types(p);
		put_head(p);
		put_sites(p, &heaviest);
		put_rests(p);
		rc = pprof_tables_put(p->tables, put_piece, p);
	}
	heaviest_free(&heaviest);
	return p->failed ? -ENOMEM : rc;
}

int pprof_put(FILE *out, const struct snapshot *s, const struct pprof_choice *choice)
{
	struct profile p = {.out = out, .since = choice->since, .tables = pprof_tables_new(s->command)};
	struct with_objects with;
	int rc = with_objects_make(&with, &s);

	if (!p.tables)
		rc = -ENOMEM;
	p.s = s;
	weights_init(&p.weights, s);
	rc = rc ?: put_all(&p, choice->stacks_max);
	with_objects_free(&with);
	pprof_tables_free(p.tables);
	free(p.ids);
	free(p.packed);
	return rc ? rc : fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}

int report_pprof(FILE *out, const struct snapshot *s)
{
	FILE *gzip = gzip_stream(out, GZIP_LEVEL);
	int rc;

	if (!gzip)
		return -ENOMEM;
	rc = pprof_put(gzip, s, &(struct pprof_choice){.stacks_max = 0});
	if (fclose(gzip) && !rc)
		rc = -errno;
	return rc;
}
