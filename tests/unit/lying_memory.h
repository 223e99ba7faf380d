/*
 * A saved heap whose memory lies: words are replaced and pages vanish, at places that a seed
 * chooses, from the start or while it is read. What a walker must do then: come to an end, read
 * no page that is not there, and give sums that are sums.
 */
#ifndef ALLOCTRACE_TESTS_LYING_MEMORY_H
#define ALLOCTRACE_TESTS_LYING_MEMORY_H

#include <stdlib.h>
#include <string.h>

#include "heap/walk.h"
#include "target/maps.h"
#include "target/memory.h"

struct lying_memory {
	struct memory mem;
	struct memory *truth;
	struct maps maps;
	uint64_t seed;
	unsigned rate;  /* one word, or page, in so many lies */
	bool changes;   /* another one at every read */
	uint64_t reads;
	unsigned absent_reads; /* of pages that were said not to be there */
};

static uint64_t lying_hash(const struct lying_memory *l, uint64_t what)
{
	uint64_t h = (what ^ l->seed * 0x9e3779b97f4a7c15ULL) + (l->changes ? l->reads / 64 : 0);

	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
	return h ^ h >> 31;
}

/* What a word becomes: nothing, one bit off, another number, an address in the target. */
static uint64_t lying_word(const struct lying_memory *l, uint64_t word, uint64_t hash)
{
	const struct mapping *m = &l->maps.v[(hash >> 16 & 0xffff) % l->maps.cnt];

	switch (hash >> 8 & 7) {
	case 0:
		return 0;
	case 1:
	case 2:
		return word ^ 1ULL << (hash >> 32) % 64;
	case 3:
		return hash * 0x2545f4914f6cdd1dULL;
	case 4:
		return word + 0x1000 * (hash >> 32 & 0xff);
	default:
		return m->start + ((hash >> 32) % (m->end - m->start) & ~7ULL);
	}
}

static bool lying_gone(const struct lying_memory *l, uint64_t page)
{
	return l->rate && lying_hash(l, page / 4096 * 2 + 1) % (8ULL * l->rate) == 0;
}

static ssize_t lying_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
			   const struct iovec *remote, size_t remote_cnt)
{
	struct lying_memory *l = (struct lying_memory *)mem;
	ssize_t got = l->truth->ops->readv(l->truth, local, local_cnt, remote, remote_cnt), left = got;

	l->reads++;
	for (size_t i = 0; i < local_cnt && left > 0; i++) {
		size_t len = local[i].iov_len < (size_t)left ? local[i].iov_len : (size_t)left;
		uint64_t addr = (uintptr_t)remote[i].iov_base;

		left -= (ssize_t)len;
		l->absent_reads += !l->changes && lying_gone(l, addr & ~4095ULL);
		for (size_t off = -addr & 7; l->rate && off + 8 <= len; off += 8) {
			uint64_t word, hash = lying_hash(l, addr + off);

			if (hash % l->rate)
				continue;
			memcpy(&word, (char *)local[i].iov_base + off, 8);
			word = lying_word(l, word, lying_hash(l, hash));
			memcpy((char *)local[i].iov_base + off, &word, 8);
		}
	}
	return got;
}

static int lying_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *state)
{
	struct lying_memory *l = (struct lying_memory *)mem;
	int rc = l->truth->ops->pages(l->truth, start, end, state);

	for (uint64_t page = start; rc == 0 && page < end; page += 4096)
		if (lying_gone(l, page))
			state[(page - start) / 4096] = l->seed & 1 ? PAGE_SWAPPED : 0;
	return rc;
}

static int lying_maps(struct memory *mem, struct maps *maps, struct error *err)
{
	struct lying_memory *l = (struct lying_memory *)mem;

	return l->truth->ops->maps(l->truth, maps, err);
}

static void lying_close(struct memory *mem)
{
	(void)mem;
}

static const struct memory_ops lying_ops = {lying_readv, lying_pages, lying_maps, lying_close};

/* truth stays the caller's, and must outlive it. */
static inline void lying_open(struct lying_memory *l, struct memory *truth)
{
	struct error err;

	*l = (struct lying_memory){.mem = {.ops = &lying_ops}, .truth = truth};
	if (truth->ops->maps(truth, &l->maps, &err) != 0)
		abort();
}

static inline void lying_free(struct lying_memory *l)
{
	maps_free(&l->maps);
}

/* What must hold whatever the target's memory says. */
static inline void lying_check(const struct heap_walk *walk)
{
	struct heap_figures sum = {0};

	for (size_t i = 0; i < walk->arena_cnt; i++) {
		const struct heap_figures *f = &walk->arenas[i].f;

		if (f->retained != f->purgeable + heap_pinned_sum(&f->pinned) || f->purgeable_shared > f->purgeable ||
		    f->purgeable > f->resident)
			abort();
		heap_figures_add(&sum, f);
	}
	if (sum.retained != walk->total.retained || sum.live.bytes != walk->total.live.bytes)
		abort();
	for (size_t i = 0; i < walk->pages.cnt; i++)
		if (!walk->pages.v[i].holders || !walk->pages.v[i].pages ||
		    walk->pages.v[i].free > walk->pages.v[i].pages * 4096U)
			abort();
}

/* Finds and walks a lying heap, with and without knowing where it is, so many times. */
static inline void lying_walks(const struct heap_walker *walker, struct memory *truth, unsigned cnt)
{
	static const unsigned rates[] = {5000, 500, 50, 5};
	struct lying_memory l;
	struct error err;

	lying_open(&l, truth);
	for (unsigned i = 0; i < cnt; i++) {
		struct heap *heap = NULL;
		struct heap_walk walk;

		l.seed = i + 1;
		l.changes = i & 1;
		/* What is found in sound memory is walked in memory that lies, or all of it lies. */
		l.rate = i & 2 ? 0 : rates[i / 4 % 4];
		if (walker->find(&l.mem, 0, &heap, &err) != 0)
			continue;
		l.rate = rates[i / 4 % 4];
		if (walker->walk(heap, &l.mem, i & 4, &walk, &err) == 0) {
			lying_check(&walk);
			heap_walk_free(&walk);
		}
		walker->free(heap);
	}
	if (l.absent_reads)
		abort();
	lying_free(&l);
}

#endif
