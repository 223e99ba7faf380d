/* Call frame information in files: the system's own, stripped, compressed and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cfi_fault.h"
#include "target/cfi.h"

struct file {
	unsigned char *bytes;
	size_t len;
};

static struct file read_file(const char *path)
{
	struct file file = {0};
	struct stat st;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	file.len = (size_t)st.st_size;
	file.bytes = malloc(file.len);
	assert_non_null(file.bytes);
	assert_int_equal(read(fd, file.bytes, file.len), st.st_size);
	close(fd);
	return file;
}

static void write_file(const char *path, struct file file)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, file.bytes, file.len), file.len);
	close(fd);
}

static void assert_same(const struct cfi_table *a, const struct cfi_table *b)
{
	assert_int_equal(a->row_cnt, b->row_cnt);
	assert_int_equal(a->page_cnt, b->page_cnt);
	assert_int_equal(a->text, b->text);
	assert_memory_equal(a->rows, b->rows, a->row_cnt * sizeof(*a->rows));
	assert_memory_equal(a->pages, b->pages, a->page_cnt * sizeof(*a->pages));
}

/* The loader, whose headers of sections go: the header of .eh_frame is found as the loader finds it. */
static void without_section_headers(void **state)
{
	const char *path = "/lib64/ld-linux-x86-64.so.2";
	struct file file = read_file(path);
	struct cfi_table from_file, from_image, stripped;
	struct object *obj = NULL;
	Elf64_Ehdr head;

	(void)state;
	assert_int_equal(object_open_path(getpid(), path, &obj, NULL), 0);
	assert_int_equal(cfi_read(obj, &from_file, NULL), 0);
	assert_int_equal(cfi_read_image(file.bytes, file.len, "image", &from_image, NULL), 0);
	memcpy(&head, file.bytes, sizeof(head));
	head.e_shoff = 0;
	head.e_shnum = head.e_shstrndx = 0;
	memcpy(file.bytes, &head, sizeof(head));
	assert_int_equal(cfi_read_image(file.bytes, file.len, "image", &stripped, NULL), 0);
	assert_null(table_fault(&from_file));
	assert_same(&from_file, &from_image);
	assert_same(&from_file, &stripped);
	cfi_free(&from_file);
	cfi_free(&from_image);
	cfi_free(&stripped);
	object_free(obj);
	free(file.bytes);
}

static void vdso(void **state)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	struct cfi_table table;
	size_t len;

	(void)state;
	if (!head)
		skip();
	len = (head->e_shoff + (size_t)head->e_shnum * head->e_shentsize + 4095) & ~4095UL;
	assert_int_equal(cfi_read_image(head, len, "[vdso]", &table, NULL), 0);
	assert_null(table_fault(&table));
	cfi_free(&table);
}

/* The same functions by .eh_frame, by .debug_frame, and by a compressed one. */
static void debug_frame(void **state)
{
	static const char source[] = "int f(int); int g(int x) { char v[x]; return f(v[x / 2]) + 1; }\n"
				     "int h(int a, int b) { return g(a) / g(b); }\n";
	static const struct {
		const char *flags, *section;
	} ways[] = {
		{"-fasynchronous-unwind-tables", ".eh_frame"},
		{"-fno-asynchronous-unwind-tables -fno-unwind-tables -g", ".debug_frame"},
		{"-fno-asynchronous-unwind-tables -fno-unwind-tables -g -gz", ".debug_frame, compressed"},
	};
	char folder[] = "/tmp/cfi_test.XXXXXX", command[512];
	struct cfi_table tables[3];

	(void)state;
	if (system("command -v gcc >/dev/null"))
		skip();
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < 3; i++) {
		struct object *obj = NULL;

		snprintf(command, sizeof(command), "%s/x.c", folder);
		write_file(command, (struct file){(unsigned char *)(uintptr_t)source, sizeof(source) - 1});
		snprintf(command, sizeof(command),
			 "gcc -O2 -shared -fPIC -nostdlib -Wl,-z,lazy %s %s/x.c -o %s/x.so 2>/dev/null",
			 ways[i].flags, folder, folder);
		assert_int_equal(system(command), 0);
		snprintf(command, sizeof(command), "%s/x.so", folder);
		assert_int_equal(object_open_path(getpid(), command, &obj, NULL), 0);
		if (i) {
			/* The linker makes an .eh_frame of the PLT's, which is to be away. */
			snprintf(command, sizeof(command),
				 "objcopy -R .eh_frame -R .eh_frame_hdr %s/x.so 2>/dev/null", folder);
			assert_int_equal(system(command), 0);
			object_free(obj);
			snprintf(command, sizeof(command), "%s/x.so", folder);
			assert_int_equal(object_open_path(getpid(), command, &obj, NULL), 0);
		}
		if (cfi_read(obj, &tables[i], NULL))
			fail_msg("%s", ways[i].section);
		assert_null(table_fault(&tables[i]));
		object_free(obj);
	}
	assert_same(&tables[1], &tables[2]);
	/* What .debug_frame says is at the end of what .eh_frame says, behind the PLT. */
	assert_true(tables[1].row_cnt > 4 && tables[1].row_cnt <= tables[0].row_cnt);
	for (size_t i = 1; i < tables[1].row_cnt; i++)
		assert_memory_equal(&tables[1].rows[tables[1].row_cnt - i],
				    &tables[0].rows[tables[0].row_cnt - i], sizeof(struct unwind_row));
	for (size_t i = 0; i < 3; i++)
		cfi_free(&tables[i]);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void what_cannot_be_read_is_said(void **state)
{
	struct file file = read_file("/lib64/ld-linux-x86-64.so.2");
	struct cfi_table table;
	struct error err;
	Elf64_Ehdr head;

	(void)state;
	assert_int_equal(cfi_read_image("nonsense", 8, "a thing", &table, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "a thing"));
	memcpy(&head, file.bytes, sizeof(head));
	head.e_machine = EM_AARCH64;
	memcpy(file.bytes, &head, sizeof(head));
	assert_int_equal(cfi_read_image(file.bytes, file.len, "a thing", &table, &err), -ENOTSUP);
	head.e_machine = EM_X86_64;
	head.e_shnum = head.e_phnum = 0;
	head.e_shoff = head.e_phoff = 0;
	memcpy(file.bytes, &head, sizeof(head));
	assert_int_equal(cfi_read_image(file.bytes, file.len, "a thing", &table, &err), -ENOENT);
	assert_null(table.rows);
	free(file.bytes);
}

static void assert_survived(struct file file, size_t at)
{
	struct cfi_table table;

	if (cfi_read_image(file.bytes, file.len, "image", &table, NULL))
		return;
	if (table_fault(&table))
		fail_msg("damaged at %zu: %s", at, table_fault(&table));
	cfi_free(&table);
}

/* The loader with a bit turned, in its headers and all over its .eh_frame (ASan watches). */
static void damaged_files_are_survived(void **state)
{
	struct file file = read_file("/lib64/ld-linux-x86-64.so.2");
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)file.bytes;
	const Elf64_Phdr *segments = (const Elf64_Phdr *)(file.bytes + head->e_phoff);
	size_t frames = 0;

	(void)state;
	for (int i = 0; i < head->e_phnum; i++)
		if (segments[i].p_type == PT_GNU_EH_FRAME)
			frames = segments[i].p_offset;
	assert_true(frames);
	for (size_t i = 0; i < 4000; i++) {
		size_t at = i < 1000 ? i : i < 1020 ? frames + i - 1000 : frames + (i - 1020) * 11 % 0x3c00;
		unsigned char saved = file.bytes[at];

		file.bytes[at] ^= (unsigned char)(1 << i % 8);
		assert_survived(file, at);
		file.bytes[at] = saved;
	}
	for (size_t len = file.len; len > 64; len -= len / 50 + 1)
		assert_survived((struct file){file.bytes, len}, len);
	free(file.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_section_headers),
		cmocka_unit_test(vdso),
		cmocka_unit_test(debug_frame),
		cmocka_unit_test(what_cannot_be_read_is_said),
		cmocka_unit_test(damaged_files_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
