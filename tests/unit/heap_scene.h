/*
 * A process that exists on paper only: the data of a C library and a main heap laid out by
 * one row of the walker's table, so that a layout can be walked for which there is no
 * machine, and broken in every way that a target may be broken.
 */
#ifndef ALLOCTRACE_TESTS_HEAP_SCENE_H
#define ALLOCTRACE_TESTS_HEAP_SCENE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/glibc.h"
#include "heap/glibc_heap.h"

#define SCENE_LIBC 0x7f0000200000ULL
#define SCENE_HEAP 0x555500000000ULL
#define SCENE_LIBC_PAGES 4
#define SCENE_HEAP_PAGES 64
#define SCENE_ARENA (SCENE_LIBC + 0x60)
#define SCENE_PAR (SCENE_LIBC + 0x2020)

struct scene {
	struct memory mem;
	const struct glibc_row *row;
	char libc[SCENE_LIBC_PAGES * TARGET_PAGE_SIZE];
	char heap[SCENE_HEAP_PAGES * TARGET_PAGE_SIZE];
	uint8_t libc_state[SCENE_LIBC_PAGES], heap_state[SCENE_HEAP_PAGES];
	uint64_t at;    /* where the next chunk goes */
	bool prev_free; /* binned: the next header has PREV_INUSE clear */
	uint64_t prev_size;
	uint64_t bin;    /* the chunk binned last */
	uint64_t fast;   /* the chunk put last into fastbin 0 */
	uint64_t cached; /* user address of the chunk cached last, of size 0x40 */
	unsigned cached_cnt;
	uint64_t tcache;       /* chunk that holds the tcache struct; 0: none */
	uint64_t absent_reads; /* of pages that must not be read */
};

static char *scene_bytes(struct scene *s, uint64_t addr)
{
	if (addr >= SCENE_LIBC && addr < SCENE_LIBC + sizeof(s->libc))
		return s->libc + (addr - SCENE_LIBC);
	if (addr >= SCENE_HEAP && addr < SCENE_HEAP + sizeof(s->heap))
		return s->heap + (addr - SCENE_HEAP);
	return NULL;
}

static uint8_t *scene_state(struct scene *s, uint64_t addr)
{
	if (addr >= SCENE_LIBC && addr < SCENE_LIBC + sizeof(s->libc))
		return &s->libc_state[(addr - SCENE_LIBC) / TARGET_PAGE_SIZE];
	if (addr >= SCENE_HEAP && addr < SCENE_HEAP + sizeof(s->heap))
		return &s->heap_state[(addr - SCENE_HEAP) / TARGET_PAGE_SIZE];
	return NULL;
}

static void scene_poke(struct scene *s, uint64_t addr, uint64_t value)
{
	memcpy(scene_bytes(s, addr), &value, sizeof(value));
}

static uint64_t scene_word(struct scene *s, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, scene_bytes(s, addr), sizeof(value));
	return value;
}

static ssize_t scene_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
			   const struct iovec *remote, size_t remote_cnt)
{
	struct scene *s = (struct scene *)mem;
	ssize_t done = 0;

	for (size_t i = 0; i < remote_cnt && i < local_cnt; i++)
		for (size_t off = 0; off < remote[i].iov_len; off++) {
			uint64_t addr = (uint64_t)(uintptr_t)remote[i].iov_base + off;
			uint8_t *state = scene_state(s, addr);

			if (!state)
				return done ? done : -EFAULT;
			if (!(*state & PAGE_PRESENT))
				s->absent_reads++;
			((char *)local[i].iov_base)[off] = *scene_bytes(s, addr);
			done++;
		}
	return done;
}

static int scene_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *out)
{
	for (uint64_t page = start; page < end; page += TARGET_PAGE_SIZE) {
		uint8_t *state = scene_state((struct scene *)mem, page);

		*out++ = state ? *state : 0;
	}
	return 0;
}

static int scene_maps(struct memory *mem, struct maps *maps, struct error *err)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
			   "%llx-%llx rw-p 00000000 00:00 0 [heap]\n"
			   "%llx-%llx rw-p 00200000 fe:00 42 /lib/libc.so.6\n",
			   SCENE_HEAP, SCENE_HEAP + sizeof(((struct scene *)mem)->heap), SCENE_LIBC,
			   SCENE_LIBC + sizeof(((struct scene *)mem)->libc));

	(void)err;
	return maps_parse(text, (size_t)len, maps);
}

static void scene_close(struct memory *mem)
{
	(void)mem;
}

static const struct memory_ops scene_ops = {
	.readv = scene_readv,
	.pages = scene_pages,
	.maps = scene_maps,
	.free = scene_close,
};

/* A chunk in use; its user memory holds 0xaa. */
static inline uint64_t scene_used(struct scene *s, uint64_t size)
{
	uint64_t chunk = s->at;

	memset(scene_bytes(s, chunk + 16), 0xaa, size - 16);
	if (s->prev_free)
		scene_poke(s, chunk, s->prev_size);
	scene_poke(s, chunk + 8, size | (s->prev_free ? 0 : CHUNK_PREV_INUSE));
	s->at += size;
	s->prev_free = false;
	s->prev_size = size;
	return chunk;
}

/* A chunk in the unsorted bin. */
static inline uint64_t scene_binned(struct scene *s, uint64_t size)
{
	uint64_t chunk = scene_used(s, size), bins = SCENE_ARENA + s->row->bins, self = bins - 16;

	scene_poke(s, chunk + 16, scene_word(s, bins));
	scene_poke(s, chunk + 24, self);
	if (s->bin)
		scene_poke(s, s->bin + 24, chunk);
	else
		scene_poke(s, bins + 8, chunk);
	scene_poke(s, bins, chunk);
	s->bin = chunk;
	s->prev_free = true;
	return chunk;
}

static inline uint64_t scene_link(const struct scene *s, uint64_t at, uint64_t to)
{
	return s->row->safe_linking ? to ^ (at >> 12) : to;
}

/* A chunk of 0x20 bytes in the first fastbin. */
static inline uint64_t scene_fast(struct scene *s)
{
	uint64_t chunk = scene_used(s, 0x20);

	scene_poke(s, chunk + 16, scene_link(s, chunk + 16, s->fast));
	scene_poke(s, SCENE_ARENA + s->row->fastbins, chunk);
	s->fast = chunk;
	return chunk;
}

/* A chunk of 0x40 bytes in the thread's cache. */
static inline uint64_t scene_cached(struct scene *s)
{
	const struct glibc_tcache *tc = s->row->tcache;
	uint64_t chunk = scene_used(s, 0x40), user = chunk + 16, bin = 2, at = s->tcache + 16;
	uint64_t cnt = ++s->cached_cnt;

	if (tc->down)
		cnt = 16 - cnt;
	scene_poke(s, user, scene_link(s, user, s->cached));
	memcpy(scene_bytes(s, at + bin * tc->width), &cnt, tc->width);
	scene_poke(s, at + tc->entries + 8 * bin, user);
	s->cached = user;
	return chunk;
}

/* The tcache struct, empty. */
static inline void scene_tcache(struct scene *s)
{
	const struct glibc_tcache *tc = s->row->tcache;

	s->tcache = scene_used(s, tc->chunk);
	memset(scene_bytes(s, s->tcache + 16), 0, tc->chunk - 16);
	scene_poke(s, s->tcache + tc->chunk, 0);
	for (unsigned i = 0; tc->down && i < tc->bins; i++)
		memcpy(scene_bytes(s, s->tcache + 16 + 2 * i), &(uint16_t){16}, 2);
}

/* Everything behind the last chunk is top. */
static inline void scene_top(struct scene *s)
{
	uint64_t end = SCENE_HEAP + sizeof(s->heap);

	if (s->prev_free)
		scene_poke(s, s->at, s->prev_size);
	scene_poke(s, s->at + 8, (end - s->at) | (s->prev_free ? 0 : CHUNK_PREV_INUSE));
	scene_poke(s, SCENE_ARENA + s->row->bins - 16, s->at);
}

static inline struct scene *scene_new(const struct glibc_row *row)
{
	struct scene *s = calloc(1, sizeof(*s));
	uint64_t bins = SCENE_ARENA + row->bins;
	uint64_t system_mem = SCENE_ARENA + glibc_next_offset(row) + row->system_mem;

	s->mem.ops = &scene_ops;
	s->row = row;
	s->at = SCENE_HEAP;
	memset(s->libc_state, PAGE_PRESENT | PAGE_EXCLUSIVE, sizeof(s->libc_state));
	memset(s->heap_state, PAGE_PRESENT | PAGE_EXCLUSIVE, sizeof(s->heap_state));
	for (unsigned i = 0; i < BIN_PAIRS; i++) {
		scene_poke(s, bins + 16 * i, bins + 16 * i - 16);
		scene_poke(s, bins + 16 * i + 8, bins + 16 * i - 16);
	}
	scene_poke(s, SCENE_ARENA + glibc_next_offset(row), SCENE_ARENA);
	if (row->system_mem == 24)
		scene_poke(s, system_mem - 8, 1); /* attached_threads */
	scene_poke(s, system_mem, sizeof(s->heap));
	scene_poke(s, system_mem + 8, sizeof(s->heap));
	scene_poke(s, SCENE_PAR + PAR_TRIM_THRESHOLD, 128 << 10);
	scene_poke(s, SCENE_PAR + PAR_TOP_PAD, 128 << 10);
	scene_poke(s, SCENE_PAR + PAR_MMAP_THRESHOLD, 128 << 10);
	memcpy(scene_bytes(s, SCENE_PAR + row->par->n_mmaps + 4), &(uint32_t){65536}, 4);
	scene_poke(s, SCENE_PAR + row->par->sbrk_base, SCENE_HEAP);
	if (row->par->tcache_count)
		scene_poke(s, SCENE_PAR + row->par->tcache_count, row->from >= 2042 ? 16 : 7);
	return s;
}

#endif
