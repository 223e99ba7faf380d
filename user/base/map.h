/*
 * A hash table from 64-bit keys to pointers: open addressing with linear probing, no
 * tombstones, so that it never grows for insertions and removals that balance.
 * Whoever has longer keys hashes them (map_hash) and chains the values that share a hash.
 */
#ifndef ALLOCTRACE_BASE_MAP_H
#define ALLOCTRACE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value; /* NULL: the slot is free */
};

struct map { /* all zero: empty and valid */
	struct map_slot *slots;
	size_t cnt;
	size_t cap; /* a power of two, or 0 */
};

void map_free(struct map *map); /* the table only, not the values; idempotent */
/* The value of key, or NULL. */
void *map_get(const struct map *map, uint64_t key);
/* Sets key to value, which must not be NULL. 0, or −ENOMEM and nothing changed. */
int map_set(struct map *map, uint64_t key, void *value);
/* Removes key; its value, or NULL if it had none. */
void *map_remove(struct map *map, uint64_t key);

/* 64-bit FNV-1a of text, continued from seed (0 to begin). */
uint64_t map_hash(uint64_t seed, const char *text);

#endif
