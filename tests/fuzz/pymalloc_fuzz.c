/*
 * pymalloc's walker against memory that lies: a sound CPython of some layout on paper, damaged as
 * the input says, before the walk or in the middle of it. tests/unit/pymalloc_damage_test.c runs
 * it on inputs of its own in every `make test`.
 *
 * Input: a byte that chooses the layout; then pokes of 12 bytes each: when (reads to wait, 0:
 * before), what (see poke), where (4 bytes), the value (6).
 */
#include <stddef.h>
#include <stdint.h>

#include "../unit/pymalloc_scene.h"
#include "probe/python_versions.h"

#define POKE_SIZE 12
#define POKE_MAX 64
#define FUZZ_RUNTIME (SCENE_DATA + 0x4000)

struct damaged {
	struct scene *scene;
	const uint8_t *poke;
	size_t poke_cnt;
	unsigned reads;
};

static struct damaged damaged;

/* What is of interest lies in usedpools[], in the objects and in pools' headers: most pokes hit these. */
static uint64_t place(const struct scene *s, uint32_t where)
{
	static const uint64_t starts[] = {SCENE_USED, SCENE_VECTOR, SCENE_DATA, SCENE_HEAP};
	static const uint64_t words[] = {USED_WORDS + 16, 16 * 6, SCENE_DATA_PAGES * 512,
					 SCENE_HEAP_PAGES * 512};
	unsigned which = where % 8;

	where /= 8;
	if (which < 4)
		return starts[which] + 8 * (where % words[which]);
	return scene_first(s, where % 2) + (uint64_t)(where / 2 % 8) * s->kind->pool_size +
	       8 * (where / 16 % 6);
}

static void poke(struct scene *s, const uint8_t *p)
{
	uint64_t value = 0, addr;
	uint32_t where;
	uint8_t *state;

	memcpy(&where, p + 2, sizeof(where));
	memcpy(&value, p + 6, 6);
	addr = place(s, where);
	switch (p[1] % 6) {
	case 0:
		scene_bytes(s, addr, &state);
		*state = (uint8_t)value & 15;
		return;
	case 1:
		value = SCENE_HEAP + value % sizeof(s->heap);
		break;
	case 2:
		value = SCENE_DATA + value % sizeof(s->data);
		break;
	case 3:
		value = scene_object_at(value % 20);
		break;
	case 4:
		value = scene_word(s, addr) ^ (1ULL << (value % 64));
		break;
	default:
		break;
	}
	scene_poke(s, addr, value);
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

/* With interpreters where the layout can have them. */
static struct scene *sound(const struct scene_kind *kind)
{
	const struct python_debug *debug = python_row_of(0x30d)->debug;
	struct scene *s = scene_new(kind);

	scene_arena(s);
	scene_arena(s);
	for (uint32_t i = 0; i < 8; i++)
		scene_pool(s, i % 2, 4 * i % POOL_CLASSES, i % 3 ? 1 + 2 * i : 0);
	scene_unused(s, 16);
	if (!kind->together)
		return s;
	memcpy(scene_bytes(s, FUZZ_RUNTIME, NULL), PYTHON_DEBUG_COOKIE, 8);
	scene_poke(s, FUZZ_RUNTIME + PYTHON_DEBUG_VERSION, 0x30d05f0);
	scene_poke(s, FUZZ_RUNTIME + debug->interpreters_head, 0x700);
	scene_poke(s, FUZZ_RUNTIME + debug->interpreter_size, 0x400);
	scene_poke(s, FUZZ_RUNTIME + debug->interpreter_id, 0x28);
	scene_poke(s, FUZZ_RUNTIME + debug->next_interpreter, 0x20);
	scene_poke(s, FUZZ_RUNTIME + 0x700, FUZZ_RUNTIME + 0x800);
	scene_poke(s, FUZZ_RUNTIME + 0x860, SCENE_USED);
	return s;
}

/* What must hold whatever the target's memory says. */
static void check(const struct heap_walk *walk)
{
	for (size_t i = 0; i < walk->arena_cnt; i++) {
		const struct heap_arena *a = &walk->arenas[i];

		if (a->f.retained != heap_pinned_sum(&a->f.pinned) || a->f.purgeable ||
		    a->f.retained > a->f.resident || a->f.resident > a->f.held ||
		    (!a->inconsistent && a->walked != a->f.held))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct memory_ops ops = {damaged_readv, scene_pages, scene_maps, scene_close};
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;

	if (size < 1)
		return 0;
	damaged = (struct damaged){.scene = sound(&scene_kinds[data[0] % SCENE_KINDS]), .poke = data + 1};
	damaged.poke_cnt = (size - 1) / POKE_SIZE < POKE_MAX ? (size - 1) / POKE_SIZE : POKE_MAX;
	damaged.scene->mem.ops = &ops;
	poke_at(0);
	if (heap_walker_pymalloc.find(&damaged.scene->mem, 0, &heap, &err) == 0) {
		if (heap_walker_pymalloc.walk(heap, &damaged.scene->mem, true, &walk, &err) == 0) {
			check(&walk);
			heap_walk_free(&walk);
		}
		heap_walker_pymalloc.free(heap);
	}
	free(damaged.scene);
	return 0;
}
