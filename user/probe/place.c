#include "probe/place.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/share.h"

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

/* Where each register of bpf/share.h's enum is; ZYDIS_REGISTER_NONE ends. */
static const ZydisRegister arg_registers[] = {
	[ARG_DI] = ZYDIS_REGISTER_RDI,  [ARG_SI] = ZYDIS_REGISTER_RSI,  [ARG_DX] = ZYDIS_REGISTER_RDX,
	[ARG_CX] = ZYDIS_REGISTER_RCX,  [ARG_R8] = ZYDIS_REGISTER_R8,   [ARG_R9] = ZYDIS_REGISTER_R9,
	[ARG_AX] = ZYDIS_REGISTER_RAX,  [ARG_BX] = ZYDIS_REGISTER_RBX,  [ARG_R10] = ZYDIS_REGISTER_R10,
	[ARG_R11] = ZYDIS_REGISTER_R11, [ARG_BP] = ZYDIS_REGISTER_RBP,  [ARG_R12] = ZYDIS_REGISTER_R12,
	[ARG_R13] = ZYDIS_REGISTER_R13, [ARG_R14] = ZYDIS_REGISTER_R14, [ARG_R15] = ZYDIS_REGISTER_R15,
};

#define NO_ARG 0xff

/* Which argument each register holds, while instructions are passed. */
struct tracking {
	unsigned char held[ARG_NONE]; /* an argument's number, or NO_ARG */
	bool stack_moved;
};

static void track_init(struct tracking *t)
{
	for (unsigned i = 0; i < ARG_NONE; i++)
		t->held[i] = i < PLACE_ARGS_MAX ? (unsigned char)i : NO_ARG;
	t->stack_moved = false;
}

static unsigned arg_register_of(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	for (unsigned i = 0; i < ARG_NONE; i++)
		if (arg_registers[i] == whole)
			return i;
	return ARG_NONE;
}

/* mov from one whole register to another: what the second holds from now on. */
static bool is_copy(const struct insn *insn, unsigned *to, unsigned *from)
{
	const ZydisDecodedOperand *op = insn->operands;

	if (insn->i.mnemonic != ZYDIS_MNEMONIC_MOV || op[0].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    op[1].type != ZYDIS_OPERAND_TYPE_REGISTER || insn->i.operand_width != 64)
		return false;
	*to = arg_register_of(op[0].reg.value);
	*from = arg_register_of(op[1].reg.value);
	return *to != ARG_NONE && *from != ARG_NONE;
}

static void track(struct tracking *t, const struct insn *insn)
{
	unsigned to, from;

	if (is_copy(insn, &to, &from)) {
		t->held[to] = t->held[from];
		return;
	}
	for (size_t i = 0; i < insn->i.operand_count; i++) {
		const ZydisDecodedOperand *op = &insn->operands[i];

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		to = arg_register_of(op->reg.value);
		if (to != ARG_NONE)
			t->held[to] = NO_ARG;
		if (ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value) ==
		    ZYDIS_REGISTER_RSP)
			t->stack_moved = true;
	}
}

/* Whether every wanted argument is somewhere; its own register is preferred. */
static bool find_args(const struct tracking *t, struct place_args *args)
{
	for (unsigned arg = 0; arg < PLACE_ARGS_MAX; arg++) {
		unsigned reg = t->held[arg] == arg ? arg : 0;

		if (!(args->wanted & 1u << arg))
			continue;
		while (reg < ARG_NONE && t->held[reg] != arg)
			reg++;
		if (reg == ARG_NONE || (args->in_place && reg != arg))
			return false;
		args->at[arg] = (unsigned char)reg;
	}
	return true;
}

/* Whether control goes on behind the instruction and nothing else than registers and memory of its own
 * changes. */
static bool is_passed_by_all(const struct insn *insn)
{
	return !is_branch(insn) && insn->i.meta.category != ZYDIS_CATEGORY_CALL &&
	       insn->i.meta.category != ZYDIS_CATEGORY_RET &&
	       insn->i.meta.category != ZYDIS_CATEGORY_SYSCALL &&
	       insn->i.meta.category != ZYDIS_CATEGORY_SYSTEM &&
	       insn->i.meta.category != ZYDIS_CATEGORY_INTERRUPT;
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

/* As objdump writes it, but for addresses, which are relative: where the function lies says nothing. */
static bool format(const struct insn *insn, char buf[PLACE_TEXT_MAX])
{
	ZydisFormatter f;

	return ZYAN_SUCCESS(ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_ATT)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_IMM_PADDING,
						      ZYDIS_PADDING_DISABLED)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_DISP_PADDING,
						      ZYDIS_PADDING_DISABLED)) &&
	       ZYAN_SUCCESS(ZydisFormatterSetProperty(&f, ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE,
						      ZYDIS_PADDING_DISABLED)) &&
	       ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
		       &f, &insn->i, insn->operands, insn->i.operand_count_visible, buf, PLACE_TEXT_MAX,
		       ZYDIS_RUNTIME_ADDRESS_NONE, NULL));
}

const char *place_text(const uint8_t *code, size_t len, uint64_t at, char buf[PLACE_TEXT_MAX])
{
	struct insn insn;

	if (!decode(code, len, at, &insn) || !format(&insn, buf))
		snprintf(buf, PLACE_TEXT_MAX, "?");
	return buf;
}

bool place_is_call(const uint8_t *code, size_t len, uint64_t at, int64_t target)
{
	struct insn insn;
	uint64_t offset = 0;
	int64_t to;

	while (offset < at) {
		if (!decode(code, len, offset, &insn))
			return false;
		offset += insn.i.length;
	}
	return offset == at && decode(code, len, at, &insn) &&
	       (insn.i.mnemonic == ZYDIS_MNEMONIC_CALL || insn.i.mnemonic == ZYDIS_MNEMONIC_JMP) &&
	       direct_target(&insn, at, &to) && to == target;
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

uint64_t place_entry(const uint8_t *code, size_t len, struct place_args *args, const char **why)
{
	struct tracking t;
	struct insn insn;
	uint64_t at = 0;

	track_init(&t);
	find_args(&t, args);
	args->stepped = true;
	*why = "its code cannot be decoded";
	if (len > CODE_MAX)
		return 0;
	for (; decode(code, len, at, &insn); at += insn.i.length) {
		struct place_args found = *args;

		if (t.stack_moved || !find_args(&t, &found))
			return 0;
		if (is_emulated(&insn)) {
			*why = "the kernel emulates the instruction";
			if (at && is_jumped_into(code, len, at)) {
				*why = "single-stepped: a jump leads back before a better place";
				return 0;
			}
			*args = found;
			args->stepped = false;
			return at;
		}
		*why = "single-stepped: arguments or stack move before a better place";
		if (!is_passed_by_all(&insn))
			return 0;
		track(&t, &insn);
	}
	return 0;
}
