#include "target/function_start.h"

#include <errno.h>
#include <gelf.h>

#include "target/dwarf.h"

#define HEADER_VERSION 1
#define HEADER_SZ 12 /* with a pointer and a count of 4 bytes each */
#define TABLE_ENCODING (PTR_DATA_RELATIVE | PTR_S32)

struct entry {
	int32_t start, fde; /* from where the header is linked to */
};

static int find_header(struct object *obj, GElf_Phdr *header)
{
	Elf *elf;
	size_t cnt = 0;
	int ret = -ENOENT;

	elf_version(EV_CURRENT);
	elf = elf_begin(object_fd(obj), ELF_C_READ, NULL);
	if (!elf || elf_getphdrnum(elf, &cnt))
		ret = -ENOEXEC;
	for (size_t i = 0; ret == -ENOENT && i < cnt && gelf_getphdr(elf, (int)i, header); i++)
		if (header->p_type == PT_GNU_EH_FRAME)
			ret = 0;
	elf_end(elf);
	return ret;
}

/* How many entries there are, and where the first is in the file. */
static int find_table(struct object *obj, const GElf_Phdr *header, uint64_t *cnt, uint64_t *offset)
{
	uint8_t bytes[HEADER_SZ];
	ssize_t got = object_read(obj, header->p_offset, bytes, sizeof(bytes));
	struct cursor c = cursor_new(bytes, sizeof(bytes), header->p_vaddr);
	uint8_t encodings[3];

	if (got != (ssize_t)sizeof(bytes))
		return got < 0 ? (int)got : -ENOENT;
	if (cursor_u8(&c) != HEADER_VERSION)
		return -ENOENT;
	for (int i = 0; i < 3; i++)
		encodings[i] = cursor_u8(&c);
	if ((encodings[0] & PTR_FORMAT) != PTR_S32 || encodings[1] != PTR_U32 ||
	    encodings[2] != TABLE_ENCODING)
		return -ENOENT;
	cursor_u32(&c);
	*cnt = cursor_u32(&c);
	*offset = header->p_offset + HEADER_SZ;
	if (header->p_filesz < HEADER_SZ || *cnt > (header->p_filesz - HEADER_SZ) / sizeof(struct entry))
		return -ENOENT;
	return 0;
}

int function_start(struct object *obj, uint64_t addr, uint64_t *start)
{
	uint64_t low = 0, high = 0, table = 0;
	struct entry entry;
	GElf_Phdr header;
	int ret = find_header(obj, &header);

	ret = ret ?: find_table(obj, &header, &high, &table);
	while (!ret &&
	       low < high) { /* those before low begin at or below addr, those from high on above it */
		uint64_t middle = low + (high - low) / 2;

		if (object_read(obj, table + middle * sizeof(entry), &entry, sizeof(entry)) !=
		    (ssize_t)sizeof(entry))
			return -ENOENT;
		if (header.p_vaddr + (uint64_t)(int64_t)entry.start <= addr) {
			*start = header.p_vaddr + (uint64_t)(int64_t)entry.start;
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return ret ?: low ? 0 : -ENOENT;
}
