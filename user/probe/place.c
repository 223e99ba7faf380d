#include "probe/place.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CODE_MAX 65536 /* a function longer than this is not followed */

struct insn {
	ZydisDecodedInstruction i;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(const uint8_t *code, size_t len, uint64_t at, struct insn *insn)
{
	ZydisDecoder decoder;

	if (at >= len)
		return false;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, len - at, &insn->i, insn->operands));
}

static bool is_branch(const struct insn *insn)
{
	return insn->i.meta.category == ZYDIS_CATEGORY_COND_BR ||
	       insn->i.meta.category == ZYDIS_CATEGORY_UNCOND_BR;
}

/* The target of a direct jump or call, relative to the code's start. */
static bool direct_target(const struct insn *insn, uint64_t at, int64_t *target)
{
	if (insn->operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !insn->operands[0].imm.is_relative)
		return false;
	*target = (int64_t)at + insn->i.length + insn->operands[0].imm.value.s;
	return true;
}

/* A pointer at a fixed place in the object's data: jmp *disp(%rip). */
static bool slot_target(const struct insn *insn, uint64_t at, int64_t *target)
{
	const ZydisDecodedOperand *op = &insn->operands[0];

	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.base != ZYDIS_REGISTER_RIP ||
	    op->mem.index != ZYDIS_REGISTER_NONE)
		return false;
	*target = (int64_t)at + insn->i.length + op->mem.disp.value;
	return true;
}

/*
 * What arch/x86/kernel/uprobes.c emulates on every kernel since 5.15: branch_setup_xol_ops
 * and push_setup_xol_ops. Newer ones emulate more; a probe on these is fast on all.
 */
static bool is_emulated(const struct insn *insn)
{
	switch (insn->i.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return insn->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER && insn->i.operand_width == 64;
	case ZYDIS_MNEMONIC_NOP:
		return insn->i.length == 1;
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		return insn->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	case ZYDIS_MNEMONIC_JRCXZ: /* conditional branches that are not */
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
		return false;
	default:
		return insn->i.meta.category == ZYDIS_CATEGORY_COND_BR;
	}
}

/* Registers that a probe at the entry reads: the first six arguments and the stack pointer. */
static bool is_read_by_probes(ZydisRegister reg)
{
	switch (ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg)) {
	case ZYDIS_REGISTER_RDI:
	case ZYDIS_REGISTER_RSI:
	case ZYDIS_REGISTER_RDX:
	case ZYDIS_REGISTER_RCX:
	case ZYDIS_REGISTER_R8:
	case ZYDIS_REGISTER_R9:
	case ZYDIS_REGISTER_RSP:
		return true;
	default:
		return false;
	}
}

/* Whether what a probe reads is the same after the instruction, and control goes on behind it. */
static bool is_harmless(const struct insn *insn)
{
	if (is_branch(insn) || insn->i.meta.category == ZYDIS_CATEGORY_CALL ||
	    insn->i.meta.category == ZYDIS_CATEGORY_RET || insn->i.meta.category == ZYDIS_CATEGORY_SYSCALL ||
	    insn->i.meta.category == ZYDIS_CATEGORY_SYSTEM ||
	    insn->i.meta.category == ZYDIS_CATEGORY_INTERRUPT)
		return false;
	for (size_t i = 0; i < insn->i.operand_count; i++) {
		const ZydisDecodedOperand *op = &insn->operands[i];

		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE && is_read_by_probes(op->reg.value))
			return false;
	}
	return true;
}

/* The state of following a function: which bytes begin an instruction, what is still to be followed. */
struct walk {
	const uint8_t *code;
	size_t len;
	bool *begins;   /* an instruction that has been followed begins here */
	uint64_t *todo; /* at most one entry a byte */
	size_t todo_cnt;
	bool switches; /* a jump through a register: perhaps a table of addresses in the function */
	bool full;     /* more exits than there is room for */
	struct place_exits *exits;
};

static void add_exit(struct walk *w, enum place_exit_kind kind, uint64_t offset, int64_t target)
{
	if (w->exits->cnt == PLACE_EXITS_MAX)
		w->full = true;
	else
		w->exits->v[w->exits->cnt++] = (struct place_exit){kind, offset, target};
}

static void follow(struct walk *w, uint64_t at)
{
	if (!w->begins[at]) {
		w->begins[at] = true;
		w->todo[w->todo_cnt++] = at;
	}
}

static void take_jump(struct walk *w, const struct insn *insn, uint64_t at)
{
	int64_t target;

	if (direct_target(insn, at, &target)) {
		if (target >= 0 && (uint64_t)target < w->len)
			follow(w, (uint64_t)target);
		else
			add_exit(w, PLACE_JUMP, at, target);
	} else if (slot_target(insn, at, &target)) {
		add_exit(w, PLACE_SLOT, at, target);
	} else {
		w->switches = true;
		w->exits->unknown++;
	}
}

/* Follows one instruction; false if control runs into what is no code. */
static bool step(struct walk *w, uint64_t at)
{
	struct insn insn;

	if (!decode(w->code, w->len, at, &insn))
		return false;
	switch (insn.i.meta.category) {
	case ZYDIS_CATEGORY_RET:
		add_exit(w, PLACE_RET, at, 0);
		return true;
	case ZYDIS_CATEGORY_UNCOND_BR:
		take_jump(w, &insn, at);
		return true;
	case ZYDIS_CATEGORY_COND_BR:
		take_jump(w, &insn, at);
		break;
	default:
		break;
	}
	if (insn.i.mnemonic == ZYDIS_MNEMONIC_UD2 || insn.i.mnemonic == ZYDIS_MNEMONIC_HLT)
		return true;
	at += insn.i.length;
	/* Behind the last instruction lies nothing if it calls what does not return. */
	if (at >= w->len)
		return insn.i.meta.category == ZYDIS_CATEGORY_CALL;
	follow(w, at);
	return true;
}

/*
 * The rets that only a table of addresses leads to: taken from a sweep over the whole
 * function, if that agrees with every instruction that was followed.
 */
static bool sweep_rets(struct walk *w)
{
	struct insn insn;
	uint64_t at = 0;

	while (at < w->len) {
		uint64_t next;
		int64_t target;

		if (!decode(w->code, w->len, at, &insn))
			return false;
		next = at + insn.i.length;
		for (uint64_t in = at + 1; in < next && in < w->len; in++)
			if (w->begins[in])
				return false;
		if (!w->begins[at]) {
			if (insn.i.meta.category == ZYDIS_CATEGORY_RET)
				add_exit(w, PLACE_RET, at, 0);
			else if (is_branch(&insn) && direct_target(&insn, at, &target) &&
				 (target < 0 || (uint64_t)target >= w->len))
				add_exit(w, PLACE_JUMP, at, target);
		}
		at = next;
	}
	return true;
}

static int walk_init(struct walk *w, const uint8_t *code, size_t len, struct place_exits *exits)
{
	*w = (struct walk){.code = code, .len = len, .exits = exits};
	w->begins = calloc(len, sizeof(*w->begins));
	w->todo = calloc(len, sizeof(*w->todo));
	return w->begins && w->todo ? 0 : -ENOMEM;
}

static void walk_free(struct walk *w)
{
	free(w->begins);
	free(w->todo);
}

static bool walk_run(struct walk *w)
{
	follow(w, 0);
	while (w->todo_cnt)
		if (!step(w, w->todo[--w->todo_cnt]))
			return false;
	return true;
}

int place_exits(const uint8_t *code, size_t len, struct place_exits *exits, const char **why)
{
	struct walk w;
	int ret = -ENOEXEC;

	memset(exits, 0, sizeof(*exits));
	*why = "no code";
	if (!len)
		return -ENOEXEC;
	*why = "too long to be followed";
	if (len > CODE_MAX)
		return -ENOEXEC;
	*why = "no memory";
	if (walk_init(&w, code, len, exits))
		goto out;
	*why = "it runs into what is no instruction";
	if (!walk_run(&w))
		goto out;
	*why = "it jumps through a register and does not decode as a whole";
	if (w.switches && !sweep_rets(&w))
		goto out;
	*why = "too many exits";
	if (w.full)
		goto out;
	*why = "it has no exit";
	if (!exits->cnt)
		goto out;
	*why = "all exits found";
	ret = 0;
out:
	walk_free(&w);
	return ret;
}

/* Whether some direct jump of the function leads into (0, at]: a call would pass the probe twice. */
static bool is_jumped_into(const uint8_t *code, size_t len, uint64_t at)
{
	struct place_exits exits = {.cnt = 0};
	struct insn insn;
	struct walk w;
	bool found = false, followed;

	if (walk_init(&w, code, len, &exits)) {
		walk_free(&w);
		return true;
	}
	followed = walk_run(&w) && !w.switches;
	for (uint64_t i = 0; i < len && !found; i++) {
		int64_t target;

		if (w.begins[i] && decode(code, len, i, &insn) && is_branch(&insn) &&
		    direct_target(&insn, i, &target))
			found = target > 0 && (uint64_t)target <= at;
	}
	walk_free(&w);
	return found || !followed;
}

uint64_t place_entry(const uint8_t *code, size_t len, const char **why)
{
	struct insn insn;
	uint64_t at = 0;

	*why = "its code cannot be decoded";
	if (len > CODE_MAX)
		return 0;
	for (; decode(code, len, at, &insn); at += insn.i.length) {
		if (is_emulated(&insn)) {
			*why = "the kernel emulates the instruction";
			if (!at || !is_jumped_into(code, len, at))
				return at;
			*why = "single-stepped: a jump leads back before a better place";
			return 0;
		}
		*why = "single-stepped: arguments or stack move before a better place";
		if (!is_harmless(&insn))
			return 0;
	}
	return 0;
}
