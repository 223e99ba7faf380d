#include "target/object.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/overlay.h"
#include "target/symtab.h"

#define PAGE 4096ULL
#define SEGMENTS_MAX 64
#define FD_PATH_MAX sizeof("/proc/self/fd/-2147483648")

#ifndef DF_1_PIE
#define DF_1_PIE 0x08000000
#endif

struct object {
	int fd;
	Elf *elf;
	uint16_t type, machine;
	dev_t dev;
	uint64_t inode;
	struct symtab *dynsym, *symtab;   /* read when first asked for */
	GElf_Phdr segments[SEGMENTS_MAX]; /* PT_LOAD */
	size_t segment_cnt;
	bool has_interpreter;
	char access_path[FD_PATH_MAX];
	char name[]; /* in the target */
};

/* Regular files only: opening a device or a FIFO would do something, or hang. */
static int open_file(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err;

	if (fd < 0)
		return -errno;
	if (fstat(fd, st))
		err = -errno;
	else if (!S_ISREG(st->st_mode))
		err = -ENOEXEC;
	else
		return fd;
	close(fd);
	return err;
}

static int read_header(struct object *obj)
{
	GElf_Ehdr head;
	GElf_Phdr segment;
	size_t cnt;

	/* Not mapped (ELF_C_READ_MMAP): a file truncated meanwhile would kill us by SIGBUS. */
	obj->elf = elf_begin(obj->fd, ELF_C_READ, NULL);
	if (!obj->elf || elf_kind(obj->elf) != ELF_K_ELF || !gelf_getehdr(obj->elf, &head))
		return -ENOEXEC;
	if (head.e_ident[EI_CLASS] != ELFCLASS64 || (head.e_type != ET_EXEC && head.e_type != ET_DYN))
		return -ENOEXEC;
	obj->type = head.e_type;
	obj->machine = head.e_machine;
	if (elf_getphdrnum(obj->elf, &cnt))
		return -ENOEXEC;
	for (size_t i = 0; i < cnt && obj->segment_cnt < SEGMENTS_MAX; i++) {
		if (!gelf_getphdr(obj->elf, (int)i, &segment))
			break;
		if (segment.p_type == PT_LOAD)
			obj->segments[obj->segment_cnt++] = segment;
		else if (segment.p_type == PT_INTERP)
			obj->has_interpreter = true;
	}
	return 0;
}

/* Takes fd over, also when it fails. */
static int object_new(int fd, const char *name, dev_t dev, uint64_t inode, struct object **result)
{
	size_t len = strlen(name) + 1;
	struct object *obj = calloc(1, sizeof(*obj) + len);
	int err;

	if (!obj) {
		close(fd);
		return -ENOMEM;
	}
	obj->fd = fd;
	obj->dev = dev;
	obj->inode = inode;
	memcpy(obj->name, name, len);
	snprintf(obj->access_path, sizeof(obj->access_path), "/proc/self/fd/%d", fd);
	elf_version(EV_CURRENT);
	err = read_header(obj);
	if (err) {
		object_free(obj);
		return err;
	}
	*result = obj;
	return 0;
}

/*
 * map_files opens the very file that is mapped, deleted or replaced as it may be, but asks
 * for privilege; the path is opened only if the mapping's inode is still there.
 */
int object_open_mapped(pid_t pid, const struct mapping *m, struct object **obj, struct error *err)
{
	struct stat st = {.st_ino = 0};
	char path[PATH_MAX];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)m->start,
		 (unsigned long long)m->end);
	fd = open_file(path, &st);
	if (fd < 0 && fd != -ENOEXEC) {
		snprintf(path, sizeof(path), "/proc/%d/root%s", pid, m->name);
		fd = open_file(path, &st);
		if (fd >= 0 && st.st_ino != m->inode) {
			close(fd);
			fd = -ENOENT;
		}
	}
	ret = fd < 0 ? fd : object_new(fd, m->name, m->dev, m->inode, obj);
	if (!ret)
		return 0;
	if (ret == -ENOEXEC)
		return error_set(err, ret, "%s is not a 64-bit ELF program or library", m->name);
	return error_set(err, ret == -ENOMEM ? ret : -ENOENT,
			 "cannot open %s as process %d has it mapped: %s", m->name, pid, strerror(-ret));
}

int object_open_lower(pid_t pid, const struct mapping *m, struct object **obj)
{
	struct stat st;
	int fd = overlay_open_lower(pid, m, &st);

	return fd < 0 ? fd : object_new(fd, m->name, m->dev, m->inode, obj);
}

int object_open_path(pid_t pid, const char *path, struct object **obj, struct error *err)
{
	struct stat st = {.st_ino = 0};
	char full[PATH_MAX];
	int fd, ret;

	if (snprintf(full, sizeof(full), "/proc/%d/root%s", pid, path) >= (int)sizeof(full))
		return error_set(err, -ENOENT, "%s: the path is too long", path);
	fd = open_file(full, &st);
	ret = fd < 0 ? fd : object_new(fd, path, st.st_dev, st.st_ino, obj);
	if (!ret)
		return 0;
	if (ret == -ENOEXEC)
		return error_set(err, ret, "%s is not a 64-bit ELF program or library", path);
	return error_set(err, ret, "cannot open %s of process %d: %s", path, pid, strerror(-ret));
}

void object_free(struct object *obj)
{
	if (!obj)
		return;
	symtab_free(obj->dynsym);
	symtab_free(obj->symtab);
	elf_end(obj->elf);
	close(obj->fd);
	free(obj);
}

const char *object_access_path(const struct object *obj)
{
	return obj->access_path;
}

int object_fd(const struct object *obj)
{
	return obj->fd;
}

const char *object_name(const struct object *obj)
{
	return obj->name;
}

dev_t object_dev(const struct object *obj)
{
	return obj->dev;
}

uint64_t object_inode(const struct object *obj)
{
	return obj->inode;
}

static Elf_Scn *section_of_type(Elf *elf, uint32_t type, GElf_Shdr *head)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, head) && head->sh_type == type)
			return scn;
	return NULL;
}

/* A static PIE has no interpreter, as a library has none: only its DT_FLAGS_1 tell them apart. */
static bool is_pie(const struct object *obj)
{
	GElf_Shdr head;
	GElf_Dyn dyn;
	Elf_Scn *scn = section_of_type(obj->elf, SHT_DYNAMIC, &head);
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;

	for (int i = 0; data && gelf_getdyn(data, i, &dyn) && dyn.d_tag != DT_NULL; i++)
		if (dyn.d_tag == DT_FLAGS_1)
			return dyn.d_un.d_val & DF_1_PIE;
	return false;
}

bool object_is_static(const struct object *obj)
{
	return !obj->has_interpreter && (obj->type == ET_EXEC || is_pie(obj));
}

bool object_is_program(const struct object *obj)
{
	return obj->has_interpreter || object_is_static(obj);
}

size_t object_build_id(struct object *obj, uint8_t *id, size_t size)
{
	const void *bits;
	ssize_t len = dwelf_elf_gnu_build_id(obj->elf, &bits);

	if (len <= 0 || (size_t)len > size)
		return 0;
	memcpy(id, bits, (size_t)len);
	return (size_t)len;
}

/* Both tables, .dynsym first; each is read when it is first needed. */
static const struct symtab *table(struct object *obj, int i)
{
	struct symtab **tab = i == 0 ? &obj->dynsym : &obj->symtab;

	if (!*tab)
		*tab = symtab_new(obj->elf, i == 0 ? SHT_DYNSYM : SHT_SYMTAB);
	return *tab;
}

bool object_file_offset(const struct object *obj, uint64_t vaddr, uint64_t *file_offset)
{
	for (size_t i = 0; i < obj->segment_cnt; i++) {
		const GElf_Phdr *s = &obj->segments[i];

		if (vaddr >= s->p_vaddr && vaddr - s->p_vaddr < s->p_filesz) {
			*file_offset = vaddr - s->p_vaddr + s->p_offset;
			return true;
		}
	}
	return false;
}

static bool to_vaddr(const struct object *obj, uint64_t file_offset, uint64_t *vaddr)
{
	for (size_t i = 0; i < obj->segment_cnt; i++) {
		const GElf_Phdr *s = &obj->segments[i];

		if (file_offset >= s->p_offset && file_offset - s->p_offset < s->p_filesz) {
			*vaddr = file_offset - s->p_offset + s->p_vaddr;
			return true;
		}
	}
	return false;
}

int object_find_symbol(struct object *obj, const char *name, struct object_symbol *sym)
{
	GElf_Sym s;

	for (int i = 0; i < 2; i++) {
		const struct symtab *tab = table(obj, i);

		if (!tab || symtab_find(tab, name, &s, &sym->name))
			continue;
		sym->value = s.st_value;
		sym->size = s.st_size;
		if (object_file_offset(obj, s.st_value, &sym->file_offset))
			return 0;
	}
	return -ENOENT;
}

int object_find_data(struct object *obj, const char *name, struct object_symbol *sym)
{
	GElf_Sym s;

	for (int i = 0; i < 2; i++) {
		const struct symtab *tab = table(obj, i);

		if (!tab || symtab_find_data(tab, name, &s))
			continue;
		*sym = (struct object_symbol){.name = name, .value = s.st_value, .size = s.st_size};
		object_file_offset(obj, s.st_value, &sym->file_offset);
		return 0;
	}
	return -ENOENT;
}

int object_symbol_at(struct object *obj, uint64_t file_offset, struct object_symbol *sym)
{
	GElf_Sym best = {.st_value = 0}, s;
	const char *name, *best_name = NULL;
	uint64_t vaddr;

	if (!to_vaddr(obj, file_offset, &vaddr))
		return -ENOENT;
	for (int i = 0; i < 2; i++) {
		const struct symtab *tab = table(obj, i);

		if (!tab || symtab_at(tab, vaddr, &s, &name) || s.st_value <= best.st_value)
			continue;
		best = s;
		best_name = name;
	}
	/* Where the file says that the function ends before, what covers the offset has no name. */
	if (!best_name || (best.st_size && vaddr - best.st_value >= best.st_size))
		return -ENOENT;
	*sym = (struct object_symbol){.name = best_name, .value = best.st_value, .size = best.st_size};
	return object_file_offset(obj, best.st_value, &sym->file_offset) ? 0 : -ENOENT;
}

struct each_function {
	void (*fn)(const struct object_symbol *sym, void *arg);
	void *arg;
};

static void pass_function(const GElf_Sym *sym, const char *name, void *arg)
{
	const struct each_function *each = arg;
	const struct object_symbol s = {.name = name, .value = sym->st_value, .size = sym->st_size};

	each->fn(&s, each->arg);
}

void object_each_function(struct object *obj, void (*fn)(const struct object_symbol *sym, void *arg),
			  void *arg)
{
	struct each_function each = {fn, arg};

	for (int i = 0; i < 2; i++) {
		const struct symtab *tab = table(obj, i);

		if (tab)
			symtab_each(tab, pass_function, &each);
	}
}

ssize_t object_read(const struct object *obj, uint64_t file_offset, void *buf, size_t len)
{
	ssize_t got;

	if (file_offset > INT64_MAX)
		return -EINVAL;
	got = pread(obj->fd, buf, len, (off_t)file_offset);
	return got < 0 ? -errno : got;
}

/* The banner of glibc's csu/version.c, in .rodata. */
unsigned object_glibc_version(struct object *obj)
{
	static const char words[] = "release version ";
	const char *end, *at;
	Elf_Data *data = NULL;
	Elf_Scn *scn = NULL;
	GElf_Shdr head;
	unsigned minor = 0;
	size_t names;

	if (elf_getshdrstrndx(obj->elf, &names))
		return 0;
	while (!data && (scn = elf_nextscn(obj->elf, scn))) {
		const char *name;

		if (!gelf_getshdr(scn, &head))
			continue;
		name = elf_strptr(obj->elf, names, head.sh_name);
		if (name && !strcmp(name, ".rodata"))
			data = elf_rawdata(scn, NULL);
	}
	if (!data || !data->d_buf)
		return 0;
	end = (const char *)data->d_buf + data->d_size;
	at = memmem(data->d_buf, data->d_size, words, sizeof(words) - 1);
	if (!at)
		return 0;
	at += sizeof(words) - 1;
	if (end - at < 3 || at[0] != '2' || at[1] != '.')
		return 0;
	for (at += 2; at < end && *at >= '0' && *at <= '9' && minor < 1000; at++)
		minor = minor * 10 + (unsigned)(*at - '0');
	return minor < 1000 ? 2000 + minor : 0;
}

/* Relocations by which the loader stores a function's address (the psABIs of x86-64 and AArch64). */
static bool is_slot(uint16_t machine, uint64_t type)
{
	switch (machine) {
	case EM_X86_64:
		return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
	case EM_AARCH64:
		return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
	default:
		return false;
	}
}

struct slot_section {
	Elf_Data *relocs, *symbols;
	size_t strings;
};

static bool open_slot_section(Elf *elf, Elf_Scn *scn, struct slot_section *section)
{
	GElf_Shdr head, symbols_head;
	Elf_Scn *symbols;

	if (!gelf_getshdr(scn, &head) || head.sh_type != SHT_RELA)
		return false;
	symbols = elf_getscn(elf, head.sh_link);
	if (!symbols || !gelf_getshdr(symbols, &symbols_head) || symbols_head.sh_type != SHT_DYNSYM)
		return false;
	section->relocs = elf_getdata(scn, NULL);
	section->symbols = elf_getdata(symbols, NULL);
	section->strings = symbols_head.sh_link;
	return section->relocs && section->symbols;
}

int object_each_slot(struct object *obj, int (*fn)(const struct object_slot *slot, void *arg), void *arg)
{
	struct slot_section section;
	Elf_Scn *scn = NULL;
	GElf_Rela rela;
	GElf_Sym sym;

	while ((scn = elf_nextscn(obj->elf, scn))) {
		if (!open_slot_section(obj->elf, scn, &section))
			continue;
		for (int i = 0; gelf_getrela(section.relocs, i, &rela); i++) {
			struct object_slot slot = {.value = rela.r_offset};
			int ret;

			if (!is_slot(obj->machine, GELF_R_TYPE(rela.r_info)) ||
			    !gelf_getsym(section.symbols, (int)GELF_R_SYM(rela.r_info), &sym))
				continue;
			slot.symbol = elf_strptr(obj->elf, section.strings, sym.st_name);
			if (!slot.symbol)
				continue;
			ret = fn(&slot, arg);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/*
 * Two segments may share a page of the file (the end of one, the start of the next): the
 * one of the mapping's own permissions is meant.
 */
uint64_t object_bias(const struct object *obj, const struct mapping *m)
{
	const GElf_Phdr *match = NULL;

	for (size_t i = 0; i < obj->segment_cnt; i++) {
		const GElf_Phdr *s = &obj->segments[i];

		if (m->offset < (s->p_offset & ~(PAGE - 1)) || m->offset >= s->p_offset + s->p_filesz)
			continue;
		if (!match || m->exec == !!(s->p_flags & PF_X))
			match = s;
	}
	return match ? m->start - (m->offset - match->p_offset + match->p_vaddr) : 0;
}
