/*
 * Call frame information of whatever bytes, as an ELF file and as a section (the first byte says of
 * which form): tables that keep what cfi.h promises, or an error, and nothing else. What
 * the kernel side does by them is bounded by its verifier.
 */
#include <stdlib.h>

#include "../unit/cfi_fault.h"
#include "target/cfi_section.h"

static void check(struct cfi_table *table)
{
	if (table_fault(table))
		abort();
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
		check(&table);
	section.bytes = data + 1;
	section.len = size - 1;
	section.form = data[0] & 1 ? CFI_DEBUG_FRAME : CFI_EH_FRAME;
	section.open_ended = data[0] & 2;
	if (!cfi_section_read(&section, &rows) && !cfi_rows_finish(&rows, &table))
		check(&table);
	cfi_rows_free(&rows);
	return 0;
}
