/*
 * The call frame information of an ELF object as the rows that stacks are unwound by
 * (bpf/unwind.h). It is taken from .eh_frame, found through PT_GNU_EH_FRAME (so that files
 * without section headers have it too) or by its name, else from .debug_frame.
 * x86-64 only. Hostile input: time and memory are bounded by the size of the file and the caps
 * of bpf/unwind.h.
 */
#ifndef ALLOCTRACE_TARGET_CFI_H
#define ALLOCTRACE_TARGET_CFI_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/unwind.h"
#include "base/error.h"
#include "target/object.h"

struct cfi_table {
	/*
	 * By strictly ascending pc; no two neighbours say the same. Where functions are more than
	 * 15 bytes apart lies an UNWIND_UNSAID row; the last row is one too, at the end of the
	 * last function. Addresses from 2³² on are left out.
	 */
	struct unwind_row *rows;
	size_t row_cnt;
	uint64_t *pages; /* as bpf/unwind.h describes; row numbers count from rows[0] */
	size_t page_cnt;
	uint64_t text; /* as linked; a multiple of 1 << UNWIND_PAGE_SHIFT, and not above rows[0].pc */
};

/*
 * Reads the object's table; the caller owns it. −ENOENT: there is no call frame information
 * that could be used. −ENOTSUP: of another machine. −E2BIG: more than the caps. −ENOEXEC, −ENOMEM.
 */
int cfi_read(struct object *obj, struct cfi_table *table, struct error *err);
/* The same of a whole ELF file in memory (the vdso, read from a target); name is what errors call it. */
int cfi_read_image(const void *image, size_t len, const char *name, struct cfi_table *table,
		   struct error *err);
void cfi_free(struct cfi_table *table); /* idempotent */

#endif
