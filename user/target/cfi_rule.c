#include "target/cfi_rule.h"

#define WORD 8
/* Operations of DWARF expressions (DWARF 5, 7.7.1). */
#define OP_DEREF 0x06
#define OP_AND 0x1a
#define OP_PLUS 0x22
#define OP_SHL 0x24
#define OP_GE 0x2a
#define OP_LIT0 0x30
#define OP_LIT31 0x4f
#define OP_BREG0 0x70
#define OP_BREG31 0x8f
/*
 * Where rsp lies in a signal frame as seen from its handler's return: the ucontext at rsp,
 * in it uc_mcontext.gregs[REG_RSP] (glibc's sys/ucontext.h; the kernel's struct rt_sigframe).
 */
#define SIGNAL_RSP_OFFSET (40 + 15 * WORD)

const struct cfi_rules cfi_rules_unsaid = {
	.cfa = {.kind = CFI_OTHER},
	.fp = {.kind = CFI_SAME},
	.bx = {.kind = CFI_SAME},
	.sp = {.kind = CFI_SAME},
	.ra = {.kind = CFI_OTHER},
};

/*
 * What linkers say of a lazy PLT: rsp + 8 + ((((rip + 0) & 15) >= N) << 3), as a slot pushes
 * its number N bytes into its 16 (binutils' bfd/elfxx-x86.c; N is 11, 9 or 5 by the kind of PLT).
 */
static bool is_plt(struct cursor tail, int64_t rsp_offset, int64_t *pushed_at)
{
	static const uint8_t before[] = {OP_BREG0 + CFI_RETURN_ADDRESS, 0, OP_LIT0 + 15, OP_AND};
	static const uint8_t after[] = {OP_GE, OP_LIT0 + 3, OP_SHL, OP_PLUS};
	uint8_t lit;

	if (rsp_offset != WORD)
		return false;
	for (size_t i = 0; i < sizeof(before); i++)
		if (cursor_u8(&tail) != before[i])
			return false;
	lit = cursor_u8(&tail);
	for (size_t i = 0; i < sizeof(after); i++)
		if (cursor_u8(&tail) != after[i])
			return false;
	*pushed_at = lit - OP_LIT0;
	return !tail.failed && tail.at == tail.end && lit >= OP_LIT0 && lit <= OP_LIT31;
}

/* What an expression begins with that a row can express: reg + offset. */
static bool take_register(struct cursor *expression, struct cfi_rule *rule)
{
	uint8_t op = cursor_u8(expression);

	if (op < OP_BREG0 || op > OP_BREG31)
		return false;
	rule->reg = op - OP_BREG0;
	rule->offset = cursor_sleb(expression);
	return !expression->failed;
}

struct cfi_rule cfi_rule_of_cfa(struct cursor expression)
{
	struct cfi_rule rule = {.kind = CFI_OTHER};

	if (!take_register(&expression, &rule))
		return rule;
	if (expression.at == expression.end)
		rule.kind = CFI_REGISTER;
	else if (*expression.at == OP_DEREF && expression.at + 1 == expression.end)
		rule.kind = CFI_AT_REGISTER;
	else if (rule.reg == CFI_RSP && is_plt(expression, rule.offset, &rule.offset))
		rule.kind = CFI_PLT;
	return rule;
}

struct cfi_rule cfi_rule_stored(struct cursor expression)
{
	struct cfi_rule rule = {.kind = CFI_OTHER};

	if (take_register(&expression, &rule) && expression.at == expression.end)
		rule.kind = CFI_AT_REGISTER;
	return rule;
}

static bool is_words(int64_t offset, int64_t min, int64_t max)
{
	return offset % WORD == 0 && offset / WORD >= min && offset / WORD <= max;
}

static bool row_of_cfa(const struct cfi_rule *cfa, struct unwind_row *row)
{
	switch (cfa->kind) {
	case CFI_REGISTER:
		if (cfa->reg == CFI_RSP)
			row->kind = UNWIND_SP;
		else if (cfa->reg == CFI_RBP)
			row->kind = UNWIND_FP;
		else if (cfa->reg == CFI_RBX)
			row->kind = UNWIND_BX;
		else
			return false;
		row->cfa = (uint16_t)(cfa->offset / WORD);
		return is_words(cfa->offset, 0, UINT16_MAX);
	case CFI_AT_REGISTER:
		row->kind = UNWIND_DEREF_FP;
		row->cfa = (uint16_t)(cfa->offset / WORD);
		return cfa->reg == CFI_RBP && is_words(cfa->offset, INT16_MIN, INT16_MAX);
	case CFI_PLT:
		row->kind = UNWIND_PLT;
		row->cfa = (uint16_t)cfa->offset;
		return true;
	default:
		return false;
	}
}

/* The offset from the CFA of what lies at an offset from the very register that the CFA is counted from. */
static bool from_cfa(const struct cfi_rules *rules, int64_t *offset)
{
	const struct cfi_rule *fp = &rules->fp, *cfa = &rules->cfa;

	*offset = fp->offset;
	if (fp->kind == CFI_AT_CFA)
		return true;
	return fp->kind == CFI_AT_REGISTER && cfa->kind == CFI_REGISTER && cfa->reg == fp->reg &&
	       !__builtin_sub_overflow(fp->offset, cfa->offset, offset);
}

/* A row's fp is counted from the CFA, and 0 leaves rbp as it is; but from rbp, and always, with DRAP. */
static bool row_of_fp(const struct cfi_rules *rules, struct unwind_row *row)
{
	int64_t offset;

	if (row->kind == UNWIND_DEREF_FP) {
		offset = rules->fp.offset;
		if (rules->fp.kind != CFI_AT_REGISTER || rules->fp.reg != CFI_RBP)
			return false;
	} else {
		if (rules->fp.kind == CFI_SAME)
			return true;
		if (!from_cfa(rules, &offset) || offset == 0)
			return false;
	}
	row->fp = (int8_t)(offset / WORD);
	return is_words(offset, INT8_MIN, INT8_MAX);
}

/* Only frames that count from rbx need it: where a row cannot say it, it is lost, and the row still holds. */
static unsigned char row_of_bx(const struct cfi_rule *bx)
{
	if (bx->kind == CFI_SAME)
		return 0;
	if (bx->kind == CFI_AT_CFA && is_words(bx->offset, -UNWIND_BX_LOST, -2))
		return (unsigned char)(-bx->offset / WORD - 1);
	return UNWIND_BX_LOST;
}

static bool is_signal_frame(const struct cfi_rule *cfa)
{
	return cfa->kind == CFI_AT_REGISTER && cfa->reg == CFI_RSP && cfa->offset == SIGNAL_RSP_OFFSET;
}

struct unwind_row cfi_rules_row(const struct cfi_rules *rules, bool signal, uint32_t pc)
{
	struct unwind_row row = {.pc = pc, .bx = row_of_bx(&rules->bx) & 15};

	if (signal && is_signal_frame(&rules->cfa))
		return (struct unwind_row){.pc = pc, .kind = UNWIND_SIGNAL};
	if (rules->ra.kind == CFI_UNDEFINED)
		return (struct unwind_row){.pc = pc, .kind = UNWIND_END};
	if (rules->ra.kind == CFI_REGISTER && rules->ra.reg == CFI_RDI && rules->sp.kind == CFI_SAME &&
	    rules->fp.kind == CFI_SAME && row_of_cfa(&rules->cfa, &row) && row.kind == UNWIND_SP) {
		row.kind = UNWIND_DI;
		return row;
	}
	if (rules->ra.kind == CFI_AT_CFA && rules->ra.offset == -WORD && rules->sp.kind == CFI_SAME &&
	    row_of_cfa(&rules->cfa, &row) && row_of_fp(rules, &row))
		return row;
	return (struct unwind_row){.pc = pc, .kind = UNWIND_INVALID};
}
