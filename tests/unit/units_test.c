#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/printable.h"
#include "base/units.h"

static void bytes_have_three_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{999, "999 B"},
		{1023, "1023 B"},
		{1024, "1.00 KiB"},
		{12 * KIB, "12.0 KiB"},
		{10234, "9.99 KiB"},
		{10236, "10.0 KiB"}, /* 9.996: not "10.00" */
		{1023 * KIB, "1023 KiB"},
		{MIB - 1, "1.00 MiB"}, /* not "1024 KiB" */
		{100 * MIB - 1, "100 MiB"},
		{1546188226, "1.44 GiB"},
		{UINT64_MAX - 1, "16.0 EiB"},
	};
	char buf[UNITS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(units_bytes(buf, cases[i].bytes), cases[i].text);
}

static void times_have_three_digits_or_two_units(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0 ns"},
		{350, "350 ns"},
		{999, "999 ns"},
		{1000, "1.00 µs"},
		{12100, "12.1 µs"},
		{999600, "1.00 ms"},
		{26000000, "26.0 ms"},
		{1700000000, "1.70 s"},
		{59900000000, "59.9 s"},
		{59960000000, "1 min 0 s"},
		{250 * NSEC_PER_SEC, "4 min 10 s"},
		{7500 * NSEC_PER_SEC, "2 h 5 min"},
		{3 * 86400 * NSEC_PER_SEC, "3 d 0 h"},
		{UINT64_MAX, "213503 d 23 h"},
	};
	char buf[UNITS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(units_time(buf, cases[i].ns), cases[i].text);
}

static void parses_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"4096", 4096},
		{"4096B", 4096},
		{"32M", 32 * MIB},
		{"32mb", 32 * MIB},
		{"1.5GiB", 3 * GIB / 2},
		{".5k", 512},
		{"9007199254740993", 9007199254740993ULL}, /* 2^53 + 1: no double on the way */
		{"18446744073709551615", UINT64_MAX},
		{"15E", 15ULL << 60},
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(units_parse_bytes(cases[i].text, &bytes), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void refuses_what_is_no_size(void **state)
{
	static const char *const bad[] = {"",    "M",     "-1", "+1", " 1",  "1 M",   "0x10",  "nan", "inf",
					  "1e3", "1.2.3", ".",  "1Q", "1Mx", "1KiBs", "1\x0b", "1@",  "1`"};
	static const char *const big[] = {"16E", "18446744073709551616", "99999999999999999999999"};
	uint64_t bytes = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(units_parse_bytes(bad[i], &bytes), -EINVAL);
	for (size_t i = 0; i < sizeof(big) / sizeof(big[0]); i++)
		assert_int_equal(units_parse_bytes(big[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 7);
}

static void parses_seconds(void **state)
{
	uint64_t ns;

	(void)state;
	assert_int_equal(units_parse_seconds("5", &ns), 0);
	assert_int_equal(ns, 5 * NSEC_PER_SEC);
	assert_int_equal(units_parse_seconds("0.25", &ns), 0);
	assert_int_equal(ns, NSEC_PER_SEC / 4);
	assert_int_equal(units_parse_seconds("5s", &ns), -EINVAL);
	assert_int_equal(units_parse_seconds("", &ns), -EINVAL);
	assert_int_equal(units_parse_seconds("99999999999", &ns), -ERANGE);
}

static void makes_text_printable(void **state)
{
	static const struct {
		const char *text, *safe;
	} cases[] = {
		{"python3", "python3"},
		{"a\033[31mb\n", "a?[31mb?"},
		{"\xc2\x9bm", "?m"}, /* C1 CSI */
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"\xff\xfe", "??"},
		{"\xc0\xaf", "??"},           /* overlong */
		{"\xed\xa0\x80", "???"},      /* a surrogate */
		{"\xf4\x90\x80\x80", "????"}, /* above U+10FFFF */
		{"\xe2\x82", "??"},           /* cut */
		{"\xe2\x80\xaetxt", "?txt"},  /* right-to-left override */
		{"\xe2\x81\xa6", "?"},        /* left-to-right isolate */
		{"\xf0\x9f\x90\x8d", "\xf0\x9f\x90\x8d"},
	};
	char buf[32], text[] = "ab\xc3\xa9\001";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(printable(buf, sizeof(buf), cases[i].text), cases[i].safe);
	assert_string_equal(printable(buf, 4, "ab\xc3\xa9"), "ab"); /* no half characters */
	assert_string_equal(printable(text, sizeof(text), text), "ab\xc3\xa9?");
	assert_int_equal(printable_width("–µs"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_have_three_digits),
		cmocka_unit_test(times_have_three_digits_or_two_units),
		cmocka_unit_test(parses_sizes),
		cmocka_unit_test(refuses_what_is_no_size),
		cmocka_unit_test(parses_seconds),
		cmocka_unit_test(makes_text_printable),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
