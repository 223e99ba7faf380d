#include "report/json_heap.h"

static void blocks(struct json *j, cJSON *parent, const char *name, const struct heap_blocks *b)
{
	cJSON *o = json_object(j, parent, name);

	json_integer(j, o, "blocks", b->cnt);
	json_integer(j, o, "bytes", b->bytes);
}

static void free_kind(struct json *j, cJSON *o, const struct heap_word *word, const struct heap_blocks *b)
{
	if (word->key)
		blocks(j, o, word->key, b);
}

static void free_by_kind(struct json *j, cJSON *parent, const struct heap_words *words,
			 const struct heap_figures *f)
{
	cJSON *o = json_object(j, parent, "free");

	free_kind(j, o, &words->bins, &f->bins);
	free_kind(j, o, &words->fast, &f->fast);
	free_kind(j, o, &words->thread_cache, &f->thread_cache);
	free_kind(j, o, &words->top, &(struct heap_blocks){.cnt = f->top > 0, .bytes = f->top});
}

static void pinned_by(struct json *j, cJSON *parent, const struct heap_pinned *p)
{
	cJSON *o = json_object(j, parent, "pinned_by");

	json_integer(j, o, "partial", p->partial);
	json_integer(j, o, "top", p->top);
	json_integer(j, o, "thread_cache", p->thread_cache);
	json_integer(j, o, "other_threads", p->other_threads);
	json_integer(j, o, "policy", p->policy);
	json_integer(j, o, "overhead", p->overhead);
}

static void settings(struct json *j, cJSON *parent, const struct heap_walk *walk)
{
	cJSON *o = json_object(j, parent, "settings");

	for (size_t i = 0; i < walk->setting_cnt; i++)
		json_signed(j, o, walk->settings[i].key, walk->settings[i].value);
}

/* What walks find beyond the figures that every allocator has; the same for an arena and a total. */
static void details(struct json *j, cJSON *o, const struct heap_words *words, const struct heap_figures *f)
{
	json_integer(j, o, "swapped", f->swapped);
	json_integer(j, o, "shared", f->shared);
	json_integer(j, o, "live_blocks", f->live.cnt);
	free_by_kind(j, o, words, f);
	json_integer(j, o, "overhead", f->overhead);
	json_integer(j, o, "largest_free", f->largest_free);
	json_integer(j, o, "purgeable_shared", f->purgeable_shared);
	pinned_by(j, o, &f->pinned);
}

static void inconsistency(struct json *j, cJSON *o, const struct heap_arena *a)
{
	cJSON *what;

	if (!a->inconsistent) {
		json_null(j, o, "inconsistent");
		return;
	}
	what = json_object(j, o, "inconsistent");
	json_address(j, what, "at", a->inconsistent_at);
	json_text(j, what, "why", a->inconsistent);
}

static void arena(struct json *j, cJSON *arenas, const struct heap_words *words, const struct heap_arena *a)
{
	cJSON *o = json_object(j, arenas, NULL);

	json_text(j, o, "name", a->name);
	json_address(j, o, "addr", a->addr);
	json_bool(j, o, "main", a->main);
	json_integer(j, o, "heaps", a->heap_cnt);
	json_integer(j, o, "held", a->f.held);
	json_integer(j, o, "resident", a->f.resident);
	json_integer(j, o, "live_heap", a->f.live.bytes);
	json_integer(j, o, "retained", a->f.retained);
	json_integer(j, o, "purgeable", a->f.purgeable);
	json_integer(j, o, "pinned", heap_pinned_sum(&a->f.pinned));
	details(j, o, words, &a->f);
	json_integer(j, o, "walked", a->walked);
	inconsistency(j, o, a);
}

static void size_classes(struct json *j, cJSON *o, const struct heap_walk *walk)
{
	cJSON *classes = json_array(j, o, "size_classes");

	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++) {
		struct heap_blocks live = heap_live_class(walk, i);
		cJSON *c;

		if (!live.cnt && !walk->free_class[i].cnt)
			continue;
		c = json_object(j, classes, NULL);
		json_integer(j, c, "min", 1ULL << i);
		json_integer(j, c, "live_blocks", live.cnt);
		json_integer(j, c, "live_bytes", live.bytes);
		json_integer(j, c, "free_blocks", walk->free_class[i].cnt);
		json_integer(j, c, "free_bytes", walk->free_class[i].bytes);
	}
}

/* null: it gives back what it likes. */
static void ranges(struct json *j, cJSON *parent, const struct heap_ranges *r)
{
	cJSON *o;

	if (!r->cnt) {
		json_null(j, parent, "ranges");
		return;
	}
	o = json_object(j, parent, "ranges");
	json_text(j, o, "name", r->name);
	json_integer(j, o, "count", r->cnt);
	json_integer(j, o, "size", r->size);
	json_integer(j, o, "empty", r->empty);
	json_integer(j, o, "sparse", r->sparse);
	json_integer(j, o, "sparse_live", r->sparse_live);
	json_integer(j, o, "sparse_retained", r->sparse_retained);
}

static void walk_facts(struct json *j, cJSON *o, const struct heap_walk *walk)
{
	cJSON *mmapped = json_object(j, o, "mmapped"), *facts;

	json_integer(j, mmapped, "blocks", walk->mmapped.cnt);
	json_integer(j, mmapped, "bytes", walk->mmapped.bytes);
	json_integer(j, mmapped, "resident", walk->mmapped_resident);
	ranges(j, o, &walk->ranges);
	settings(j, o, walk);
	size_classes(j, o, walk);
	facts = json_object(j, o, "walk");
	json_bool(j, facts, "complete", walk->complete);
	json_bool(j, facts, "estimate", walk->estimate);
	json_integer(j, facts, "retries", walk->retries);
	json_integer(j, facts, "duration_ns", walk->duration_ns);
}

/* What only a walk knows is null without one. */
static void no_walk(struct json *j, cJSON *o)
{
	static const char *const names[] = {
		"swapped",      "shared",           "live_blocks", "free",    "overhead",
		"largest_free", "purgeable_shared", "pinned_by",   "mmapped", "ranges",
		"settings",     "size_classes",     "walk",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_null(j, o, names[i]);
}

static void allocator(struct json *j, cJSON *list, const struct heap_allocator *a)
{
	cJSON *o = json_object(j, list, NULL), *arenas;

	json_text(j, o, "name", a->kind->name);
	json_text(j, o, "version", a->version[0] ? a->version : NULL);
	json_bool(j, o, "serving", a->serving);
	json_text(j, o, "layer", a->kind->layer);
	json_figure(j, o, "held", a->held);
	json_figure(j, o, "resident", a->resident);
	json_figure(j, o, "live_heap", a->live_heap);
	json_figure(j, o, "retained", a->retained);
	json_figure(j, o, "purgeable", a->purgeable);
	json_figure(j, o, "pinned", a->pinned);
	ranges(j, o, &a->ranges);
	if (a->walked) {
		details(j, o, a->walk.words, &a->walk.total);
		walk_facts(j, o, &a->walk);
	} else {
		no_walk(j, o);
	}
	arenas = json_array(j, o, "arenas");
	for (size_t i = 0; a->walked && i < a->walk.arena_cnt; i++)
		arena(j, arenas, a->walk.words, &a->walk.arenas[i]);
}

void json_allocators(struct json *j, cJSON *parent, const struct heap_state *state)
{
	cJSON *list = json_array(j, parent, "allocators");

	for (size_t i = 0; i < state->allocator_cnt; i++)
		allocator(j, list, &state->allocators[i]);
}
