#include "target/cfi_program.h"

/* Deeper than any compiler nests remember_state (GCC: 1). */
#define REMEMBERED_MAX 16

/* DWARF 5, table 7.29: the upper two bits say the operation, or that the lower six do. */
#define PRIMARY_MASK 0xc0
#define PRIMARY_OPERAND 0x3f
enum primary_op {
	OP_ADVANCE_LOC = 0x40,
	OP_OFFSET = 0x80,
	OP_RESTORE = 0xc0,
};
enum extended_op {
	OP_NOP = 0x00,
	OP_SET_LOC = 0x01,
	OP_ADVANCE_LOC1 = 0x02,
	OP_ADVANCE_LOC2 = 0x03,
	OP_ADVANCE_LOC4 = 0x04,
	OP_OFFSET_EXTENDED = 0x05,
	OP_RESTORE_EXTENDED = 0x06,
	OP_UNDEFINED = 0x07,
	OP_SAME_VALUE = 0x08,
	OP_REGISTER = 0x09,
	OP_REMEMBER_STATE = 0x0a,
	OP_RESTORE_STATE = 0x0b,
	OP_DEF_CFA = 0x0c,
	OP_DEF_CFA_REGISTER = 0x0d,
	OP_DEF_CFA_OFFSET = 0x0e,
	OP_DEF_CFA_EXPRESSION = 0x0f,
	OP_EXPRESSION = 0x10,
	OP_OFFSET_EXTENDED_SF = 0x11,
	OP_DEF_CFA_SF = 0x12,
	OP_DEF_CFA_OFFSET_SF = 0x13,
	OP_VAL_OFFSET = 0x14,
	OP_VAL_OFFSET_SF = 0x15,
	OP_VAL_EXPRESSION = 0x16,
	OP_MIPS_ADVANCE_LOC8 = 0x1d,
	OP_GNU_WINDOW_SAVE = 0x2d,
	OP_GNU_ARGS_SIZE = 0x2e,
	OP_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

/* A program that is being carried out. */
struct run {
	const struct cfi_cie *cie;
	struct cursor program;
	uint64_t data_base;
	struct cfi_rules rules;
	struct cfi_rules remembered[REMEMBERED_MAX];
	unsigned remembered_cnt;
	uint64_t pc, end;      /* the rules hold from pc on; pc == end: the function is over */
	struct cfi_rows *rows; /* NULL: a CIE's program, which has no locations */
	bool failed;
};

static void emit(struct run *run)
{
	if (run->rows && run->pc < run->end)
		cfi_rows_add(run->rows,
			     cfi_rules_row(&run->rules, run->cie->is_signal_frame, (uint32_t)run->pc));
}

/* What is known so far holds up to the new location. A function may not go back. */
static void move_to(struct run *run, uint64_t pc)
{
	if (!run->rows || pc < run->pc) {
		run->failed = true;
		return;
	}
	if (pc == run->pc)
		return;
	emit(run);
	run->pc = pc < run->end ? pc : run->end;
}

static void advance(struct run *run, uint64_t delta)
{
	uint64_t pc;

	if (__builtin_mul_overflow(delta, run->cie->code_align, &pc) ||
	    __builtin_add_overflow(pc, run->pc, &pc))
		pc = run->end;
	move_to(run, pc);
}

/* An offset of the registers' own unit. Wraps on nonsense, which then is no offset of any row. */
static int64_t scaled(const struct run *run, uint64_t factor)
{
	return (int64_t)(factor * (uint64_t)run->cie->data_align);
}

/* The rule of one of the registers that rows speak of, or NULL: any other does not matter. */
static struct cfi_rule *rule_of(struct cfi_rules *rules, uint64_t reg)
{
	switch (reg) {
	case CFI_RBP:
		return &rules->fp;
	case CFI_RBX:
		return &rules->bx;
	case CFI_RSP:
		return &rules->sp;
	case CFI_RETURN_ADDRESS:
		return &rules->ra;
	default:
		return NULL;
	}
}

static void set_rule(struct run *run, uint64_t reg, enum cfi_rule_kind kind, int64_t offset)
{
	struct cfi_rule *rule = rule_of(&run->rules, reg);

	if (rule)
		*rule = (struct cfi_rule){.kind = kind, .offset = offset};
}

static void restore(struct run *run, uint64_t reg)
{
	struct cfi_rules initial = run->cie->initial;
	struct cfi_rule *rule = rule_of(&run->rules, reg);

	if (rule)
		*rule = *rule_of(&initial, reg);
}

static void remember_state(struct run *run)
{
	if (run->remembered_cnt == REMEMBERED_MAX)
		run->failed = true;
	else
		run->remembered[run->remembered_cnt++] = run->rules;
}

static void restore_state(struct run *run)
{
	if (!run->remembered_cnt)
		run->failed = true;
	else
		run->rules = run->remembered[--run->remembered_cnt];
}

static void define_cfa(struct run *run, uint64_t reg, int64_t offset)
{
	run->rules.cfa = (struct cfi_rule){.kind = CFI_REGISTER, .reg = reg, .offset = offset};
}

/* Half a definition needs the other half to be there (DWARF 5, 6.4.2.2). */
static void redefine_cfa(struct run *run, uint64_t reg, int64_t offset)
{
	if (run->rules.cfa.kind == CFI_REGISTER)
		define_cfa(run, reg, offset);
	else
		run->failed = true;
}

static struct cursor take_expression(struct run *run)
{
	uint64_t len = cursor_uleb(&run->program);

	return cursor_take(&run->program, len);
}

static void set_stored_by_expression(struct run *run, uint64_t reg)
{
	struct cfi_rule stored = cfi_rule_stored(take_expression(run));
	struct cfi_rule *rule = rule_of(&run->rules, reg);

	if (rule)
		*rule = stored;
}

static void set_in_register(struct run *run, uint64_t reg, uint64_t in)
{
	struct cfi_rule *rule = rule_of(&run->rules, reg);

	if (rule)
		*rule = (struct cfi_rule){.kind = CFI_REGISTER, .reg = in};
}

/* A value that is computed, not stored. The one that can be said: rsp is the CFA. */
static void set_value(struct run *run, uint64_t reg, int64_t offset)
{
	set_rule(run, reg, reg == CFI_RSP && offset == 0 ? CFI_SAME : CFI_OTHER, 0);
}

static void carry_out_extended(struct run *run, uint8_t op)
{
	struct cursor *p = &run->program;
	uint64_t reg;

	switch (op) {
	case OP_NOP:
	case OP_GNU_WINDOW_SAVE:
		break;
	case OP_GNU_ARGS_SIZE:
		cursor_uleb(p);
		break;

	case OP_SET_LOC:
		move_to(run, cursor_pointer(p, run->cie->encoding, run->data_base));
		break;
	case OP_ADVANCE_LOC1:
		advance(run, cursor_u8(p));
		break;
	case OP_ADVANCE_LOC2:
		advance(run, cursor_u16(p));
		break;
	case OP_ADVANCE_LOC4:
		advance(run, cursor_u32(p));
		break;
	case OP_MIPS_ADVANCE_LOC8:
		advance(run, cursor_u64(p));
		break;

	case OP_DEF_CFA:
		reg = cursor_uleb(p);
		define_cfa(run, reg, (int64_t)cursor_uleb(p));
		break;
	case OP_DEF_CFA_SF:
		reg = cursor_uleb(p);
		define_cfa(run, reg, scaled(run, (uint64_t)cursor_sleb(p)));
		break;
	case OP_DEF_CFA_REGISTER:
		redefine_cfa(run, cursor_uleb(p), run->rules.cfa.offset);
		break;
	case OP_DEF_CFA_OFFSET:
		redefine_cfa(run, run->rules.cfa.reg, (int64_t)cursor_uleb(p));
		break;
	case OP_DEF_CFA_OFFSET_SF:
		redefine_cfa(run, run->rules.cfa.reg, scaled(run, (uint64_t)cursor_sleb(p)));
		break;
	case OP_DEF_CFA_EXPRESSION:
		run->rules.cfa = cfi_rule_of_cfa(take_expression(run));
		break;

	case OP_OFFSET_EXTENDED:
		reg = cursor_uleb(p);
		set_rule(run, reg, CFI_AT_CFA, scaled(run, cursor_uleb(p)));
		break;
	case OP_OFFSET_EXTENDED_SF:
		reg = cursor_uleb(p);
		set_rule(run, reg, CFI_AT_CFA, scaled(run, (uint64_t)cursor_sleb(p)));
		break;
	case OP_GNU_NEGATIVE_OFFSET_EXTENDED:
		reg = cursor_uleb(p);
		set_rule(run, reg, CFI_AT_CFA, scaled(run, -cursor_uleb(p)));
		break;
	case OP_EXPRESSION:
		set_stored_by_expression(run, cursor_uleb(p));
		break;
	case OP_VAL_OFFSET:
		reg = cursor_uleb(p);
		set_value(run, reg, scaled(run, cursor_uleb(p)));
		break;
	case OP_VAL_OFFSET_SF:
		reg = cursor_uleb(p);
		set_value(run, reg, scaled(run, (uint64_t)cursor_sleb(p)));
		break;
	case OP_VAL_EXPRESSION:
		set_rule(run, cursor_uleb(p), CFI_OTHER, 0);
		take_expression(run);
		break;
	case OP_REGISTER:
		reg = cursor_uleb(p);
		set_in_register(run, reg, cursor_uleb(p));
		break;
	case OP_UNDEFINED:
		set_rule(run, cursor_uleb(p), CFI_UNDEFINED, 0);
		break;
	case OP_SAME_VALUE:
		reg = cursor_uleb(p);
		/* rsp and the return address as they are in the callee: no frame looks like that. */
		set_rule(run, reg, reg == CFI_RBP || reg == CFI_RBX ? CFI_SAME : CFI_OTHER, 0);
		break;
	case OP_RESTORE_EXTENDED:
		restore(run, cursor_uleb(p));
		break;

	case OP_REMEMBER_STATE:
		remember_state(run);
		break;
	case OP_RESTORE_STATE:
		restore_state(run);
		break;
	default:
		run->failed = true;
	}
}

static void carry_out(struct run *run)
{
	uint8_t op = cursor_u8(&run->program), operand = op & PRIMARY_OPERAND;

	switch (op & PRIMARY_MASK) {
	case OP_ADVANCE_LOC:
		advance(run, operand);
		break;
	case OP_OFFSET:
		set_rule(run, operand, CFI_AT_CFA, scaled(run, cursor_uleb(&run->program)));
		break;
	case OP_RESTORE:
		restore(run, operand);
		break;
	default:
		carry_out_extended(run, op);
	}
}

/* False: the rules that stand are not to be believed. */
static bool carry_out_all(struct run *run)
{
	while (run->program.at < run->program.end && !run->failed && (!run->rows || run->pc < run->end))
		carry_out(run);
	return !run->failed && !run->program.failed;
}

bool cfi_program_start(struct cfi_cie *cie, struct cursor program)
{
	struct run run;

	cie->initial = cfi_rules_unsaid;
	run.cie = cie;
	run.program = program;
	run.data_base = 0;
	run.rules = cfi_rules_unsaid;
	run.remembered_cnt = 0;
	run.pc = run.end = 0;
	run.rows = NULL;
	run.failed = false;
	if (!carry_out_all(&run))
		return false;
	cie->initial = run.rules;
	return true;
}

void cfi_program_run(const struct cfi_cie *cie, struct cursor program, uint64_t data_base, uint32_t start,
		     uint32_t end, struct cfi_rows *rows)
{
	struct run run;

	/* The remembered states are not cleared: most functions remember none. */
	run.cie = cie;
	run.program = program;
	run.data_base = data_base;
	run.rules = cie->initial;
	run.remembered_cnt = 0;
	run.pc = start;
	run.end = end;
	run.rows = rows;
	run.failed = !cie->usable;
	cfi_rows_begin(rows, start, end);
	if (!carry_out_all(&run))
		run.rules = cfi_rules_unsaid;
	emit(&run);
}
