#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

#define CAP_MIN 16

void map_free(struct map *map)
{
	free(map->slots);
	*map = (struct map){ 0 };
}

/* Keys are often pointers with equal low and high bits: spread them (the finaliser of MurmurHash3). */
static size_t home(const struct map *map, uint64_t key)
{
	key ^= key >> 33;
	key *= 0xff51afd7ed558ccdULL;
	key ^= key >> 33;
	key *= 0xc4ceb9fe1a85ec53ULL;
	key ^= key >> 33;
	return key & (map->cap - 1);
}

static size_t next(const struct map *map, size_t i)
{
	return (i + 1) & (map->cap - 1);
}

/* The slot that holds key, or the free one where it belongs. The table is never full. */
static struct map_slot *slot_of(const struct map *map, uint64_t key)
{
	size_t i = home(map, key);

	while (map->slots[i].value && map->slots[i].key != key)
		i = next(map, i);
	return &map->slots[i];
}

void *map_get(const struct map *map, uint64_t key)
{
	return map->cap ? slot_of(map, key)->value : NULL;
}

static int grow(struct map *map)
{
	struct map bigger = { .cnt = map->cnt, .cap = map->cap ? map->cap * 2 : CAP_MIN };

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->cap; i++) {
		if (map->slots[i].value)
			*slot_of(&bigger, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	*map = bigger;
	return 0;
}

int map_set(struct map *map, uint64_t key, void *value)
{
	struct map_slot *slot;

	if (map->cnt >= map->cap / 4 * 3) {
		int err = grow(map);

		if (err)
			return err;
	}
	slot = slot_of(map, key);
	if (!slot->value)
		map->cnt++;
	*slot = (struct map_slot){ .key = key, .value = value };
	return 0;
}

/* Closes the gap at hole: a later slot of the same run moves into it unless its home lies behind the hole. */
static void close_gap(struct map *map, size_t hole)
{
	size_t mask = map->cap - 1;

	for (size_t i = next(map, hole); map->slots[i].value; i = next(map, i)) {
		size_t from_home = (i - home(map, map->slots[i].key)) & mask;

		if (from_home >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole].value = NULL;
}

void *map_remove(struct map *map, uint64_t key)
{
	struct map_slot *slot;
	void *value;

	if (!map->cap)
		return NULL;
	slot = slot_of(map, key);
	value = slot->value;
	if (value) {
		close_gap(map, (size_t)(slot - map->slots));
		map->cnt--;
	}
	return value;
}

uint64_t map_hash(uint64_t seed, const char *text)
{
	uint64_t hash = seed ? seed : 0xcbf29ce484222325ULL;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}
