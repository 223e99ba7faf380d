#include "target/cfi_section.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/cfi_program.h"

/* More than any linker leaves (they merge equal ones); those that come after are not known. */
#define CIES_MAX (1u << 16)
#define DWARF64_ESCAPE 0xffffffffu /* instead of a length: a 64-bit length follows (DWARF 5, 7.4) */
#define ADDRESS_SIZE 8

struct reader {
	const struct cfi_section *section;
	struct cfi_cie *cies; /* by ascending offset */
	size_t cie_cnt, cie_cap;
	const struct cfi_cie *last; /* neighbours mostly have the same */
};

struct record {
	uint64_t offset; /* of the record in the section */
	uint64_t id;     /* of an FDE: the offset of its CIE */
	bool is_cie;
	struct cursor body; /* what follows the id */
};

static uint64_t offset_of(const struct cfi_section *section, const struct cursor *c)
{
	return (uint64_t)(c->at - section->bytes);
}

/* In .eh_frame, a CIE's id is 0 and an FDE's the distance to its CIE; the id stays 4 bytes in any case. */
static void read_id(const struct cfi_section *section, bool is_64_bit, struct record *record)
{
	uint64_t at = offset_of(section, &record->body), none = 0;

	if (section->form == CFI_EH_FRAME) {
		record->id = cursor_u32(&record->body);
		record->is_cie = record->id == 0;
		record->id = at - record->id;
		return;
	}
	none = is_64_bit ? UINT64_MAX : UINT32_MAX;
	record->id = is_64_bit ? cursor_u64(&record->body) : cursor_u32(&record->body);
	record->is_cie = record->id == none;
}

/* False: the section is over. A record too short for its id has a failed body. */
static bool next_record(const struct cfi_section *section, struct cursor *c, struct record *record)
{
	while (c->at < c->end && !c->failed) {
		uint64_t offset = offset_of(section, c), len = cursor_u32(c);
		bool is_64_bit = len == DWARF64_ESCAPE;

		if (is_64_bit)
			len = cursor_u64(c);
		/* A terminator; linkers that concatenate sections leave some in the middle. */
		if (len == 0 && !c->failed && !section->open_ended)
			continue;
		if (len == 0)
			return false;
		record->offset = offset;
		record->body = cursor_take(c, len);
		if (c->failed)
			return false;
		read_id(section, is_64_bit, record);
		return true;
	}
	return false;
}

/* The letters after 'z' say what the augmentation data are; letters not known may have any. */
static bool read_augmentation(struct cfi_cie *cie, const char *letters, struct cursor data)
{
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->encoding = cursor_u8(&data);
			break;
		case 'P':
			/* The personality routine: only its size matters. */
			cursor_pointer(&data, cursor_u8(&data) & PTR_FORMAT, 0);
			break;
		case 'L':
			cursor_u8(&data);
			break;
		case 'S':
			cie->is_signal_frame = true;
			break;
		case 'B': /* AArch64's, without data */
			break;
		default:
			return false;
		}
	}
	return !data.failed;
}

/* DWARF 5, 6.4.1; versions 1 (.eh_frame, DWARF 2), 3 (DWARF 3) and 4 (DWARF 4 and 5). */
static void read_cie(const struct record *record, struct cfi_cie *cie)
{
	struct cursor c = record->body;
	uint8_t version = cursor_u8(&c);
	const char *augmentation = cursor_string(&c);
	uint64_t ra;

	*cie = (struct cfi_cie){.offset = record->offset, .encoding = PTR_ABSOLUTE};
	if (version != 1 && version != 3 && version != 4)
		return;
	if (!strcmp(augmentation, "eh")) {
		cursor_u64(&c); /* GCC 2's exception table */
		augmentation += 2;
	}
	if (version == 4 && (cursor_u8(&c) != ADDRESS_SIZE || cursor_u8(&c) != 0))
		return;
	cie->code_align = cursor_uleb(&c);
	cie->data_align = cursor_sleb(&c);
	ra = version == 1 ? cursor_u8(&c) : cursor_uleb(&c);
	if (ra != CFI_RETURN_ADDRESS)
		return;
	if (*augmentation == 'z') {
		uint64_t len = cursor_uleb(&c);

		cie->has_augmentation = true;
		if (!read_augmentation(cie, augmentation + 1, cursor_take(&c, len)))
			return;
	} else if (*augmentation) {
		return;
	}
	cie->usable = !c.failed && cfi_program_start(cie, c);
}

static int add_cie(struct reader *r, const struct record *record)
{
	if (r->cie_cnt == CIES_MAX)
		return 0;
	if (r->cie_cnt == r->cie_cap) {
		size_t cap = r->cie_cap ? r->cie_cap * 2 : 64;
		struct cfi_cie *bigger = reallocarray(r->cies, cap, sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		r->cies = bigger;
		r->cie_cap = cap;
	}
	read_cie(record, &r->cies[r->cie_cnt++]);
	return 0;
}

static int by_offset(const void *key, const void *element)
{
	uint64_t offset = *(const uint64_t *)key;
	const struct cfi_cie *cie = element;

	if (offset == cie->offset)
		return 0;
	return offset < cie->offset ? -1 : 1;
}

/* NULL: the FDE names none. */
static const struct cfi_cie *find_cie(struct reader *r, uint64_t offset)
{
	if (!r->last || r->last->offset != offset)
		r->last = r->cie_cnt ? bsearch(&offset, r->cies, r->cie_cnt, sizeof(*r->cies), by_offset)
				     : NULL;
	return r->last;
}

/* An address of 0 is that of a function which the linker threw away. */
static void read_fde(struct reader *r, const struct record *record, struct cfi_rows *rows)
{
	const struct cfi_cie *cie = find_cie(r, record->id);
	uint64_t start, len, data_base = r->section->data_base;
	struct cursor c = record->body;

	if (!cie)
		return;
	start = cursor_pointer(&c, cie->encoding, data_base);
	/* A length is of the same format, unsigned, and relative to nothing. */
	len = cursor_pointer(&c, cie->encoding & PTR_FORMAT & ~PTR_SIGNED, 0);
	if (cie->has_augmentation)
		cursor_take(&c, cursor_uleb(&c));
	if (c.failed || start == 0 || len == 0 || start > UINT32_MAX || len > UINT32_MAX - start)
		return;
	cfi_program_run(cie, c, data_base, (uint32_t)start, (uint32_t)(start + len), rows);
}

/* Twice over the records: an FDE of .debug_frame may come before its CIE. */
int cfi_section_read(const struct cfi_section *section, struct cfi_rows *rows)
{
	const struct cursor all = cursor_new(section->bytes, section->len, section->addr);
	struct reader r = {.section = section};
	struct cursor c = all;
	struct record record;
	int err = 0;

	while (!err && next_record(section, &c, &record))
		if (record.is_cie)
			err = add_cie(&r, &record);
	c = all;
	while (!err && !rows->err && next_record(section, &c, &record))
		if (!record.is_cie)
			read_fde(&r, &record, rows);
	free(r.cies);
	return err;
}
