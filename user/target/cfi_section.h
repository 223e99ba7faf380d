/*
 * A section of call frame information: CIEs, and FDEs that refer to them, in the form of
 * .debug_frame (DWARF 5, 6.4.1 and 7.24; 32- and 64-bit) or of .eh_frame (LSB Core 5.0, 10.6.1).
 */
#ifndef ALLOCTRACE_TARGET_CFI_SECTION_H
#define ALLOCTRACE_TARGET_CFI_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/cfi_rows.h"

enum cfi_form {
	CFI_EH_FRAME,
	CFI_DEBUG_FRAME,
};

struct cfi_section {
	const uint8_t *bytes; /* not NULL */
	size_t len;
	uint64_t addr;      /* of bytes as linked */
	uint64_t data_base; /* what data-relative pointers count from: the address of .eh_frame_hdr */
	enum cfi_form form;
	bool open_ended; /* where it ends is not known: a terminator ends it, not len */
};

/*
 * Adds the rows of all functions that the section describes. What cannot be read is left out;
 * a record whose length makes no sense ends the section. 0 or −ENOMEM; rows have their own error.
 */
int cfi_section_read(const struct cfi_section *section, struct cfi_rows *rows);

#endif
