/* The pace of probes on made-up targets, simulated at some microseconds: what they lose is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/units.h"
#include "budget/pace.h"

#define MS (NSEC_PER_SEC / 1000)
#define QUANTUM_NS 100000.0 /* that the target is simulated by */
#define STACK_NS 1180.0
#define PAIR_NS 1500.0 /* two hits */
#define CLOSED_NS 1400.0
#define OPEN_NS 2.5e6 /* of time from the first probe to all of them, and from closing to none */
#define CLOSE_NS 0.6e6
#define OURS_NS 2e6      /* of our own CPU time, for each of them */
#define BUCKETS_MAX 1000 /* of 100 ms */

/* Own ns of work a pair at a time (ns), and whether it runs then. */
typedef double (*shape)(double time);

struct scene {
	struct pace *pace;
	struct pace_step step;
	shape own_per_pair;
	double now, cpu, probe, stack, hits, own, truth; /* truth: what probes really took */
	double scale;                                    /* of the calibrated cost to the true one */
	bool looked_at;                                  /* there are looks in place of ticks */
	double trap_user;                                /* ns of each trap that they count as its own */
	double pass_ns; /* of its own time, from a milestone to the next; 0: there are none */
	double on_own;  /* own time while on */
	double switches, ours;
	double spent[BUCKETS_MAX], used[BUCKETS_MAX], used_ours[BUCKETS_MAX];
};

static double flat_out(double time)
{
	(void)time;
	return 10;
}

static double busy(double time)
{
	(void)time;
	return 2000;
}

static double calm(double time)
{
	(void)time;
	return 200000;
}

/* With all stacks 13 %, without them 6 %. */
static double between(double time)
{
	(void)time;
	return 18500;
}

/* Some 3 % of a core, in which its probes take 12 % of its CPU time and 0.36 % of the core. */
static double mostly_idle(double time)
{
	return fmod(time, 10e6) < 3e5 ? 20000 : 0;
}

/* The same with nothing but pairs. */
static double mostly_idle_and_dear(double time)
{
	return fmod(time, 10e6) < 3e5 ? 10 : 0;
}

/* A second of 6 % of a core, in which probes take 0.7 % of it, in 5 s. */
static double in_bursts(double time)
{
	return fmod(time, 5e9) < 1e9 && fmod(time, 10e6) < 6e5 ? 20000 : 0;
}

/* 15 % of a core, in which its probes take 30 % of its CPU time. */
static double half_asleep(double time)
{
	return fmod(time, 10e6) < 1.5e6 ? 6000 : 0;
}

/* A second idle, a second flat out. */
static double alternating(double time)
{
	return fmod(time, 2e9) < 1e9 ? 0 : 10;
}

static double jumping(double time)
{
	return time < 10e9 ? 1e6 : 1000;
}

static double calming(double time)
{
	return time < 20e9 ? 500 : 500000;
}

/* The target runs that long beside the probes, at most until the quota is used up. state: 0 off, 1 recorded,
 * 2 closed. */
static void run(struct scene *s, double ns, int state, double quota)
{
	double end = s->now + ns, stack = s->step.sample_bytes ? 0.01 * STACK_NS : STACK_NS, from = s->hits;

	while (s->now < end) {
		double dt = fmin(QUANTUM_NS, end - s->now), own = s->own_per_pair(s->now), cost, pairs;
		size_t bucket = (size_t)(s->now / 1e8);

		if (state == 1 && quota && s->hits - from >= quota)
			return;
		cost = state == 0 ? 0 : state == 1 ? PAIR_NS + stack : CLOSED_NS;
		pairs = own > 0 ? dt / (own + cost) : 0;
		s->now += dt;
		if (own <= 0)
			continue;
		s->cpu += dt;
		s->own += pairs * own;
		s->on_own += state == 1 ? pairs * own : 0;
		s->hits += state ? 2 * pairs : 0;
		s->truth += pairs * cost;
		s->probe += pairs * cost / s->scale;
		s->stack += state == 1 ? pairs * stack / s->scale : 0;
		assert_true(bucket < BUCKETS_MAX);
		s->spent[bucket] += pairs * cost;
		s->used[bucket] += dt;
	}
}

static struct pace_reading reading(const struct scene *s)
{
	double user = 0, system = 0, looks = s->looked_at ? 1 : 0;

	if (s->scale != 1) { /* ticks are checked only where they are needed */
		user = s->on_own + s->trap_user * 1.5 * s->hits;
		system = s->truth - s->trap_user * 1.5 * s->hits;
	}
	return (struct pace_reading){
		.time_ns = (uint64_t)s->now + NSEC_PER_SEC,
		.cpu_ns = (uint64_t)s->cpu,
		.probe_ns = (uint64_t)s->probe,
		.stack_ns = (uint64_t)s->stack,
		.hits = (uint64_t)s->hits,
		.user_ns = s->looked_at ? 0 : (uint64_t)user,
		.system_ns = s->looked_at ? 0 : (uint64_t)fmax(system, 0),
		.user_look_ns = (uint64_t)(looks * user),
		.system_look_ns = (uint64_t)(looks * fmax(system, 0)),
		.all_user_ns = user ? (uint64_t)(s->own + s->trap_user * 1.5 * s->hits) : 0,
		.all_system_ns = user ? (uint64_t)fmax(system, 0) : 0,
		.milestones = s->pass_ns > 0,
		.passes = s->pass_ns > 0 ? (uint64_t)(s->own / s->pass_ns) : 0,
		.ours_ns = (uint64_t)s->ours,
	};
}

static void look(const struct scene *s, struct pace_view *view)
{
	struct pace_reading at = reading(s);

	pace_view(s->pace, &at, view);
}

static struct scene *begin_with(shape own_per_pair, const struct pace_options *options)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct pace_reading at;

	assert_non_null(s);
	s->own_per_pair = own_per_pair;
	s->scale = 1;
	s->trap_user = 140;
	at = reading(s);
	s->pace = pace_new(options, &at);
	assert_non_null(s->pace);
	s->step = pace_next(s->pace, &at);
	return s;
}

static struct scene *begin(shape own_per_pair, double max_share)
{
	struct scene *s = begin_with(own_per_pair, &(struct pace_options){.max_share = max_share, .seed = 7});

	assert_true(s->step.sure);
	return s;
}

static void finish(struct scene *s)
{
	pace_free(s->pace);
	free(s);
}

static void pass(struct scene *s, double seconds)
{
	double end = s->now + seconds * 1e9;

	while (s->now < end) {
		struct pace_reading at;
		bool was_on = s->step.on;

		run(s, (double)s->step.length_ns, s->step.on, (double)s->step.quota);
		at = reading(s);
		s->step = pace_next(s->pace, &at);
		assert_true(s->step.chance > 0 && s->step.chance <= 1 && s->step.length_ns > 0);
		assert_true(!s->step.sure || (s->step.on && s->step.chance == 1));
		if (was_on == s->step.on)
			continue;
		s->switches++;
		s->ours += OURS_NS;
		s->used_ours[(size_t)(s->now / 1e8)] += OURS_NS;
		run(s, s->step.on ? OPEN_NS : CLOSE_NS, 2, 0);
		at = reading(s);
		if (s->step.on)
			pace_begun(s->pace, &at);
	}
}

/* The largest part of a core over 5 s. */
static double most_of_a_core(const struct scene *s, const double buckets[BUCKETS_MAX])
{
	double largest = 0;

	for (size_t i = 0; i + 50 <= (size_t)(s->now / 1e8); i++) {
		double spent = 0;

		for (size_t k = i; k < i + 50; k++)
			spent += buckets[k];
		largest = fmax(largest, spent / 5e9);
	}
	return largest;
}

/* The largest share over 5 s from there on, of windows in which the target used at least half a second. */
static double most(const struct scene *s, double from_seconds)
{
	double largest = 0;

	for (size_t i = (size_t)(from_seconds * 10); i + 50 <= (size_t)(s->now / 1e8); i++) {
		double spent = 0, used = 0;

		for (size_t k = i; k < i + 50; k++) {
			spent += s->spent[k];
			used += s->used[k];
		}
		if (used > 5e8 && spent / used > largest)
			largest = spent / used;
	}
	return largest;
}

static void what_is_cheap_stays_on(void **state)
{
	struct scene *s = begin(calm, 0.1);
	struct pace_view view;

	(void)state;
	pass(s, 30);
	look(s, &view);
	assert_true(s->step.sure && !s->step.sample_bytes && s->switches == 0);
	assert_true(!view.sliced && view.duty == 1 && view.duty_now == 1);
	assert_true(fabs(view.share - (PAIR_NS + STACK_NS) / 200000) < 0.002);
	finish(s);
}

/* However little CPU time it uses: a small part of a core is nobody's harm. */
static void one_that_is_mostly_idle_is_recorded_surely(void **state)
{
	const struct pace_options floored = {.max_share = 0.1, .core_share = 0.005, .seed = 7};
	struct scene *s = begin_with(mostly_idle, &floored);

	(void)state;
	pass(s, 30);
	assert_true(s->step.sure && !s->step.sample_bytes && s->switches == 0);
	assert_true(s->truth / s->cpu > 0.1);
	finish(s);
	s = begin(mostly_idle, 0.1); /* without that part */
	pass(s, 30);
	assert_true(!s->step.sure || s->step.sample_bytes);
	finish(s);
}

/* The budget is of 5 s: what a second has too much, others have too little. */
static void bursts_are_recorded_surely(void **state)
{
	const struct pace_options floored = {.max_share = 0.1, .core_share = 0.005, .seed = 7};
	struct scene *s = begin_with(in_bursts, &floored);

	(void)state;
	for (int i = 0; i < 120; i++) {
		pass(s, 0.5);
		assert_true(s->step.sure && !s->step.sample_bytes);
	}
	finish(s);
}

static void one_that_is_mostly_idle_and_dear_keeps_to_the_part_of_a_core(void **state)
{
	const struct pace_options floored = {.max_share = 0.1, .core_share = 0.005, .seed = 7};
	struct scene *s = begin_with(mostly_idle_and_dear, &floored);

	(void)state;
	pass(s, 60);
	print_message("most %.5f of a core, mean %.5f, ours %.5f, mean %.5f, switches/s %.1f, duty %.5f\n",
		      most_of_a_core(s, s->spent), s->truth / s->now, most_of_a_core(s, s->used_ours),
		      s->ours / s->now, s->switches / 60, s->on_own / s->own);
	assert_false(s->step.sure);
	assert_true(most_of_a_core(s, s->spent) < 0.005);
	assert_true(most_of_a_core(s, s->used_ours) < 0.005);
	assert_true(s->truth / s->now > 0.2 * 0.005);
	finish(s);
}

static void stacks_are_sampled_first(void **state)
{
	struct scene *s = begin(between, 0.1);

	(void)state;
	pass(s, 30);
	assert_true(s->step.sure && s->step.sample_bytes && s->switches == 0);
	assert_true(most(s, 3) < 0.1);
	finish(s);
}

static void keeps_to_the_budget(shape own_per_pair, double max_share)
{
	struct scene *s = begin(own_per_pair, max_share);
	struct pace_view view;

	pass(s, 60);
	look(s, &view);
	print_message("most %.4f last %.4f duty %.5f true duty %.5f switches/s %.1f ours %.4f\n", most(s, 0),
		      view.share, view.duty, s->on_own / s->own, s->switches / 60, s->ours / s->cpu);
	assert_true(view.sliced);
	assert_true(most(s, 0) < max_share);
	assert_true(s->ours / s->cpu < max_share);
	/* And it is used, or ours is. */
	assert_true(s->truth / s->cpu > 0.35 * max_share || s->ours / s->cpu > 0.2 * max_share);
	assert_true(fabs(view.duty / (s->on_own / s->own) - 1) < 0.1);
	finish(s);
}

static void a_busy_one_is_sliced(void **state)
{
	(void)state;
	keeps_to_the_budget(busy, 0.1);
	keeps_to_the_budget(busy, 0.03);
}

static void one_half_asleep_is_not_switched_too_often(void **state)
{
	(void)state;
	keeps_to_the_budget(half_asleep, 0.1);
	keeps_to_the_budget(half_asleep, 0.03);
}

static void one_flat_out_is_sliced(void **state)
{
	(void)state;
	keeps_to_the_budget(flat_out, 0.1);
	keeps_to_the_budget(flat_out, 0.3);
}

static void one_that_alternates_keeps_to_it_over_every_5_s(void **state)
{
	(void)state;
	keeps_to_the_budget(alternating, 0.1);
}

static void a_rate_that_jumps_is_caught_at_once(void **state)
{
	struct scene *s = begin(jumping, 0.1);

	(void)state;
	pass(s, 40);
	assert_true(!s->step.sure && most(s, 0) < 0.1);
	finish(s);
}

static void all_is_recorded_again_when_it_can_be(void **state)
{
	struct scene *s = begin(calming, 0.1);

	(void)state;
	pass(s, 20);
	assert_false(s->step.sure);
	pass(s, 25);
	assert_true(s->step.sure && !s->step.sample_bytes);
	finish(s);
}

/* Blocks of the process's own time are seen with the chance that is said: over many, the weights add up. */
static void chances_are_true(void **state)
{
	struct scene *s = begin(busy, 0.1);
	double sum = 0, own = 0, from;

	(void)state;
	pass(s, 10);
	from = s->own;
	while (s->now < 90e9) {
		double before = s->on_own;
		struct pace_step step = s->step;

		pass(s, 1e-9);
		if (step.on)
			sum += (s->on_own - before) / step.chance;
	}
	own = s->own - from;
	print_message("weights add up to %.3f\n", sum / own);
	assert_true(fabs(sum / own - 1) < 0.1);
	finish(s);
}

/* Probes cost 30 % more than calibrated: the kernel's ticks tell. */
static void the_cost_is_corrected(void **state)
{
	struct scene *s = begin(busy, 0.1);
	struct pace_view view;

	(void)state;
	s->scale = 1.3;
	pass(s, 80);
	look(s, &view);
	print_message("correction %.3f most %.4f\n", view.correction, most(s, 30));
	assert_true(fabs(view.correction - 1.3) < 0.1);
	assert_true(most(s, 30) < 0.1);
	finish(s);
}

/* The same by looks, 40 times as often as ticks: in some seconds. */
static void looks_correct_the_cost(void **state)
{
	struct scene *s = begin(busy, 0.1);
	struct pace_view view;

	(void)state;
	s->scale = 1.3;
	s->looked_at = true;
	pass(s, 5);
	look(s, &view);
	print_message("correction %.3f\n", view.correction);
	assert_true(fabs(view.correction - 1.3) < 0.04);
	finish(s);
}

/*
 * The duty that is said, to the true one, where nearly all of a cell is the probes', and what traps count as
 * the target's own is three times what is taken. pass_ns: from a milestone to the next; 0: there are none.
 */
static double duty_where_traps_mislead(double pass_ns)
{
	struct scene *s = begin(flat_out, 0.1);
	struct pace_view view;
	double duty;

	s->scale = 1.3;
	s->looked_at = true;
	s->trap_user = 420;
	s->pass_ns = pass_ns;
	pass(s, 60);
	look(s, &view);
	duty = view.duty / (s->on_own / s->own);
	finish(s);
	return duty;
}

static void milestones_tell_what_is_its_own(void **state)
{
	double without = duty_where_traps_mislead(0), with = duty_where_traps_mislead(50000);

	(void)state;
	print_message("duty said to true: %.2f without, %.2f with them\n", without, with);
	assert_true(without > 2);
	assert_true(fabs(with - 1) < 0.5); /* looks have their weight, however wrong they are */
}

static void dear_ones_begin_with_cells(void **state)
{
	const struct pace_options options = {.max_share = 0.1, .dear = true, .seed = 7};
	struct scene *s = begin_with(flat_out, &options);

	(void)state;
	assert_false(s->step.on);
	pass(s, 30);
	assert_true(!s->step.sure && most(s, 0) < 0.1 && s->truth / s->cpu > 0.035);
	finish(s);
	s = begin_with(calm, &options);
	pass(s, 30);
	assert_true(s->step.sure); /* it is cheap after all */
	finish(s);
}

static void the_budget_may_be_divided_later(void **state)
{
	struct scene *s = begin(busy, 0.2);

	(void)state;
	pass(s, 10);
	pace_share(s->pace, 0.1, 0);
	pass(s, 30);
	assert_true(most(s, 15) < 0.1);
	pace_share(s->pace, 0.2, 0);
	pass(s, 30);
	assert_true(most(s, 45) > 0.1);
	finish(s);
}

/* Neither its own time, nor of this budget. */
static void others_cost_is_not_its_own(void **state)
{
	const struct pace_options options = {.max_share = 0.1, .seed = 7};
	struct pace_reading from = {.time_ns = NSEC_PER_SEC}, to;
	struct pace *pace = pace_new(&options, &from);
	struct pace_view view;
	struct progress progress;

	(void)state;
	assert_non_null(pace);
	pace_next(pace, &from);
	to = (struct pace_reading){.time_ns = 2 * NSEC_PER_SEC,
				   .cpu_ns = 500 * MS,
				   .probe_ns = 20 * MS,
				   .others_ns = 100 * MS,
				   .hits = 20000,
				   .others_hits = 100000};
	progress = pace_progress(pace, &from, &to);
	assert_int_equal(progress.own, 380 * MS);
	assert_int_equal(progress.error, 24 * MS); /* a fifth */
	assert_false(progress.by_share);
	pace_view(pace, &to, &view);
	assert_true(fabs(view.share - 20.0 / 500) < 1e-9);
	pace_free(pace);
}

/* Cells of 10 ms, of which the usual share of 0.2 is own. */
static void dear_hits_leave_less(void **state)
{
	const struct correction known = {.factor = 1, .error = 0.5, .share = 0.2, .share_error = 0.01};
	struct progress usual = progress_own(&known, 1000, 10 * MS, 8 * MS, 8000),
			dear = progress_own(&known, 1000, 10 * MS, 8 * MS, 4000),
			slow = progress_own(&known, 1000, 10 * MS, 6 * MS, 6000),
			alike = progress_own(&known, 0, 10 * MS, 8 * MS, 4000),
			bare = progress_own(&known, 100, 10 * MS, 8 * MS, 40000);

	(void)state;
	assert_true(usual.by_share && dear.by_share && slow.by_share && alike.by_share);
	assert_true(fabs((double)usual.own - 2 * MS) < 10);
	/* Of 250 ns between two hits the allocator is taken to have 50. */
	assert_true(fabs((double)dear.own - 10 * MS / (1 + 4 * 2 / 1.2)) < 10);
	/* One that does nothing else. */
	assert_true(fabs((double)bare.own - 2 * MS) < 10);
	/* Fewer of them: not that each has cost more. */
	assert_true(fabs((double)slow.own - 2 * MS) < 10);
	assert_true(fabs((double)alike.own - 2 * MS) < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cheap_stays_on),
		cmocka_unit_test(one_that_is_mostly_idle_is_recorded_surely),
		cmocka_unit_test(bursts_are_recorded_surely),
		cmocka_unit_test(one_that_is_mostly_idle_and_dear_keeps_to_the_part_of_a_core),
		cmocka_unit_test(stacks_are_sampled_first),
		cmocka_unit_test(a_busy_one_is_sliced),
		cmocka_unit_test(one_half_asleep_is_not_switched_too_often),
		cmocka_unit_test(one_flat_out_is_sliced),
		cmocka_unit_test(one_that_alternates_keeps_to_it_over_every_5_s),
		cmocka_unit_test(a_rate_that_jumps_is_caught_at_once),
		cmocka_unit_test(dear_ones_begin_with_cells),
		cmocka_unit_test(the_budget_may_be_divided_later),
		cmocka_unit_test(others_cost_is_not_its_own),
		cmocka_unit_test(all_is_recorded_again_when_it_can_be),
		cmocka_unit_test(chances_are_true),
		cmocka_unit_test(the_cost_is_corrected),
		cmocka_unit_test(looks_correct_the_cost),
		cmocka_unit_test(milestones_tell_what_is_its_own),
		cmocka_unit_test(dear_hits_leave_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
