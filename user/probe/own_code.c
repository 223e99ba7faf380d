#include "probe/own_code.h"

#include <errno.h>
#include <link.h>

struct search {
	const void *code;
	uint64_t *offset;
};

/* The program itself comes first. */
static int find_offset(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct search *search = arg;
	uint64_t addr = (uintptr_t)search->code - info->dlpi_addr;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && addr >= p->p_vaddr && addr - p->p_vaddr < p->p_filesz) {
			*search->offset = addr - p->p_vaddr + p->p_offset;
			return 1;
		}
	}
	return -ENOENT;
}

int own_code_offset(const void *code, uint64_t *file_offset)
{
	struct search search = {code, file_offset};

	return dl_iterate_phdr(find_offset, &search) == 1 ? 0 : -ENOENT;
}
