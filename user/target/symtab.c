#include "target/symtab.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SYMBOLS_MAX (8u << 20)
#define VERSION_HIDDEN 0x8000 /* elf.h has no name for it: not the default version */

struct symtab {
	Elf *elf;
	Elf_Data *data;     /* NULL: no such table */
	Elf_Data *versions; /* of .dynsym; may be NULL */
	size_t strings;     /* section of the names */
	uint32_t cnt;       /* symbols in data */
	uint32_t *buckets;  /* symbol index, 0: empty; open addressing, bucket_cnt a power of two */
	uint32_t bucket_cnt;
};

static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return hash;
}

/* An IFUNC's value is its resolver, not the function. */
static bool is_function(const GElf_Sym *sym)
{
	return GELF_ST_TYPE(sym->st_info) == STT_FUNC && sym->st_shndx != SHN_UNDEF && sym->st_value;
}

static bool is_default_version(const struct symtab *tab, uint32_t i)
{
	GElf_Versym version;

	return !tab->versions || !gelf_getversym(tab->versions, (int)i, &version) ||
	       !(version & VERSION_HIDDEN);
}

/* elf_strptr checks that the name lies in its section and ends there. */
static const char *name_of(const struct symtab *tab, const GElf_Sym *sym)
{
	const char *name = elf_strptr(tab->elf, tab->strings, sym->st_name);

	return name && *name ? name : NULL;
}

static void insert(struct symtab *tab, uint32_t i, const char *name)
{
	uint32_t at = hash_name(name) & (tab->bucket_cnt - 1);

	while (tab->buckets[at])
		at = (at + 1) & (tab->bucket_cnt - 1);
	tab->buckets[at] = i;
}

/* Default versions first: of equal names the one inserted first is found first. */
static void fill(struct symtab *tab)
{
	GElf_Sym sym;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 1; i < tab->cnt; i++) {
			const char *name;

			if (!gelf_getsym(tab->data, (int)i, &sym) || !is_function(&sym))
				continue;
			if (is_default_version(tab, i) != (pass == 0))
				continue;
			name = name_of(tab, &sym);
			if (name)
				insert(tab, i, name);
		}
		if (!tab->versions)
			return;
	}
}

static void find_sections(struct symtab *tab, uint32_t section_type)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr head;

	while ((scn = elf_nextscn(tab->elf, scn))) {
		if (!gelf_getshdr(scn, &head))
			continue;
		if (head.sh_type == section_type && !tab->data) {
			tab->data = elf_getdata(scn, NULL);
			tab->strings = head.sh_link;
		} else if (head.sh_type == SHT_GNU_versym && section_type == SHT_DYNSYM) {
			tab->versions = elf_getdata(scn, NULL);
		}
	}
}

struct symtab *symtab_new(Elf *elf, uint32_t section_type)
{
	struct symtab *tab = calloc(1, sizeof(*tab));
	size_t cnt;

	if (!tab)
		return NULL;
	tab->elf = elf;
	find_sections(tab, section_type);
	if (!tab->data)
		return tab;
	cnt = tab->data->d_size / gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	tab->cnt = cnt < SYMBOLS_MAX ? (uint32_t)cnt : SYMBOLS_MAX;
	for (tab->bucket_cnt = 16; tab->bucket_cnt < tab->cnt * 2; tab->bucket_cnt *= 2)
		;
	tab->buckets = calloc(tab->bucket_cnt, sizeof(*tab->buckets));
	if (!tab->buckets) {
		free(tab);
		return NULL;
	}
	fill(tab);
	return tab;
}

void symtab_free(struct symtab *tab)
{
	if (!tab)
		return;
	free(tab->buckets);
	free(tab);
}

int symtab_find(const struct symtab *tab, const char *name, GElf_Sym *sym, const char **found)
{
	if (!tab->bucket_cnt)
		return -ENOENT;
	for (uint32_t at = hash_name(name); tab->buckets[at & (tab->bucket_cnt - 1)]; at++) {
		uint32_t i = tab->buckets[at & (tab->bucket_cnt - 1)];
		const char *other;

		if (!gelf_getsym(tab->data, (int)i, sym))
			continue;
		other = name_of(tab, sym);
		if (other && !strcmp(other, name)) {
			*found = other;
			return 0;
		}
	}
	return -ENOENT;
}

int symtab_find_data(const struct symtab *tab, const char *name, GElf_Sym *sym)
{
	for (uint32_t i = 1; i < tab->cnt; i++) {
		const char *other;

		if (!gelf_getsym(tab->data, (int)i, sym) || GELF_ST_TYPE(sym->st_info) != STT_OBJECT ||
		    sym->st_shndx == SHN_UNDEF)
			continue;
		other = name_of(tab, sym);
		if (other && !strcmp(other, name))
			return 0;
	}
	return -ENOENT;
}

void symtab_each(const struct symtab *tab, void (*fn)(const GElf_Sym *sym, const char *name, void *arg),
		 void *arg)
{
	GElf_Sym sym;

	for (uint32_t i = 1; i < tab->cnt; i++) {
		const char *name =
			gelf_getsym(tab->data, (int)i, &sym) && is_function(&sym) ? name_of(tab, &sym) : NULL;

		if (name)
			fn(&sym, name, arg);
	}
}

int symtab_at(const struct symtab *tab, uint64_t addr, GElf_Sym *sym, const char **found)
{
	GElf_Sym best = {.st_value = 0}, s;

	for (uint32_t i = 1; i < tab->cnt; i++) {
		if (!gelf_getsym(tab->data, (int)i, &s) || !is_function(&s) || s.st_value > addr)
			continue;
		if (s.st_value > best.st_value && name_of(tab, &s))
			best = s;
	}
	if (!best.st_value)
		return -ENOENT;
	*sym = best;
	*found = name_of(tab, &best);
	return 0;
}
