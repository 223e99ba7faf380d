/*
 * Call frame information of whatever bytes, as an ELF file and as a section (the first byte says of
 * which form): tables that keep what cfi.h promises, or an error, and nothing else. Stacks of
 * whatever bytes are then unwound by them.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/cfi_fault.h"
#include "stack/unwind.h"
#include "target/cfi_section.h"

struct stack {
	const uint8_t *bytes;
	size_t len;
};

static bool read_stack(void *arg, uint64_t addr, uint64_t *word)
{
	const struct stack *stack = arg;

	if (addr > stack->len || stack->len - addr < sizeof(*word))
		return false;
	memcpy(word, stack->bytes + addr, sizeof(*word));
	return true;
}

/* The table's code lies at its own addresses, the stack from 0 on. */
static void unwind_by(const struct cfi_table *t, const uint8_t *data, size_t size)
{
	static struct unwind_process process;
	struct unwind_tables tables = {.process = &process,
				       .rows = t->rows,
				       .row_cnt = t->row_cnt,
				       .pages = t->pages,
				       .page_cnt = t->page_cnt};
	struct unwind_registers regs = {.pc = t->rows[t->row_cnt / 2].pc, .fp = 16, .bx = 24};
	struct stack stack = {data, size};
	uint64_t frames[64];
	size_t cnt;

	process.cnt = 1;
	process.v[0] = (struct unwind_mapping){
		.end = UINT64_MAX, .text = t->text, .page_cnt = (uint32_t)t->page_cnt};
	unwind_stack(&tables, &regs, read_stack, &stack, frames, 64, &cnt);
	if (cnt < 1 || cnt > 64)
		abort();
}

static void check(struct cfi_table *table, const uint8_t *data, size_t size)
{
	if (table_fault(table))
		abort();
	unwind_by(table, data, size);
	cfi_free(table);
	cfi_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfi_section section = {.addr = 0x5000, .data_base = 0x4000};
	struct cfi_rows rows = {.err = 0};
	struct cfi_table table;

	if (!size)
		return 0;
	if (!cfi_read_image(data, size, "image", &table, NULL))
		check(&table, data, size);
	section.bytes = data + 1;
	section.len = size - 1;
	section.form = data[0] & 1 ? CFI_DEBUG_FRAME : CFI_EH_FRAME;
	section.open_ended = data[0] & 2;
	if (!cfi_section_read(&section, &rows) && !cfi_rows_finish(&rows, &table))
		check(&table, data, size);
	cfi_rows_free(&rows);
	return 0;
}
