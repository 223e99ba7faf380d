/* Which blocks are free, by pools on paper: in use, on the list, never carved off, freed as a whole, gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap/pool_look.h"
#include "pymalloc_scene.h"

#define CLASS 3u /* 64 bytes */

static uint64_t block_of(uint64_t pool, uint32_t number)
{
	return pool + sizeof(struct pool_header) + (uint64_t)number * POOL_CLASS_SIZE(CLASS);
}

static struct pool_header *header(struct scene *s, uint64_t pool)
{
	return (struct pool_header *)scene_bytes(s, pool, NULL);
}

/* Puts a block of a pool back, as pymalloc_free does. */
static void give(struct scene *s, uint64_t pool, uint32_t number)
{
	struct pool_header *p = header(s, pool);

	scene_poke(s, block_of(pool, number), p->freeblock);
	p->freeblock = block_of(pool, number);
	p->count--;
}

static enum pool_verdict look(struct scene *s, uint64_t addr)
{
	enum pool_verdict verdict = POOL_BLOCK_UNKNOWN;

	assert_int_equal(pool_look(&s->mem, &addr, 1, 1, &verdict), 1);
	return verdict;
}

static void used_and_free_are_told_apart(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < SCENE_KINDS; kind++) {
		struct scene *s = scene_new(&scene_kinds[kind]);
		uint64_t pool = scene_pool(s, scene_arena(s), CLASS, 20);

		give(s, pool, 4);
		give(s, pool, 7);
		for (uint32_t i = 0; i < 20; i++)
			assert_int_equal(look(s, block_of(pool, i)),
					 i == 4 || i == 7 ? POOL_BLOCK_FREE : POOL_BLOCK_USED);
		assert_int_equal(look(s, block_of(pool, 20)), POOL_BLOCK_FREE); /* not carved off */
		assert_int_equal(look(s, block_of(pool, 3) + 16),
				 POOL_BLOCK_FREE); /* of another size, before */
		while (header(s, pool)->count)
			for (uint32_t i = 0; i < 20; i++)
				if (i != 4 && i != 7)
					give(s, pool, i);
		assert_int_equal(look(s, block_of(pool, 0)), POOL_BLOCK_FREE);
		assert_int_equal(s->absent_reads, 0);
		free(s);
	}
}

/* Read while it changed: the list and the count are of two moments. */
static void what_does_not_add_up_is_unknown(void **state)
{
	struct scene *s = scene_new(&scene_kinds[1]);
	uint64_t pool = scene_pool(s, scene_arena(s), CLASS, 20);

	(void)state;
	give(s, pool, 4);
	header(s, pool)->count++;
	assert_int_equal(look(s, block_of(pool, 4)), POOL_BLOCK_UNKNOWN);
	header(s, pool)->count--;
	scene_poke(s, block_of(pool, 4), block_of(pool, 4)); /* a circle */
	assert_int_equal(look(s, block_of(pool, 5)), POOL_BLOCK_UNKNOWN);
	scene_poke(s, block_of(pool, 4), 0x1234567890); /* out of the pool */
	assert_int_equal(look(s, block_of(pool, 5)), POOL_BLOCK_UNKNOWN);
	free(s);
}

static void what_is_not_there(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < SCENE_KINDS; kind++) {
		struct scene *s = scene_new(&scene_kinds[kind]);
		uint32_t arena = scene_arena(s);
		uint64_t first, second;
		uint8_t *page;

		for (int i = 0; i < 5;
		     i++) /* to a pool that is not the first of 16 KiB, where they are smaller */
			first = scene_pool(s, arena, CLASS, 20);
		second = scene_pool(s, arena, CLASS, 20);
		scene_bytes(s, first, &page);
		*page = 0;
		assert_int_equal(look(s, block_of(first, 3)), POOL_BLOCK_FREE);
		assert_int_equal(look(s, block_of(second, 3)), POOL_BLOCK_USED);
		scene_bytes(s, second, &page);
		*page = PAGE_SWAPPED;
		assert_int_equal(look(s, block_of(second, 3)), POOL_BLOCK_UNKNOWN);
		assert_int_equal(s->absent_reads, 0);
		assert_int_equal(look(s, 0x7fff00000040), POOL_BLOCK_FREE); /* nothing is mapped there */
		free(s);
	}
}

static void no_more_pools_than_asked_for(void **state)
{
	struct scene *s = scene_new(&scene_kinds[1]);
	uint32_t arena = scene_arena(s);
	uint64_t a = scene_pool(s, arena, CLASS, 20), b = scene_pool(s, arena, CLASS, 20);
	uint64_t addrs[] = {block_of(a, 1), block_of(a, 2), block_of(b, 1)};
	enum pool_verdict verdicts[3] = {POOL_BLOCK_FREE, POOL_BLOCK_FREE, POOL_BLOCK_FREE};

	(void)state;
	assert_int_equal(pool_look(&s->mem, addrs, 3, 1, verdicts), 2);
	assert_int_equal(verdicts[1], POOL_BLOCK_USED);
	assert_int_equal(verdicts[2], POOL_BLOCK_UNKNOWN);
	assert_int_equal(pool_look(&s->mem, addrs, 0, 1, verdicts), 0);
	free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(used_and_free_are_told_apart),
		cmocka_unit_test(what_does_not_add_up_is_unknown),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(no_more_pools_than_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
