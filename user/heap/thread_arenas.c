#include "heap/thread_arenas.h"

#include <stdlib.h>
#include <string.h>

#define TLS_BYTES (16UL << 10) /* below the thread pointer; libraries loaded at the start have some KB */
#define TLS_WORDS (TLS_BYTES / 8)

struct search {
	const struct heap_walk *walk;
	struct memory *mem;
	uint64_t words[TLS_WORDS]; /* of the thread looked at; 0 where it has no memory */
	uint32_t hits[TLS_WORDS];  /* threads with an arena there */
	bool spoilt[TLS_WORDS];    /* something that is neither an arena nor nothing */
};

static bool is_arena(const struct heap_walk *walk, uint64_t addr)
{
	/* Few, and asked for addresses only. */
	for (size_t i = 0; addr && i < walk->arena_cnt; i++)
		if (walk->arenas[i].addr == addr)
			return true;
	return false;
}

/* The words below the pointer, the lowest first; pages that are not in RAM are not read. */
static void read_tls(struct search *s, uint64_t pointer)
{
	uint64_t start = pointer - TLS_BYTES, page;
	char *to = (char *)s->words;
	uint8_t state;

	memset(s->words, 0, sizeof(s->words));
	for (uint64_t at = start; at < pointer; at = page + TARGET_PAGE_SIZE) {
		page = at & ~(TARGET_PAGE_SIZE - 1);
		if (!memory_pages(s->mem, page, page + TARGET_PAGE_SIZE, &state) && state & PAGE_PRESENT) {
			uint64_t end = page + TARGET_PAGE_SIZE < pointer ? page + TARGET_PAGE_SIZE : pointer;

			memory_read(s->mem, at, to + (at - start), end - at);
		}
	}
}

static void count_words(struct search *s)
{
	for (size_t i = 0; i < TLS_WORDS; i++) {
		if (is_arena(s->walk, s->words[i]))
			s->hits[i]++;
		else if (s->words[i])
			s->spoilt[i] = true;
	}
}

/* The place that most threads vote for and none speaks against; TLS_WORDS: none, or two as good. */
static size_t best_place(const struct search *s)
{
	size_t best = TLS_WORDS;
	bool tie = false;

	for (size_t i = 0; i < TLS_WORDS; i++) {
		if (!s->hits[i] || s->spoilt[i])
			continue;
		tie = best < TLS_WORDS && s->hits[i] == s->hits[best];
		if (best == TLS_WORDS || s->hits[i] > s->hits[best])
			best = i;
	}
	return tie ? TLS_WORDS : best;
}

size_t thread_arenas_find(const struct heap_walk *walk, const struct threads *threads, struct memory *mem,
			  uint64_t *arenas)
{
	struct search *s = calloc(1, sizeof(*s));
	size_t known = 0, place;

	memset(arenas, 0, threads->cnt * sizeof(*arenas));
	if (!s)
		return 0;
	s->walk = walk;
	s->mem = mem;
	for (size_t i = 0; i < threads->cnt; i++) {
		if (threads->v[i].pointer < TLS_BYTES || threads->v[i].pointer & 7)
			continue;
		read_tls(s, threads->v[i].pointer);
		count_words(s);
	}
	place = best_place(s);
	for (size_t i = 0; place < TLS_WORDS && i < threads->cnt; i++) {
		if (threads->v[i].pointer < TLS_BYTES || threads->v[i].pointer & 7)
			continue;
		read_tls(s, threads->v[i].pointer);
		arenas[i] = is_arena(walk, s->words[place]) ? s->words[place] : 0;
		known += arenas[i] != 0;
	}
	free(s);
	return known;
}
