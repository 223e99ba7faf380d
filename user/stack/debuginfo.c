#include "stack/debuginfo.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/search.h"
#include "stack/debug_file.h"
#include "stack/debug_lines.h"

#define SYMBOLS_MAX (8u << 20)
#define COVERS_TRIED 16 /* symbols before an address that may cover it: one may lie within another */

struct symbol {
	uint64_t start, size;
	const char *name;
	unsigned rank; /* of several names of one function the highest is taken */
};

struct debuginfo {
	Elf *elf;
	int fd;
	int root;
	bool separate;
	Dwfl *dwfl;
	Dwfl_Module *module;
	struct symbol *symbols;
	size_t symbol_cnt;
	bool has_symbols, has_lines; /* tried */
	struct debug_lines *lines;   /* NULL: no DWARF */
	GElf_Addr bias;              /* of its DWARF */
	char path[];
};

/* Not mapped (ELF_C_READ), unlike what libdwfl would open: a file truncated meanwhile would kill us by
 * SIGBUS. */
static int give_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, char **file,
		    Elf **elf)
{
	struct debuginfo *info = *userdata;

	(void)module;
	(void)name;
	(void)base;
	*file = strdup(info->path);
	*elf = info->elf;
	info->elf = NULL; /* libdwfl's now */
	return -1;
}

static int give_debug_file(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			   const char *file, const char *link, GElf_Word crc, char **found)
{
	const struct debuginfo *info = *userdata;
	const unsigned char *id = NULL;
	GElf_Addr where;
	int len, fd;

	if (!info->separate)
		return -1;
	len = dwfl_module_build_id(module, &id, &where);
	fd = debug_file_open(info->root, info->path, id, len > 0 ? (size_t)len : 0, link, crc);
	if (fd >= 0 || !getenv("DEBUGINFOD_URLS"))
		return fd;
	return dwfl_standard_find_debuginfo(module, userdata, name, base, file, link, crc, found);
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = give_elf,
	.find_debuginfo = give_debug_file,
	.section_address = dwfl_offline_section_address,
};

/* Where the object lies as linked. */
static bool extent(Elf *elf, GElf_Addr *start, GElf_Addr *end)
{
	GElf_Phdr segment;
	size_t cnt;

	*start = UINT64_MAX;
	*end = 0;
	if (elf_getphdrnum(elf, &cnt))
		return false;
	for (size_t i = 0; i < cnt && gelf_getphdr(elf, (int)i, &segment); i++) {
		if (segment.p_type != PT_LOAD || segment.p_vaddr + segment.p_memsz < segment.p_vaddr)
			continue;
		if (segment.p_vaddr < *start)
			*start = segment.p_vaddr & ~4095ULL;
		if (segment.p_vaddr + segment.p_memsz > *end)
			*end = segment.p_vaddr + segment.p_memsz;
	}
	return *start < *end;
}

static bool report(struct debuginfo *info)
{
	GElf_Addr start, end;
	void **userdata;

	if (!info->elf || !extent(info->elf, &start, &end))
		return false;
	info->dwfl = dwfl_begin(&callbacks);
	if (!info->dwfl)
		return false;
	dwfl_report_begin(info->dwfl);
	info->module = dwfl_report_module(info->dwfl, info->path, start, end);
	if (!info->module)
		return false;
	dwfl_module_info(info->module, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = info;
	return dwfl_report_end(info->dwfl, NULL, NULL) == 0;
}

struct debuginfo *debuginfo_open(const struct debuginfo_source *source)
{
	size_t path_size = strlen(source->path) + 1;
	struct debuginfo *info = calloc(1, sizeof(*info) + path_size);

	if (!info)
		return NULL;
	memcpy(info->path, source->path, path_size);
	info->root = source->root;
	info->separate = source->separate;
	info->fd = open(source->access_path, O_RDONLY | O_CLOEXEC);
	elf_version(EV_CURRENT);
	info->elf = info->fd < 0 ? NULL : elf_begin(info->fd, ELF_C_READ, NULL);
	if (report(info))
		return info;
	debuginfo_free(info);
	return NULL;
}

void debuginfo_free(struct debuginfo *info)
{
	if (!info)
		return;
	debug_lines_free(info->lines);
	if (info->dwfl)
		dwfl_end(info->dwfl);
	elf_end(info->elf);
	if (info->fd >= 0)
		close(info->fd);
	free(info->symbols);
	free(info);
}

/* The public name of a function rather than the library's own ("malloc", not "__libc_malloc"). */
static unsigned rank_of(const GElf_Sym *sym, const char *name)
{
	unsigned binding = GELF_ST_BIND(sym->st_info);

	return (binding != STB_LOCAL) * 4 + (name[0] != '_' || name[1] == 'Z' || name[1] == 'R') * 2 +
	       (binding == STB_GLOBAL);
}

static int by_start(const void *x, const void *y)
{
	const struct symbol *a = x, *b = y;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return -strcmp(a->name, b->name);
}

/* libdwfl's own search by address looks at every symbol each time. */
static void read_symbols(struct debuginfo *info)
{
	int cnt = dwfl_module_getsymtab(info->module);
	GElf_Addr addr, bias = 0;
	GElf_Sym sym;

	info->has_symbols = true;
	if (cnt <= 0 || (unsigned)cnt > SYMBOLS_MAX)
		return;
	dwfl_module_getelf(info->module, &bias);
	info->symbols = calloc((size_t)cnt, sizeof(*info->symbols));
	for (int i = 1; info->symbols && i < cnt; i++) {
		const char *name = dwfl_module_getsym_info(info->module, i, &sym, &addr, NULL, NULL, NULL);
		unsigned type = GELF_ST_TYPE(sym.st_info);

		if (!name || !*name || sym.st_shndx == SHN_UNDEF ||
		    (type != STT_FUNC && type != STT_GNU_IFUNC))
			continue;
		info->symbols[info->symbol_cnt++] = (struct symbol){
			.start = addr - bias, .size = sym.st_size, .name = name, .rank = rank_of(&sym, name)};
	}
	if (info->symbols && info->symbol_cnt)
		qsort(info->symbols, info->symbol_cnt, sizeof(*info->symbols), by_start);
}

static uint64_t start_of(const void *v, size_t i)
{
	return ((const struct symbol *)v)[i].start;
}

const char *debuginfo_symbol(struct debuginfo *info, uint64_t addr)
{
	size_t upto, last;

	if (!info->has_symbols)
		read_symbols(info);
	upto = search_upto(info->symbols, info->symbol_cnt, start_of, addr);
	last = upto > COVERS_TRIED ? upto - COVERS_TRIED : 0;
	for (size_t i = upto; i > last; i--) {
		const struct symbol *s = &info->symbols[i - 1];

		/* One without a size ends where the next begins. */
		if (addr - s->start < s->size || (!s->size && i == upto))
			return s->name;
	}
	return NULL;
}

static void read_lines(struct debuginfo *info)
{
	Dwarf *dwarf = dwfl_module_getdwarf(info->module, &info->bias);

	info->has_lines = true;
	info->lines = dwarf ? debug_lines_new(dwarf) : NULL;
}

unsigned debuginfo_calls(struct debuginfo *info, uint64_t addr, struct source_frame *v, unsigned max)
{
	if (!info->has_lines)
		read_lines(info);
	return info->lines ? debug_lines_calls(info->lines, addr - info->bias, v, max) : 0;
}

void debuginfo_read(struct debuginfo *info)
{
	if (!info->has_lines)
		read_lines(info);
	if (!info->has_symbols)
		read_symbols(info);
	info->root = -1;
}
