#include "target/contents.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_MAX 64

/* The range that holds len bytes at addr. */
static const struct contents_range *range_of(const struct contents *c, uint64_t addr, uint64_t len)
{
	for (size_t i = 0; i < c->cnt; i++) {
		const struct contents_range *r = &c->v[i];

		if (addr >= r->start && addr - r->start < r->len && len <= r->len - (addr - r->start))
			return r;
	}
	return NULL;
}

static int add_range(struct contents *c, const struct object *obj, const GElf_Phdr *segment)
{
	struct contents_range *r = &c->v[c->cnt];
	ssize_t got;

	r->bytes = malloc(segment->p_filesz);
	if (!r->bytes)
		return -ENOMEM;
	c->cnt++;
	got = object_read(obj, segment->p_offset, r->bytes, segment->p_filesz);
	if (got < 0)
		return (int)got;
	r->start = segment->p_vaddr;
	r->len = (uint64_t)got;
	return 0;
}

static int read_segments(struct contents *c, const struct object *obj, Elf *elf, uint64_t max)
{
	GElf_Phdr segment;
	uint64_t sum = 0;
	size_t cnt;
	int ret = 0;

	if (elf_getphdrnum(elf, &cnt))
		return -ENOEXEC;
	for (size_t i = 0; !ret && i < cnt && i < SEGMENTS_MAX && c->cnt < CONTENTS_RANGES_MAX; i++) {
		if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_LOAD || !segment.p_filesz)
			continue;
		if (segment.p_filesz > max - sum)
			return -EFBIG;
		sum += segment.p_filesz;
		ret = add_range(c, obj, &segment);
	}
	return ret;
}

/* By which the loader stores an address of the object itself (the psABIs of x86-64 and AArch64). */
static bool is_relative(uint16_t machine, uint64_t type)
{
	return machine == EM_X86_64    ? type == R_X86_64_RELATIVE
	       : machine == EM_AARCH64 ? type == R_AARCH64_RELATIVE
				       : false;
}

/* Those with addends; where they are packed (SHT_RELR) the bytes hold the address already. */
static void relocate(struct contents *c, Elf *elf, uint16_t machine)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr head;
	GElf_Rela rela;

	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *data =
			gelf_getshdr(scn, &head) && head.sh_type == SHT_RELA ? elf_getdata(scn, NULL) : NULL;

		for (int i = 0; data && gelf_getrela(data, i, &rela); i++) {
			const struct contents_range *r;
			uint64_t value = (uint64_t)rela.r_addend;

			if (!is_relative(machine, GELF_R_TYPE(rela.r_info)))
				continue;
			r = range_of(c, rela.r_offset, sizeof(value));
			if (r)
				memcpy(r->bytes + (rela.r_offset - r->start), &value, sizeof(value));
		}
	}
}

int contents_read(const struct object *obj, uint64_t max, struct contents *c)
{
	Elf *elf;
	GElf_Ehdr head;
	int ret;

	*c = (struct contents){.cnt = 0};
	elf_version(EV_CURRENT);
	elf = elf_begin(object_fd(obj), ELF_C_READ, NULL);
	if (!elf || !gelf_getehdr(elf, &head))
		ret = -ENOEXEC;
	else
		ret = read_segments(c, obj, elf, max);
	if (!ret)
		relocate(c, elf, head.e_machine);
	elf_end(elf);
	if (ret)
		contents_free(c);
	return ret;
}

void contents_free(struct contents *c)
{
	while (c->cnt)
		free(c->v[--c->cnt].bytes);
}

bool contents_word(const struct contents *c, uint64_t addr, uint64_t *word)
{
	const struct contents_range *r = range_of(c, addr, sizeof(*word));

	if (r)
		memcpy(word, r->bytes + (addr - r->start), sizeof(*word));
	return r;
}

bool contents_is_text(const struct contents *c, uint64_t addr, const char *text)
{
	size_t len = strlen(text) + 1;
	const struct contents_range *r = range_of(c, addr, len);

	return r && !memcmp(r->bytes + (addr - r->start), text, len);
}
