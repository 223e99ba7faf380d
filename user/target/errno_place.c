#include "target/errno_place.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

#define INSTRUCTIONS_MAX 6
#define CODE_MAX 64
#define DISTANCE_MAX (1 << 20) /* of a variable in the static TLS */

/* rax, as a distance from the thread pointer once that has been added. */
struct sum {
	uint64_t value;
	bool from_pointer;
	pid_t pid;
};

static bool read_word(pid_t pid, uint64_t addr, uint64_t *word)
{
	struct iovec local = {word, sizeof(*word)}, remote = {(void *)addr, sizeof(*word)};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof(*word);
}

/* The value of an operand; %fs:0 holds the thread pointer itself. False: of another kind. */
static bool value_of(struct sum *s, const ZydisDecodedOperand *op, uint64_t next, uint64_t *value,
		     bool *pointer)
{
	*pointer = false;
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		*value = op->imm.value.u;
		return true;
	}
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.index != ZYDIS_REGISTER_NONE)
		return false;
	if (op->mem.segment == ZYDIS_REGISTER_FS) {
		*value = 0;
		*pointer = true;
		return op->mem.base == ZYDIS_REGISTER_NONE && op->mem.disp.value == 0;
	}
	return op->mem.base == ZYDIS_REGISTER_RIP &&
	       read_word(s->pid, next + (uint64_t)op->mem.disp.value, value);
}

static bool step(struct sum *s, const ZydisDecodedInstruction *i, const ZydisDecodedOperand *ops,
		 uint64_t next)
{
	uint64_t value;
	bool pointer;

	if (i->mnemonic == ZYDIS_MNEMONIC_ENDBR64)
		return true;
	if (ops[0].type != ZYDIS_OPERAND_TYPE_REGISTER || ops[0].reg.value != ZYDIS_REGISTER_RAX)
		return false;
	if (i->mnemonic == ZYDIS_MNEMONIC_LEA) {
		s->value += (uint64_t)ops[1].mem.disp.value;
		return ops[1].mem.base == ZYDIS_REGISTER_RAX && ops[1].mem.index == ZYDIS_REGISTER_NONE;
	}
	if (!value_of(s, &ops[1], next, &value, &pointer))
		return false;
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		s->value = value;
		s->from_pointer = pointer;
		return true;
	case ZYDIS_MNEMONIC_ADD:
		s->value += value;
		s->from_pointer |= pointer;
		return true;
	case ZYDIS_MNEMONIC_SUB:
		s->value -= value;
		return !pointer;
	default:
		return false;
	}
}

int errno_place_find(pid_t pid, struct object *obj, const struct mapping *m, int64_t *distance)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;
	struct object_symbol sym;
	struct sum s = {.pid = pid};
	uint8_t code[CODE_MAX];
	uint64_t at = 0;
	ssize_t len;

	if (object_find_symbol(obj, "__errno_location", &sym))
		return -ENOENT;
	len = object_read(obj, sym.file_offset, code, sizeof(code));
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (int i = 0; i < INSTRUCTIONS_MAX && len > 0 && at < (uint64_t)len; i++) {
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, (size_t)len - at, &insn, ops)))
			break;
		if (insn.mnemonic == ZYDIS_MNEMONIC_RET) {
			*distance = (int64_t)s.value;
			return s.from_pointer && *distance > -DISTANCE_MAX && *distance < DISTANCE_MAX
				       ? 0
				       : -ENOENT;
		}
		at += insn.length;
		if (!step(&s, &insn, ops, object_bias(obj, m) + sym.value + at))
			break;
	}
	return -ENOENT;
}
