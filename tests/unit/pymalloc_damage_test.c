/* The walker's fuzz target on a fixed sequence of damages: the same ones on every machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "../fuzz/pymalloc_fuzz.c"

#define INPUTS 2000

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void test_damages(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;

	(void)state;
	for (unsigned i = 0; i < INPUTS; i++) {
		uint8_t input[1 + 8 * POKE_SIZE];
		size_t pokes = 1 + i % 8;

		for (size_t j = 0; j < sizeof(input); j++)
			input[j] = (uint8_t)(next(&seed) >> 32);
		/* Half of the damages are there from the start. */
		for (size_t j = 0; j < pokes; j += 2)
			input[1 + j * POKE_SIZE] = 0;
		LLVMFuzzerTestOneInput(input, 1 + pokes * POKE_SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
