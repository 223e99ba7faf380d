/* What allocators return by themselves, over scripted streams of calls and heap states. */
#include "detect/own_returns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/units.h"
#include "detect/window.h"

#define S NSEC_PER_SEC

static const struct allocator glibc = { .name = "glibc", .maps_blocks = true }, jemalloc = { .name = "jemalloc" };
static struct heap_allocator of_state[] = { { .kind = &jemalloc, .serving = true, .purgeable = 400 * MIB } };
static const struct heap_state state_400 = { .taken_ns = 1, .allocators = of_state, .allocator_cnt = 1 };

static struct own_returns all;

static int setup(void **state)
{
	(void)state;
	memset(&all, 0, sizeof(all));
	return 0;
}

/* A call at that tenth of a second that takes so many MiB away. */
static struct event_memory call(enum memory_op op, uint64_t tenth, uint64_t mib)
{
	return (struct event_memory){ .head.time = tenth * S / 10, .op = op, .advice = MADV_DONTNEED, .shrink = 1,
				      .addr = 0x7f0000021000, .len = mib * MIB, .rss_drop = (int64_t)(mib * MIB) };
}

static bool add(const struct event_memory ev, const struct allocator *kind, const struct heap_state *state)
{
	return own_returns_add(&all, &ev, kind, state);
}

static void a_run_counts_when_it_is_a_quarter(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 9; i++)
		assert_false(add(call(MEMORY_MADVISE, 10 + i, 10), &jemalloc, &state_400));
	assert_true(add(call(MEMORY_MADVISE, 20, 10), &jemalloc, &state_400)); /* 100 MiB of 400 */
	assert_false(add(call(MEMORY_MADVISE, 21, 10), &jemalloc, &state_400)); /* once */
	assert_int_equal(all.cnt, 1);
	assert_int_equal(all.v[0].bytes, 110 * MIB);
	assert_int_equal(all.v[0].calls, 11);
	assert_int_equal(all.v[0].purges, 1);
}

static void a_pause_begins_it_anew(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 30; i++)
		assert_false(add(call(MEMORY_MADVISE, 11 * i, 50), &jemalloc, &state_400));
	assert_int_equal(all.v[0].bytes, 1500 * MIB);
	assert_int_equal(all.v[0].purges, 0);
}

static void the_bound_is_what_was_purgeable_when_it_began(void **state)
{
	struct heap_allocator less[] = { { .kind = &jemalloc, .purgeable = 8 * MIB } };
	const struct heap_state later = { .taken_ns = 2, .allocators = less, .allocator_cnt = 1 };

	(void)state;
	assert_false(add(call(MEMORY_MADVISE, 1, 90), &jemalloc, &state_400));
	assert_false(add(call(MEMORY_MADVISE, 2, 9), &jemalloc, &later));
	assert_true(add(call(MEMORY_MADVISE, 3, 1), &jemalloc, &later));
	assert_true(add(call(MEMORY_MADVISE, 4, 2), &jemalloc, &later));
}

static void without_a_state_a_mib_is_enough(void **state)
{
	const struct heap_state never = { .taken_ns = 0 };

	(void)state;
	assert_true(add(call(MEMORY_BRK, 1, 1), &glibc, NULL));
	assert_true(add(call(MEMORY_MUNMAP, 1, 1), &jemalloc, &never));
	assert_true(add(call(MEMORY_MREMAP, 30, 1), &jemalloc, &state_400) == false);
	assert_int_equal(all.cnt, 2);
}

/* Inside a purge, failed, advice that takes nothing, and blocks that go with their free. */
static void not_everything_counts(void **state)
{
	struct event_memory ev = call(MEMORY_MADVISE, 1, 100);

	(void)state;
	ev.purge_id = 7;
	assert_false(add(ev, &jemalloc, NULL));
	ev.purge_id = 0;
	ev.failed = 1;
	assert_false(add(ev, &jemalloc, NULL));
	ev.failed = ev.shrink = 0;
	assert_false(add(ev, &jemalloc, NULL));
	assert_false(add(call(MEMORY_MUNMAP, 1, 100), &glibc, NULL));
	assert_int_equal(all.cnt, 0);
	ev = call(MEMORY_MUNMAP, 1, 64);
	ev.addr = 0x7f0000000000; /* an arena's heap */
	assert_true(add(ev, &glibc, NULL));
}

/* An arena of pymalloc's is no purge of the allocator below. */
static void a_layer_closes_nothing(void **state)
{
	static const struct allocator layer = { .name = "pymalloc", .layer = "Python objects" };

	(void)state;
	assert_false(add(call(MEMORY_MUNMAP, 1, 100), &layer, NULL));
	assert_int_equal(all.v[0].bytes, 100 * MIB);
	assert_int_equal(all.v[0].purges, 0);
}

static void a_purge_of_its_own_is_one_of_these(void **state)
{
	struct event_purge ev = { .head.time = S, .calls = 2 };

	(void)state;
	assert_false(own_returns_add_purge(&all, &ev, 60 * MIB, &jemalloc, &state_400));
	ev.head.time += S / 2;
	assert_true(own_returns_add_purge(&all, &ev, 40 * MIB, &jemalloc, &state_400));
	assert_int_equal(all.v[0].bytes, 100 * MIB);
	assert_int_equal(all.v[0].calls, 4);
	ev.calls = 0; /* it did nothing */
	assert_false(own_returns_add_purge(&all, &ev, 500 * MIB, &glibc, NULL));
	assert_int_equal(all.cnt, 1);
}

static void lazily_freed_memory_stays_in_rss(void **state)
{
	struct event_memory ev = call(MEMORY_MADVISE, 1, 200);

	(void)state;
	ev.advice = MADV_FREE;
	ev.rss_drop = 0;
	assert_true(add(ev, &jemalloc, &state_400));
	assert_int_equal(all.v[0].bytes, 0);
	assert_int_equal(all.v[0].lazy, 200 * MIB);
}

static void others_faults_are_not_subtracted(void **state)
{
	struct event_memory ev = call(MEMORY_MADVISE, 1, 2);

	(void)state;
	ev.rss_drop = -(int64_t)MIB;
	assert_false(add(ev, &jemalloc, NULL));
	ev.rss_drop = (int64_t)(500 * MIB);
	assert_true(add(ev, &jemalloc, NULL));
	assert_int_equal(all.v[0].bytes, 2 * MIB);
}

static void there_is_room_for_so_many(void **state)
{
	static struct allocator kinds[OWN_RETURNS_MAX + 1];

	(void)state;
	for (size_t i = 0; i < OWN_RETURNS_MAX + 1; i++)
		assert_true(add(call(MEMORY_MADVISE, 1, 1), &kinds[i], NULL) == (i < OWN_RETURNS_MAX));
	assert_int_equal(all.cnt, OWN_RETURNS_MAX);
}

/* A decay of ten seconds: the window that the frees opened ends with it, and no other comes. */
static void decay_is_no_false_alarm(void **state)
{
	const struct window_options options = { .retained_min = 100 * MIB, .min_ns = 5 * S };
	struct window_detector *d = window_detector_new(&options);
	const struct window_finding *view;

	(void)state;
	assert_non_null(d);
	for (uint64_t tenth = 10; tenth < 60; tenth++) {
		uint64_t left = tenth < 20 ? 400 : tenth < 60 ? 400 - 10 * (tenth - 20) : 0;
		struct heap_allocator now[] = { { .kind = &jemalloc, .purgeable = left * MIB } };
		const struct heap_state heap = { .taken_ns = tenth * S / 10, .allocators = now, .allocator_cnt = 1 };

		if (tenth % 5 == 0)
			window_detector_sample(d, &(struct window_sample){ .time_ns = tenth * S / 10, .rss = 500 * MIB,
									   .retained = left * MIB, .purgeable = left * MIB });
		if (tenth >= 20 && add(call(MEMORY_MADVISE, tenth, 10), &jemalloc, &heap))
			window_detector_own_return(d, &(struct window_return){tenth * S / 10, tenth * S / 10});
	}
	assert_true(all.v[0].purges >= 2);
	assert_int_equal(window_detector_view(d, 60 * S / 10, &view), 0);
	window_detector_free(d);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_counts_when_it_is_a_quarter),
		TEST(a_pause_begins_it_anew),
		TEST(the_bound_is_what_was_purgeable_when_it_began),
		TEST(without_a_state_a_mib_is_enough),
		TEST(not_everything_counts),
		TEST(a_layer_closes_nothing),
		TEST(a_purge_of_its_own_is_one_of_these),
		TEST(lazily_freed_memory_stays_in_rss),
		TEST(others_faults_are_not_subtracted),
		TEST(there_is_room_for_so_many),
		TEST(decay_is_no_false_alarm),
	};

	return cmocka_run_group_tests_name("own_returns", tests, NULL, NULL);
}
