/* SDT probes: notes that this very program has, and the same notes made to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/sdt.h"

#define PROBES_MAX 4
#define COPY_MAX (8 << 20)

/* As <sys/sdt.h> writes them: the place, a base in the text, a counter in writable data. */
#define NOTE(place, semaphore, name, arguments)                                                              \
	".pushsection .note.stapsdt,\"?\",\"note\"\n"                                                        \
	".balign 4\n"                                                                                        \
	".4byte 992f-991f, 994f-993f, 3\n"                                                                   \
	"991: .asciz \"stapsdt\"\n"                                                                          \
	"992: .balign 4\n"                                                                                   \
	"993: .8byte " place "\n"                                                                            \
	".8byte _.stapsdt.base\n"                                                                            \
	".8byte " semaphore "\n"                                                                             \
	".asciz \"testing\"\n"                                                                               \
	".asciz \"" name "\"\n"                                                                              \
	".asciz \"" arguments "\"\n"                                                                         \
	"994: .balign 4\n"                                                                                   \
	".popsection\n"

__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
	".weak _.stapsdt.base\n"
	".hidden _.stapsdt.base\n"
	"_.stapsdt.base: .space 1\n"
	".size _.stapsdt.base, 1\n"
	".popsection\n");

uint16_t counter = 0x5157;

__attribute__((noinline, used)) static void probed(void)
{
	__asm__ volatile("990: nop\n" NOTE("990b", "counter", "begin", "-4@%eax 8@$1"));
	__asm__ volatile("990: nop\n" NOTE("990b", "0", "end", ""));
	__asm__ volatile("990: nop\n" NOTE("990b", "counter", "begin", "-4@%ebx 8@$2"));
}

static struct object *open_file(const char *path)
{
	struct object *obj = NULL;

	assert_int_equal(object_open_path(getpid(), path, &obj, NULL), 0);
	return obj;
}

static struct object *open_self(void)
{
	char path[512];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	assert_true(len > 0);
	path[len] = '\0';
	return open_file(path);
}

static void finds_all_places_of_a_probe(void **state)
{
	struct object *obj = open_self();
	struct sdt_probe v[PROBES_MAX];
	struct object_symbol sym;
	uint8_t nop;
	uint16_t word;

	(void)state;
	assert_int_equal(sdt_find(obj, "testing", "begin", v, PROBES_MAX), 2);
	assert_int_equal(object_find_symbol(obj, "probed", &sym), 0);
	for (int i = 0; i < 2; i++) {
		assert_in_range(v[i].offset, sym.file_offset, sym.file_offset + sym.size - 1);
		assert_int_equal(object_read(obj, v[i].offset, &nop, 1), 1);
		assert_int_equal(nop, 0x90);
		assert_int_equal(object_read(obj, v[i].semaphore, &word, sizeof(word)), sizeof(word));
		assert_int_equal(word, counter);
	}
	assert_true(v[0].offset != v[1].offset);
	assert_string_equal(v[0].arguments, "-4@%eax 8@$1");
	assert_string_equal(v[1].arguments, "-4@%ebx 8@$2");
	assert_int_equal(sdt_find(obj, "testing", "end", v, PROBES_MAX), 1);
	assert_int_equal(v[0].semaphore, 0);
	assert_string_equal(v[0].arguments, "");
	object_free(obj);
}

static void no_more_than_asked_for_and_no_others(void **state)
{
	struct object *obj = open_self();
	struct sdt_probe v[PROBES_MAX];

	(void)state;
	assert_int_equal(sdt_find(obj, "testing", "begin", v, 1), 1);
	assert_int_equal(sdt_find(obj, "testing", "begin", v, 0), 0);
	assert_int_equal(sdt_find(obj, "testing", "beginning", v, PROBES_MAX), 0);
	assert_int_equal(sdt_find(obj, "test", "begin", v, PROBES_MAX), 0);
	object_free(obj);
	obj = open_file("/bin/true");
	assert_int_equal(sdt_find(obj, "testing", "begin", v, PROBES_MAX), 0);
	object_free(obj);
}

/* Our own file, in memory, and where its notes begin and end. */
struct copy {
	char *bytes;
	size_t size;
	char *notes, *end;
};

static struct copy copy_self(void)
{
	/* In this function too, but without an owner before it. */
	static const char strings[] = "testing\0begin\0-4@%eax";
	const size_t before = 3 * sizeof(uint32_t) + sizeof("stapsdt") + 3 * sizeof(uint64_t);
	struct copy copy = {.bytes = malloc(COPY_MAX)};
	FILE *f = fopen("/proc/self/exe", "re");

	assert_true(copy.bytes && f);
	copy.size = fread(copy.bytes, 1, COPY_MAX, f);
	fclose(f);
	assert_true(copy.size > 0 && copy.size < COPY_MAX);
	for (char *at = copy.bytes; !copy.notes; at++) {
		at = memmem(at, (size_t)(copy.bytes + copy.size - at), strings, sizeof(strings) - 1);
		assert_non_null(at);
		if (!strcmp(at - before + 3 * sizeof(uint32_t), "stapsdt"))
			copy.notes = at - before;
	}
	copy.end = copy.notes + 250;
	return copy;
}

static size_t find_in(const struct copy *copy, struct sdt_probe v[PROBES_MAX])
{
	char path[] = "/tmp/sdt_test.XXXXXX";
	int fd = mkstemp(path);
	struct object *obj;
	size_t cnt;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, copy->bytes, copy->size), (ssize_t)copy->size);
	close(fd);
	obj = open_file(path);
	cnt = sdt_find(obj, "testing", "begin", v, PROBES_MAX);
	for (size_t i = 0; i < cnt; i++)
		assert_true(memchr(v[i].arguments, '\0', sizeof(v[i].arguments)) != NULL);
	object_free(obj);
	unlink(path);
	return cnt;
}

static size_t found_in(const struct copy *copy)
{
	struct sdt_probe v[PROBES_MAX];

	return find_in(copy, v);
}

static void set_word(char *at, uint32_t word)
{
	memcpy(at, &word, sizeof(word));
}

static void damaged_notes_are_left_out(void **state)
{
	struct copy copy = copy_self();
	char *note = copy.notes;
	uint32_t size;

	(void)state;
	assert_int_equal(found_in(&copy), 2);
	memcpy(&size, note + 4, sizeof(size));
	set_word(note + 4, 23); /* shorter than its three words */
	assert_true(found_in(&copy) <= 1);
	set_word(note + 4, 40); /* the arguments do not end */
	assert_true(found_in(&copy) <= 1);
	set_word(note + 4, UINT32_MAX);
	assert_int_equal(found_in(&copy), 0);
	set_word(note + 4, size);
	set_word(note, 7); /* the owner's name does not end */
	assert_true(found_in(&copy) <= 1);
	set_word(note, 8);
	set_word(note + 8, 4);
	assert_int_equal(found_in(&copy), 1);
	set_word(note + 8, 3);
	memset(note + 20, 0xff, 8); /* a place outside the file */
	assert_int_equal(found_in(&copy), 1);
	free(copy.bytes);
}

/* As prelink leaves it: all addresses have moved, and the notes still say the old ones. */
static void a_moved_object_is_found_by_its_base(void **state)
{
	struct copy copy = copy_self();
	struct sdt_probe before[PROBES_MAX], after[PROBES_MAX];
	uint64_t words[3];

	(void)state;
	assert_int_equal(find_in(&copy, before), 2);
	memcpy(words, copy.notes + 20, sizeof(words));
	for (int i = 0; i < 3; i++)
		words[i] -= 0x1230;
	memcpy(copy.notes + 20, words, sizeof(words));
	assert_int_equal(find_in(&copy, after), 2);
	assert_int_equal(after[0].offset, before[0].offset);
	assert_int_equal(after[0].semaphore, before[0].semaphore);
	free(copy.bytes);
}

static void any_byte_may_be_wrong(void **state)
{
	struct copy copy = copy_self();

	(void)state;
	for (char *at = copy.notes; at < copy.end; at++) {
		char was = *at;

		*at = (char)~was;
		found_in(&copy);
		*at = was;
	}
	free(copy.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_all_places_of_a_probe),
		cmocka_unit_test(no_more_than_asked_for_and_no_others),
		cmocka_unit_test(damaged_notes_are_left_out),
		cmocka_unit_test(a_moved_object_is_found_by_its_base),
		cmocka_unit_test(any_byte_may_be_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
