/* When readings come: as often as the budget pays for, and one sooner where it is wanted, which is owed then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/units.h"
#include "child.h"
#include "heap/sampler.h"

#define COMES_MS   30000 /* at the latest; a failure if not */
#define ABSENT_MS  200   /* what does not come in that time was not on its way */

static struct process process;

static void use_memory(void)
{
	static char *blocks[2000];

	for (int i = 0; i < 2000; i++)
		blocks[i] = malloc((size_t)(i % 50) * 100);
	for (int i = 0; i < 2000; i += 2)
		free(blocks[i]);
}

static int start(void **state)
{
	struct error err;

	(void)state;
	return process_open(child_start(use_memory), &process, &err);
}

static int stop(void **state)
{
	(void)state;
	kill(process.pid, SIGKILL);
	waitpid(process.pid, NULL, 0);
	process_close(&process);
	return 0;
}

static bool comes(const struct sampler *s, int ms, uint64_t *began)
{
	struct pollfd ready = {.fd = sampler_fd(s), .events = POLLIN};
	struct sample sample;

	if (poll(&ready, 1, ms) != 1)
		return false;
	assert_true(sampler_take((struct sampler *)s, &sample));
	assert_int_equal(sample.status, 0);
	*began = sample.began_ns;
	sample_free(&sample);
	return true;
}

/* So little that the next regular reading is minutes away. */
static void a_wanted_one_comes_at_once_and_is_owed(void **state)
{
	struct sampler_options options = {.budget = 1e-7, .interval_ns = NSEC_PER_SEC / 100};
	struct sampler *s;
	struct error err;
	uint64_t began = 0, wanted;

	(void)state;
	assert_int_equal(sampler_start(&process, &options, &s, &err), 0);
	assert_true(comes(s, COMES_MS, &began));
	assert_false(comes(s, ABSENT_MS, &began));
	wanted = clock_monotonic_ns();
	sampler_want(s);
	assert_true(comes(s, COMES_MS, &began));
	assert_true(began >= wanted);
	sampler_want(s);
	assert_false(comes(s, ABSENT_MS, &began));
	sampler_hurry(s); /* the last report's does not ask for the price */
	assert_true(comes(s, COMES_MS, &began));
	sampler_stop(s);
}

/* What was wanted once is not wanted for ever. */
static void one_that_came_is_done_with(void **state)
{
	struct sampler_options options = {.budget = 1, .interval_ns = 3600 * NSEC_PER_SEC};
	struct sampler *s;
	struct error err;
	uint64_t began;

	(void)state;
	assert_int_equal(sampler_start(&process, &options, &s, &err), 0);
	assert_true(comes(s, COMES_MS, &began));
	for (int i = 0; i < 3; i++) {
		sampler_want(s);
		assert_true(comes(s, COMES_MS, &began));
	}
	assert_false(comes(s, ABSENT_MS, &began));
	sampler_stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_wanted_one_comes_at_once_and_is_owed, start, stop),
		cmocka_unit_test_setup_teardown(one_that_came_is_done_with, start, stop),
	};

	return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
