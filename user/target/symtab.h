/*
 * The functions of one ELF symbol table, found by name in constant time: some libraries
 * have 100,000 symbols, and fingerprints are looked up in each. Hostile input.
 */
#ifndef ALLOCTRACE_TARGET_SYMTAB_H
#define ALLOCTRACE_TARGET_SYMTAB_H

#include <gelf.h>
#include <stddef.h>
#include <stdint.h>

struct symtab; /* opaque; its names belong to the Elf handle */

/* The table of section type SHT_DYNSYM or SHT_SYMTAB; an empty one if the file has none. NULL: no memory. */
struct symtab *symtab_new(Elf *elf, uint32_t section_type);
void symtab_free(struct symtab *tab); /* NULL-safe */

/* The defined function of that name, default version first. 0, or −ENOENT. */
int symtab_find(const struct symtab *tab, const char *name, GElf_Sym *sym, const char **found);
/* The defined variable of that name: looked for in the whole table, so for a few names only. 0, or −ENOENT. */
int symtab_find_data(const struct symtab *tab, const char *name, GElf_Sym *sym);
/* Calls fn for every defined function, in the table's order. */
void symtab_each(const struct symtab *tab, void (*fn)(const GElf_Sym *sym, const char *name, void *arg), void *arg);
/* The function with the greatest value not above addr. 0, or −ENOENT. */
int symtab_at(const struct symtab *tab, uint64_t addr, GElf_Sym *sym, const char **found);

#endif
