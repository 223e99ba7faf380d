#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/units.h"
#include "detect/freed.h"
#include "heap/state.h"

struct scene {
	struct sites *sites;
	struct window_detector *windows;
	struct freed freed;
	uint64_t now;
};

static struct scene begin(void)
{
	return (struct scene){
		.sites = sites_new(),
		.windows = window_detector_new(&(struct window_options){.retained_min = MIB}),
		.now = NSEC_PER_SEC,
	};
}

static void end(struct scene *s)
{
	freed_free(&s->freed);
	freed_free(&s->freed);
	window_detector_free(s->windows);
	sites_free(s->sites);
}

/* The stack's site frees so many bytes. */
static void frees(struct scene *s, uint64_t stack, uint64_t bytes)
{
	sites_at(s->sites, sites_get(s->sites, stack))->freed_here.bytes += bytes;
}

static void state(struct scene *s, uint64_t retained)
{
	freed_before(&s->freed, s->sites, s->windows);
	window_detector_sample(s->windows, &(struct window_sample){
						   .time_ns = s->now,
						   .rss = 100 * MIB,
						   .retained = retained,
						   .purgeable = retained,
					   });
	freed_after(&s->freed, s->sites, s->windows);
	s->now += NSEC_PER_SEC;
}

static const struct window_finding *only_window(struct scene *s)
{
	const struct window_finding *view;

	assert_int_equal(window_detector_view(s->windows, s->now, &view), 1);
	return view;
}

static void what_opened_the_window_counts(void **unused)
{
	struct scene s = begin();
	const struct window_finding *w;

	(void)unused;
	frees(&s, 7, 50 * MIB); /* long before */
	state(&s, 0);
	frees(&s, 7, 1 * MIB);
	frees(&s, 8, 3 * MIB);
	state(&s, 4 * MIB); /* opens */
	w = only_window(&s);
	assert_int_equal(w->freed_cnt, 2);
	assert_int_equal(w->freed[0].site, sites_get(s.sites, 8));
	assert_int_equal(w->freed[0].bytes, 3 * MIB);
	assert_int_equal(w->freed[1].bytes, 1 * MIB);
	end(&s);
}

/* The state before was read when nothing was freed yet, and compared when it was. */
static void what_was_freed_while_a_state_was_read_counts(void **unused)
{
	struct scene s = begin();
	const struct window_finding *w;

	(void)unused;
	frees(&s, 7, 50 * MIB); /* long before */
	state(&s, 0);
	frees(&s, 7, 3 * MIB);
	state(&s, 0);
	frees(&s, 8, 1 * MIB);
	state(&s, 4 * MIB);
	w = only_window(&s);
	assert_int_equal(w->freed_cnt, 2);
	assert_int_equal(w->freed[0].site, sites_get(s.sites, 7));
	assert_int_equal(w->freed[0].bytes, 3 * MIB);
	assert_int_equal(w->freed[1].bytes, 1 * MIB);
	end(&s);
}

static void what_was_freed_in_a_window_before_does_not(void **unused)
{
	struct scene s = begin();
	const struct window_finding *view;

	(void)unused;
	state(&s, 0);
	frees(&s, 7, 2 * MIB);
	state(&s, 2 * MIB);
	frees(&s, 7, 2 * MIB);
	state(&s, 0); /* closes */
	frees(&s, 8, 3 * MIB);
	state(&s, 3 * MIB);
	assert_int_equal(window_detector_view(s.windows, s.now, &view), 2);
	assert_int_equal(view[1].freed_cnt, 1);
	assert_int_equal(view[1].freed[0].bytes, 3 * MIB);
	/* Nor if a purge has closed it. */
	window_detector_purge(s.windows, &(struct window_return){s.now, s.now}, true);
	s.now += NSEC_PER_SEC;
	frees(&s, 9, 4 * MIB);
	state(&s, 4 * MIB);
	assert_int_equal(window_detector_view(s.windows, s.now, &view), 3);
	assert_int_equal(view[2].freed_cnt, 1);
	assert_int_equal(view[2].freed[0].bytes, 4 * MIB);
	frees(&s, 9, 5 * MIB);
	window_detector_purge(s.windows, &(struct window_return){s.now, s.now}, true);
	s.now += NSEC_PER_SEC;
	state(&s, 0);
	frees(&s, 8, 4 * MIB);
	state(&s, 4 * MIB);
	assert_int_equal(window_detector_view(s.windows, s.now, &view), 4);
	assert_int_equal(view[3].freed_cnt, 1);
	assert_int_equal(view[3].freed[0].bytes, 4 * MIB);
	end(&s);
}

static void what_is_freed_until_it_closes_counts(void **unused)
{
	struct scene s = begin();
	const struct window_finding *w;

	(void)unused;
	state(&s, 0);
	frees(&s, 7, 2 * MIB);
	state(&s, 2 * MIB);
	frees(&s, 7, 2 * MIB);
	frees(&s, 9, 9 * MIB);
	state(&s, 0); /* closes */
	frees(&s, 9, 100 * MIB);
	state(&s, 0);
	w = only_window(&s);
	assert_int_not_equal(w->end_ns, 0);
	assert_int_equal(w->freed[0].bytes, 9 * MIB);
	assert_int_equal(w->freed[1].bytes, 4 * MIB);
	end(&s);
}

static void only_the_largest_are_kept(void **unused)
{
	struct scene s = begin();
	const struct window_finding *w;

	(void)unused;
	state(&s, 0);
	for (uint64_t stack = 1; stack <= 20; stack++)
		frees(&s, stack, (stack * 7 % 20 + 1) * KIB);
	state(&s, 2 * MIB);
	w = only_window(&s);
	assert_int_equal(w->freed_cnt, WINDOW_FREED_MAX);
	for (unsigned i = 0; i < WINDOW_FREED_MAX; i++)
		assert_int_equal(w->freed[i].bytes, (20 - i) * KIB);
	end(&s);
}

static void without_a_window_there_is_nothing_to_tell(void **unused)
{
	struct scene s = begin();
	const struct window_finding *view;

	(void)unused;
	state(&s, 0);
	frees(&s, 7, MIB);
	state(&s, MIB / 2);
	assert_int_equal(window_detector_view(s.windows, s.now, &view), 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_opened_the_window_counts),
		cmocka_unit_test(what_was_freed_while_a_state_was_read_counts),
		cmocka_unit_test(what_was_freed_in_a_window_before_does_not),
		cmocka_unit_test(what_is_freed_until_it_closes_counts),
		cmocka_unit_test(only_the_largest_are_kept),
		cmocka_unit_test(without_a_window_there_is_nothing_to_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
