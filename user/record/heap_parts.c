/* Heap states: as walks found them, in the words of their allocators. */
#include "record/parts.h"

#include <string.h>

#define ALLOCATORS_MAX 64
#define ARENAS_MAX 65536

_Static_assert(sizeof(struct heap_figures) == 24 * sizeof(uint64_t), "a figure more: raise RECORD_VERSION");
_Static_assert(sizeof(struct heap_words) / sizeof(struct heap_word) == 10,
	       "a word more: raise RECORD_VERSION");

static void code_ranges(struct codec *c, struct heap_ranges *r)
{
	codec_name(c, &r->name);
	codec_number(c, &r->cnt);
	codec_number(c, &r->size);
	codec_number(c, &r->empty);
	codec_number(c, &r->sparse);
	codec_number(c, &r->sparse_live);
	codec_number(c, &r->sparse_retained);
}

static void code_figures(struct codec *c, struct heap_figures *f)
{
	codec_figures(c, f, sizeof(*f));
}

static void code_arena(struct codec *c, struct heap_arena *a)
{
	codec_chars(c, a->name, sizeof(a->name));
	codec_number(c, &a->addr);
	codec_bool(c, &a->main);
	codec_unsigned(c, &a->heap_cnt);
	codec_bool(c, &a->threads_known);
	codec_number(c, &a->threads);
	code_figures(c, &a->f);
	codec_number(c, &a->walked);
	codec_number(c, &a->inconsistent_at);
	codec_text(c, &a->inconsistent);
}

static const struct heap_words *code_words(struct codec *c, const struct heap_words *words)
{
	struct heap_words *copy = codec_part(c, words, sizeof(*copy));
	struct heap_word *word = (struct heap_word *)copy;

	if (!copy) {
		codec_refuse(c);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(*copy) / sizeof(*word); i++) {
		codec_text(c, &word[i].key);
		codec_text(c, &word[i].name);
		codec_text(c, &word[i].note);
	}
	return copy;
}

static void code_settings(struct codec *c, struct heap_walk *w)
{
	codec_size(c, &w->setting_cnt);
	if (w->setting_cnt > HEAP_SETTING_MAX) {
		codec_refuse(c);
		w->setting_cnt = 0;
	}
	for (size_t i = 0; i < w->setting_cnt; i++) {
		struct heap_setting *setting = &w->settings[i];

		codec_name(c, &setting->key);
		codec_name(c, &setting->name);
		setting->unit = codec_choice(c, setting->unit, HEAP_NUMBER + 1);
		codec_signed(c, &setting->value);
	}
}

static void code_classes(struct codec *c, struct heap_blocks classes[HEAP_CLASS_CNT])
{
	codec_figures(c, classes, HEAP_CLASS_CNT * sizeof(*classes));
}

/* Live blocks are kept by class: a step's are those of the class's first one afterwards. */
static void code_live(struct codec *c, struct heap_walk *w)
{
	struct heap_blocks classes[HEAP_CLASS_CNT];

	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++)
		classes[i] = heap_live_class(w, i);
	code_classes(c, classes);
	memset(w->live_step, 0, sizeof(w->live_step));
	for (unsigned i = 0; i < HEAP_CLASS_CNT; i++)
		heap_blocks_add(&w->live_step[size_step(1ULL << i)], &classes[i]);
}

static void code_walk(struct codec *c, struct heap_walk *w)
{
	codec_name(c, &w->allocator);
	w->words = code_words(c, w->words);
	codec_chars(c, w->version, sizeof(w->version));
	codec_bool(c, &w->complete);
	codec_bool(c, &w->estimate);
	code_figures(c, &w->total);
	w->arenas = codec_list(c, w->arenas, &w->arena_cnt, sizeof(*w->arenas), ARENAS_MAX);
	for (size_t i = 0; i < w->arena_cnt && codec_is_well(c); i++)
		code_arena(c, &w->arenas[i]);
	codec_figures(c, &w->mmapped, sizeof(w->mmapped));
	codec_figure(c, &w->mmapped_resident);
	code_ranges(c, &w->ranges);
	code_settings(c, w);
	code_live(c, w);
	code_classes(c, w->free_class);
	code_classes(c, w->pinned_class);
	codec_unsigned(c, &w->retries);
	codec_number(c, &w->started_ns);
	codec_number(c, &w->duration_ns);
}

static void code_allocator(struct codec *c, struct heap_allocator *a)
{
	codec_allocator(c, &a->kind);
	codec_chars(c, a->version, sizeof(a->version));
	codec_bool(c, &a->serving);
	codec_bool(c, &a->walked);
	if (a->walked)
		code_walk(c, &a->walk);
	codec_figure(c, &a->held);
	codec_figure(c, &a->resident);
	codec_figure(c, &a->live_heap);
	codec_figure(c, &a->retained);
	codec_figure(c, &a->purgeable);
	codec_figure(c, &a->pinned);
	code_ranges(c, &a->ranges);
}

void code_heap(struct codec *c, struct heap_state *h)
{
	codec_number(c, &h->taken_ns);
	codec_number(c, &h->cost_ns);
	h->allocators =
		codec_list(c, h->allocators, &h->allocator_cnt, sizeof(*h->allocators), ALLOCATORS_MAX);
	for (size_t i = 0; i < h->allocator_cnt && codec_is_well(c); i++)
		code_allocator(c, &h->allocators[i]);
	codec_chars(c, h->note, sizeof(h->note));
	codec_figure(c, &h->held);
	codec_figure(c, &h->resident);
	codec_figure(c, &h->live_heap);
	codec_figure(c, &h->retained);
	codec_figure(c, &h->purgeable);
	codec_figure(c, &h->pinned);
}
