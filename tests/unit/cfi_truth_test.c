/* The rows of real files against what elfutils' libdw makes of the same call frame information. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/cfi.h"

/* DWARF's numbers of registers, and of operations (DWARF 5, 7.7.1). */
#define RBX 3
#define RDI 5
#define RBP 6
#define RSP 7
#define RIP 16
#define OP_DEREF 0x06
#define OP_PLUS_UCONST 0x23
#define OP_REG0 0x50
#define OP_REGX 0x90
#define OP_BREG0 0x70
#define OP_BREG31 0x8f
#define OP_BREGX 0x92
#define OP_CALL_FRAME_CFA 0x9c

#define BYTES_STEP 5 /* bytes between addresses that are compared beside those where rows begin */

struct comparison {
	const struct cfi_table *table;
	Dwarf_CFI *cfi;
	size_t compared, invalid; /* addresses that libdw knows; of them, those whose row is invalid */
};

/* reg + offset, however it is written. */
static bool is_register(const Dwarf_Op *op, unsigned *reg, int64_t *offset)
{
	if (op->atom == OP_BREGX) {
		*reg = (unsigned)op->number;
		*offset = (int64_t)op->number2;
		return true;
	}
	if (op->atom < OP_BREG0 || op->atom > OP_BREG31)
		return false;
	*reg = op->atom - OP_BREG0;
	*offset = (int64_t)op->number;
	return true;
}

static bool is_cfa_of(const struct unwind_row *row, const Dwarf_Op *ops, size_t cnt)
{
	static const unsigned registers[] = {[UNWIND_SP] = RSP,
					     [UNWIND_FP] = RBP,
					     [UNWIND_BX] = RBX,
					     [UNWIND_DI] = RSP,
					     [UNWIND_DEREF_FP] = RBP};
	unsigned reg;
	int64_t offset;

	if (!cnt || !is_register(&ops[0], &reg, &offset))
		return false;
	switch (row->kind) {
	case UNWIND_SP:
	case UNWIND_FP:
	case UNWIND_BX:
	case UNWIND_DI:
		return cnt == 1 && reg == registers[row->kind] && offset == row->cfa * 8;
	case UNWIND_DEREF_FP:
		return cnt == 2 && reg == RBP && offset == (int16_t)row->cfa * 8 && ops[1].atom == OP_DEREF;
	case UNWIND_PLT:
		/* rsp + 8 + (((rip & 15) >= lit) << 3) */
		return cnt == 9 && reg == RSP && offset == 8 && ops[4].atom == 0x30u + row->cfa;
	default:
		return false;
	}
}

static bool is_at_cfa(const Dwarf_Op *ops, size_t cnt, int64_t offset)
{
	if (!cnt || ops[0].atom != OP_CALL_FRAME_CFA)
		return false;
	if (cnt == 1)
		return offset == 0;
	return cnt == 2 && ops[1].atom == OP_PLUS_UCONST && (int64_t)ops[1].number == offset;
}

static bool is_fp_of(const struct unwind_row *row, Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	int64_t offset;
	unsigned reg;
	size_t cnt;

	if (dwarf_frame_register(frame, RBP, mem, &ops, &cnt))
		return false;
	/* An expression begins with the CFA on its stack (DWARF 5, 6.4.3). */
	if (row->kind == UNWIND_DEREF_FP)
		return cnt == 2 && ops[0].atom == OP_CALL_FRAME_CFA && is_register(&ops[1], &reg, &offset) &&
		       reg == RBP && offset == row->fp * 8;
	if (!row->fp)
		return !cnt && !ops;
	return is_at_cfa(ops, cnt, row->fp * 8);
}

/* What no row can say is only lost. */
static bool is_bx_of(const struct unwind_row *row, Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t cnt;

	if (dwarf_frame_register(frame, RBX, mem, &ops, &cnt))
		return false;
	if (row->bx == UNWIND_BX_LOST)
		return cnt > 0;
	if (!row->bx)
		return !cnt; /* "as it is"; libdw 0.188 takes rax for rbx there, and says "undefined" */
	return is_at_cfa(ops, cnt, -8 * (row->bx + 1));
}

static bool is_return_address_undefined(Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t cnt;

	return !dwarf_frame_register(frame, RIP, mem, &ops, &cnt) && !cnt && ops == mem;
}

static bool is_return_address_usual(Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t cnt;

	return !dwarf_frame_register(frame, RIP, mem, &ops, &cnt) && is_at_cfa(ops, cnt, -8);
}

static bool is_return_address_in_rdi(Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t cnt;

	return !dwarf_frame_register(frame, RIP, mem, &ops, &cnt) && cnt == 1 &&
	       (ops[0].atom == OP_REG0 + RDI || (ops[0].atom == OP_REGX && ops[0].number == RDI));
}

static bool agrees(const struct unwind_row *row, Dwarf_Frame *frame)
{
	Dwarf_Op *ops;
	size_t cnt;
	bool is_signal;

	if (dwarf_frame_info(frame, NULL, NULL, &is_signal) < 0)
		return false;
	if (row->kind == UNWIND_END)
		return is_return_address_undefined(frame);
	if (row->kind == UNWIND_SIGNAL)
		return is_signal;
	return !is_signal &&
	       (row->kind == UNWIND_DI ? is_return_address_in_rdi(frame) : is_return_address_usual(frame)) &&
	       !dwarf_frame_cfa(frame, &ops, &cnt) && is_cfa_of(row, ops, cnt) && is_fp_of(row, frame) &&
	       is_bx_of(row, frame);
}

/* Within the 15 bytes behind a function: alignment, which the row before covers. */
static bool is_padding(const struct comparison *c, uint64_t pc)
{
	Dwarf_Frame *frame;

	for (uint64_t before = pc - 1; before >= pc - 15; before--) {
		if (dwarf_cfi_addrframe(c->cfi, before, &frame))
			continue;
		free(frame);
		return true;
	}
	return false;
}

static void compare_at(struct comparison *c, const struct unwind_row *row, uint64_t pc, const char *path)
{
	Dwarf_Frame *frame = NULL;

	if (dwarf_cfi_addrframe(c->cfi, pc, &frame)) {
		if (row->kind != UNWIND_UNSAID && row->kind != UNWIND_INVALID &&
		    (pc == row->pc || !is_padding(c, pc)))
			fail_msg("%s: a row at %#lx where libdw knows none", path, (unsigned long)pc);
		return;
	}
	c->compared++;
	if (row->kind == UNWIND_INVALID)
		c->invalid++;
	else if (!agrees(row, frame))
		fail_msg("%s: %#lx: kind %u cfa %u fp %d is not what libdw says", path, (unsigned long)pc,
			 row->kind, row->cfa, row->fp);
	free(frame);
}

/* At the first and the last byte of each row, and at bytes in between. */
static void compare(struct comparison *c, const char *path)
{
	for (size_t i = 0; i + 1 < c->table->row_cnt; i++) {
		const struct unwind_row *row = &c->table->rows[i];
		uint32_t end = row[1].pc;

		for (uint64_t pc = row->pc; pc < end; pc += BYTES_STEP)
			compare_at(c, row, pc, path);
		compare_at(c, row, end - 1, path);
	}
}

/* As a share of the addresses that libdw knows, at most permille of them invalid. */
static void check(const char *path, unsigned permille)
{
	struct cfi_table table;
	struct object *obj = NULL;
	struct comparison c = {.table = &table};
	Elf *elf;
	int fd = open(path, O_RDONLY);

	if (fd < 0) {
		print_message("%s: not here\n", path);
		return;
	}
	assert_int_equal(object_open_path(getpid(), path, &obj, NULL), 0);
	assert_int_equal(cfi_read(obj, &table, NULL), 0);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	c.cfi = dwarf_getcfi_elf(elf);
	assert_non_null(c.cfi);
	compare(&c, path);
	print_message("%s: %zu rows, %zu addresses compared, %zu invalid\n", path, table.row_cnt, c.compared,
		      c.invalid);
	assert_true(c.compared > table.row_cnt);
	assert_true(c.invalid * 1000 <= c.compared * permille);
	dwarf_cfi_end(c.cfi);
	elf_end(elf);
	close(fd);
	cfi_free(&table);
	object_free(obj);
}

static void libc(void **state)
{
	(void)state;
	check("/lib/x86_64-linux-gnu/libc.so.6", 2);
	check("/lib64/ld-linux-x86-64.so.2", 2);
}

static void libstdcxx(void **state)
{
	(void)state;
	check("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 2);
}

static void python(void **state)
{
	(void)state;
	check("/usr/bin/python3", 2);
}

static void ourselves(void **state)
{
	(void)state;
	check("/proc/self/exe", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libc),
		cmocka_unit_test(libstdcxx),
		cmocka_unit_test(python),
		cmocka_unit_test(ourselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
