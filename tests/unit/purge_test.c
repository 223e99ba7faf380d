/* Purges judged: what came back, against what was predicted, and whether the right allocator was asked. */
#include "detect/purge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/units.h"

static const struct stack stack;
static const struct allocator glibc = { .name = "glibc" }, mimalloc = { .name = "mimalloc" };

/* A process that glibc serves; mimalloc is loaded and idle. */
static struct heap_allocator both[] = {
	{ .kind = &glibc, .serving = true, .walked = true, .purgeable = 400 * MIB },
	{ .kind = &mimalloc, .serving = false, .purgeable = UNKNOWN },
};
static const struct heap_state served_by_glibc = {
	.taken_ns = 1000, .allocators = both, .allocator_cnt = 2,
};

static struct purge_log *log_;

static int make_log(void **state)
{
	(void)state;
	log_ = purge_log_new();
	return !log_;
}

static int free_log(void **state)
{
	(void)state;
	purge_log_free(log_);
	return 0;
}

static const struct purge_finding *add(struct event_purge ev, const struct allocator *kind,
				       const struct heap_state *state)
{
	if (!ev.head.time)
		ev.head.time = 5000;
	return purge_log_add(log_, &ev, "malloc_trim", kind, true, state, &stack);
}

static void keeps_what_was_seen(void **state)
{
	const struct purge_finding *f = add((struct event_purge){ .head.time = 5000, .duration = 26, .result = 1,
								  .flags = PURGE_HAS_RESULT,
								  .rss_drop = 300 * MIB }, &glibc, &served_by_glibc);

	(void)state;
	assert_int_equal(f->time_ns, 5000);
	assert_int_equal(f->duration_ns, 26);
	assert_int_equal(f->result, 1);
	assert_true(f->has_result);
	assert_string_equal(f->function, "malloc_trim");
	assert_string_equal(f->allocator, "glibc");
	assert_ptr_equal(f->stack, &stack);
	assert_int_equal(f->returned, 300 * MIB);
	assert_int_equal(f->predicted, 400 * MIB);
	assert_int_equal(f->prediction_age_ns, 4000);
	assert_true(f->effective);
	assert_false(f->misdirected);
}

static void a_result_needs_both_to_say_so(void **state)
{
	const struct event_purge without = { .head.time = 1, .result = 3 };
	const struct event_purge with = { .head.time = 1, .result = 3, .flags = PURGE_HAS_RESULT };

	(void)state;
	assert_false(purge_log_add(log_, &without, "f", &glibc, true, NULL, NULL)->has_result);
	assert_false(purge_log_add(log_, &with, "f", &glibc, false, NULL, NULL)->has_result);
	assert_true(purge_log_add(log_, &with, "f", &glibc, true, NULL, NULL)->has_result);
}

static void effective_is_a_quarter_of_the_prediction(void **state)
{
	(void)state;
	assert_false(add((struct event_purge){ .rss_drop = 100 * MIB - 1 }, &glibc, &served_by_glibc)->effective);
	assert_true(add((struct event_purge){ .rss_drop = 100 * MIB }, &glibc, &served_by_glibc)->effective);
}

/* What an effective purge took cannot be promised again by a state from before it. */
static void a_prediction_is_used_once(void **state)
{
	const struct event_purge first = { .head.time = 5000, .duration = 10, .rss_drop = 400 * MIB };
	const struct event_purge second = { .head.time = 6000, .duration = 10, .rss_drop = 2 * MIB };
	struct heap_state later = served_by_glibc;

	(void)state;
	assert_int_equal(add(first, &glibc, &served_by_glibc)->predicted, 400 * MIB);
	assert_true(add(second, &glibc, &served_by_glibc)->predicted == UNKNOWN);
	later.taken_ns = 6500;
	assert_int_equal(add((struct event_purge){ .head.time = 7000 }, &glibc, &later)->predicted, 400 * MIB);
}

static void effective_is_at_least_one_mib(void **state)
{
	struct heap_allocator small = { .kind = &glibc, .serving = true, .purgeable = 8 * KIB };
	const struct heap_state s = { .taken_ns = 1, .allocators = &small, .allocator_cnt = 1 };

	(void)state;
	assert_false(add((struct event_purge){ .rss_drop = MIB - 1 }, &glibc, &s)->effective);
	assert_true(add((struct event_purge){ .rss_drop = MIB }, &glibc, &s)->effective);
	assert_false(add((struct event_purge){ .rss_drop = 8 * KIB }, &glibc, &s)->effective);
}

static void without_a_prediction_one_mib_is_enough(void **state)
{
	const struct purge_finding *f = add((struct event_purge){ .rss_drop = MIB }, &glibc, NULL);

	(void)state;
	assert_true(f->predicted == UNKNOWN);
	assert_int_equal(f->prediction_age_ns, 0);
	assert_true(f->effective);
	assert_false(add((struct event_purge){ .rss_drop = MIB - 1 }, &glibc, NULL)->effective);
}

static void others_faults_are_added(void **state)
{
	struct event_purge ev = { .rss_drop = 350 * MIB, .rss_others = 180 * MIB, .watched_from = 5000,
				  .advised = 600 * MIB, .flags = PURGE_OTHERS_RAN };

	(void)state;
	assert_int_equal(add(ev, &glibc, &served_by_glibc)->returned, 530 * MIB);
	/* They may outweigh what the purge gave back: RSS rose although it worked. */
	ev.rss_drop = -(int64_t)(20 * MIB);
	assert_int_equal(add(ev, &glibc, &served_by_glibc)->returned, 160 * MIB);
	/* And they may free: that fall is not the purge's. */
	ev.rss_drop = 30 * MIB;
	ev.rss_others = -(int64_t)(30 * MIB);
	assert_int_equal(add(ev, &glibc, &served_by_glibc)->returned, 0);
	assert_false(add(ev, &glibc, &served_by_glibc)->effective);
}

static void a_rise_returns_nothing(void **state)
{
	(void)state;
	assert_int_equal(add((struct event_purge){ .rss_drop = -4096 }, &glibc, NULL)->returned, 0);
	assert_int_equal(add((struct event_purge){ .rss_drop = INT64_MIN, .rss_others = -1, .watched_from = 1,
						   .flags = PURGE_OTHERS_RAN }, &glibc, NULL)->returned, 0);
}

static void a_share_is_bounded_by_what_was_asked_for(void **state)
{
	struct event_purge ev = { .rss_drop = 500 * MIB, .advised = 40 * MIB, .calls = 3, .flags = PURGE_OTHERS_RAN };

	(void)state;
	/* Another thread freed before it was watched, if at all. */
	assert_int_equal(add(ev, &glibc, NULL)->returned, 40 * MIB);
	ev.watched_from = 6000;
	assert_int_equal(add(ev, &glibc, NULL)->returned, 40 * MIB);
	ev.rss_drop = 10 * MIB;
	assert_int_equal(add(ev, &glibc, NULL)->returned, 10 * MIB);
	/* It waited for another thread's purge and gave nothing back itself. */
	ev.advised = ev.calls = 0;
	assert_int_equal(add(ev, &glibc, NULL)->returned, 0);
	/* Alone, the fall is its own, however it came about. */
	ev.flags = 0;
	assert_int_equal(add(ev, &glibc, NULL)->returned, 10 * MIB);
}

static void misdirected_to_an_idle_allocator(void **state)
{
	const struct purge_finding *f = add((struct event_purge){ .rss_drop = 0 }, &mimalloc, &served_by_glibc);

	(void)state;
	assert_true(f->misdirected);
	assert_false(f->effective);
	assert_true(f->predicted == UNKNOWN);
	assert_int_equal(f->prediction_age_ns, 0);
}

static void misdirected_to_one_that_was_loaded_just_now(void **state)
{
	struct heap_allocator only = { .kind = &glibc, .serving = true, .purgeable = 0 };
	const struct heap_state s = { .taken_ns = 1, .allocators = &only, .allocator_cnt = 1 };

	(void)state;
	assert_true(add((struct event_purge){ 0 }, &mimalloc, &s)->misdirected);
}

static void both_may_serve(void **state)
{
	struct heap_allocator a[] = { { .kind = &glibc, .serving = true, .purgeable = 0 },
				      { .kind = &mimalloc, .serving = true, .purgeable = UNKNOWN } };
	const struct heap_state s = { .taken_ns = 1, .allocators = a, .allocator_cnt = 2 };

	(void)state;
	assert_false(add((struct event_purge){ 0 }, &mimalloc, &s)->misdirected);
	assert_false(add((struct event_purge){ 0 }, &glibc, &s)->misdirected);
}

static void nothing_known_is_not_misdirected(void **state)
{
	const struct heap_state never = { .taken_ns = 0 };

	(void)state;
	assert_false(add((struct event_purge){ 0 }, &mimalloc, NULL)->misdirected);
	assert_false(add((struct event_purge){ 0 }, &mimalloc, &never)->misdirected);
}

static void a_state_from_after_its_begin_predicts_nothing(void **state)
{
	const struct purge_finding *f = add((struct event_purge){ .head.time = 999, .rss_drop = 2 * MIB }, &glibc,
					    &served_by_glibc);

	(void)state;
	assert_true(f->predicted == UNKNOWN);
	assert_int_equal(f->prediction_age_ns, 0);
	assert_true(f->effective);
}

static void the_newest_are_kept_in_order(void **state)
{
	const struct purge_finding *const *view;
	const uint64_t cnt = 3 * PURGE_KEPT + 17;

	(void)state;
	assert_int_equal(purge_log_view(log_, &view), 0);
	for (uint64_t i = 1; i <= cnt; i++) {
		size_t kept;

		assert_non_null(add((struct event_purge){ .head.time = i, .rss_drop = 2 }, &glibc, NULL));
		kept = purge_log_view(log_, &view);
		assert_int_equal(kept, i < PURGE_KEPT ? i : PURGE_KEPT);
		assert_int_equal(view[kept - 1]->time_ns, i);
		assert_int_equal(view[0]->time_ns, i - kept + 1);
	}
	for (size_t i = 0; i < PURGE_KEPT; i++)
		assert_int_equal(view[i]->time_ns, cnt - PURGE_KEPT + 1 + i);
	assert_int_equal(purge_log_total(log_), cnt);
	assert_int_equal(purge_log_returned(log_), 2 * cnt);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_log, free_log)

static void mallctl_says_what_it_was_asked_for(void **state)
{
	const struct event_purge asked = { .arg = 4096, .flags = CONTROL_DECAY << PURGE_CONTROL_SHIFT };
	const struct event_purge unknown = { .arg = 4096, .flags = CONTROL_UNREAD << PURGE_CONTROL_SHIFT };

	(void)state;
	assert_int_equal(add(asked, &glibc, NULL)->control, CONTROL_DECAY);
	assert_int_equal(add(asked, &glibc, NULL)->arena, 4096);
	assert_int_equal(add(unknown, &glibc, NULL)->control, CONTROL_NONE);
	assert_int_equal(add((struct event_purge){ .arg = 1 }, &glibc, NULL)->control, CONTROL_NONE);
}

/* What a purge has left is told by the first reading that began after it, and RSS by the kernel at its end. */
static void what_it_leaves_is_read_after_it(void **state)
{
	const struct mark_reading under_way = { .began_ns = 900, .taken_ns = 1200, .retained = 1 },
				  after = { .began_ns = 1300, .taken_ns = 1400, .retained = 2 },
				  last = { .began_ns = 2000, .taken_ns = 2100, .retained = 3 };
	const struct purge_finding *first, *second;

	(void)state;
	first = add((struct event_purge){ .head.time = 1000, .duration = 100, .rss = 77 }, &glibc, NULL);
	purge_log_live(log_, 55);
	assert_int_equal(first->after.time_ns, 1100);
	assert_int_equal(first->after.rss, 77);
	assert_int_equal(first->after.live, 55);
	assert_int_equal(first->after.retained, UNKNOWN);
	purge_log_reading(log_, &under_way);
	assert_int_equal(first->after.retained, UNKNOWN);
	purge_log_reading(log_, &after);
	second = add((struct event_purge){ .head.time = 1500, .duration = 100 }, &glibc, NULL);
	purge_log_reading(log_, &last);
	assert_int_equal(first->after.retained, 2);
	assert_int_equal(first->after.state_ns, 300);
	assert_int_equal(second->after.retained, 3);
	assert_int_equal(second->after.rss, UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_what_was_seen),
		TEST(a_result_needs_both_to_say_so),
		TEST(effective_is_a_quarter_of_the_prediction),
		TEST(a_prediction_is_used_once),
		TEST(effective_is_at_least_one_mib),
		TEST(without_a_prediction_one_mib_is_enough),
		TEST(others_faults_are_added),
		TEST(a_rise_returns_nothing),
		TEST(a_share_is_bounded_by_what_was_asked_for),
		TEST(misdirected_to_an_idle_allocator),
		TEST(misdirected_to_one_that_was_loaded_just_now),
		TEST(both_may_serve),
		TEST(nothing_known_is_not_misdirected),
		TEST(a_state_from_after_its_begin_predicts_nothing),
		TEST(the_newest_are_kept_in_order),
		TEST(mallctl_says_what_it_was_asked_for),
		TEST(what_it_leaves_is_read_after_it),
	};

	purge_log_free(NULL);
	return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
