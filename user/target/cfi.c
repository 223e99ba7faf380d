#include "target/cfi.h"

#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "target/cfi_section.h"
#include "target/dwarf.h"

#define SECTION_MAX (256u << 20) /* bytes: ten times what the largest programs have */
#define EH_FRAME_HDR_VERSION 1

/* The file's bytes [offset, offset + len), which stay libelf's; NULL if they are not all there. */
static const uint8_t *read_chunk(Elf *elf, uint64_t offset, uint64_t len)
{
	Elf_Data *data;

	if (!len || len > SECTION_MAX || offset > INT64_MAX)
		return NULL;
	data = elf_getdata_rawchunk(elf, (int64_t)offset, len, ELF_T_BYTE);
	return data ? data->d_buf : NULL;
}

static bool find_segment(Elf *elf, uint32_t type, uint64_t addr, GElf_Phdr *segment)
{
	size_t cnt = 0;

	elf_getphdrnum(elf, &cnt);
	for (size_t i = 0; i < cnt && gelf_getphdr(elf, (int)i, segment); i++)
		if (segment->p_type == type &&
		    (type != PT_LOAD ||
		     (addr >= segment->p_vaddr && addr - segment->p_vaddr < segment->p_filesz)))
			return true;
	return false;
}

static Elf_Scn *find_section(Elf *elf, const char *name, GElf_Shdr *head)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *other = gelf_getshdr(scn, head) ? elf_strptr(elf, names, head->sh_name) : NULL;

		if (other && !strcmp(other, name) && head->sh_type != SHT_NOBITS)
			return scn;
	}
	return NULL;
}

/*
 * .eh_frame_hdr (LSB Core 5.0, 10.6.2) says where .eh_frame begins, but not where it ends: its
 * section's header does if there is one, else a terminator before the end of the segment.
 */
static bool locate_by_header(Elf *elf, struct cfi_section *section)
{
	GElf_Phdr header, segment;
	GElf_Shdr named;
	const uint8_t *bytes;
	struct cursor c;
	uint8_t encoding;
	uint64_t len;

	if (!find_segment(elf, PT_GNU_EH_FRAME, 0, &header))
		return false;
	bytes = read_chunk(elf, header.p_offset, header.p_filesz);
	if (!bytes)
		return false;
	c = cursor_new(bytes, header.p_filesz, header.p_vaddr);
	if (cursor_u8(&c) != EH_FRAME_HDR_VERSION)
		return false;
	encoding = cursor_u8(&c);
	cursor_u8(&c); /* encodings of the search table, which is not needed */
	cursor_u8(&c);
	section->addr = cursor_pointer(&c, encoding, header.p_vaddr);
	if (c.failed || !find_segment(elf, PT_LOAD, section->addr, &segment))
		return false;
	len = segment.p_vaddr + segment.p_filesz - section->addr;
	section->open_ended = true;
	if (find_section(elf, ".eh_frame", &named) && named.sh_addr == section->addr &&
	    named.sh_size <= len) {
		len = named.sh_size;
		section->open_ended = false;
	} else if (len > SECTION_MAX) {
		len = SECTION_MAX;
	}
	section->form = CFI_EH_FRAME;
	section->data_base = header.p_vaddr;
	section->bytes = read_chunk(elf, section->addr - segment.p_vaddr + segment.p_offset, len);
	section->len = len;
	return section->bytes;
}

static bool locate_eh_frame(Elf *elf, struct cfi_section *section)
{
	GElf_Shdr head;

	if (!find_section(elf, ".eh_frame", &head))
		return false;
	*section = (struct cfi_section){.form = CFI_EH_FRAME, .addr = head.sh_addr, .len = head.sh_size};
	section->bytes = read_chunk(elf, head.sh_offset, head.sh_size);
	return section->bytes;
}

/* elf_compress with type 0 decompresses, in our handle's memory only. */
static bool locate_debug_frame(Elf *elf, struct cfi_section *section)
{
	GElf_Shdr head;
	GElf_Chdr compressed;
	Elf_Data *data;
	Elf_Scn *scn = find_section(elf, ".debug_frame", &head);

	if (!scn)
		return false;
	if (head.sh_flags & SHF_COMPRESSED) {
		if (!gelf_getchdr(scn, &compressed) || compressed.ch_size > SECTION_MAX ||
		    head.sh_size > SECTION_MAX || elf_compress(scn, 0, 0) < 0)
			return false;
		data = elf_getdata(scn, NULL);
		*section = (struct cfi_section){.form = CFI_DEBUG_FRAME};
		section->bytes = data ? data->d_buf : NULL;
		section->len = data ? data->d_size : 0;
		return section->bytes;
	}
	*section = (struct cfi_section){.form = CFI_DEBUG_FRAME, .len = head.sh_size};
	section->bytes = read_chunk(elf, head.sh_offset, head.sh_size);
	return section->bytes;
}

typedef bool locate_fn(Elf *elf, struct cfi_section *section);

static int read_table(Elf *elf, struct cfi_table *table)
{
	static locate_fn *const places[] = {locate_by_header, locate_eh_frame, locate_debug_frame};
	GElf_Ehdr head;
	int err = -ENOENT;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &head) ||
	    head.e_ident[EI_CLASS] != ELFCLASS64)
		return -ENOEXEC;
	if (head.e_machine != EM_X86_64)
		return -ENOTSUP;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && err == -ENOENT; i++) {
		struct cfi_section section = {.addr = 0};
		struct cfi_rows rows = {.err = 0};

		if (!places[i](elf, &section))
			continue;
		err = cfi_section_read(&section, &rows);
		if (!err)
			err = cfi_rows_finish(&rows, table);
		cfi_rows_free(&rows);
	}
	return err;
}

static int explain(int code, const char *name, struct error *err)
{
	switch (code) {
	case 0:
		return 0;
	case -ENOEXEC:
		return error_set(err, code, "%s is not a 64-bit ELF program or library", name);
	case -ENOTSUP:
		return error_set(err, code, "%s: its machine's stacks cannot be unwound by tables", name);
	case -ENOENT:
		return error_set(err, code, "%s has no call frame information", name);
	case -E2BIG:
		return error_set(err, code, "%s: its call frame information is too large", name);
	default:
		return error_set(err, code, "%s: cannot read its call frame information: %s", name,
				 strerror(-code));
	}
}

/*
 * A libelf handle of our own, as it keeps what was read through it until it ends. Not mapped
 * (ELF_C_READ_MMAP): a file truncated meanwhile would kill us by SIGBUS.
 */
int cfi_read(struct object *obj, struct cfi_table *table, struct error *err)
{
	Elf *elf;
	int ret;

	*table = (struct cfi_table){.text = 0};
	elf_version(EV_CURRENT);
	elf = elf_begin(object_fd(obj), ELF_C_READ, NULL);
	ret = read_table(elf, table);
	elf_end(elf);
	return explain(ret, object_name(obj), err);
}

/* elf_memory takes a pointer to what may be written, but writes nothing. */
int cfi_read_image(const void *image, size_t len, const char *name, struct cfi_table *table,
		   struct error *err)
{
	Elf *elf;
	int ret;

	*table = (struct cfi_table){.text = 0};
	elf_version(EV_CURRENT);
	elf = elf_memory((char *)(uintptr_t)image, len);
	ret = read_table(elf, table);
	elf_end(elf);
	return explain(ret, name, err);
}

void cfi_free(struct cfi_table *table)
{
	free(table->rows);
	free(table->pages);
	*table = (struct cfi_table){.text = 0};
}
