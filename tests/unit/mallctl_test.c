/* Tables like jemalloc's in this program's own file, found in it without symbols; and files that are none. */
#include "probe/mallctl.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../bpf/share.h"
#include "base/units.h"
#include "target/contents.h"

/* struct ctl_named_node_s */
struct node {
	bool named;
	const char *name;
	size_t child_cnt;
	const void *children;
	int (*ctl)(void);
};

static int ctl(void)
{
	return 0;
}

#define LEAF(text) {true, text, 0, NULL, ctl}

static const struct node arena_nodes[] = {LEAF("initialized"), LEAF("decay"), LEAF("purge"), LEAF("destroy"), LEAF("dss")};
static const struct node other_nodes[] = {LEAF("purge"), LEAF("size")}; /* without dss: another level's */
static const struct node first_nodes[] = {LEAF("version"), LEAF("epoch"), {true, "arena", 1, arena_nodes, NULL},
					  {true, "arenas", 2, other_nodes, NULL}};
/* Volatile: what nobody reads would not be in the file. */
static const struct node *const volatile levels[] = {
	(const struct node[]){{true, "", sizeof(arena_nodes) / sizeof(arena_nodes[0]), arena_nodes, NULL}},
	(const struct node[]){{true, "", sizeof(other_nodes) / sizeof(other_nodes[0]), other_nodes, NULL}},
	(const struct node[]){{true, "", sizeof(first_nodes) / sizeof(first_nodes[0]), first_nodes, NULL}},
	/* Nonsense that looks like one: more children than the file holds, children nowhere. */
	(const struct node[]){{true, "", 200, first_nodes + 3, NULL}},
	(const struct node[]){{true, "", 3, (const void *)8, NULL}},
};

int main(void);

static struct object *open_file(const char *name)
{
	struct object *obj = NULL;
	char path[PATH_MAX];

	assert_non_null(realpath(name, path));
	assert_int_equal(object_open_path(getpid(), path, &obj, NULL), 0);
	return obj;
}

static void finds_the_numbers(void **state)
{
	struct object *obj = open_file("/proc/self/exe");
	struct mallctl_numbers n;

	(void)state;
	assert_non_null(levels[0]);
	assert_int_equal(mallctl_numbers(obj, &n), 0);
	assert_int_equal(n.arena, 2);
	assert_int_equal(n.control[CONTROL_PURGE], 2);
	assert_int_equal(n.control[CONTROL_DECAY], 1);
	assert_int_equal(n.control[CONTROL_DESTROY], 3);
	assert_int_equal(n.control[CONTROL_RESET], MIB_NUMBER_NONE);
	object_free(obj);
}

static void says_that_there_are_none(void **state)
{
	struct object *obj = open_file("/bin/sh");
	struct mallctl_numbers n;

	(void)state;
	assert_int_not_equal(mallctl_numbers(obj, &n), 0);
	assert_int_equal(n.arena, MIB_NUMBER_NONE);
	assert_int_equal(n.control[CONTROL_PURGE], MIB_NUMBER_NONE);
	object_free(obj);
}

static const char *const volatile texts[] = {"one text", "another"};

static void contents_are_as_the_loader_leaves_them(void **state)
{
	struct object *obj = open_file("/proc/self/exe");
	struct contents c;
	struct object_symbol main_symbol;
	uint64_t bias, word;

	(void)state;
	assert_int_equal(object_find_symbol(obj, "main", &main_symbol), 0);
	bias = (uintptr_t)main - main_symbol.value;
	assert_int_equal(contents_read(obj, 64 * MIB, &c), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(contents_word(&c, (uintptr_t)&texts[i] - bias, &word));
		assert_int_equal(word, (uintptr_t)texts[i] - bias);
		assert_true(contents_is_text(&c, word, i ? "another" : "one text"));
		assert_false(contents_is_text(&c, word, i ? "anothe" : "one"));
	}
	assert_false(contents_word(&c, UINT64_MAX - 3, &word));
	assert_false(contents_word(&c, c.v[0].start + c.v[0].len - 7, &word));
	assert_false(contents_is_text(&c, UINT64_MAX, "x"));
	contents_free(&c);
	assert_int_equal(contents_read(obj, 1000, &c), -EFBIG);
	object_free(obj);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_numbers),
		cmocka_unit_test(says_that_there_are_none),
		cmocka_unit_test(contents_are_as_the_loader_leaves_them),
	};

	return cmocka_run_group_tests_name("mallctl", tests, NULL, NULL);
}
