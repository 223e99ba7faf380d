/* Sections of call frame information made by hand: CIEs and FDEs around a program of instructions. */
#ifndef ALLOCTRACE_TESTS_CFI_SCENE_H
#define ALLOCTRACE_TESTS_CFI_SCENE_H

#include <stdbool.h>
#include <string.h>

#include "target/cfi_section.h"
#include "target/dwarf.h"

#define SCENE_ADDR 0x5000
#define SCENE_DATA_BASE 0x4000

struct scene {
	uint8_t bytes[4096];
	size_t cnt;
	enum cfi_form form;
	bool is_64_bit;
	uint8_t encoding; /* of what functions say of themselves */
	bool has_augmentation;
	size_t cie; /* offset of the one that functions name */
};

static inline void scene_put(struct scene *s, const void *bytes, size_t len)
{
	assert_true(s->cnt + len <= sizeof(s->bytes));
	if (len)
		memcpy(s->bytes + s->cnt, bytes, len);
	s->cnt += len;
}

static inline void scene_number(struct scene *s, uint64_t value, size_t len)
{
	scene_put(s, &value, len);
}

static inline void scene_uleb(struct scene *s, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		scene_number(s, (value & 0x7f) | 0x80, 1);
	scene_number(s, value, 1);
}

static inline void scene_pointer(struct scene *s, uint64_t value, uint8_t encoding)
{
	if ((encoding & PTR_RELATION) == PTR_PC_RELATIVE)
		value -= SCENE_ADDR + s->cnt;
	else if ((encoding & PTR_RELATION) == PTR_DATA_RELATIVE)
		value -= SCENE_DATA_BASE;
	switch (encoding & PTR_FORMAT & ~PTR_SIGNED) {
	case PTR_ULEB: /* and of signed ones those that are small enough */
		scene_uleb(s, value);
		break;
	case PTR_U16:
		scene_number(s, value, 2);
		break;
	case PTR_U32:
		scene_number(s, value, 4);
		break;
	default:
		scene_number(s, value, 8);
	}
}

/* Returns where the length is to be written once it is known. */
static inline size_t scene_begin(struct scene *s)
{
	if (s->is_64_bit)
		scene_number(s, UINT32_MAX, 4);
	scene_number(s, 0, s->is_64_bit ? 8 : 4);
	return s->cnt;
}

static inline void scene_end(struct scene *s, size_t begin)
{
	uint64_t len = s->cnt - begin;
	size_t size = s->is_64_bit ? 8 : 4;

	memcpy(s->bytes + begin - size, &len, size);
}

struct scene_cie {
	uint8_t version, code_align, ra;
	const char *augmentation;
	uint8_t data[16];
	size_t data_len;
	uint8_t program[16];
	size_t program_len;
};

/* What every compiler's begins with: CFA = rsp + 8, the return address at CFA − 8. */
#define SCENE_USUAL .program = {0x0c, 7, 8, 0x90, 1}, .program_len = 5

static inline void scene_add_cie(struct scene *s, const struct scene_cie *cie)
{
	size_t begin;

	s->cie = s->cnt;
	begin = scene_begin(s);
	if (s->form == CFI_EH_FRAME)
		scene_number(s, 0, 4);
	else
		scene_number(s, UINT64_MAX, s->is_64_bit ? 8 : 4);
	scene_number(s, cie->version, 1);
	scene_put(s, cie->augmentation, strlen(cie->augmentation) + 1);
	if (cie->version == 4)
		scene_number(s, 8, 2); /* of an address; of a segment: none */
	scene_uleb(s, cie->code_align);
	scene_number(s, 0x78, 1); /* −8 */
	scene_uleb(s, cie->ra);
	s->has_augmentation = cie->augmentation[0] == 'z';
	if (s->has_augmentation) {
		scene_uleb(s, cie->data_len);
		scene_put(s, cie->data, cie->data_len);
	}
	scene_put(s, cie->program, cie->program_len);
	scene_end(s, begin);
}

static inline void scene_add_function(struct scene *s, uint64_t start, uint64_t len, const uint8_t *program,
				      size_t program_len)
{
	size_t begin = scene_begin(s);

	if (s->form == CFI_EH_FRAME)
		scene_number(s, s->cnt - s->cie, 4);
	else
		scene_number(s, s->cie, s->is_64_bit ? 8 : 4);
	scene_pointer(s, start, s->encoding);
	scene_pointer(s, len, s->encoding & PTR_FORMAT);
	if (s->has_augmentation)
		scene_uleb(s, 0);
	scene_put(s, program, program_len);
	scene_end(s, begin);
}

/* 0, or what the reading of the section or the making of the table came to. */
static inline int scene_read(const struct scene *s, struct cfi_table *table)
{
	const struct cfi_section section = {
		.bytes = s->bytes,
		.len = s->cnt,
		.addr = SCENE_ADDR,
		.data_base = SCENE_DATA_BASE,
		.form = s->form,
	};
	struct cfi_rows rows = {.err = 0};
	int err = cfi_section_read(&section, &rows);

	if (!err)
		err = cfi_rows_finish(&rows, table);
	cfi_rows_free(&rows);
	return err;
}

#endif
