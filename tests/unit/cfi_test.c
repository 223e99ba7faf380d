/* Call frame information made by hand, one operation or one form at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cfi_fault.h"
#include "cfi_scene.h"
#include "target/cfi.h"

#define START 0x1000
#define LEN 0x100
#define ROWS_MAX 6

/* A program of the function [START, START + LEN), and the rows it is: up to one whose pc is 0. */
struct example {
	const char *name;
	uint8_t program[32];
	size_t len;
	struct unwind_row rows[ROWS_MAX];
};

#define PROGRAM(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
#define SP(pc, cfa, fp)                                                                                      \
	{                                                                                                    \
		pc, cfa, fp, UNWIND_SP, 0                                                                    \
	}
#define FP(pc, cfa, fp)                                                                                      \
	{                                                                                                    \
		pc, cfa, fp, UNWIND_FP, 0                                                                    \
	}
#define INVALID(pc)                                                                                          \
	{                                                                                                    \
		pc, 0, 0, UNWIND_INVALID, 0                                                                  \
	}
#define UNSAID(pc)                                                                                           \
	{                                                                                                    \
		pc, 0, 0, UNWIND_UNSAID, 0                                                                   \
	}

static const struct example examples[] = {
	{"nothing", PROGRAM(0), {SP(START, 1, 0)}},
	{"a frame pointer",
	 PROGRAM(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x50, 0x0c, 7, 8),
	 {SP(START, 1, 0), SP(START + 1, 2, -2), FP(START + 4, 2, -2), SP(START + 20, 1, -2)}},
	{"advance_loc1, 2, 4, 8",
	 PROGRAM(0x02, 1, 0x0e, 16, 0x03, 2, 0, 0x0e, 24, 0x04, 3, 0, 0, 0, 0x0e, 32, 0x1d, 4, 0, 0, 0, 0, 0,
		 0, 0, 0x0e, 40),
	 {SP(START, 1, 0), SP(START + 1, 2, 0), SP(START + 3, 3, 0), SP(START + 6, 4, 0),
	  SP(START + 10, 5, 0)}},
	{"set_loc",
	 PROGRAM(0x01, 0x20, 0x10, 0, 0, 0, 0, 0, 0, 0x0e, 16),
	 {SP(START, 1, 0), SP(START + 0x20, 2, 0)}},
	{"set_loc backwards",
	 PROGRAM(0x42, 0x0e, 16, 0x01, 1, 0x10, 0, 0, 0, 0, 0, 0),
	 {SP(START, 1, 0), INVALID(START + 2)}},
	{"advance by nothing", PROGRAM(0x0e, 16, 0x02, 0, 0x0e, 24), {SP(START, 3, 0)}},
	{"advance past the end", PROGRAM(0x04, 0, 1, 0, 0, 0x0e, 16), {SP(START, 1, 0)}},
	{"advance out of the address space",
	 PROGRAM(0x1d, 255, 255, 255, 255, 255, 255, 255, 255, 0x0e, 16),
	 {SP(START, 1, 0)}},
	{"equal neighbours",
	 PROGRAM(0x41, 0x0e, 16, 0x41, 0x8c, 2, 0x41, 0x0e, 24),
	 {SP(START, 1, 0), SP(START + 1, 2, 0), SP(START + 3, 3, 0)}},

	{"def_cfa_sf", PROGRAM(0x12, 6, 0x7e), {FP(START, 2, 0)}},
	{"def_cfa_offset_sf", PROGRAM(0x13, 0x7d), {SP(START, 3, 0)}},
	{"rbx", PROGRAM(0x0c, 3, 24), {{START, 3, 0, UNWIND_BX, 0}}},
	{"another register",
	 PROGRAM(0x41, 0x0c, 10, 0, 0x41, 0x0c, 7, 8),
	 {SP(START, 1, 0), INVALID(START + 1), SP(START + 2, 1, 0)}},
	{"a register beyond all", PROGRAM(0x0d, 0x87, 0x80, 0x80, 0x80, 0x10), {INVALID(START)}},
	{"the largest CFA", PROGRAM(0x0e, 0xf8, 0xff, 0x1f), {SP(START, 65535, 0)}},
	{"a CFA too large", PROGRAM(0x0e, 0x80, 0x80, 0x20), {INVALID(START)}},
	{"a CFA below", PROGRAM(0x13, 1), {INVALID(START)}},
	{"a CFA of no words", PROGRAM(0x0e, 12), {INVALID(START)}},
	{"half a definition after an expression", PROGRAM(0x0f, 2, 0x77, 16, 0x0e, 8), {SP(START, 1, 0)}},
	{"half a definition after another expression",
	 PROGRAM(0x0f, 3, 0x76, 16, 0x06, 0x0e, 8),
	 {INVALID(START)}},

	{"offset_extended", PROGRAM(0x05, 6, 3), {SP(START, 1, -3)}},
	{"offset_extended_sf", PROGRAM(0x11, 6, 0x7c), {SP(START, 1, 4)}},
	{"GNU_negative_offset_extended", PROGRAM(0x2f, 6, 5), {SP(START, 1, 5)}},
	{"the lowest rbp", PROGRAM(0x86, 0x80, 0x01), {SP(START, 1, -128)}},
	{"an rbp too low", PROGRAM(0x86, 0x81, 0x01), {INVALID(START)}},
	{"an rbp at the CFA", PROGRAM(0x86, 0), {INVALID(START)}},
	{"rbx as it is, stored, as it was",
	 PROGRAM(0x41, 0x83, 2, 0x41, 0x83, 15, 0x41, 0x08, 3),
	 {SP(START, 1, 0),
	  {START + 1, 1, 0, UNWIND_SP, 1},
	  {START + 2, 1, 0, UNWIND_SP, 14},
	  SP(START + 3, 1, 0)}},
	{"rbx out of reach",
	 PROGRAM(0x83, 1, 0x41, 0x83, 16, 0x41, 0x09, 3, 12, 0x41, 0xc3),
	 {{START, 1, 0, UNWIND_SP, UNWIND_BX_LOST}, SP(START + 3, 1, 0)}},
	{"restore", PROGRAM(0x86, 2, 0x41, 0xc6), {SP(START, 1, -2), SP(START + 1, 1, 0)}},
	{"restore_extended", PROGRAM(0x86, 2, 0x41, 0x06, 6), {SP(START, 1, -2), SP(START + 1, 1, 0)}},
	{"same_value", PROGRAM(0x86, 2, 0x41, 0x08, 6), {SP(START, 1, -2), SP(START + 1, 1, 0)}},
	{"undefined rbp", PROGRAM(0x07, 6), {INVALID(START)}},
	{"rbp in a register", PROGRAM(0x09, 6, 12), {INVALID(START)}},
	{"rbp by value",
	 PROGRAM(0x14, 6, 2, 0x41, 0x15, 6, 0x7e, 0x41, 0x16, 6, 2, 0x77, 8),
	 {INVALID(START)}},
	{"rsp is the CFA", PROGRAM(0x14, 7, 0), {SP(START, 1, 0)}},
	{"rsp is something else", PROGRAM(0x15, 7, 1), {INVALID(START)}},
	{"remembered",
	 PROGRAM(0x0a, 0x0e, 16, 0x86, 2, 0x0a, 0x41, 0x0c, 6, 24, 0x41, 0x0b, 0x41, 0x0b),
	 {SP(START, 2, -2), FP(START + 1, 3, -2), SP(START + 2, 2, -2), SP(START + 3, 1, 0)}},
	{"nothing remembered", PROGRAM(0x41, 0x0b), {SP(START, 1, 0), INVALID(START + 1)}},
	{"remembered too often",
	 PROGRAM(0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a, 0x0a,
		 0x0a, 0x0a),
	 {INVALID(START)}},
	{"GNU_args_size and window_save", PROGRAM(0x2e, 0x80, 1, 0x2d, 0x0e, 16), {SP(START, 2, 0)}},

	{"undefined return address", PROGRAM(0x07, 16), {{START, 0, 0, UNWIND_END, 0}}},
	{"undefined return address, later",
	 PROGRAM(0x41, 0x07, 16, 0x41, 0xd0),
	 {SP(START, 1, 0), {START + 1, 0, 0, UNWIND_END, 0}, SP(START + 2, 1, 0)}},
	{"return address in rdi", PROGRAM(0x09, 16, 5, 0x0e, 0), {{START, 0, 0, UNWIND_DI, 0}}},
	{"return address in another register", PROGRAM(0x09, 16, 2), {INVALID(START)}},
	{"return address in rdi, rbp stored", PROGRAM(0x09, 16, 5, 0x86, 2), {INVALID(START)}},
	{"return address elsewhere", PROGRAM(0x90, 2), {INVALID(START)}},

	{"CFA by breg7", PROGRAM(0x0f, 2, 0x77, 16), {SP(START, 2, 0)}},
	{"CFA by breg6", PROGRAM(0x0f, 2, 0x76, 16), {FP(START, 2, 0)}},
	{"CFA by breg3", PROGRAM(0x0f, 2, 0x73, 16), {{START, 2, 0, UNWIND_BX, 0}}},
	{"CFA by what is on the stack", PROGRAM(0x0f, 3, 0x77, 16, 0x06), {INVALID(START)}},
	{"CFA by an empty expression", PROGRAM(0x0f, 0), {INVALID(START)}},
	{"a PLT of 11",
	 PROGRAM(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22),
	 {{START, 11, 0, UNWIND_PLT, 0}}},
	{"a PLT of 5",
	 PROGRAM(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x35, 0x2a, 0x33, 0x24, 0x22),
	 {{START, 5, 0, UNWIND_PLT, 0}}},
	{"no PLT after all",
	 PROGRAM(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x1c),
	 {INVALID(START)}},
	{"DRAP",
	 PROGRAM(0x10, 6, 2, 0x76, 0, 0x41, 0x0f, 3, 0x76, 0x78, 0x06),
	 {INVALID(START), {START + 1, (uint16_t)-1, 0, UNWIND_DEREF_FP, 0}}},
	{"DRAP, rbp above",
	 PROGRAM(0x10, 6, 2, 0x76, 16, 0x0f, 3, 0x76, 8, 0x06),
	 {{START, 1, 2, UNWIND_DEREF_FP, 0}}},
	{"DRAP without rbp", PROGRAM(0x0f, 3, 0x76, 0x78, 0x06), {INVALID(START)}},
	{"rbp by the CFA's own register", PROGRAM(0x0c, 6, 16, 0x10, 6, 2, 0x76, 0), {FP(START, 2, -2)}},
	{"a signal frame's rule without its flag",
	 PROGRAM(0x0f, 4, 0x77, 0xa0, 0x01, 0x06),
	 {INVALID(START)}},

	{"an operation that does not exist", PROGRAM(0x41, 0x3f), {SP(START, 1, 0), INVALID(START + 1)}},
	{"cut in an operand", PROGRAM(0x41, 0x0e), {SP(START, 1, 0), INVALID(START + 1)}},
	{"cut in an expression", PROGRAM(0x0f, 20, 0x77, 8), {INVALID(START)}},
	{"an expression without end",
	 PROGRAM(0x0f, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
	 {INVALID(START)}},
};

static const struct scene_cie usual = {
	.version = 1, .code_align = 1, .ra = 16, .augmentation = "", SCENE_USUAL};

/* After the last of the rows lies the end of the function. */
static void assert_rows(const struct cfi_table *table, const struct unwind_row *rows, uint32_t end,
			const char *name)
{
	const char *fault = table_fault(table);
	size_t cnt = 0;

	while (cnt < ROWS_MAX && rows[cnt].pc) {
		if (cnt >= table->row_cnt || memcmp(&rows[cnt], &table->rows[cnt], sizeof(*rows)))
			fail_msg("%s: row %zu", name, cnt);
		cnt++;
	}
	if (fault)
		fail_msg("%s: %s", name, fault);
	if (table->row_cnt != cnt + 1 || table->rows[cnt].pc != end)
		fail_msg("%s: %zu rows", name, table->row_cnt);
}

static void operations(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
		const struct example *e = &examples[i];
		struct scene s = {.form = CFI_EH_FRAME};
		struct cfi_table table;

		scene_add_cie(&s, &usual);
		scene_add_function(&s, START, LEN, e->program, e->len);
		assert_int_equal(scene_read(&s, &table), 0);
		assert_rows(&table, e->rows, START + LEN, e->name);
		cfi_free(&table);
	}
}

/* One push: what the forms below all describe. */
static const uint8_t push[] = {0x41, 0x0e, 16, 0x86, 2};
static const struct unwind_row pushed[ROWS_MAX] = {SP(START, 1, 0), SP(START + 1, 2, -2)};

static void assert_push(struct scene *s, const struct scene_cie *cie, const char *name)
{
	struct cfi_table table;

	scene_add_cie(s, cie);
	scene_add_function(s, START, LEN, push, sizeof(push));
	if (scene_read(s, &table))
		fail_msg("%s", name);
	assert_rows(&table, pushed, START + LEN, name);
	cfi_free(&table);
}

static void assert_nothing(struct scene *s, const struct scene_cie *cie)
{
	struct cfi_table table;

	scene_add_cie(s, cie);
	scene_add_function(s, START, LEN, push, sizeof(push));
	assert_int_equal(scene_read(s, &table), -ENOENT);
	assert_null(table.rows);
}

/* A function whose CIE was not understood is there, but nothing is known of it. */
static void assert_invalid(struct scene *s, const struct scene_cie *cie)
{
	struct cfi_table table;

	scene_add_cie(s, cie);
	scene_add_function(s, START, LEN, push, sizeof(push));
	assert_int_equal(scene_read(s, &table), 0);
	assert_rows(&table, (struct unwind_row[ROWS_MAX]){INVALID(START)}, START + LEN, cie->augmentation);
	cfi_free(&table);
}

static void forms(void **state)
{
	static const uint8_t versions[] = {1, 3, 4};
	struct scene_cie cie = usual;

	(void)state;
	for (size_t i = 0; i < sizeof(versions); i++) {
		cie.version = versions[i];
		assert_push(&(struct scene){.form = CFI_EH_FRAME}, &cie, ".eh_frame");
		assert_push(&(struct scene){.form = CFI_EH_FRAME, .is_64_bit = true}, &cie,
			    ".eh_frame, 64-bit");
		assert_push(&(struct scene){.form = CFI_DEBUG_FRAME}, &cie, ".debug_frame");
		assert_push(&(struct scene){.form = CFI_DEBUG_FRAME, .is_64_bit = true}, &cie,
			    ".debug_frame, 64-bit");
	}
	cie.version = 2;
	assert_invalid(&(struct scene){.form = CFI_EH_FRAME}, &cie);
	cie = usual;
	cie.ra = 17;
	assert_invalid(&(struct scene){.form = CFI_EH_FRAME}, &cie);
}

static void code_alignment(void **state)
{
	struct scene_cie cie = usual;
	struct scene s = {.form = CFI_DEBUG_FRAME};
	struct cfi_table table;

	(void)state;
	cie.code_align = 4;
	scene_add_cie(&s, &cie);
	scene_add_function(&s, START, LEN, push, sizeof(push));
	assert_int_equal(scene_read(&s, &table), 0);
	assert_rows(&table, (struct unwind_row[ROWS_MAX]){SP(START, 1, 0), SP(START + 4, 2, -2)}, START + LEN,
		    "");
	cfi_free(&table);
}

static void encodings(void **state)
{
	static const uint8_t good[] = {
		PTR_ABSOLUTE,
		PTR_ULEB,
		PTR_U16,
		PTR_U32,
		PTR_U64,
		PTR_S16,
		PTR_S32,
		PTR_S64,
		PTR_PC_RELATIVE | PTR_S16,
		PTR_PC_RELATIVE | PTR_S32,
		PTR_PC_RELATIVE | PTR_U64,
		PTR_PC_RELATIVE | PTR_ABSOLUTE,
		PTR_DATA_RELATIVE | PTR_S32,
		PTR_DATA_RELATIVE | PTR_S64,
	};
	static const uint8_t bad[] = {
		0x20, 0x40, 0x50, 0x06, 0x0f, PTR_INDIRECT | PTR_PC_RELATIVE | PTR_S32, PTR_OMITTED};
	struct scene_cie cie = {
		.version = 1, .code_align = 1, .ra = 16, .augmentation = "zR", .data_len = 1, SCENE_USUAL};

	(void)state;
	for (size_t i = 0; i < sizeof(good); i++) {
		cie.data[0] = good[i];
		assert_push(&(struct scene){.form = CFI_EH_FRAME, .encoding = good[i]}, &cie, "encoding");
	}
	for (size_t i = 0; i < sizeof(bad); i++) {
		cie.data[0] = bad[i];
		assert_nothing(&(struct scene){.form = CFI_EH_FRAME, .encoding = PTR_U64}, &cie);
	}
	/* The scene writes unsigned ones, which are the same where bit 6 of the last byte is clear. */
	cie.data[0] = PTR_SLEB;
	assert_push(&(struct scene){.form = CFI_EH_FRAME, .encoding = PTR_SLEB}, &cie, "signed LEB128");
}

static void augmentations(void **state)
{
	struct scene_cie cie = {.version = 1, .code_align = 1, .ra = 16, SCENE_USUAL};
	struct scene s = {.form = CFI_EH_FRAME, .encoding = PTR_PC_RELATIVE | PTR_S32};

	(void)state;
	cie.augmentation = "zPLR";
	cie.data_len = 7;
	memcpy(cie.data, (uint8_t[]){0x9b, 1, 2, 3, 4, 0x1b, 0x1b}, 7);
	assert_push(&s, &cie, "zPLR");
	cie.augmentation = "zRB";
	cie.data_len = 1;
	memcpy(cie.data, (uint8_t[]){0x1b}, 1);
	s.cnt = 0;
	assert_push(&s, &cie, "zRB");
	cie.augmentation = "zRX";
	s.cnt = 0;
	assert_invalid(&s, &cie);
	cie.augmentation = "zRP";
	s.cnt = 0;
	assert_invalid(&s, &cie);
	cie.augmentation = "X";
	s.cnt = 0;
	s.encoding = PTR_ABSOLUTE;
	assert_invalid(&s, &cie);
}

/* As glibc describes __restore_rt. */
static void signal_frame(void **state)
{
	static const uint8_t restorer[] = {0x0f, 4,    0x77, 0xa0, 1, 6, 0x10, 16,   3,
					   0x77, 0xa8, 1,    0x10, 6, 3, 0x77, 0xf8, 0};
	struct scene_cie cie = {
		.version = 1, .code_align = 1, .ra = 16, .augmentation = "zRS", .data_len = 1};
	struct scene s = {.form = CFI_EH_FRAME};
	struct cfi_table table;

	(void)state;
	scene_add_cie(&s, &cie);
	scene_add_function(&s, START, LEN, restorer, sizeof(restorer));
	assert_int_equal(scene_read(&s, &table), 0);
	assert_rows(&table, (struct unwind_row[ROWS_MAX]){{START, 0, 0, UNWIND_SIGNAL, 0}}, START + LEN,
		    "signal");
	cfi_free(&table);
}

struct function {
	uint32_t start, len;
	uint8_t words; /* of its CFA */
};

static struct cfi_table table_of(const struct function *functions, size_t cnt)
{
	struct scene s = {.form = CFI_EH_FRAME};
	struct cfi_table table;

	scene_add_cie(&s, &usual);
	for (size_t i = 0; i < cnt; i++)
		scene_add_function(&s, functions[i].start, functions[i].len,
				   (uint8_t[]){0x0e, (uint8_t)(8 * functions[i].words)}, 2);
	assert_int_equal(scene_read(&s, &table), 0);
	return table;
}

#define TABLE_OF(...)                                                                                        \
	table_of((struct function[]){__VA_ARGS__},                                                           \
		 sizeof((struct function[]){__VA_ARGS__}) / sizeof(struct function))

static void assert_table(struct cfi_table table, const struct unwind_row *rows, uint32_t end,
			 const char *name)
{
	assert_rows(&table, rows, end, name);
	cfi_free(&table);
}

static void functions_in_any_order(void **state)
{
	(void)state;
	assert_table(TABLE_OF({0x1100, 0x100, 2}, {0x1000, 0x100, 1}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0), SP(0x1100, 2, 0)}, 0x1200, "unsorted");
	assert_table(TABLE_OF({0x1000, 0x100, 1}, {0x1100, 0x100, 1}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0)}, 0x1200, "merged");
	assert_table(TABLE_OF({0x1000, 0xf1, 1}, {0x1100, 0x100, 2}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0), SP(0x1100, 2, 0)}, 0x1200, "padding");
	assert_table(TABLE_OF({0x1000, 0xf0, 1}, {0x1100, 0x100, 2}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0), UNSAID(0x10f0), SP(0x1100, 2, 0)},
		     0x1200, "gap");
	assert_table(TABLE_OF({0x1000, 0x180, 1}, {0x1100, 0x100, 2}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0), SP(0x1180, 2, 0)}, 0x1200,
		     "overlapping");
	assert_table(TABLE_OF({0x1000, 0x200, 1}, {0x1100, 0x80, 2}, {0x1000, 0x210, 3}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0), SP(0x1200, 3, 0)}, 0x1210, "within");
	assert_table(TABLE_OF({0x1234, 0x10, 1}),
		     (struct unwind_row[ROWS_MAX]){UNSAID(0x1000), SP(0x1234, 1, 0)}, 0x1244,
		     "the page's start");
	assert_table(TABLE_OF({0, 0x100, 2}, {0x1000, 0, 2}, {0x1000, 0x100, 1}),
		     (struct unwind_row[ROWS_MAX]){SP(0x1000, 1, 0)}, 0x1100, "thrown away");
	assert_table(TABLE_OF({0xffffff00, 0xff, 1}),
		     (struct unwind_row[ROWS_MAX]){UNSAID(0xfffffc00), SP(0xffffff00, 1, 0)}, UINT32_MAX,
		     "the last address");
}

static void what_is_too_far(void **state)
{
	struct scene s = {.form = CFI_EH_FRAME};
	struct cfi_table table;

	(void)state;
	scene_add_cie(&s, &usual);
	scene_add_function(&s, 0xffffff00, 0x100, NULL, 0);
	scene_add_function(&s, 1ULL << 32, 0x100, NULL, 0);
	scene_add_function(&s, UINT64_MAX, 0x100, NULL, 0);
	scene_add_function(&s, 0x1000, UINT64_MAX, NULL, 0);
	assert_int_equal(scene_read(&s, &table), -ENOENT);
	scene_add_function(&s, 0x1000, 0x100, NULL, 0);
	scene_add_function(&s, 0x1000 + ((uint64_t)UNWIND_PAGES_MAX << UNWIND_PAGE_SHIFT), 0x100, NULL, 0);
	assert_int_equal(scene_read(&s, &table), -E2BIG);
	assert_null(table.rows);
	cfi_free(&table);
}

/* In .debug_frame alone may an FDE name what comes after it. */
static void cie_after_its_function(void **state)
{
	struct scene s = {.form = CFI_DEBUG_FRAME}, after = {.form = CFI_DEBUG_FRAME};
	struct cfi_table table;

	(void)state;
	scene_add_function(&s, START, LEN, push, sizeof(push));
	after.cie = s.cnt;
	scene_add_function(&after, START, LEN, push, sizeof(push));
	scene_add_cie(&after, &usual);
	assert_int_equal(scene_read(&after, &table), 0);
	assert_rows(&table, pushed, START + LEN, "after");
	cfi_free(&table);
	assert_int_equal(scene_read(&s, &table), -ENOENT);
}

static void terminators(void **state)
{
	struct scene s = {.form = CFI_EH_FRAME};
	struct cfi_rows rows = {.err = 0};
	struct cfi_section section;

	(void)state;
	scene_add_cie(&s, &usual);
	scene_add_function(&s, 0x1000, 0x100, NULL, 0);
	scene_number(&s, 0, 4);
	scene_add_function(&s, 0x2000, 0x100, NULL, 0);
	section = (struct cfi_section){.bytes = s.bytes, .len = s.cnt, .addr = SCENE_ADDR};
	assert_int_equal(cfi_section_read(&section, &rows), 0);
	assert_int_equal(rows.span_cnt, 2);
	cfi_rows_free(&rows);
	section.open_ended = true;
	assert_int_equal(cfi_section_read(&section, &rows), 0);
	assert_int_equal(rows.span_cnt, 1);
	cfi_rows_free(&rows);
}

/* A section cut anywhere: what was read before the cut stays, and nothing behind it is read (ASan watches).
 */
static void cut_sections_are_survived(void **state)
{
	struct scene s = {.form = CFI_EH_FRAME};

	(void)state;
	scene_add_cie(&s, &usual);
	for (uint64_t i = 0; i < 8; i++)
		scene_add_function(&s, START + i * LEN, LEN, push, sizeof(push));
	for (size_t len = 0; len <= s.cnt; len++) {
		uint8_t *bytes = malloc(len ? len : 1);
		struct cfi_section section = {.bytes = bytes, .len = len};
		struct cfi_rows rows = {.err = 0};

		assert_non_null(bytes);
		memcpy(bytes, s.bytes, len);
		assert_int_equal(cfi_section_read(&section, &rows), 0);
		assert_true(rows.span_cnt <= 8);
		cfi_rows_free(&rows);
		free(bytes);
	}
}

/* All functions share a CIE of a megabyte, and every second one another: both are carried out once. */
static void nothing_is_done_over_and_over(void **state)
{
	const size_t program = 1 << 20, functions = 60000;
	uint8_t *bytes = calloc(1, 2 * (program + 32) + functions * 32), *at = bytes;
	struct cfi_rows rows = {.err = 0};
	struct cfi_section section = {.bytes = bytes, .form = CFI_DEBUG_FRAME};
	struct cfi_table table;
	uint32_t cies[2];

	(void)state;
	assert_non_null(bytes);
	for (int i = 0; i < 2; i++) {
		const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1};
		uint32_t len = (uint32_t)(sizeof(head) + program);

		cies[i] = (uint32_t)(at - bytes);
		memcpy(at, &len, 4);
		memcpy(at + 4, head, sizeof(head));
		at += 4 + len;
	}
	for (size_t i = 0; i < functions; i++) {
		struct {
			uint32_t len, cie;
			uint64_t start, size;
		} fde = {20, cies[i & 1], 0x1000 + i * 16, 16};

		memcpy(at, &fde, sizeof(fde));
		at += sizeof(fde);
	}
	section.len = (size_t)(at - bytes);
	alarm(20);
	assert_int_equal(cfi_section_read(&section, &rows), 0);
	alarm(0);
	assert_int_equal(cfi_rows_finish(&rows, &table), 0);
	assert_int_equal(table.row_cnt, 2);
	cfi_free(&table);
	cfi_rows_free(&rows);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations),
		cmocka_unit_test(forms),
		cmocka_unit_test(code_alignment),
		cmocka_unit_test(encodings),
		cmocka_unit_test(augmentations),
		cmocka_unit_test(signal_frame),
		cmocka_unit_test(functions_in_any_order),
		cmocka_unit_test(what_is_too_far),
		cmocka_unit_test(cie_after_its_function),
		cmocka_unit_test(terminators),
		cmocka_unit_test(cut_sections_are_survived),
		cmocka_unit_test(nothing_is_done_over_and_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
