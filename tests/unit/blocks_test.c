/* The table of live blocks against a model: an array by address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "heap/blocks.h"

#define ADDR(i) (0x550000000000ULL + 16 * (uint64_t)(i))

struct model {
	struct blocks *blocks;
	uint32_t *size; /* by i; 0: not there */
	size_t cnt, room;
};

static struct model begin(size_t room)
{
	return (struct model){
		.blocks = blocks_new(GIB),
		.size = calloc(room, sizeof(uint32_t)),
		.room = room,
	};
}

static void end(struct model *m)
{
	blocks_free(m->blocks);
	free(m->size);
}

static void add(struct model *m, size_t i, uint32_t size)
{
	struct block block = {.addr = ADDR(i), .size = size, .site = size ^ 5, .tick = size ^ 9}, replaced;
	int rc = blocks_add(m->blocks, &block, &replaced);

	assert_int_equal(rc, m->size[i] != 0);
	if (rc)
		assert_int_equal(replaced.size, m->size[i]);
	m->cnt += !rc;
	m->size[i] = size;
}

static void drop(struct model *m, size_t i)
{
	struct block block;

	assert_int_equal(blocks_remove(m->blocks, ADDR(i), &block), m->size[i] != 0);
	if (!m->size[i])
		return;
	assert_int_equal(block.addr, ADDR(i));
	assert_int_equal(block.size, m->size[i]);
	assert_int_equal(block.site, m->size[i] ^ 5);
	assert_int_equal(block.tick, m->size[i] ^ 9);
	m->size[i] = 0;
	m->cnt--;
}

static void check(struct model *m)
{
	assert_int_equal(blocks_cnt(m->blocks), m->cnt);
	for (size_t i = 0; i < m->room; i++) {
		const struct block *b = blocks_find(m->blocks, ADDR(i));

		if (m->size[i]) {
			assert_non_null(b);
			assert_int_equal(b->size, m->size[i]);
		} else {
			assert_null(b);
		}
	}
}

static uint32_t any_size(void)
{
	return (uint32_t)(rand() % 100000) + 1;
}

static void it_agrees_with_the_model(void **state)
{
	struct model m = begin(60000);

	(void)state;
	srand(7);
	/* Up, down and up again, so that it grows, shrinks and is in the midst of either. */
	for (unsigned round = 0; round < 400000; round++) {
		size_t i = (size_t)rand() % m.room;

		if ((unsigned)rand() % 100 < (round / 50000 % 2 ? 25 : 75))
			add(&m, i, any_size());
		else
			drop(&m, i);
		if (round % 40000 == 0)
			check(&m);
	}
	check(&m);
	end(&m);
}

static void a_block_takes_forty_eight_bytes_at_most(void **state)
{
	struct model m = begin(2000000);

	(void)state;
	for (size_t i = 0; i < m.room; i++) {
		add(&m, i, 1);
		assert_true(blocks_bytes(m.blocks) <= 48 * m.cnt + 256 * KIB);
	}
	for (size_t i = 0; i < m.room; i++) {
		drop(&m, i);
		assert_true(blocks_bytes(m.blocks) <= 48 * m.cnt + 256 * KIB);
	}
	end(&m);
}

static void the_limit_holds(void **state)
{
	struct blocks *b = blocks_new(4 * MIB);
	struct block block = {.size = 1}, out;
	uint64_t added = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000000; i++) {
		block.addr = ADDR(i);
		if (!blocks_add(b, &block, &out))
			added++;
		else
			assert_int_equal(blocks_add(b, &block, &out), -ENOSPC);
		assert_true(blocks_bytes(b) <= 4 * MIB);
	}
	assert_int_equal(added, blocks_cnt(b));
	assert_true(added > 50000);
	/* What is there can still be replaced and removed, and makes room. */
	block.addr = ADDR(0);
	assert_int_equal(blocks_add(b, &block, &out), 1);
	assert_true(blocks_remove(b, ADDR(0), &out));
	block.addr = ADDR(999999);
	assert_int_equal(blocks_add(b, &block, &out), 0);
	blocks_free(b);
}

struct visits {
	uint8_t *seen;
};

static void visit(struct block *block, void *arg)
{
	struct visits *v = arg;
	size_t i = (size_t)(block->addr - ADDR(0)) / 16;

	v->seen[i]++;
	block->suspect = 1;
}

/* Between slices the table is changed: half of the blocks are there all the time. */
static void scan_while_changing(size_t room, unsigned bias)
{
	struct model m = begin(room);
	struct visits v = {calloc(room, 1)};
	uint64_t cursor = 0;

	for (size_t i = 0; i < room; i += 2)
		add(&m, i, any_size());
	for (size_t i = 1; i < room / 3; i += 2)
		add(&m, i, any_size());
	while (blocks_scan(m.blocks, &cursor, 500, visit, &v)) {
		for (unsigned k = 0; k < 300; k++) {
			size_t i = (size_t)rand() % (room / 2) * 2 + 1;

			if ((unsigned)rand() % 100 < bias)
				add(&m, i, any_size());
			else
				drop(&m, i);
		}
	}
	for (size_t i = 0; i < room; i += 2)
		assert_int_equal(v.seen[i], 1);
	check(&m);
	free(v.seen);
	end(&m);
}

static void a_scan_sees_what_stays_exactly_once(void **state)
{
	(void)state;
	srand(11);
	for (size_t room = 100; room < 300000; room = room * 3 + 1) {
		scan_while_changing(room, 90);
		scan_while_changing(room, 10);
		scan_while_changing(room, 50);
	}
}

static void a_scan_can_mark(void **state)
{
	struct model m = begin(1000);
	struct visits v = {calloc(1000, 1)};
	uint64_t cursor = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		add(&m, i, 3);
	while (blocks_scan(m.blocks, &cursor, 10, visit, &v))
		;
	for (size_t i = 0; i < 1000; i++)
		assert_true(blocks_find(m.blocks, ADDR(i))->suspect);
	free(v.seen);
	end(&m);
}

static void nothing_is_left_after_a_clear(void **state)
{
	struct model m = begin(5000);
	struct visits v = {calloc(5000, 1)};
	uint64_t cursor = 0;

	(void)state;
	for (size_t i = 0; i < m.room; i++)
		add(&m, i, 1);
	blocks_clear(m.blocks);
	memset(m.size, 0, m.room * sizeof(*m.size));
	m.cnt = 0;
	check(&m);
	assert_false(blocks_scan(m.blocks, &cursor, 10, visit, &v));
	add(&m, 3, 8);
	check(&m);
	free(v.seen);
	end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_the_model),
		cmocka_unit_test(a_block_takes_forty_eight_bytes_at_most),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(a_scan_sees_what_stays_exactly_once),
		cmocka_unit_test(a_scan_can_mark),
		cmocka_unit_test(nothing_is_left_after_a_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
