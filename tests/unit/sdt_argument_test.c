/* Arguments of SDT probes, as compilers write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>

#include "../bpf/share.h"
#include "probe/sdt_argument.h"

static uint64_t place;

static enum arg_register reg(void)
{
	return (enum arg_register)(place >> COOKIE_PLACE_REGISTER_SHIFT & 31);
}

static int offset(void)
{
	return (int16_t)(place >> COOKIE_PLACE_OFFSET_SHIFT);
}

static int size(void)
{
	return 1 << (place >> COOKIE_PLACE_SIZE_SHIFT & 3);
}

static void check(const char *text, int bytes, bool is_signed, enum arg_register in, bool memory, int at)
{
	assert_int_equal(sdt_argument(text, 1, &place), 0);
	assert_int_equal(size(), bytes);
	assert_int_equal(!!(place & COOKIE_PLACE_SIGNED), is_signed);
	assert_int_equal(reg(), in);
	assert_int_equal(!!(place & COOKIE_PLACE_IN_MEMORY), memory);
	assert_int_equal(offset(), at);
	assert_int_equal((uint32_t)place, 0); /* the function's number */
	assert_int_equal(place >> 57, 0);
}

static void registers_memory_constants(void **state)
{
	(void)state;
	check("-4@112(%rsp)", 4, true, ARG_SP, true, 112); /* Debian's 3.11: gc__start */
	check("-8@%r12", 8, true, ARG_R12, false, 0);      /* … gc__done */
	check("8@%rax -4@%edx", 8, false, ARG_AX, false, 0);
	check("-4@%edi", 4, true, ARG_DI, false, 0);
	check("2@%r8w", 2, false, ARG_R8, false, 0);
	check("1@%sil", 1, false, ARG_SI, false, 0);
	check("8@-32768(%rbp)", 8, false, ARG_BP, true, -32768);
	check("8@(%r15)", 8, false, ARG_R15, true, 0);
	check("-4@$2", 4, true, ARG_NONE, false, 2);
	check("-8@$-1", 8, true, ARG_NONE, false, -1);
}

static void by_number(void **state)
{
	static const char arguments[] = " 8@%rbx  -4@$7 8@16(%rcx)";

	(void)state;
	assert_int_equal(sdt_argument(arguments, 1, &place), 0);
	assert_int_equal(reg(), ARG_BX);
	assert_int_equal(sdt_argument(arguments, 2, &place), 0);
	assert_int_equal(offset(), 7);
	assert_int_equal(sdt_argument(arguments, 3, &place), 0);
	assert_int_equal(reg(), ARG_CX);
	assert_int_equal(sdt_argument(arguments, 4, &place), -ENOENT);
	assert_int_equal(sdt_argument("", 1, &place), -ENOENT);
}

static void other_forms_are_declined(void **state)
{
	static const char *const texts[] = {
		"%rax",
		"@%rax",
		"8@",
		"8@rax",
		"8@%rip",
		"8@%ah",
		"8@%xmm0",
		"8@%rax1",
		"3@%rax",
		"16@%rax",
		"-8f@%xmm1",
		"8@(%rax,%rbx,8)",
		"8@8(%rax,%rbx)",
		"8@sym(%rip)",
		"8@32768(%rsp)",
		"8@-32769(%rsp)",
		"8@8(%rsp",
		"8@8(%rsp)x",
		"8@$",
		"8@$x",
		"8@$65536",
		"8@99999999999999999999(%rsp)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(sdt_argument(texts[i], 1, &place), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_memory_constants),
		cmocka_unit_test(by_number),
		cmocka_unit_test(other_forms_are_declined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
