/*
 * A CPython on paper: the data of its program with usedpools[] and the pointer to the arena
 * objects, these objects in the C heap, and arenas with pools, in either of the sizes that
 * versions have. To be walked, and broken in every way that a target may be broken.
 */
#ifndef ALLOCTRACE_TESTS_PYMALLOC_SCENE_H
#define ALLOCTRACE_TESTS_PYMALLOC_SCENE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/pymalloc.h"
#include "heap/pymalloc_heap.h"

#define SCENE_DATA 0x555500100000ULL
#define SCENE_HEAP 0x555500200000ULL
#define SCENE_ARENAS 0x7f0000001000ULL /* a page, but no pool of 16 KiB, begins there */
#define SCENE_DATA_PAGES 8
#define SCENE_HEAP_PAGES 16
#define SCENE_ARENA_CNT 3
#define SCENE_ARENA_PAGES (SCENE_ARENA_CNT * 256)
#define SCENE_USED (SCENE_DATA + 0x1040)
#define SCENE_POINTER (SCENE_DATA + 0x2100) /* where the layout has it apart from usedpools[] */
#define SCENE_VECTOR (SCENE_HEAP + 0x2a0)

/* How a version lays it out. */
struct scene_kind {
	const char *range; /* as the walk names it where no version is known */
	uint32_t pool_size, arena_size;
	bool together; /* one struct _obmalloc_state */
};
static const struct scene_kind scene_kinds[] = {
	{"3.8–3.9", POOL_SIZE_OLD, 256 << 10, false},
	{"3.10–3.11", POOL_SIZE_NEW, 1 << 20, false},
	{"3.12 or newer", POOL_SIZE_NEW, 1 << 20, true},
};
#define SCENE_KINDS (sizeof(scene_kinds) / sizeof(scene_kinds[0]))

struct scene {
	struct memory mem;
	const struct scene_kind *kind;
	char data[SCENE_DATA_PAGES * TARGET_PAGE_SIZE];
	char heap[SCENE_HEAP_PAGES * TARGET_PAGE_SIZE];
	char arenas[SCENE_ARENA_PAGES * TARGET_PAGE_SIZE];
	uint8_t data_state[SCENE_DATA_PAGES], heap_state[SCENE_HEAP_PAGES], arena_state[SCENE_ARENA_PAGES];
	uint32_t arena_cnt;
	uint64_t absent_reads; /* of pages that must not be read */
};

/* The bytes at addr, with the state of their page; NULL: nothing is mapped there. */
static char *scene_bytes(struct scene *s, uint64_t addr, uint8_t **state)
{
	const struct {
		uint64_t start, size;
		char *bytes;
		uint8_t *state;
	} parts[] = {
		{SCENE_DATA, sizeof(s->data), s->data, s->data_state},
		{SCENE_HEAP, sizeof(s->heap), s->heap, s->heap_state},
		{SCENE_ARENAS, sizeof(s->arenas), s->arenas, s->arena_state},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (addr >= parts[i].start && addr - parts[i].start < parts[i].size) {
			if (state)
				*state = &parts[i].state[(addr - parts[i].start) / TARGET_PAGE_SIZE];
			return parts[i].bytes + (addr - parts[i].start);
		}
	return NULL;
}

static inline void scene_poke(struct scene *s, uint64_t addr, uint64_t value)
{
	memcpy(scene_bytes(s, addr, NULL), &value, sizeof(value));
}

static inline uint64_t scene_word(struct scene *s, uint64_t addr)
{
	uint64_t value;

	memcpy(&value, scene_bytes(s, addr, NULL), sizeof(value));
	return value;
}

static ssize_t scene_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
			   const struct iovec *remote, size_t remote_cnt)
{
	struct scene *s = (struct scene *)mem;
	ssize_t done = 0;

	for (size_t i = 0; i < remote_cnt && i < local_cnt; i++)
		for (size_t off = 0; off < remote[i].iov_len; off++) {
			uint8_t *state;
			const char *from = scene_bytes(s, (uint64_t)(uintptr_t)remote[i].iov_base + off, &state);

			if (!from)
				return done ? done : -EFAULT;
			s->absent_reads += !(*state & PAGE_PRESENT);
			((char *)local[i].iov_base)[off] = *from;
			done++;
		}
	return done;
}

static int scene_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *out)
{
	for (uint64_t page = start; page < end; page += TARGET_PAGE_SIZE) {
		uint8_t *state;

		*out++ = scene_bytes((struct scene *)mem, page, &state) ? *state : 0;
	}
	return 0;
}

static int scene_maps(struct memory *mem, struct maps *maps, struct error *err)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
			   "%llx-%llx rw-p 00200000 fe:00 42 /usr/bin/python3.11\n"
			   "%llx-%llx rw-p 00000000 00:00 0 [heap]\n"
			   "%llx-%llx rw-p 00000000 00:00 0 \n",
			   SCENE_DATA, SCENE_DATA + SCENE_DATA_PAGES * TARGET_PAGE_SIZE, SCENE_HEAP,
			   SCENE_HEAP + SCENE_HEAP_PAGES * TARGET_PAGE_SIZE, SCENE_ARENAS,
			   SCENE_ARENAS + SCENE_ARENA_PAGES * TARGET_PAGE_SIZE);

	(void)mem;
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

static inline struct arena_object *scene_object(struct scene *s, uint32_t index)
{
	return (struct arena_object *)scene_bytes(s, SCENE_VECTOR, NULL) + index;
}

static inline uint64_t scene_object_at(uint32_t index)
{
	return SCENE_VECTOR + index * sizeof(struct arena_object);
}

/* Where the pools of an arena begin. */
static inline uint64_t scene_first(const struct scene *s, uint32_t index)
{
	uint64_t start = SCENE_ARENAS + (uint64_t)index * s->kind->arena_size;

	return (start + s->kind->pool_size - 1) & ~(uint64_t)(s->kind->pool_size - 1);
}

/* The next object becomes an arena, none of whose pools has been carved off. */
static inline uint32_t scene_arena(struct scene *s)
{
	uint32_t index = s->arena_cnt++, pools = s->kind->arena_size / s->kind->pool_size;
	struct arena_object *a = scene_object(s, index);

	*a = (struct arena_object){.address = SCENE_ARENAS + (uint64_t)index * s->kind->arena_size};
	a->pool_address = scene_first(s, index);
	a->ntotalpools = a->nfreepools = pools - (a->address != a->pool_address);
	return index;
}

static inline uint32_t scene_capacity(const struct scene *s, uint32_t class)
{
	return (s->kind->pool_size - 48) / POOL_CLASS_SIZE(class);
}

/* Carves a pool off and gives it count blocks of a class; all its pages are there. Its address. */
static inline uint64_t scene_pool(struct scene *s, uint32_t index, uint32_t class, uint32_t count)
{
	struct arena_object *a = scene_object(s, index);
	uint64_t pool = a->pool_address, list = SCENE_USED + 16 * class;
	struct pool_header p = {
		.count = count,
		.arenaindex = index,
		.szidx = class,
		.nextoffset = 48 + count * POOL_CLASS_SIZE(class),
		.maxnextoffset = s->kind->pool_size - POOL_CLASS_SIZE(class),
	};
	uint8_t *state;

	a->pool_address += s->kind->pool_size;
	a->nfreepools -= count > 0;
	if (!count) {
		p.nextpool = a->freepools;
		a->freepools = pool;
	} else if (count < scene_capacity(s, class)) {
		uint64_t next = scene_word(s, list);

		p.nextpool = next;
		p.prevpool = list - 16;
		scene_poke(s, next + 24, pool); /* a list's head is written as if it were a pool */
		scene_poke(s, list, pool);
	}
	memset(scene_bytes(s, pool, &state), 0xaa, s->kind->pool_size);
	memset(state, PAGE_PRESENT | PAGE_EXCLUSIVE, s->kind->pool_size / TARGET_PAGE_SIZE);
	memcpy(scene_bytes(s, pool, NULL), &p, sizeof(p));
	return pool;
}

/* A vector of cnt objects, of which those behind the arenas made so far are unused, one list. */
static inline void scene_unused(struct scene *s, uint32_t cnt)
{
	for (uint32_t i = s->arena_cnt; i < cnt; i++)
		*scene_object(s, i) =
			(struct arena_object){.nextarena = i + 1 < cnt ? scene_object_at(i + 1) : 0};
	if (s->kind->together)
		scene_poke(s, SCENE_USED + STATE_ARENAS + 8, cnt);
}

static inline struct scene *scene_new(const struct scene_kind *kind)
{
	struct scene *s = calloc(1, sizeof(*s));

	s->mem.ops = &scene_ops;
	s->kind = kind;
	memset(s->data_state, PAGE_PRESENT | PAGE_EXCLUSIVE, sizeof(s->data_state));
	memset(s->heap_state, PAGE_PRESENT | PAGE_EXCLUSIVE, sizeof(s->heap_state));
	memset(s->heap, 0x55, sizeof(s->heap));
	for (unsigned i = 0; i < USED_WORDS; i++)
		scene_poke(s, SCENE_USED + 8 * i, SCENE_USED + 16 * (i / 2) - 16);
	scene_poke(s, kind->together ? SCENE_USED + STATE_ARENAS : SCENE_POINTER, SCENE_VECTOR);
	return s;
}

#endif
