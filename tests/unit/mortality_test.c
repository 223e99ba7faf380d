/* How many of an age die, on hand-made exposures: with and without others at their addresses, alone and
 * beside a pool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdint.h>

#include "heap/mortality.h"

static void near(double is, double wanted, double error)
{
	if (fabs(is - wanted) > error)
		fail_msg("%g is not %g ± %g", is, wanted, error);
}

static const struct passage plain = {.own = 1, .unit = 1, .memory = 10};

/* Many cells that saw the same. */
static struct exposure seen(const struct passage *p, double died, double alive, double others)
{
	struct exposure e = {.died = 0};

	for (int i = 0; i < 1000; i++)
		exposure_add(&e, p, died, alive, others, alive + others);
	return e;
}

static void deaths_are_own_where_nobody_comes_after(void **state)
{
	struct exposure e = seen(&plain, 200, 1000, 0);

	(void)state;
	near(mortality(&e, NULL, &plain), 0.2, 1e-3);
	near(mortality_left(&e), 0.2 / -log(0.8), 1e-3);
}

/* Blocks of mean life 1/r at addresses that are taken at once: r deaths are seen of each, and 1 − e^−r are
 * its own. */
static void deaths_of_those_who_came_after_are_not_own(void **state)
{
	static const double rates[] = {0.05, 0.5, 2, 5};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct passage p = {.own = 1, .turn = rates[i], .reused = 1, .unit = 1, .memory = 10};
		struct exposure e = seen(&p, 1000 * rates[i], 1000, 0);

		near(mortality(&e, NULL, &p), 1 - exp(-rates[i]), 0.01);
	}
}

static void what_others_alone_explain_is_nobodys_death(void **state)
{
	struct passage p = {.own = 1, .turn = 0.5, .reused = 1, .unit = 1, .memory = 10};
	struct exposure e = seen(&p, 500, 10, 1000);

	(void)state;
	near(mortality(&e, NULL, &p), 0, 1e-9);
	near(mortality_left(&e), 1, 1e-6);
}

static void no_share_is_all(void **state)
{
	struct exposure e = seen(&plain, 1e6, 1, 0), none = {.died = 0};

	(void)state;
	near(mortality(&e, NULL, &plain), MORTALITY_MAX, 1e-6);
	near(mortality(&none, NULL, &plain), 0, 0);
	near(mortality_error(&none, NULL, &plain), 0, 0);
}

static void few_are_as_the_pool_and_many_are_themselves(void **state)
{
	struct exposure pool = seen(&plain, 900, 1000, 0), few = seen(&plain, 0, 0.01, 0),
			many = seen(&plain, 0, 100, 0);

	(void)state;
	mortality(&pool, NULL, &plain);
	near(mortality(&few, &pool, &plain), 0.9, 0.02);
	near(mortality(&many, &pool, &plain), 0, 0.01);
}

/* As errors are: of few deaths more than of many. */
static void errors_shrink_with_what_is_seen(void **state)
{
	struct exposure little = seen(&plain, 2, 10, 0), much = seen(&plain, 200, 1000, 0);

	(void)state;
	mortality(&little, NULL, &plain);
	mortality(&much, NULL, &plain);
	assert_true(mortality_error(&little, NULL, &plain) > 3 * mortality_error(&much, NULL, &plain));
	assert_true(mortality_error(&much, NULL, &plain) > 0);
}

static void what_never_dies_is_believed_when_enough_should_have(void **state)
{
	(void)state;
	near(mortality_none(0, 3, 1e-3), 0, 0.02);
	assert_true(mortality_none(0, 20, 1e-3) > 0.85);
	/* Half of it: the other half dies as others do. */
	near(mortality_none(100, 200, 1e-3), 0.4, 0.05);
	near(mortality_none(210, 200, 1e-3), 0, 0);
	near(mortality_none(0, 20, 0), 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deaths_are_own_where_nobody_comes_after),
		cmocka_unit_test(deaths_of_those_who_came_after_are_not_own),
		cmocka_unit_test(what_others_alone_explain_is_nobodys_death),
		cmocka_unit_test(no_share_is_all),
		cmocka_unit_test(few_are_as_the_pool_and_many_are_themselves),
		cmocka_unit_test(errors_shrink_with_what_is_seen),
		cmocka_unit_test(what_never_dies_is_believed_when_enough_should_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
