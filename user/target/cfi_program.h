/*
 * The call frame instructions of one function (DWARF 5, 6.4.2 and 7.24; GNU's own: LSB Core
 * 5.0, 10.5.2), carried out into rows.
 */
#ifndef ALLOCTRACE_TARGET_CFI_PROGRAM_H
#define ALLOCTRACE_TARGET_CFI_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "target/cfi_rows.h"
#include "target/cfi_rule.h"
#include "target/dwarf.h"

/* What the functions of one CIE share (DWARF 5, 6.4.1). */
struct cfi_cie {
	uint64_t offset; /* in the section: what FDEs name it by */
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;      /* of addresses: enum pointer_encoding */
	bool has_augmentation; /* FDEs carry data of their own before the instructions */
	bool is_signal_frame;
	bool usable; /* all of it was understood */
	struct cfi_rules initial;
};

/* Carries out the CIE's own instructions into cie->initial. False: they make no sense. */
bool cfi_program_start(struct cfi_cie *cie, struct cursor program);

/*
 * Adds a function [start, end) and its rows. From where its instructions make no sense, its
 * rows are UNWIND_INVALID.
 */
void cfi_program_run(const struct cfi_cie *cie, struct cursor program, uint64_t data_base, uint32_t start,
		     uint32_t end, struct cfi_rows *rows);

#endif
