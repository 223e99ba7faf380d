/* ELF objects as a target has them: this very process is the target, and files made to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/object.h"

/* The mapping that holds addr, read without the maps room: this test links only its own. */
static struct mapping mapping_of(const void *addr, char name[512])
{
	FILE *f = fopen("/proc/self/maps", "r");
	struct mapping m = {.name = name};
	char line[1024], perms[8];
	unsigned long start, end, offset, inode;
	unsigned major, minor;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		name[0] = '\0';
		if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu %511s", &start, &end, perms, &offset, &major,
			   &minor, &inode, name) < 7)
			continue;
		if ((uintptr_t)addr < start || (uintptr_t)addr >= end)
			continue;
		m.start = start;
		m.end = end;
		m.offset = offset;
		m.inode = inode;
		m.exec = perms[2] == 'x';
		m.write = perms[1] == 'w';
		fclose(f);
		return m;
	}
	fail_msg("address not mapped");
	return m;
}

static struct object *open_libc(struct mapping *m, char name[512])
{
	struct object *obj = NULL;
	struct error err;

	*m = mapping_of((void *)(uintptr_t)malloc_trim, name);
	assert_int_equal(object_open_mapped(getpid(), m, &obj, &err), 0);
	return obj;
}

static void finds_what_runs(void **state)
{
	char name[512];
	struct mapping m;
	struct object *obj = open_libc(&m, name);
	struct object_symbol sym, at;
	unsigned char code[16];

	(void)state;
	assert_int_equal(object_find_symbol(obj, "malloc_trim", &sym), 0);
	assert_int_equal(object_bias(obj, &m) + sym.value, (uintptr_t)malloc_trim);
	assert_int_equal(object_read(obj, sym.file_offset, code, sizeof(code)), sizeof(code));
	assert_memory_equal(code, (void *)(uintptr_t)malloc_trim, sizeof(code));
	assert_int_equal(object_symbol_at(obj, sym.file_offset + 5, &at), 0);
	assert_string_equal(at.name, "malloc_trim");
	assert_int_equal(object_symbol_at(obj, UINT64_MAX - 5, &at), -ENOENT);
	assert_string_equal(object_name(obj), m.name);
	assert_int_equal(object_inode(obj), m.inode);
	assert_false(object_is_static(obj));
	object_free(obj);
}

static void bias_is_the_same_for_every_mapping(void **state)
{
	char name[512], data_name[512];
	struct mapping m, data;
	struct object *obj = open_libc(&m, name);

	(void)state;
	data = mapping_of(stdout, data_name);
	assert_string_equal(data.name, m.name);
	assert_int_equal(object_bias(obj, &data), object_bias(obj, &m));
	object_free(obj);
}

static void declines_what_is_no_function(void **state)
{
	char name[512];
	struct mapping m;
	struct object *obj = open_libc(&m, name);
	struct object_symbol sym;

	(void)state;
	assert_int_equal(object_find_symbol(obj, "no_such_function", &sym), -ENOENT);
	assert_int_equal(object_find_symbol(obj, "", &sym), -ENOENT);
	assert_int_equal(object_find_symbol(obj, "environ", &sym), -ENOENT); /* data */
	assert_int_equal(object_find_symbol(obj, "strlen", &sym), -ENOENT);  /* IFUNC */
	object_free(obj);
}

static void reads_the_version(void **state)
{
	char name[512];
	struct mapping m;
	struct object *obj = open_libc(&m, name);

	(void)state;
	assert_int_equal(object_glibc_version(obj), 2000 + atoi(gnu_get_libc_version() + 2));
	object_free(obj);
}

struct wanted {
	const char *symbol;
	uint64_t value;
};

static int want(const struct object_slot *slot, void *arg)
{
	struct wanted *w = arg;

	if (strcmp(slot->symbol, w->symbol))
		return 0;
	w->value = slot->value;
	return 7;
}

static void slots_point_at_the_function(void **state)
{
	char name[512];
	struct mapping m = mapping_of((void *)(uintptr_t)slots_point_at_the_function, name);
	struct wanted w = {.symbol = "malloc_trim"};
	struct object *obj = NULL;

	(void)state;
	malloc_trim(0); /* bound by now, also if the loader is lazy */
	assert_int_equal(object_open_mapped(getpid(), &m, &obj, NULL), 0);
	assert_int_equal(object_each_slot(obj, want, &w), 7);
	assert_int_equal(*(uintptr_t *)(object_bias(obj, &m) + w.value),
			 (uintptr_t)dlsym(RTLD_DEFAULT, "malloc_trim"));
	w.symbol = "no_such_function";
	assert_int_equal(object_each_slot(obj, want, &w), 0);
	object_free(obj);
}

static void access_path_is_the_file(void **state)
{
	char name[512];
	struct mapping m;
	struct object *obj = open_libc(&m, name), *same = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(stat(object_access_path(obj), &st), 0);
	assert_int_equal(st.st_ino, m.inode);
	assert_int_equal(object_open_path(getpid(), m.name, &same, NULL), 0);
	assert_int_equal(object_inode(same), m.inode);
	object_free(same);
	object_free(obj);
}

static void another_inode_is_not_it(void **state)
{
	char name[512];
	struct mapping m = mapping_of((void *)(uintptr_t)malloc_trim, name);
	struct object *obj = NULL;
	struct error err;

	(void)state;
	m.start++; /* no such entry in map_files: the path is all there is */
	m.inode++;
	assert_int_equal(object_open_mapped(getpid(), &m, &obj, &err), -ENOENT);
	assert_null(obj);
	assert_non_null(strstr(err.text, m.name));
}

static void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* The end of the code and the start of the data lie on one page of the file, which is mapped twice. */
static void bias_where_segments_share_a_page(void **state)
{
	const uint64_t base = 0x7f0000000000;
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr segments[2];
	} file = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_DYN,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 2},
		.segments =
			{{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 0x1100, .p_memsz = 0x1100},
			 {.p_type = PT_LOAD,
			  .p_flags = PF_R | PF_W,
			  .p_offset = 0x1100,
			  .p_vaddr = 0x2100,
			  .p_filesz = 0x100,
			  .p_memsz = 0x100}},
	};
	struct mapping code = {.start = base + 0x1000, .offset = 0x1000, .exec = true};
	struct mapping data = {.start = base + 0x2000, .offset = 0x1000, .write = true};
	char path[] = "/tmp/object_test.XXXXXX";
	struct object *obj = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &file, sizeof(file)), sizeof(file));
	close(fd);
	assert_int_equal(object_open_path(getpid(), path, &obj, NULL), 0);
	assert_int_equal(object_bias(obj, &code), base);
	assert_int_equal(object_bias(obj, &data), base);
	object_free(obj);
	unlink(path);
}

/* Every byte of libc's headers in turn made absurd: nothing may crash or loop (ASan watches). */
static void corrupt_files_are_survived(void **state)
{
	char name[512], path[] = "/tmp/object_test.XXXXXX";
	struct mapping m;
	struct object *obj = open_libc(&m, name);
	static unsigned char file[64 << 10];
	struct object_symbol sym;
	Elf64_Ehdr head;
	ssize_t len = object_read(obj, 0, file, sizeof(file));
	int fd = mkstemp(path);

	(void)state;
	assert_true(len > (ssize_t)sizeof(head));
	assert_true(fd >= 0);
	close(fd);
	memcpy(&head, file, sizeof(head));
	/* The section headers are at the end of the real file: let the copy have them inside. */
	head.e_shoff = 0x200;
	memcpy(file, &head, sizeof(head));
	for (size_t i = 16; i < 0x1000; i += 3) {
		unsigned char saved = file[i];
		struct object *bad = NULL;

		file[i] = (unsigned char)(saved ^ (i & 1 ? 0xff : 0x80));
		write_file(path, file, (size_t)len);
		if (!object_open_path(getpid(), path, &bad, NULL)) {
			object_find_symbol(bad, "malloc_trim", &sym);
			object_symbol_at(bad, 0x1234, &sym);
			object_each_slot(bad, want, &(struct wanted){.symbol = "x"});
			object_is_static(bad);
			object_glibc_version(bad);
			object_free(bad);
		}
		file[i] = saved;
	}
	unlink(path);
	object_free(obj);
}

static void what_is_no_elf_file_is_said(void **state)
{
	struct object *obj = NULL;
	struct error err;

	(void)state;
	assert_int_equal(object_open_path(getpid(), "/etc/passwd", &obj, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "/etc/passwd"));
	assert_int_equal(object_open_path(getpid(), "/dev/null", &obj, &err), -ENOEXEC);
	assert_int_equal(object_open_path(getpid(), "/no/such/file", &obj, &err), -ENOENT);
	assert_null(obj);
	object_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_runs),
		cmocka_unit_test(bias_is_the_same_for_every_mapping),
		cmocka_unit_test(declines_what_is_no_function),
		cmocka_unit_test(reads_the_version),
		cmocka_unit_test(slots_point_at_the_function),
		cmocka_unit_test(access_path_is_the_file),
		cmocka_unit_test(another_inode_is_not_it),
		cmocka_unit_test(bias_where_segments_share_a_page),
		cmocka_unit_test(corrupt_files_are_survived),
		cmocka_unit_test(what_is_no_elf_file_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
