/* Calls behind return addresses, in this very program: of each the instruction is known to be one. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "probe/call_site.h"
#include "target/function_start.h"

static uint64_t returned_to;

__attribute__((noinline)) static void called(void)
{
	returned_to = (uintptr_t)__builtin_return_address(0);
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void calls_directly(void)
{
	called();
	__asm__ volatile("" ::: "memory"); /* no tail call */
}

static void (*volatile pointer)(void) = called;

__attribute__((noinline)) static void calls_by_pointer(void)
{
	pointer();
	__asm__ volatile("" ::: "memory");
}

static struct maps own_maps(void)
{
	struct maps maps;

	assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
	return maps;
}

static void test_a_direct_call_is_found(void **state)
{
	struct maps maps = own_maps();
	struct call_site site;
	uint8_t code[5];
	int32_t distance;

	(void)state;
	calls_directly();
	assert_int_equal(call_site_find(getpid(), &maps, returned_to, &site), 0);
	assert_int_equal(object_read(site.obj, site.offset, code, sizeof(code)), sizeof(code));
	assert_int_equal(code[0], 0xe8);
	memcpy(&distance, code + 1, sizeof(distance));
	assert_int_equal(returned_to + (uint64_t)(int64_t)distance, (uintptr_t)called);
	object_free(site.obj);
	maps_free(&maps);
}

static void test_other_calls_are_refused(void **state)
{
	struct maps maps = own_maps();
	struct call_site site;

	(void)state;
	calls_by_pointer();
	assert_int_equal(call_site_find(getpid(), &maps, returned_to, &site), -ENOENT);
	maps_free(&maps);
}

/* Bytes that look like a call, within an instruction: nothing is ever placed there. */
__attribute__((noinline)) static uintptr_t looks_like_a_call(void)
{
	uintptr_t end;

	__asm__ volatile(
		"movabs $0xe8000000009090, %%rax\n" /* … e8 00 */
		"nop\nnop\nnop\nnop\n"
		"lea 0f(%%rip), %0\n"
		".byte 0x48, 0xb8, 0, 0, 0, 0xe8, 0, 0, 0, 0\n" /* movabs, whose last five bytes are "call" */
		"0:\n"
		: "=r"(end)
		:
		: "rax");
	return end;
}

static void test_no_instruction_is_cut(void **state)
{
	struct maps maps = own_maps();
	struct call_site site;
	uintptr_t end = looks_like_a_call();

	(void)state;
	assert_int_equal(*(const uint8_t *)(end - 5), 0xe8); /* NOLINT(performance-no-int-to-ptr) */
	assert_int_equal(call_site_find(getpid(), &maps, end, &site), -ENOENT);
	maps_free(&maps);
}

static void test_addresses_of_no_code(void **state)
{
	struct maps maps = own_maps();
	struct call_site site;
	int on_stack;

	(void)state;
	assert_int_equal(call_site_find(getpid(), &maps, 0, &site), -ENOENT);
	assert_int_equal(call_site_find(getpid(), &maps, UINT64_MAX, &site), -ENOENT);
	assert_int_equal(call_site_find(getpid(), &maps, (uintptr_t)&on_stack, &site), -ENOENT);
	maps_free(&maps);
}

/* Against the symbols' values, of the C library's own. */
static void test_functions_begin_where_symbols_say(void **state)
{
	static const char *const names[] = {"malloc", "qsort", "fopen", "getaddrinfo", "printf"};
	struct maps maps = own_maps();
	const struct mapping *m = maps_find(&maps, (uintptr_t)dlsym(RTLD_DEFAULT, "malloc"));
	struct object_symbol sym;
	struct object *obj;
	uint64_t start;

	(void)state;
	assert_non_null(m);
	assert_int_equal(object_open_mapped(getpid(), m, &obj, NULL), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(object_find_symbol(obj, names[i], &sym), 0);
		assert_int_equal(function_start(obj, sym.value, &start), 0);
		assert_int_equal(start, sym.value);
		assert_int_equal(function_start(obj, sym.value + 3, &start), 0);
		assert_int_equal(start, sym.value);
	}
	assert_int_equal(function_start(obj, 0, &start), -ENOENT);
	object_free(obj);
	maps_free(&maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_direct_call_is_found),
		cmocka_unit_test(test_other_calls_are_refused),
		cmocka_unit_test(test_no_instruction_is_cut),
		cmocka_unit_test(test_addresses_of_no_code),
		cmocka_unit_test(test_functions_begin_where_symbols_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
