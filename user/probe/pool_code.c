#include "probe/pool_code.h"

#include <Zydis/Zydis.h>
#include <stdbool.h>

#include "../bpf/share.h"

/* struct pool_header: ref.count, freeblock, szidx. */
#define POOL_COUNT 0
#define POOL_FREEBLOCK 8
#define POOL_SZIDX 0x24

#define WINDOW 24 /* instructions from the first that touches the pool to the branch */
#define SOON 8    /* … from that to the one that sets the pool's class */

struct insn {
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* What a register holds, as far as it matters. */
enum held {
	HELD_ANY,
	HELD_FREEBLOCK, /* the pool's first free block as it was */
	HELD_NEXT,      /* the one behind that */
	HELD_BLOCK,     /* what is put on the pool's list */
	HELD_COUNT,     /* the pool's blocks in use */
};

/* One pool, followed from the instruction that first touches it. */
struct following {
	unsigned pool; /* in that register */
	enum held held[ARG_NONE];
	int count_change; /* of what HELD_COUNT holds */
	int counted;      /* what the pool's count has changed by */
	bool began;       /* its count was set to 1 */
	unsigned written; /* bit i: register i has been overwritten since then */
	bool taken;       /* the list begins with HELD_NEXT */
	bool stored;  /* HELD_FREEBLOCK went somewhere else: to the block, which may be known by another base
		       */
	bool linked;  /* … to HELD_BLOCK */
	bool given;   /* the list begins with HELD_BLOCK */
	bool spilled; /* HELD_FREEBLOCK is on the stack too, */
	bool stack_by_bp; /* … so far from where rbp points, or rsp */
	int16_t stack;
	bool tested; /* the flags tell whether HELD_FREEBLOCK was the last */
};

static const ZydisRegister registers[ARG_NONE] = {
	[ARG_DI] = ZYDIS_REGISTER_RDI,  [ARG_SI] = ZYDIS_REGISTER_RSI,  [ARG_DX] = ZYDIS_REGISTER_RDX,
	[ARG_CX] = ZYDIS_REGISTER_RCX,  [ARG_R8] = ZYDIS_REGISTER_R8,   [ARG_R9] = ZYDIS_REGISTER_R9,
	[ARG_AX] = ZYDIS_REGISTER_RAX,  [ARG_BX] = ZYDIS_REGISTER_RBX,  [ARG_R10] = ZYDIS_REGISTER_R10,
	[ARG_R11] = ZYDIS_REGISTER_R11, [ARG_BP] = ZYDIS_REGISTER_RBP,  [ARG_R12] = ZYDIS_REGISTER_R12,
	[ARG_R13] = ZYDIS_REGISTER_R13, [ARG_R14] = ZYDIS_REGISTER_R14, [ARG_R15] = ZYDIS_REGISTER_R15,
};

static unsigned number_of(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	for (unsigned i = 0; i < ARG_NONE; i++)
		if (registers[i] == whole)
			return i;
	return ARG_NONE;
}

static bool is_register(const ZydisDecodedOperand *op, unsigned bits, unsigned *number)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || op->size != bits)
		return false;
	*number = number_of(op->reg.value);
	return *number != ARG_NONE;
}

/* Memory at a register and a distance, nothing else. */
static bool is_memory(const ZydisDecodedOperand *op, unsigned bits, unsigned *base, int64_t *disp)
{
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->size != bits ||
	    op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->mem.index != ZYDIS_REGISTER_NONE)
		return false;
	*base = number_of(op->mem.base);
	*disp = op->mem.disp.value;
	return *base != ARG_NONE;
}

static bool is_at(const ZydisDecodedOperand *op, unsigned bits, unsigned base, int64_t disp)
{
	unsigned at_base;
	int64_t at_disp;

	return is_memory(op, bits, &at_base, &at_disp) && at_base == base && at_disp == disp;
}

static bool is_value(const ZydisDecodedOperand *op, int64_t value)
{
	return op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && (int32_t)op->imm.value.s == value;
}

/* By how much an arithmetic instruction changes its first operand: ±1, or 0 for anything else. */
static int change_of(const struct insn *insn)
{
	bool by_one = insn->i.operand_count_visible == 2 && is_value(&insn->op[1], 1);
	bool by_minus_one = insn->i.operand_count_visible == 2 && is_value(&insn->op[1], -1);

	switch (insn->i.mnemonic) {
	case ZYDIS_MNEMONIC_INC:
		return 1;
	case ZYDIS_MNEMONIC_DEC:
		return -1;
	case ZYDIS_MNEMONIC_ADD:
		return by_one ? 1 : by_minus_one ? -1 : 0;
	case ZYDIS_MNEMONIC_SUB:
		return by_one ? -1 : by_minus_one ? 1 : 0;
	default:
		return 0;
	}
}

/* What is overwritten holds nothing that is known. False: the pool itself is lost. */
static bool forget_written(struct following *f, const struct insn *insn)
{
	for (size_t i = 0; i < insn->i.operand_count; i++) {
		unsigned number;

		if (insn->op[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(insn->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		if (insn->op[i].reg.value == (f->stack_by_bp ? ZYDIS_REGISTER_RBP : ZYDIS_REGISTER_RSP))
			f->spilled = false;
		number = number_of(insn->op[i].reg.value);
		if (number == f->pool)
			return false;
		if (number != ARG_NONE) {
			f->held[number] = HELD_ANY;
			f->written |= 1u << number;
		}
	}
	return true;
}

/* What a mov into a register brings there. */
static enum held loaded(const struct following *f, const struct insn *insn)
{
	const ZydisDecodedOperand *from = &insn->op[1];
	unsigned number;
	int64_t disp;

	if (is_register(from, 64, &number) || is_register(from, 32, &number))
		return number == f->pool ? HELD_ANY : f->held[number];
	if (is_at(from, 64, f->pool, POOL_FREEBLOCK))
		return f->taken || f->given ? HELD_ANY : HELD_FREEBLOCK;
	if (is_at(from, 32, f->pool, POOL_COUNT))
		return HELD_COUNT;
	if (is_memory(from, 64, &number, &disp) && !disp && f->held[number] == HELD_FREEBLOCK)
		return HELD_NEXT;
	return HELD_ANY;
}

static void note_spill(struct following *f, const ZydisDecodedOperand *to, enum held what)
{
	bool by_bp = to->mem.base == ZYDIS_REGISTER_RBP;

	if ((to->mem.base != ZYDIS_REGISTER_RSP && !by_bp) || to->mem.index != ZYDIS_REGISTER_NONE ||
	    to->mem.disp.value < -POOL_STACK_MAX || to->mem.disp.value >= POOL_STACK_MAX)
		return;
	if (what == HELD_FREEBLOCK) {
		f->spilled = true;
		f->stack_by_bp = by_bp;
		f->stack = (int16_t)to->mem.disp.value;
	} else if (f->stack == to->mem.disp.value && f->stack_by_bp == by_bp) {
		f->spilled = false;
	}
}

static void note_store(struct following *f, const struct insn *insn)
{
	const ZydisDecodedOperand *to = &insn->op[0];
	unsigned base, from;
	int64_t disp;

	if (is_at(to, 32, f->pool, POOL_COUNT)) {
		f->began = is_value(&insn->op[1], 1);
		f->written = 0;
		if (is_register(&insn->op[1], 32, &from))
			f->counted = f->held[from] == HELD_COUNT ? f->count_change : 0;
		return;
	}
	if (!is_register(&insn->op[1], 64, &from))
		return;
	note_spill(f, to, f->held[from]);
	if (!is_memory(to, 64, &base, &disp))
		return;
	if (base == f->pool && disp == POOL_FREEBLOCK) {
		f->taken = f->held[from] == HELD_NEXT;
		f->given = f->held[from] == HELD_ANY || f->held[from] == HELD_BLOCK;
		if (f->given)
			f->held[from] = HELD_BLOCK;
	} else if (f->held[from] == HELD_FREEBLOCK) {
		f->stored = true;
		if (!disp && (f->held[base] == HELD_ANY || f->held[base] == HELD_BLOCK)) {
			f->linked = true;
			f->held[base] = HELD_BLOCK;
		}
	}
}

/* Whether a comparison tells if the free block was the last. */
static bool tests_freeblock(const struct following *f, const struct insn *insn)
{
	unsigned number, other;

	if (!is_register(&insn->op[0], 64, &number) || f->held[number] != HELD_FREEBLOCK)
		return false;
	if (insn->i.mnemonic == ZYDIS_MNEMONIC_CMP)
		return is_value(&insn->op[1], 0);
	return insn->i.mnemonic == ZYDIS_MNEMONIC_TEST && is_register(&insn->op[1], 64, &other) &&
	       other == number;
}

static bool writes_flags(const ZydisDecodedInstruction *i)
{
	return i->cpu_flags &&
	       (i->cpu_flags->modified | i->cpu_flags->undefined | i->cpu_flags->set_0 | i->cpu_flags->set_1);
}

/* One instruction further. False: it does something that none of the three does. */
static bool follow(struct following *f, const struct insn *insn)
{
	bool to_register = insn->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER;
	enum held result = HELD_ANY;
	int change = change_of(insn);
	unsigned to = ARG_NONE, from;
	int64_t disp;

	if (insn->i.mnemonic == ZYDIS_MNEMONIC_MOV && to_register) {
		result = loaded(f, insn);
		to = number_of(insn->op[0].reg.value);
	} else if (insn->i.mnemonic == ZYDIS_MNEMONIC_MOV) {
		note_store(f, insn);
	} else if (change && is_at(&insn->op[0], 32, f->pool, POOL_COUNT)) {
		f->counted = change;
	} else if (change && is_register(&insn->op[0], 32, &to) && f->held[to] == HELD_COUNT) {
		result = HELD_COUNT;
		f->count_change = change;
	} else if (insn->i.mnemonic == ZYDIS_MNEMONIC_LEA && is_register(&insn->op[0], 32, &to) &&
		   insn->op[1].mem.index == ZYDIS_REGISTER_NONE &&
		   (from = number_of(insn->op[1].mem.base)) != ARG_NONE && f->held[from] == HELD_COUNT) {
		disp = insn->op[1].mem.disp.value;
		result = disp == 1 || disp == -1 ? HELD_COUNT : HELD_ANY;
		f->count_change = (int)disp;
	}
	if (writes_flags(&insn->i))
		f->tested = tests_freeblock(f, insn);
	if (!forget_written(f, insn))
		return false;
	if (to_register && to != ARG_NONE)
		f->held[to] = result;
	return true;
}

/* Code that is looked through; at: where the next instruction begins. */
struct reading {
	const ZydisDecoder *decoder;
	const uint8_t *code;
	size_t len;
};

static bool read_insn(const struct reading *r, uint64_t at, struct insn *insn)
{
	return at < r->len && ZYAN_SUCCESS(ZydisDecoderDecodeFull(r->decoder, r->code + at, r->len - at,
								  &insn->i, insn->op));
}

/* Whether an instruction makes the pool one of another class, and in which register that is. */
static bool is_class_set(const struct insn *insn, unsigned pool, unsigned char *class)
{
	unsigned number;

	if (insn->i.mnemonic != ZYDIS_MNEMONIC_MOV || !is_at(&insn->op[0], 32, pool, POOL_SZIDX) ||
	    !is_register(&insn->op[1], 32, &number) || number == pool)
		return false;
	*class = (unsigned char)number;
	return true;
}

/* Whether the code there makes the pool one of another class soon, and in which register that is. */
static bool sets_class(const struct reading *r, uint64_t at, unsigned pool, unsigned char *class)
{
	struct insn insn;

	for (int n = 0; n < SOON && read_insn(r, at, &insn); n++) {
		if (insn.i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
			return false;
		if (is_class_set(&insn, pool, class))
			return true;
		at += insn.i.length;
	}
	return false;
}

static bool find_held(const struct following *f, enum held what, unsigned char *number)
{
	for (unsigned i = 0; i < ARG_NONE; i++)
		if (f->held[i] == what) {
			*number = (unsigned char)i;
			return true;
		}
	return false;
}

/* Whether what one of the three does has been done when the branch at place->offset is come to. */
static bool is_done(const struct reading *r, const struct following *f, const struct insn *branch,
		    struct pool_place *place)
{
	bool equality = branch->i.mnemonic == ZYDIS_MNEMONIC_JZ || branch->i.mnemonic == ZYDIS_MNEMONIC_JNZ;
	uint64_t behind = place->offset + branch->i.length;

	place->pool = (unsigned char)f->pool;
	if (f->taken && f->counted == 1) {
		place->act = POOL_TAKE;
		place->block = ARG_NONE;
		place->stack = f->stack;
		place->stack_by_bp = f->stack_by_bp;
		return find_held(f, HELD_FREEBLOCK, &place->block) || f->spilled;
	}
	if (f->given && ((f->stored && f->counted == -1) || (f->linked && equality && f->tested))) {
		place->act = POOL_GIVE;
		place->block = ARG_NONE;
		return true;
	}
	place->act = POOL_BEGIN;
	return f->began && equality &&
	       (sets_class(r, behind, f->pool, &place->block) ||
		sets_class(r, behind + (uint64_t)branch->op[0].imm.value.s, f->pool, &place->block));
}

static bool is_conditional(const ZydisDecodedInstruction *i)
{
	return i->meta.category == ZYDIS_CATEGORY_COND_BR && i->mnemonic >= ZYDIS_MNEMONIC_JB &&
	       i->mnemonic <= ZYDIS_MNEMONIC_JZ && i->mnemonic != ZYDIS_MNEMONIC_JCXZ &&
	       i->mnemonic != ZYDIS_MNEMONIC_JECXZ && i->mnemonic != ZYDIS_MNEMONIC_JRCXZ;
}

static bool is_direct_jump(const struct insn *insn)
{
	return insn->i.mnemonic == ZYDIS_MNEMONIC_JMP && insn->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

static bool follow_pool(const struct reading *r, uint64_t at, unsigned pool, struct pool_place *place)
{
	struct following f = {.pool = pool};
	uint64_t carved_at = 0; /* where the count was set to 1, or a jump from there on */
	bool began = false;
	struct insn insn;

	for (int n = 0; n < WINDOW && read_insn(r, at, &insn); n++) {
		if (is_conditional(&insn.i)) {
			place->offset = at;
			return is_done(r, &f, &insn, place);
		}
		if (f.began && is_class_set(&insn, pool, &place->block) &&
		    !(f.written & 1u << place->block)) {
			place->act = POOL_CARVE;
			place->pool = (unsigned char)pool;
			place->offset = carved_at;
			return true;
		}
		if (is_direct_jump(&insn)) {
			carved_at = at;
			at += insn.i.length + (uint64_t)insn.op[0].imm.value.s;
			continue;
		}
		if (insn.i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || !follow(&f, &insn))
			return false;
		if (f.began && !began)
			carved_at = at;
		began = f.began;
		at += insn.i.length;
	}
	return false;
}

/* Whether an instruction may be the first that touches a pool, and in which register that is. */
static bool may_begin(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op, unsigned *pool)
{
	const ZydisDecodedOperand *memory = op[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? &op[0] : &op[1];
	int64_t disp;

	if (is_memory(memory, 64, pool, &disp))
		return i->mnemonic == ZYDIS_MNEMONIC_MOV && memory == &op[1] && disp == POOL_FREEBLOCK;
	return is_memory(memory, 32, pool, &disp) && disp == POOL_COUNT;
}

/* The cheap part of may_begin, without operands. */
static bool is_worth_a_look(const ZydisDecodedInstruction *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC:
		return (i->attributes & ZYDIS_ATTRIB_HAS_MODRM) && i->raw.modrm.mod != 3 &&
		       (i->raw.disp.value == POOL_COUNT || i->raw.disp.value == POOL_FREEBLOCK);
	default:
		return false;
	}
}

void pool_code_find(const uint8_t *code, size_t len, void (*fn)(const struct pool_place *place, void *arg),
		    void *arg)
{
	uint64_t found = UINT64_MAX; /* the last: from several of its instructions on it is the same */
	ZydisDecoder decoder;
	ZydisDecoderContext context;
	struct reading reading = {&decoder, code, len};
	struct insn insn;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (uint64_t at = 0; at < len;) {
		struct pool_place place;
		unsigned pool;

		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, code + at, len - at,
								&insn.i))) {
			at++;
			continue;
		}
		if (is_worth_a_look(&insn.i) &&
		    ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&decoder, &context, &insn.i, insn.op,
							    insn.i.operand_count)) &&
		    may_begin(&insn.i, insn.op, &pool) && follow_pool(&reading, at, pool, &place) &&
		    place.offset != found) {
			found = place.offset;
			fn(&place, arg);
		}
		at += insn.i.length;
	}
}
