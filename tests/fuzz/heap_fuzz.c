/*
 * The heap walker against memory that lies: a sound heap of some layout on paper, damaged
 * as the input says, before the walk or in the middle of it. tests/unit/glibc_damage_test.c
 * runs it on inputs of its own in every `make test`.
 *
 * Input: a byte that chooses the layout, one whether the version is named; then pokes of 12
 * bytes each: when (reads to wait, 0: before), what (see poke), where (4 bytes), the value (6).
 */
#include <stddef.h>
#include <stdint.h>

#include "../unit/heap_scene.h"

#define POKE_SIZE 12
#define POKE_MAX 64

struct damaged {
	struct scene *scene;
	const uint8_t *poke;
	size_t poke_cnt;
	unsigned reads;
};

static struct damaged damaged;

/* Addresses of interest are small offsets, so that a mutation hits something. */
static void poke(struct scene *s, const uint8_t *p)
{
	uint32_t where;
	uint64_t value = 0, addr, sizes = sizeof(s->libc) + sizeof(s->heap);

	memcpy(&where, p + 2, sizeof(where));
	memcpy(&value, p + 6, 6);
	switch (p[1] % 5) {
	case 0: /* a page's state */
		*(where % 2 ? &s->heap_state[where / 2 % SCENE_HEAP_PAGES]
			    : &s->libc_state[where / 2 % SCENE_LIBC_PAGES]) = (uint8_t)value & 15;
		return;
	case 1: /* a word becomes an address in the heap */
		value = SCENE_HEAP + value % sizeof(s->heap);
		break;
	case 2: /* a word becomes an address in the library */
		value = SCENE_LIBC + value % sizeof(s->libc);
		break;
	case 3: /* one bit */
		value = ~0ULL;
		break;
	default:
		break;
	}
	where %= sizes / 8;
	addr = 8ULL * where < sizeof(s->libc) ? SCENE_LIBC + 8ULL * where
					      : SCENE_HEAP + 8ULL * where - sizeof(s->libc);
	scene_poke(s, addr, value == ~0ULL ? scene_word(s, addr) ^ (1ULL << (p[6] % 64)) : value);
}

static void poke_at(unsigned reads)
{
	for (size_t i = 0; i < damaged.poke_cnt; i++)
		if (damaged.poke[i * POKE_SIZE] == reads)
			poke(damaged.scene, damaged.poke + i * POKE_SIZE);
}

static ssize_t damaged_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
			     const struct iovec *remote, size_t remote_cnt)
{
	if (damaged.reads < 255)
		poke_at(++damaged.reads);
	return scene_readv(mem, local, local_cnt, remote, remote_cnt);
}

static struct scene *sound(const struct glibc_row *row)
{
	struct scene *s = scene_new(row);

	if (row->tcache)
		scene_tcache(s);
	for (unsigned i = 0; i < 12; i++) {
		scene_used(s, 0x20 + 0x10 * i);
		if (row->fastbins)
			scene_fast(s);
		scene_binned(s, 0x700 * (i + 1));
		scene_used(s, 0x400 + 0x40 * i);
		if (row->tcache && i < 7)
			scene_cached(s);
	}
	scene_top(s);
	return s;
}

/* What must hold whatever the target's memory says. */
static void check(const struct heap_walk *walk)
{
	for (size_t i = 0; i < walk->arena_cnt; i++) {
		const struct heap_figures *f = &walk->arenas[i].f;

		if (f->retained != f->purgeable + f->pinned.partial + f->pinned.top + f->pinned.thread_cache +
					   f->pinned.overhead ||
		    f->purgeable_shared > f->purgeable ||
		    (!walk->arenas[i].inconsistent && walk->arenas[i].walked != f->held))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct memory_ops ops = {damaged_readv, scene_pages, scene_maps, scene_close};
	const struct glibc_row *row;
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;

	if (size < 2)
		return 0;
	row = &glibc_rows[data[0] % glibc_row_cnt];
	damaged = (struct damaged){.scene = sound(row), .poke = data + 2};
	damaged.poke_cnt = (size - 2) / POKE_SIZE < POKE_MAX ? (size - 2) / POKE_SIZE : POKE_MAX;
	damaged.scene->mem.ops = &ops;
	poke_at(0);
	if (heap_walker_glibc.find(&damaged.scene->mem, data[1] & 1 ? row->from : 0, &heap, &err) == 0) {
		if (heap_walker_glibc.walk(heap, &damaged.scene->mem, true, &walk, &err) == 0) {
			check(&walk);
			heap_walk_free(&walk);
		}
		heap_walker_glibc.free(heap);
	}
	free(damaged.scene);
	return 0;
}
