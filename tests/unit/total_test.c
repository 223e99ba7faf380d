/* Many processes as one: sums, sites that are the same, what those leave behind that have ended. */
#include "report_fixture.h"
#include "picture/total.h"
#include "report/report.h"

static void start(struct fixture *x, pid_t pid)
{
	fixture_start(x);
	fixture_heap(x, 2);
	fixture_findings(x);
	fixture_allocs(x);
	x->s.pid = pid;
}

static struct snapshot sum_of(struct total *total, const struct snapshot *const *v, size_t cnt,
			      bool with_ended)
{
	struct snapshot sum = {.time_ns = 100 * SEC, .started_ns = 40 * SEC, .command = "all"};

	assert_int_equal(total_sum(total, v, cnt, with_ended, &sum), 0);
	return sum;
}

static const struct site_view *site_of(const struct allocation_view *a, const struct stack *stack)
{
	for (size_t i = 0; i < a->site_cnt; i++)
		if (stack ? a->sites[i].stack && a->sites[i].stack->cnt == stack->cnt &&
				    !memcmp(a->sites[i].stack->locations, stack->locations,
					    stack->cnt * sizeof(stack->locations[0]))
			  : !a->sites[i].stack)
			return &a->sites[i];
	return NULL;
}

static void two_are_twice_as_much(void **state)
{
	struct fixture x, y;
	const struct snapshot *const v[] = {&x.s, &y.s};
	struct total *total = total_new();
	struct snapshot sum;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	sum = sum_of(total, v, 2, false);
	assert_int_equal(sum.rss, 2 * x.s.rss);
	assert_int_equal(sum.heap->retained, 2 * x.heap.retained);
	assert_int_equal(sum.heap->allocator_cnt, x.heap.allocator_cnt); /* a row a kind */
	assert_int_equal(sum.heap->allocators[0].held, 2 * x.allocators[0].held);
	assert_string_equal(sum.heap->allocators[0].version, x.allocators[0].version);
	assert_int_equal(sum.allocs->totals.live.bytes, 2 * x.allocs.totals.live.bytes);
	assert_int_equal(sum.allocs->site_cnt, x.allocs.site_cnt);
	for (size_t i = 0; i < x.allocs.site_cnt; i++) {
		const struct site_view *site = site_of(sum.allocs, x.views[i].stack);

		assert_non_null(site);
		assert_int_equal(site->figures->live.bytes, 2 * x.views[i].figures->live.bytes);
		assert_int_equal(site->figures->freed_here.cnt, 2 * x.views[i].figures->freed_here.cnt);
		assert_int_equal(site->survey->pinned, 2 * x.views[i].survey->pinned);
		assert_ptr_equal(sum.allocs->by_number[site->number], site);
	}
	total_free(total);
}

/* Errors of several are independent: 3 % of one and 3 % of another are less than 3 % of both. */
static void errors_add_up_as_squares(void **state)
{
	struct fixture x, y, z;
	const struct snapshot *const v[] = {&x.s, &y.s, &z.s};
	struct total *total = total_new();
	const struct site_view *site;
	const struct budget_view *b;
	struct snapshot sum;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	start(&z, 12);
	fixture_estimates(&x);
	fixture_estimates(&y);
	y.allocs.budget.duty = 0.5;
	y.allocs.budget.probe_share = 0.02;
	sum = sum_of(total, v, 3, false); /* z is exact */
	b = &sum.allocs->budget;
	assert_true(b->estimated && b->duty == x.allocs.budget.duty && b->probe_share == 0.124);
	site = site_of(sum.allocs, x.views[0].stack);
	assert_non_null(site->bounds);
	assert_int_equal(site->figures->live.bytes, 600 * MIB);
	assert_true(site->bounds->live.low.bytes < 592 * MIB && site->bounds->live.low.bytes > 591 * MIB);
	assert_true(site->bounds->live.high.bytes > 608 * MIB && site->bounds->live.high.bytes < 609 * MIB);
	assert_true(site->bounds->allocated.low.cnt > 3 * 900221 - 38194 - 2);
	assert_true(site->bounds->allocated.low.cnt < 3 * 900221 - 38190);
	assert_null(site_of(sum.allocs, x.views[6].stack)->bounds); /* exact in each */
	assert_true(b->totals.live.low.bytes < sum.allocs->totals.live.bytes);
	assert_true(b->error > 0.01 && b->error < 0.043);

	/* What ended ones have had stays as uncertain; what lived in them is gone. */
	total_keep(total, &x.s);
	sum = sum_of(total, &v[2], 1, false);
	site = site_of(sum.allocs, x.views[0].stack);
	assert_true(sum.allocs->budget.estimated && site->bounds);
	assert_int_equal(site->bounds->live.low.bytes, site->figures->live.bytes);
	assert_int_equal(site->bounds->live.high.bytes, site->figures->live.bytes);
	assert_true(site->bounds->allocated.low.bytes < site->figures->allocated.bytes);
	total_free(total);
}

static void findings_say_whose_they_are(void **state)
{
	struct fixture x, y;
	const struct snapshot *const v[] = {&x.s, &y.s};
	struct total *total = total_new();
	struct snapshot sum;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	for (size_t i = 0; i < y.s.purge_cnt; i++)
		y.purges[i].time_ns += SEC / 2; /* between those of the other */
	fixture_marks(&x);
	fixture_marks(&y);
	for (size_t i = 0; i < y.s.mark_cnt; i++)
		y.marks[i].time_ns += SEC / 8;
	sum = sum_of(total, v, 2, false);
	assert_int_equal(sum.purge_cnt, 2 * x.s.purge_cnt);
	for (size_t i = 0; i < sum.purge_cnt; i++) {
		assert_true(!i || sum.purges[i]->time_ns >= sum.purges[i - 1]->time_ns);
		assert_int_equal(sum.purge_pids[i], i % 2 ? 11 : 10);
	}
	assert_int_equal(sum.mark_cnt, 2 * x.s.mark_cnt);
	assert_int_equal(sum.marks_total, 2 * x.s.marks_total);
	for (size_t i = 0; i < sum.mark_cnt; i++) {
		assert_ptr_equal(sum.marks[i], i % 2 ? &y.marks[i / 2] : &x.marks[i / 2]);
		assert_int_equal(sum.mark_pids[i], i % 2 ? 11 : 10);
	}
	assert_int_equal(sum.window_cnt, 2 * x.s.window_cnt);
	assert_int_equal(sum.window_pids[0], 10);
	assert_int_equal(sum.window_pids[sum.window_cnt - 1], 11);
	/* Who freed in it, by the numbers of the sum. */
	assert_ptr_equal(sum.allocs->by_number[sum.windows[1].freed[0].site],
			 site_of(sum.allocs, x.views[5].stack));
	total_free(total);
}

static void what_one_does_not_know_all_do_not(void **state)
{
	struct fixture x, y;
	const struct snapshot *const v[] = {&x.s, &y.s};
	struct total *total = total_new();
	struct snapshot sum;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	y.heap.purgeable = y.allocators[0].purgeable = UNKNOWN;
	strcpy(y.allocators[0].version, "2.41");
	sum = sum_of(total, v, 2, false);
	assert_int_equal(sum.heap->purgeable, UNKNOWN);
	assert_int_equal(sum.heap->allocators[0].purgeable, UNKNOWN);
	assert_int_equal(sum.heap->retained, 2 * x.heap.retained);
	assert_string_equal(sum.heap->allocators[0].version, "");
	y.heap.taken_ns = 0; /* not read yet: the sum is of the others */
	sum = sum_of(total, v, 2, false);
	assert_int_equal(sum.heap->retained, x.heap.retained);
	total_free(total);
}

static void who_has_ended_has_done_and_holds_nothing(void **state)
{
	struct fixture x, y;
	const struct snapshot *const living[] = {&x.s};
	struct total *total = total_new();
	struct snapshot sum;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	y.s.gone = y.s.final = true;
	total_keep(total, &y.s);
	sum = sum_of(total, living, 1, false);
	assert_int_equal(sum.rss, x.s.rss);
	assert_int_equal(sum.allocs->totals.allocated.bytes, 2 * x.allocs.totals.allocated.bytes);
	assert_int_equal(sum.allocs->totals.live.bytes, x.allocs.totals.live.bytes);
	assert_int_equal(site_of(sum.allocs, x.views[0].stack)->figures->allocated.bytes, 2 * 900 * MIB);
	assert_int_equal(site_of(sum.allocs, x.views[0].stack)->figures->live.bytes, 200 * MIB);
	assert_int_equal(sum.returned.purge, 2 * x.s.returned.purge);
	assert_int_equal(sum.purges_total, 2 * x.s.purges_total);
	/* A command's last report: what each held at its end. */
	sum = sum_of(total, living, 1, true);
	assert_int_equal(sum.allocs->totals.live.bytes, 2 * x.allocs.totals.live.bytes);
	assert_int_equal(site_of(sum.allocs, x.views[0].stack)->figures->live.bytes, 2 * 200 * MIB);
	sum = sum_of(total, NULL, 0, false);
	assert_int_equal(sum.rss, 0);
	assert_int_equal(sum.allocs->totals.live.bytes, 0);
	total_free(total);
}

/* What one that has ended had born stays, what it held does not. */
static void python_objects_add_up_too(void **state)
{
	struct fixture x, y;
	const struct snapshot *const both[] = {&x.s, &y.s}, *const one[] = {&x.s};
	struct total *total = total_new();
	const struct objects_view *o;
	struct snapshot sum;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	fixture_objects(&x);
	sum = sum_of(total, both, 2, false);
	assert_non_null(sum.allocs->objects); /* y has none */
	assert_int_equal(sum.allocs->objects->born.cnt, x.objects.born.cnt);
	fixture_objects(&y);
	sum = sum_of(total, both, 2, false);
	o = sum.allocs->objects;
	assert_int_equal(o->live_heap, 2 * x.objects.live_heap);
	assert_int_equal(o->sites.totals.live.bytes, 2 * x.objects.sites.totals.live.bytes);
	assert_int_equal(o->sites.site_cnt, 2);
	assert_int_equal(o->sites.sites[0].figures->live.bytes, 2 * x.object_views[0].figures->live.bytes);
	assert_true(o->in_cells && o->sites.budget.estimated);
	assert_int_equal(o->sites.unattributed, UNKNOWN);
	total_keep(total, &y.s);
	sum = sum_of(total, one, 1, false);
	o = sum.allocs->objects;
	assert_int_equal(o->born.cnt, 2 * x.objects.born.cnt);
	assert_int_equal(o->sites.totals.live.bytes, x.objects.sites.totals.live.bytes);
	assert_int_equal(o->sites.sites[0].figures->live.bytes, x.object_views[0].figures->live.bytes);
	assert_int_equal(o->sites.sites[0].figures->allocated.bytes, 2 * x.object_views[0].figures->allocated.bytes);
	assert_int_equal(o->live_heap, x.objects.live_heap);
	total_free(total);
}

static void a_table_of_all(void **state)
{
	struct fixture x, y;
	const struct snapshot *const v[] = {&x.s, &y.s};
	struct process_rows rows = {.v = v, .cnt = 2, .living = 1, .came = 2, .went = 1, .too_short = 3};
	struct total *total = total_new();
	struct snapshot sum;
	char *text;

	(void)state;
	start(&x, 10);
	start(&y, 11);
	y.s.rss += MIB;
	y.s.gone = y.s.final = true;
	y.s.ended = "the target exited with status 0";
	sum = sum_of(total, v, 2, false);
	sum.command = "worker.service";
	sum.interval_ns = 5 * SEC;
	sum.processes = &rows;
	text = FORM_TEXT(report_text(out, &sum, false));
	golden_check("attach_many.txt", text);
	free(text);
	total_free(total);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_are_twice_as_much),
		cmocka_unit_test(errors_add_up_as_squares),
		cmocka_unit_test(findings_say_whose_they_are),
		cmocka_unit_test(what_one_does_not_know_all_do_not),
		cmocka_unit_test(who_has_ended_has_done_and_holds_nothing),
		cmocka_unit_test(python_objects_add_up_too),
		cmocka_unit_test_setup(a_table_of_all, use_utc),
	};

	return cmocka_run_group_tests_name("total", tests, NULL, NULL);
}
