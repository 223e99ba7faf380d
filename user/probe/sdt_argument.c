#include "probe/sdt_argument.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/share.h"

#define WORD_MAX 48

/* By their width: what is written of a register narrower than 64 bits is its low part. */
static const struct {
	const char *names[4];
	enum arg_register reg;
} registers[] = {
	{{"rax", "eax", "ax", "al"}, ARG_AX},       {{"rbx", "ebx", "bx", "bl"}, ARG_BX},
	{{"rcx", "ecx", "cx", "cl"}, ARG_CX},       {{"rdx", "edx", "dx", "dl"}, ARG_DX},
	{{"rsi", "esi", "si", "sil"}, ARG_SI},      {{"rdi", "edi", "di", "dil"}, ARG_DI},
	{{"rbp", "ebp", "bp", "bpl"}, ARG_BP},      {{"rsp", "esp", "sp", "spl"}, ARG_SP},
	{{"r8", "r8d", "r8w", "r8b"}, ARG_R8},      {{"r9", "r9d", "r9w", "r9b"}, ARG_R9},
	{{"r10", "r10d", "r10w", "r10b"}, ARG_R10}, {{"r11", "r11d", "r11w", "r11b"}, ARG_R11},
	{{"r12", "r12d", "r12w", "r12b"}, ARG_R12}, {{"r13", "r13d", "r13w", "r13b"}, ARG_R13},
	{{"r14", "r14d", "r14w", "r14b"}, ARG_R14}, {{"r15", "r15d", "r15w", "r15b"}, ARG_R15},
};

/* The word of that number, copied; false: there are fewer, or it is longer than any that is read here. */
static bool copy_word(const char *arguments, unsigned number, char word[WORD_MAX])
{
	size_t len;

	for (; number > 1; number--) {
		arguments += strspn(arguments, " ");
		arguments += strcspn(arguments, " ");
	}
	arguments += strspn(arguments, " ");
	len = strcspn(arguments, " ");
	if (!len || len >= WORD_MAX)
		return false;
	memcpy(word, arguments, len);
	word[len] = '\0';
	return true;
}

/* "%eax", up to the end of the text. ARG_NONE: no such register. */
static enum arg_register find_register(const char *text)
{
	for (size_t i = 0; *text == '%' && i < sizeof(registers) / sizeof(registers[0]); i++)
		for (int k = 0; k < 4; k++)
			if (!strcmp(text + 1, registers[i].names[k]))
				return registers[i].reg;
	return ARG_NONE;
}

/* "-8", "4", …: bits of size and sign, and what stands behind the @. NULL: no such size. */
static const char *read_size(const char *word, uint64_t *place)
{
	char *end;
	long size = strtol(word, &end, 10);

	if (*end != '@' || end == word)
		return NULL;
	if (size < 0) {
		*place |= COOKIE_PLACE_SIGNED;
		size = -size;
	}
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return NULL;
	*place |= (uint64_t)__builtin_ctzl((unsigned long)size) << COOKIE_PLACE_SIZE_SHIFT;
	return end + 1;
}

static int with_offset(uint64_t *place, long offset, enum arg_register reg)
{
	if (offset < INT16_MIN || offset > INT16_MAX)
		return -ENOTSUP;
	*place |= (uint64_t)(uint16_t)offset << COOKIE_PLACE_OFFSET_SHIFT |
		  (uint64_t)reg << COOKIE_PLACE_REGISTER_SHIFT;
	return 0;
}

/* "112(%rsp)", "(%rax)" */
static int read_memory(char *text, uint64_t *place)
{
	char *open, *close = strchr(text, ')');
	long offset = strtol(text, &open, 0);
	enum arg_register reg;

	if (*open != '(' || !close || close[1])
		return -ENOTSUP;
	*close = '\0';
	reg = find_register(open + 1);
	*place |= COOKIE_PLACE_IN_MEMORY;
	return reg == ARG_NONE ? -ENOTSUP : with_offset(place, offset, reg);
}

int sdt_argument(const char *arguments, unsigned number, uint64_t *place)
{
	char word[WORD_MAX], *text, *end;
	enum arg_register reg;
	long value;

	*place = 0;
	if (!copy_word(arguments, number, word))
		return -ENOENT;
	text = (char *)read_size(word, place);
	if (!text)
		return -ENOTSUP;
	if (*text == '$') {
		value = strtol(text + 1, &end, 0);
		return *end || end == text + 1 ? -ENOTSUP : with_offset(place, value, ARG_NONE);
	}
	reg = find_register(text);
	return reg == ARG_NONE ? read_memory(text, place) : with_offset(place, 0, reg);
}
