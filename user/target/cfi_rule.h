/*
 * The rules of one location (DWARF 5, 6.4.1) as far as a walk up the stack needs them: where
 * the CFA is, and where the caller's rbp, rbx, rsp and return address are; and the unwind row that
 * says the same. What a row cannot say becomes UNWIND_INVALID.
 */
#ifndef ALLOCTRACE_TARGET_CFI_RULE_H
#define ALLOCTRACE_TARGET_CFI_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/unwind.h"
#include "target/dwarf.h"

/* DWARF's numbers of the registers (x86-64 psABI, figure 3.36). */
enum {
	CFI_RBX = 3,
	CFI_RDI = 5,
	CFI_RBP = 6,
	CFI_RSP = 7,
	CFI_RETURN_ADDRESS = 16,
};

enum cfi_rule_kind {
	CFI_OTHER,       /* a rule that no row expresses */
	CFI_UNDEFINED,   /* lost; of the return address: there is no caller */
	CFI_SAME,        /* as it is; of rsp: the CFA */
	CFI_AT_CFA,      /* stored at CFA + offset */
	CFI_AT_REGISTER, /* stored at reg + offset; the CFA too can be stored */
	CFI_REGISTER,    /* of the CFA: reg + offset; of others: in reg, offset 0 */
	CFI_PLT,         /* of the CFA: rsp + 8, and 8 more where (pc & 15) ≥ offset */
};

struct cfi_rule {
	enum cfi_rule_kind kind;
	uint64_t reg;
	int64_t offset; /* bytes */
};

struct cfi_rules {
	struct cfi_rule cfa, fp, bx, sp, ra;
};

/* What holds where a CIE says nothing: rbp and rbx are callee-saved (x86-64 psABI, figure 3.4). */
extern const struct cfi_rules cfi_rules_unsaid;

/* The rule that a DWARF expression (DWARF 5, 2.5) gives the CFA, or a register that it says where to find. */
struct cfi_rule cfi_rule_of_cfa(struct cursor expression);
struct cfi_rule cfi_rule_stored(struct cursor expression);

/* The row of these rules at pc. signal: the CIE says that it describes a signal frame. */
struct unwind_row cfi_rules_row(const struct cfi_rules *rules, bool signal, uint32_t pc);

#endif
